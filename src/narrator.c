// Lines in the order of notes.
#include "narrator.h"

#include <stdlib.h>
#include <string.h>

void
narrator_begin(Narrator* narrator,
               uint32_t  sample_rate_hz,
               uint64_t  origin_frame)
{
  plan_text_init(&narrator->writer, sample_rate_hz, origin_frame);
  narrator->begun = true;
}

void
narrator_free(Narrator* narrator)
{
  for (uint32_t i = 0; i < narrator->count; ++i) {
    free(narrator->waiting[i].text);
  }
  narrator->count = 0;
}

static bool
makes_notes(PlanStepKind kind)
{
  return kind == PLAN_WINDOW || kind == PLAN_EVENTS;
}

// Whether a line makes one that waits pointless. One that starts tells the
// stamps of its notes, too.
static bool
replaces(const NarratorLine* line, const NarratorLine* waiting)
{
  if (waiting->ends) {
    return false;
  }
  if (!makes_notes(line->kind)) {
    return !makes_notes(waiting->kind) && waiting->number >= line->number;
  }
  return waiting->number > line->number ||
         (waiting->number == line->number &&
          (line->starts || makes_notes(waiting->kind)));
}

// Whether one of those forgotten started.
static bool
forget_replaced(Narrator* narrator, const NarratorLine* line)
{
  uint32_t kept    = 0;
  bool     started = false;
  for (uint32_t i = 0; i < narrator->count; ++i) {
    if (replaces(line, &narrator->waiting[i])) {
      started = started || narrator->waiting[i].starts;
      free(narrator->waiting[i].text);
    } else {
      narrator->waiting[kept++] = narrator->waiting[i];
    }
  }
  narrator->count = kept;
  return started;
}

// Later notes that wait are stamped otherwise now.
static void
drop_stale_stamps(Narrator* narrator, const NarratorLine* line)
{
  for (uint32_t i = 0; i < narrator->count; ++i) {
    NarratorLine* const waiting = &narrator->waiting[i];
    if (line->kind == PLAN_STAMPS && waiting->starts &&
        waiting->number > line->number) {
      plan_text_drop_stamps(waiting->text);
      waiting->starts              = false;
      narrator->writer.until_start = 0; // the next one instead
    }
  }
}

static void
tell_line(const NarratorLine* line, NarratorTell tell, void* context)
{
  const RecordLine told = { .number = line->number,
                            .starts = line->starts,
                            .now    = true,
                            .text   = line->text };
  tell(context, &told);
}

void
narrator_lose(Narrator* narrator, uint64_t until)
{
  narrator->writer.until_start = 0;
  if (until > narrator->lost_until) {
    narrator->lost_until = until;
  }
}

static void
wait_for_note(Narrator* narrator, NarratorLine line)
{
  line.text = strdup(line.text);
  if (!line.text || narrator->count == NARRATOR_WAITING_MAX) {
    free(line.text);
    ++narrator->lost;
    narrator_lose(narrator, line.number + 1);
    return;
  }
  uint32_t at = narrator->count++;
  for (; at && narrator->waiting[at - 1].number > line.number; --at) {
    narrator->waiting[at] = narrator->waiting[at - 1];
  }
  narrator->waiting[at] = line;
}

void
narrator_hear(Narrator* narrator, const PlanStep* step)
{
  char         text[RECORD_LINE_BYTES_MAX];
  NarratorLine line = { .number = step->number,
                        .kind   = step->kind,
                        .ends   = step->kind == PLAN_BREAK && step->ends,
                        .frame  = step->frame,
                        .text   = text };
  if (forget_replaced(narrator, &line)) {
    narrator->writer.until_start = 0; // this one instead
  }
  plan_text_write(&narrator->writer, step, text, &line.starts);
  drop_stale_stamps(narrator, &line);
  forget_replaced(narrator, &line); // now that it is known whether it starts
  wait_for_note(narrator, line);
}

// The first so many that wait.
static void
tell_first(Narrator* narrator, uint32_t count, NarratorTell tell, void* context)
{
  for (uint32_t i = 0; i < count; ++i) {
    tell_line(&narrator->waiting[i], tell, context);
    free(narrator->waiting[i].text);
  }
  narrator->count -= count;
  memmove(narrator->waiting,
          narrator->waiting + count,
          narrator->count * sizeof *narrator->waiting);
}

void
narrator_reach(Narrator*    narrator,
               uint64_t     frame,
               bool         is_on,
               NarratorTell tell,
               void*        context)
{
  uint32_t told = 0;
  for (uint32_t i = 0; i < narrator->count; ++i) {
    const NarratorLine* const line = &narrator->waiting[i];
    if (line->kind == PLAN_BREAK && line->frame + !is_on <= frame) {
      told = i + 1;
    }
  }
  tell_first(narrator, told, tell, context);
}

void
narrator_panic(Narrator*    narrator,
               uint64_t     frame,
               NarratorTell tell,
               void*        context)
{
  char           text[RECORD_LINE_BYTES_MAX];
  bool           starts;
  const PlanStep step = { .kind = PLAN_PANIC, .frame = frame };
  plan_text_write(&narrator->writer, &step, text, &starts);
  const NarratorLine line = { .number = narrator->played, .text = text };
  tell_line(&line, tell, context);
}

const RecordLine*
narrator_rest(Narrator* narrator, uint32_t* count)
{
  *count = narrator->count;
  for (uint32_t i = 0; i < narrator->count; ++i) {
    narrator->rest[i] = (RecordLine){ .number = narrator->waiting[i].number,
                                      .now    = true,
                                      .text   = narrator->waiting[i].text };
  }
  return narrator->rest;
}

void
narrator_note(Narrator*    narrator,
              uint64_t     number,
              NarratorTell tell,
              void*        context)
{
  uint32_t told    = 0;
  narrator->played = number;
  while (told < narrator->count && narrator->waiting[told].number <= number) {
    ++told;
  }
  tell_first(narrator, told, tell, context);
}
