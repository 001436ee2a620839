// Writing and reading of the planner's steps.
#include "plan_text.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KNOWN (4 * CONTEXT_NOTES_MAX)
#define EVENT_DIGITS 26 // two of the pitch, eight of each float

// --- Writing -----------------------------------------------------------------

typedef struct {
  char*  text;
  size_t length;
} Line;

static void __attribute__((format(printf, 2, 3)))
put(Line* line, const char* format, ...)
{
  va_list args;
  va_start(args, format);
  const size_t room  = RECORD_LINE_BYTES_MAX - line->length;
  const int    added = vsnprintf(line->text + line->length, room, format, args);
  va_end(args);
  line->length += added > 0 && (size_t)added < room ? (size_t)added : 0;
}

static uint32_t
bits_of(float value)
{
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

static void
put_floats(Line* line, const float* values, uint32_t count)
{
  for (uint32_t i = 0; i < count; ++i) {
    put(line, "%08" PRIx32, bits_of(values[i]));
  }
}

static void
put_notes(Line* line, const NoteEvent* notes, uint32_t count)
{
  for (uint32_t i = 0; i < count; ++i) {
    const float values[] = { notes[i].velocity,
                             notes[i].step_s,
                             notes[i].duration_s };
    put(line, "%02x", notes[i].pitch);
    put_floats(line, values, 3);
  }
}

static uint64_t
since_origin(const PlanTextWriter* writer, uint64_t frame)
{
  return frame > writer->origin_frame ? frame - writer->origin_frame : 0;
}

static void
put_stamps(Line* line, const PlanTextWriter* writer, const PlanStep* step)
{
  const SchedulerState* const s        = &step->stamps;
  const Params                standard = params_standard();
  put(line,
      " at=%.17g started=%d earliest=%" PRIu64 " frame=%" PRIu64
      " beat=%.17g bpm_now=%.17g rate=%" PRIu32,
      s->at,
      s->started,
      since_origin(writer, s->earliest_frame),
      since_origin(writer, s->map.frame),
      s->map.beat,
      s->map.bpm,
      writer->sample_rate_hz);
  for (int id = 0; id < PARAM_COUNT; ++id) {
    if (step->params.value[id] != standard.value[id]) {
      put(line, " p.%s=%.17g", param_table[id].name, step->params.value[id]);
    }
  }
}

static bool
is_known(const PlanTextWriter* writer,
         uint64_t              reach,
         uint64_t              first,
         const NoteEvent*      notes,
         uint32_t              count)
{
  if (first < writer->first || first < reach || first + count > writer->next) {
    return false;
  }
  for (uint32_t i = 0; i < count; ++i) {
    const NoteEvent* const known = &writer->events[(first + i) % KNOWN];
    if (known->pitch != notes[i].pitch ||
        bits_of(known->velocity) != bits_of(notes[i].velocity) ||
        bits_of(known->step_s) != bits_of(notes[i].step_s) ||
        bits_of(known->duration_s) != bits_of(notes[i].duration_s)) {
      return false;
    }
  }
  return true;
}

static void
put_request(Line* line, const PlanStep* step)
{
  const ModelRequest* const r = &step->job.request;
  put(line,
      "window model=%s fallback=%d seed=%" PRIu64 " w=%" PRIu64
      " t=%.9g sampler=%d steps=%" PRIu32 " eta=%.9g",
      step->digest,
      step->is_fallback,
      r->seed,
      r->first_window,
      (double)r->temperature,
      (int)r->sampler,
      r->steps,
      (double)r->eta);
  if (r->forbidden_classes) {
    put(line,
        " forbid=%u share=%.9g",
        r->forbidden_classes,
        (double)r->forbidden_share);
  }
}

static void
put_context(Line*                 line,
            const PlanTextWriter* writer,
            const PlanStep*       step,
            bool                  starts)
{
  const GeneratorJob* const job    = &step->job;
  const uint32_t            before = job->request.before;
  const uint32_t            after  = job->request.after;
  if (before) {
    // One that starts holds them; nobody need know them before.
    const uint64_t reach = starts ? 0 : writer->reach;
    const bool     past =
      step->number >= before &&
      is_known(writer, reach, step->number - before, job->given, before);
    put(line, " before=%" PRIu32 "%s", before, past ? " past=" : " given=");
    if (past && !starts) {
      put(line, "tail");
    } else {
      put_notes(line, job->given, before);
    }
  }
  if (after) {
    put(line, " after=");
    put_notes(line, job->given + before, after);
  }
  if (job->has_phrase) {
    const bool last = !starts && step->number >= WINDOW_NOTES &&
                      is_known(writer,
                               writer->reach,
                               step->number - WINDOW_NOTES,
                               job->phrase,
                               WINDOW_NOTES);
    put(line, " strength=%.9g phrase=", (double)job->request.strength);
    if (last) {
      put(line, "last");
    } else {
      put_notes(line, job->phrase, WINDOW_NOTES);
    }
  }
}

static void
put_z(Line* line, const PlanStep* step, bool starts)
{
  const GeneratorJob* const job = &step->job;
  if (job->z_rule == Z_PRIOR) {
    put(line, " z=prior:%" PRIu64, job->z_draw);
  } else if (job->z_rule == Z_WALK && step->follows && !starts) {
    put(line,
        " z=walk:%.9g:%.9g:%" PRIu64 ":%" PRIu64,
        (double)job->walk.step,
        (double)job->walk.pull,
        job->walk.seed,
        job->walk.window);
  } else {
    put(line, " z=");
    put_floats(line, job->z, step->latent_size);
  }
}

static void
remember(PlanTextWriter* writer, const PlanStep* step)
{
  if (step->number != writer->next) {
    // Planned anew from here, or from somewhere unknown.
    writer->first = step->number < writer->first || step->number > writer->next
                      ? step->number
                      : writer->first;
    writer->next  = step->number;
    writer->reach = writer->reach < step->number ? writer->reach : step->number;
  }
  for (uint32_t i = 0; i < WINDOW_NOTES; ++i) {
    writer->events[writer->next++ % KNOWN] = step->events[i];
  }
  if (writer->next - writer->first > KNOWN) {
    writer->first = writer->next - KNOWN;
  }
}

void
plan_text_init(PlanTextWriter* writer,
               uint32_t        sample_rate_hz,
               uint64_t        origin_frame)
{
  *writer = (PlanTextWriter){ .sample_rate_hz = sample_rate_hz,
                              .origin_frame   = origin_frame };
}

// Later lines may refer to what this one holds, and must be read from any line
// before it that starts: so the latest of what those reach back to counts.
static void
reach_from(PlanTextWriter* writer, const PlanStep* step)
{
  const uint32_t before = step->job.request.before;
  const bool     is_past =
    step->number >= before &&
    is_known(writer, 0, step->number - before, step->job.given, before);
  const uint64_t reach = step->number - (is_past ? before : 0);
  writer->reach        = reach > writer->reach ? reach : writer->reach;
}

static void
write_window(PlanTextWriter* writer,
             Line*           line,
             const PlanStep* step,
             bool*           starts)
{
  *starts             = writer->until_start == 0 && !step->is_fallback;
  writer->until_start = *starts               ? PLAN_TEXT_START_WINDOWS - 1
                        : writer->until_start ? writer->until_start - 1
                                              : 0;
  if (*starts) {
    reach_from(writer, step);
  }
  put_request(line, step);
  put_context(line, writer, step, *starts);
  put_z(line, step, *starts);
  if (*starts) {
    put_stamps(line, writer, step);
  }
  remember(writer, step);
}

void
plan_text_write(PlanTextWriter* writer,
                const PlanStep* step,
                char            text[RECORD_LINE_BYTES_MAX],
                bool*           starts)
{
  Line line = { .text = text };
  *text     = '\0';
  *starts   = false;
  switch (step->kind) {
    case PLAN_WINDOW:
      write_window(writer, &line, step, starts);
      break;
    case PLAN_EVENTS:
      put(&line, "events notes=");
      put_notes(&line, step->events, WINDOW_NOTES);
      remember(writer, step);
      break;
    case PLAN_STAMPS:
      put(&line, "stamps");
      put_stamps(&line, writer, step);
      break;
    case PLAN_BREAK:
      put(&line,
          "break first=%" PRIu64 " frame=%" PRIu64 " ends=%d",
          step->number,
          since_origin(writer, step->frame),
          step->ends);
      break;
    case PLAN_PANIC:
      put(&line, "panic frame=%" PRIu64, since_origin(writer, step->frame));
      break;
  }
}

void
plan_text_drop_stamps(char* text)
{
  char* const stamps = strstr(text, " at="); // put_stamps() begins so
  if (stamps) {
    *stamps = '\0';
  }
}

// --- Reading -----------------------------------------------------------------

static bool
read_hex(const char** text, int digits, uint32_t* value)
{
  *value = 0;
  for (int i = 0; i < digits; ++i, ++*text) {
    const char c = **text;
    const int  d = c >= '0' && c <= '9'   ? c - '0'
                   : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                          : -1;
    if (d < 0) {
      return false;
    }
    *value = *value << 4 | (uint32_t)d;
  }
  return true;
}

static bool
read_float(const char** text, float* value)
{
  uint32_t bits;
  if (!read_hex(text, 8, &bits)) {
    return false;
  }
  memcpy(value, &bits, sizeof *value);
  return isfinite(*value);
}

static bool
read_notes(const char* text, uint32_t count, NoteEvent* notes)
{
  if (strlen(text) != (size_t)count * EVENT_DIGITS) {
    return false;
  }
  for (uint32_t i = 0; i < count; ++i) {
    uint32_t pitch;
    if (!read_hex(&text, 2, &pitch) || pitch > 127 ||
        !read_float(&text, &notes[i].velocity) ||
        !read_float(&text, &notes[i].step_s) ||
        !read_float(&text, &notes[i].duration_s)) {
      return false;
    }
    notes[i].pitch = (uint8_t)pitch;
  }
  return true;
}

static bool
read_z(const char* text, PlanTextLine* line)
{
  GeneratorJob* const job = &line->step.job;
  int                 end = 0;
  if (!strncmp(text, "prior:", 6)) {
    job->z_rule = Z_PRIOR;
    return sscanf(text, "prior:%" SCNu64 "%n", &job->z_draw, &end) == 1 &&
           !text[end];
  }
  if (!strncmp(text, "walk:", 5)) {
    job->z_rule = Z_WALK;
    return sscanf(text,
                  "walk:%f:%f:%" SCNu64 ":%" SCNu64 "%n",
                  &job->walk.step,
                  &job->walk.pull,
                  &job->walk.seed,
                  &job->walk.window,
                  &end) == 4 &&
           !text[end] && job->walk.step >= 0 && job->walk.step <= 1;
  }
  const size_t digits = strlen(text);
  job->z_rule         = Z_GIVEN;
  line->latent_size   = (uint32_t)(digits / 8);
  if (!digits || digits % 8 || digits / 8 > MODEL_LATENT_MAX) {
    return false;
  }
  for (uint32_t i = 0; i < line->latent_size; ++i) {
    if (!read_float(&text, &job->z[i])) {
      return false;
    }
  }
  return true;
}

static bool
read_given(const char* text, PlanTextLine* line)
{
  return read_notes(text, line->step.job.request.before, line->step.job.given);
}

static bool
read_past(const char* text, PlanTextLine* line)
{
  line->given_is_past = true;
  line->given_is_tail = !strcmp(text, "tail");
  return line->given_is_tail || read_given(text, line);
}

static bool
read_after(const char* text, PlanTextLine* line)
{
  ModelRequest* const request = &line->step.job.request;
  request->after              = (uint32_t)(strlen(text) / EVENT_DIGITS);
  return request->after <= WINDOW_NOTES &&
         request->before + request->after <= CONTEXT_NOTES_MAX &&
         read_notes(
           text, request->after, line->step.job.given + request->before);
}

static bool
read_phrase(const char* text, PlanTextLine* line)
{
  line->step.job.has_phrase = true;
  line->phrase_is_last      = !strcmp(text, "last");
  return line->phrase_is_last ||
         read_notes(text, WINDOW_NOTES, line->step.job.phrase);
}

static bool
read_u64(const char* text, uint64_t* value)
{
  char* end;
  *value = strtoull(text, &end, 10);
  return *text >= '0' && *text <= '9' && !*end;
}

static bool
read_u32(const char* text, uint32_t most, uint32_t* value)
{
  uint64_t   number;
  const bool good = read_u64(text, &number) && number <= most;
  *value          = good ? (uint32_t)number : 0;
  return good;
}

static bool
read_real(const char* text, float* value)
{
  char* end;
  *value = strtof(text, &end);
  return end != text && !*end && isfinite(*value);
}

static bool
read_double(const char* text, double* value)
{
  char* end;
  *value = strtod(text, &end);
  return end != text && !*end && isfinite(*value);
}

static bool
is(const char* name, const char* wanted)
{
  return !strcmp(name, wanted);
}

// A word of a window's request; false: it is none, or its value is bad.
static bool
read_request(const char* name, const char* text, PlanTextLine* line)
{
  ModelRequest* const r = &line->step.job.request;
  uint32_t            number;
  if (is(name, "model")) {
    return snprintf(line->step.digest, sizeof line->step.digest, "%s", text) <
           (int)sizeof line->step.digest;
  }
  if (is(name, "fallback") || is(name, "sampler") || is(name, "forbid")) {
    const bool good = read_u32(text, 0xfff, &number);
    if (is(name, "fallback")) {
      line->step.is_fallback = number;
    } else if (is(name, "sampler")) {
      r->sampler = (SamplerKind)number;
      return good && number <= SAMPLER_DPM;
    } else {
      r->forbidden_classes = (uint16_t)number;
    }
    return good;
  }
  return is(name, "seed")       ? read_u64(text, &r->seed)
         : is(name, "w")        ? read_u64(text, &r->first_window)
         : is(name, "t")        ? read_real(text, &r->temperature)
         : is(name, "steps")    ? read_u32(text, NOISE_STEPS_MAX, &r->steps)
         : is(name, "eta")      ? read_real(text, &r->eta)
         : is(name, "share")    ? read_real(text, &r->forbidden_share)
         : is(name, "before")   ? read_u32(text, CONTEXT_NOTES_MAX, &r->before)
         : is(name, "given")    ? read_given(text, line)
         : is(name, "past")     ? read_past(text, line)
         : is(name, "after")    ? read_after(text, line)
         : is(name, "strength") ? read_real(text, &r->strength)
         : is(name, "phrase")   ? read_phrase(text, line)
         : is(name, "z")        ? read_z(text, line)
                                : false;
}

static bool
read_stamps(const char* name, const char* text, PlanTextLine* line)
{
  SchedulerState* const s = &line->step.stamps;
  uint32_t              number;
  if (is(name, "started")) {
    const bool good = read_u32(text, 1, &number);
    s->started      = number;
    return good;
  }
  if (is(name, "ends")) {
    const bool good = read_u32(text, 1, &number);
    line->step.ends = number;
    return good;
  }
  if (is(name, "at")) {
    line->has_stamps = true;
    return read_double(text, &s->at);
  }
  if (is(name, "earliest")) {
    return read_u64(text, &s->earliest_frame);
  }
  if (is(name, "frame")) {
    return read_u64(
      text, line->step.kind >= PLAN_BREAK ? &line->step.frame : &s->map.frame);
  }
  if (is(name, "first")) {
    return read_u64(text, &line->step.number);
  }
  if (is(name, "beat")) {
    return read_double(text, &s->map.beat);
  }
  if (is(name, "bpm_now")) {
    return read_double(text, &s->map.bpm) && s->map.bpm > 0;
  }
  if (is(name, "rate")) {
    return read_u32(text, 1000000, &line->sample_rate_hz);
  }
  const ParamId id =
    !strncmp(name, "p.", 2) ? params_find(name + 2) : PARAM_COUNT;
  double value;
  if (id == PARAM_COUNT || !read_double(text, &value)) {
    return false;
  }
  const ParamInfo* const info = &param_table[id];
  line->step.params.value[id] = value;
  return value <= info->high &&
         (value >= info->low || info->flags & PARAM_MAY_BE_AUTO);
}

static bool
read_kind(const char* word, PlanStepKind* kind)
{
  static const char* const names[] = { [PLAN_WINDOW] = "window",
                                       [PLAN_EVENTS] = "events",
                                       [PLAN_STAMPS] = "stamps",
                                       [PLAN_BREAK]  = "break",
                                       [PLAN_PANIC]  = "panic" };
  for (size_t i = 0; i < sizeof names / sizeof *names; ++i) {
    if (is(word, names[i])) {
      *kind = (PlanStepKind)i;
      return true;
    }
  }
  return false;
}

Status
plan_text_read(const char* text, PlanTextLine* line, Error* error)
{
  char  copy[RECORD_LINE_BYTES_MAX];
  char* rest = copy;
  memset(line, 0, sizeof *line);
  line->step.params            = params_standard();
  line->step.job.request.count = 1;
  if (strlen(text) >= sizeof copy) {
    return error_set(error, STATUS_BAD_FILE, "the line is too long");
  }
  strcpy(copy, text);
  char* word = strtok_r(copy, " ", &rest);
  if (!word || !read_kind(word, &line->step.kind)) {
    return error_set(
      error, STATUS_BAD_FILE, "'%.40s' is no kind of line", word ? word : "");
  }
  while ((word = strtok_r(NULL, " ", &rest))) {
    char* const equals = strchr(word, '=');
    if (equals) {
      *equals = '\0';
    }
    const bool notes = line->step.kind == PLAN_EVENTS && is(word, "notes");
    const bool good =
      equals &&
      (notes ? read_notes(equals + 1, WINDOW_NOTES, line->step.events)
       : line->step.kind == PLAN_WINDOW && read_request(word, equals + 1, line)
         ? true
         : read_stamps(word, equals + 1, line));
    if (!good) {
      return error_set(
        error, STATUS_BAD_FILE, "'%.40s' has no sense there", word);
    }
  }
  return STATUS_OK;
}
