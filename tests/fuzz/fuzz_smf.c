// Fuzzing of MIDI file reading: whatever the bytes, reading ends in an error
// with a text or in notes that keep every promise of smf.h and condense.h, and
// those notes survive a trip through a file of ours. Run by run.sh.
#include "music/condense.h"
#include "music/smf.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define PROMISE(condition)                                                     \
  do {                                                                         \
    if (!(condition)) {                                                        \
      fprintf(stderr, "broken promise: %s\n", #condition);                     \
      abort();                                                                 \
    }                                                                          \
  } while (0)

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

static void
check_notes(const SmfNotes* smf)
{
  double last_end_s[16][128] = { 0 };
  PROMISE(isfinite(smf->length_s) && smf->length_s >= 0.0);
  PROMISE(smf->length_s <= SMF_SECONDS_MAX);
  PROMISE(smf->count <= smf->press_count);
  PROMISE(smf->press_count <= SMF_EVENTS_MAX);
  for (size_t i = 0; i < smf->count; ++i) {
    const PlayedNote* const n = &smf->notes[i];
    PROMISE(isfinite(n->onset_s) && n->onset_s >= 0.0);
    PROMISE(isfinite(n->duration_s) && n->duration_s >= 0.0);
    PROMISE(n->onset_s + n->duration_s <= smf->length_s * (1.0 + 1e-12));
    PROMISE(n->pitch < 128 && n->velocity >= 1 && n->velocity <= 127);
    PROMISE(n->channel < 16 && n->channel != 9);
    if (i > 0) {
      const PlayedNote* const before = n - 1;
      PROMISE(before->onset_s <= n->onset_s);
      PROMISE(before->onset_s < n->onset_s || before->pitch <= n->pitch);
    }
    // One key sounds once at a time.
    double* const end_s = &last_end_s[n->channel][n->pitch];
    PROMISE(*end_s <= n->onset_s * (1.0 + 1e-12));
    *end_s = n->onset_s + n->duration_s;
  }
}

static void
check_events(const NoteEvent* events, size_t count)
{
  for (size_t i = 0; i < count; ++i) {
    const NoteEvent e = events[i];
    PROMISE(e.pitch >= 1 && e.pitch <= 127);
    PROMISE(e.velocity > 0.0f && e.velocity <= 1.0f);
    PROMISE(e.step_s >= NOTE_STEP_MIN_S && e.step_s <= NOTE_STEP_MAX_S);
    PROMISE(e.duration_s >= NOTE_DURATION_MIN_S &&
            e.duration_s <= NOTE_DURATION_MAX_S);
  }
}

static int
compare_messages(const void* left, const void* right)
{
  const SmfEvent* const a = left;
  const SmfEvent* const b = right;
  if (a->tick != b->tick) {
    return a->tick < b->tick ? -1 : 1;
  }
  return a->message[0] - b->message[0]; // note-offs (0x80) first
}

static uint64_t
tick_of(double seconds)
{
  return (uint64_t)llround(seconds * SMF_WRITE_TICKS_PER_SECOND);
}

// A file of ours gives back the same ticks, keys and velocities.
static void
check_trip(const PlayedNote* notes, size_t count)
{
  SmfEvent* const messages = malloc((2 * count + 1) * sizeof *messages);
  PROMISE(messages);
  for (size_t i = 0; i < count; ++i) {
    const PlayedNote* const n   = &notes[i];
    const uint64_t          end = tick_of(n->onset_s + n->duration_s);
    messages[2 * i]             = (SmfEvent){ .tick    = tick_of(n->onset_s),
                                              .message = { 0x90, n->pitch, n->velocity } };
    messages[2 * i + 1] =
      (SmfEvent){ .tick = end, .message = { 0x80, n->pitch, 0 } };
  }
  qsort(messages, 2 * count, sizeof *messages, compare_messages);
  char*       bytes = NULL;
  size_t      size  = 0;
  FILE* const file  = open_memstream(&bytes, &size);
  PROMISE(file && !smf_write(file, messages, 2 * count, NULL));
  PROMISE(!fclose(file));
  SmfNotes     again;
  Error        error = { 0 };
  const Status status =
    smf_read_bytes((const uint8_t*)bytes, size, &again, &error);
  if (status) { // only a cap can be in the way
    PROMISE(status == STATUS_LIMIT);
  } else {
    PROMISE(again.count == count);
    for (size_t i = 0; i < count; ++i) {
      const PlayedNote* const n = &notes[i];
      const PlayedNote* const m = &again.notes[i];
      PROMISE(tick_of(m->onset_s) == tick_of(n->onset_s));
      PROMISE(tick_of(m->onset_s + m->duration_s) ==
              tick_of(n->onset_s + n->duration_s));
      PROMISE(m->pitch == n->pitch && m->velocity == n->velocity);
    }
    smf_notes_free(&again);
  }
  free(bytes);
  free(messages);
}

int
LLVMFuzzerTestOneInput(const uint8_t* data, size_t size)
{
  SmfNotes     smf;
  Error        error  = { 0 };
  const Status status = smf_read_bytes(data, size, &smf, &error);
  if (status) {
    PROMISE(error.status == status && error.text[0]);
    PROMISE(strstr(error.text, "byte ") || status == STATUS_NO_MEMORY);
    PROMISE(!smf.notes && !smf.count);
    return 0;
  }
  check_notes(&smf);
  NoteEvent* const events = malloc((smf.count + 1) * sizeof *events);
  PROMISE(events);
  const size_t count = condense_notes(smf.notes, smf.count, events);
  PROMISE(count <= smf.count);
  check_events(events, count);
  PlayedNote* const played = malloc((count + 1) * sizeof *played);
  PROMISE(played);
  expand_events(events, count, 0.0, played);
  check_trip(played, count);
  free(played);
  free(events);
  smf_notes_free(&smf);
  return 0;
}
