// The ring of the last ten minutes.
#include "record/take.h"

#include "caps.h"
#include "record/keyboard.h"

#include <stdlib.h>
#include <string.h>

// How much of a phrase goes when it alone fills the ring.
#define TRIM_EVENTS (TAKE_EVENTS / 8)

Status
take_ring_init(TakeRing* ring, uint32_t sample_rate_hz, Error* error)
{
  *ring = (TakeRing){ .kept_frames    = (uint64_t)TAKE_SECONDS * sample_rate_hz,
                      .sample_rate_hz = sample_rate_hz };
  ring->events = malloc(TAKE_EVENTS * sizeof *ring->events);
  if (!ring->events) {
    return error_set(
      error, STATUS_NO_MEMORY, "no memory for the last %u s", TAKE_SECONDS);
  }
  // Now, and not page by page while it plays.
  memset(ring->events, 0, TAKE_EVENTS * sizeof *ring->events);
  const Status status =
    lines_init(&ring->lines, TAKE_LINES, TAKE_LINE_BYTES, error);
  if (status) {
    take_ring_free(ring);
  }
  return status;
}

void
take_ring_free(TakeRing* ring)
{
  free(ring->events);
  lines_free(&ring->lines);
  *ring = (TakeRing){ 0 };
}

static PlayedEvent*
event_at(const TakeRing* ring, uint64_t index)
{
  return &ring->events[index % TAKE_EVENTS];
}

// The line, after the oldest, that starts the next phrase; the end of the lines
// when there is none.
static uint64_t
next_phrase(const TakeRing* ring)
{
  const Lines* const lines = &ring->lines;
  uint64_t           index = lines->first;
  while (index < lines->end &&
         (index == lines->first || !lines_at(lines, index)->starts)) {
    ++index;
  }
  return index;
}

// Lines before `index` go. True: with the notes that they concern.
static bool
drop_lines(TakeRing* ring, uint64_t index)
{
  Lines* const lines = &ring->lines;
  while (lines->first < index) {
    lines_drop_first(lines);
  }
  if (lines->first < lines->waiting) {
    const uint64_t at = lines_at(lines, lines->first)->at;
    ring->first       = at > ring->first ? at : ring->first;
    return true;
  }
  return false;
}

// The oldest phrase, if another follows that is played already.
static bool
drop_phrase(TakeRing* ring)
{
  const uint64_t next = next_phrase(ring);
  return next < ring->lines.waiting && drop_lines(ring, next);
}

// The oldest phrase's lines, while its notes may stay.
static void
drop_lines_of_phrase(TakeRing* ring)
{
  const uint64_t next  = next_phrase(ring);
  const uint64_t count = next - ring->lines.first;
  if (!drop_lines(ring, next)) {
    ring->lines_lost += count;
  }
}

static void
make_room(TakeRing* ring)
{
  // A phrase without a note makes none.
  while (ring->end - ring->first == TAKE_EVENTS) {
    if (!drop_phrase(ring)) {
      ring->first += TRIM_EVENTS;
    }
  }
}

// What began ten minutes ago or earlier, but for the phrase that lasted until
// then.
static void
forget_old(TakeRing* ring, uint64_t now_frame)
{
  const uint64_t oldest =
    now_frame > ring->kept_frames ? now_frame - ring->kept_frames : 0;
  for (;;) {
    const uint64_t next = next_phrase(ring);
    if (next >= ring->lines.waiting ||
        lines_at(&ring->lines, next)->at >= ring->end ||
        event_at(ring, lines_at(&ring->lines, next)->at)->frame > oldest) {
      break;
    }
    drop_lines(ring, next);
  }
  // Notes without lines.
  const Lines* const lines = &ring->lines;
  const uint64_t     until = lines->first < lines->waiting
                               ? lines_at(lines, lines->first)->at
                               : ring->end;
  while (ring->first < until && event_at(ring, ring->first)->frame < oldest) {
    ++ring->first;
  }
}

void
take_ring_add(TakeRing* ring, const PlayedEvent* event)
{
  forget_old(ring, event->frame);
  make_room(ring);
  if (is_note_on(event->message) && event->number != PLAYED_NO_NOTE) {
    lines_place(&ring->lines, event->number, ring->end);
  }
  PlayedEvent* const here = event_at(ring, ring->end);
  *here                   = *event;
  if (ring->end > ring->first) {
    const uint64_t before = event_at(ring, ring->end - 1)->frame;
    here->frame           = before > here->frame ? before : here->frame;
  }
  ++ring->end;
}

Status
take_ring_line(TakeRing* ring, const RecordLine* line, Error* error)
{
  const Status status = line_check(line, error);
  if (status) {
    ++ring->lines_lost;
    if (line->number >= ring->lost_before) {
      ring->lost_before = line->number + 1;
    }
    return status;
  }
  while (!lines_add(&ring->lines, line)) {
    drop_lines_of_phrase(ring);
  }
  if (line->now) {
    lines_place(&ring->lines, UINT64_MAX, ring->end);
  }
  return STATUS_OK;
}

void
take_ring_tell_phrase(const TakeRing* ring,
                      void (*tell)(void* context, const RecordLine* line),
                      void* context)
{
  const Lines* const lines = &ring->lines;
  uint64_t           i     = lines->waiting;
  while (i > lines->first && !lines_at(lines, i - 1)->starts) {
    --i;
  }
  if (i == lines->first) {
    return; // there is none
  }
  for (--i; i < lines->waiting; ++i) {
    const RecordLine line = { .number = lines_at(lines, i)->number,
                              .starts = lines_at(lines, i)->starts,
                              .now    = true,
                              .text   = lines_text(lines, i) };
    tell(context, &line);
  }
}
