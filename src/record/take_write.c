// From the ring to a file.
#include "record/take.h"

#include "caps.h"
#include "record/encode.h"
#include "record/keyboard.h"
#include "record/line_text.h"

#include <math.h>
#include <string.h>

// Of a bar: a frame that is a bar line for all that rounding tells.
#define BAR_EPSILON 1e-6

// Where a take begins: an event, and the line from which it can be made again.
typedef struct {
  uint64_t event;
  uint64_t line;       // first that it holds
  uint64_t number_min; // notes before it belong to an earlier phrase
  bool     starts;     // the line does
} Begin;

typedef struct {
  const TakeRing*    ring;
  const TakeRequest* request;
  SmfTrack*          track;
  Take*              take;
  Error*             error;
  uint32_t           tempo_us;
  uint64_t           from; // onsets before it are left out
  uint64_t           line; // the next
  uint64_t           first_number;
  Keyboard           keyboard;
  uint64_t           tick;  // of what is written now
  bool               whole; // all events of the ring were before the end
  Status             status;
} Writer;

static const PlayedEvent*
event_at(const TakeRing* ring, uint64_t index)
{
  return &ring->events[index % TAKE_EVENTS];
}

// The last phrase that began at `frame` or before, or the oldest.
static Begin
find_phrase(const TakeRing* ring, uint64_t frame)
{
  const Lines* const lines = &ring->lines;
  Begin              begin = { .event = ring->end, .line = lines->waiting };
  for (uint64_t i = lines->first; i < lines->waiting; ++i) {
    const QueuedLine* const line = lines_at(lines, i);
    const uint64_t event = line->at > ring->first ? line->at : ring->first;
    if (!line->starts || line->at >= ring->end) {
      continue; // nothing of it was played yet
    }
    if (begin.starts && event_at(ring, event)->frame > frame) {
      break;
    }
    begin = (Begin){
      .event = event, .line = i, .number_min = line->number, .starts = true
    };
  }
  return begin;
}

// Where a take can begin that is no phrase: before a phrase, where the
// program's own notes have lost their lines; a player's notes wait for the
// phrase.
static bool
can_begin(const PlayedEvent* event, uint64_t frame, bool before_phrase)
{
  return is_note_on(event->message) && event->frame >= frame &&
         (!before_phrase || event->number != PLAYED_NO_NOTE);
}

static Begin
find_begin(const TakeRing* ring, uint64_t frame)
{
  const Begin phrase = find_phrase(ring, frame);
  if (phrase.event == ring->first ||
      (phrase.event < ring->end &&
       event_at(ring, phrase.event)->frame <= frame)) {
    return phrase;
  }
  Begin begin = { .event = ring->first, .line = ring->lines.first };
  while (begin.event < phrase.event &&
         !can_begin(event_at(ring, begin.event), frame, phrase.starts)) {
    ++begin.event;
  }
  while (begin.line < phrase.line &&
         lines_at(&ring->lines, begin.line)->at < begin.event) {
    ++begin.line;
  }
  return begin.event < phrase.event ? begin : phrase;
}

// The last bar line at `frame` or before.
static double
bar_line(const TakeRequest* request, double frame)
{
  const double bars = (frame - request->bar_frame) / request->bar_frames;
  return request->bar_frame + floor(bars + BAR_EPSILON) * request->bar_frames;
}

// Time zero.
static int64_t
find_zero(const TakeRing* ring, const TakeRequest* request)
{
  const double now    = (double)request->now_frame;
  double       wanted = now - request->seconds * ring->sample_rate_hz;
  wanted = request->bar_frames > 0 ? bar_line(request, wanted) : wanted;
  if (ring->first < ring->end) {
    // Before there was music there is nothing to keep.
    const double oldest = (double)event_at(ring, ring->first)->frame;
    if (wanted < oldest) {
      wanted = request->bar_frames > 0 ? bar_line(request, oldest) : oldest;
    }
  }
  return llround(wanted);
}

static uint64_t
find_from(const TakeRing* ring, const TakeRequest* request, int64_t zero)
{
  const double  early = request->bar_frames > 0 ? TAKE_EARLY_S : 0;
  const int64_t from  = zero - llround(early * ring->sample_rate_hz);
  return from > 0 ? (uint64_t)from : 0;
}

static void
add(Writer* writer, const SmfEvent* event)
{
  if (!writer->status) {
    writer->status = smf_track_add(writer->track, event, writer->error);
  }
}

static void
add_message(void* context, const uint8_t message[3])
{
  Writer* const writer = context;
  SmfEvent      event  = { .tick = writer->tick };
  memcpy(event.message, message, sizeof event.message);
  add(writer, &event);
}

static void
add_text(Writer* writer, const char* text)
{
  const SmfEvent event = { .tick = writer->tick, .text = text };
  add(writer, &event);
}

static void
add_line(Writer* writer, const RecordLine* line)
{
  char text[LINE_TEXT_BYTES_MAX];
  line_text_format(line, text);
  add_text(writer, text);
}

// Those that stand before event `index` or an earlier one.
static void
add_lines(Writer* writer, uint64_t index)
{
  const Lines* const lines = &writer->ring->lines;
  for (; writer->line < lines->waiting &&
         lines_at(lines, writer->line)->at <= index;
       ++writer->line, ++writer->take->lines) {
    const QueuedLine* const queued = lines_at(lines, writer->line);
    const RecordLine        line   = { .number = queued->number,
                                       .starts = queued->starts,
                                       .text = lines_text(lines, writer->line) };
    add_line(writer, &line);
  }
}

static void
set_tick(Writer* writer, uint64_t frame)
{
  const int64_t since = (int64_t)frame - writer->take->zero_frame;
  writer->tick        = smf_tick(since > 0 ? (uint64_t)since : 0,
                          writer->ring->sample_rate_hz,
                          writer->tempo_us);
}

static void
add_event(Writer* writer, const Begin* begin, uint64_t index)
{
  const PlayedEvent* const event      = event_at(writer->ring, index);
  const bool               is_on      = is_note_on(event->message);
  const bool               is_planned = event->number != PLAYED_NO_NOTE;
  Take* const              take       = writer->take;
  if (is_on ? event->frame < writer->from ||
                (is_planned && event->number < begin->number_min)
            : !take->notes) {
    return; // before the cut, or of an earlier phrase
  }
  const KeyboardAnswer answer =
    keyboard_hear(&writer->keyboard, event->message);
  if (answer == KEYBOARD_LEAVE_OUT) {
    return;
  }
  if (!take->notes) {
    // All that is played from time zero on, and what was meant to be on it.
    const uint64_t zero = take->zero_frame > 0 ? (uint64_t)take->zero_frame : 0;
    take->begin_frame   = event->frame < zero ? event->frame : zero;
  }
  set_tick(writer, event->frame);
  if (answer == KEYBOARD_END_FIRST) {
    uint8_t off[3];
    keyboard_off(event->message[0] & 15, event->message[1], off);
    add_message(writer, off);
  }
  add_lines(writer, index);
  add_message(writer, event->message);
  take->notes += is_on;
  if (is_on && is_planned && writer->first_number == CUT_NO_NOTE) {
    writer->first_number = event->number;
  }
}

static void
add_end(Writer* writer, const Begin* begin)
{
  const TakeRing* const ring   = writer->ring;
  Take* const           take   = writer->take;
  const uint64_t        now    = writer->request->now_frame;
  const int64_t         length = (int64_t)now - take->zero_frame;
  take->seconds                = (double)length / ring->sample_rate_hz;
  take->can_be_made_again =
    begin->starts && begin->number_min >= ring->lost_before;
  set_tick(writer, now);
  if (writer->whole) {
    add_lines(writer, ring->end); // those that no event has followed yet
  }
  for (uint32_t i = 0; i < writer->request->rest_count; ++i, ++take->lines) {
    add_line(writer, &writer->request->rest[i]);
  }
  keyboard_end_all(&writer->keyboard, add_message, writer);
  const CutLine cut = { .frame = (uint64_t)length,
                        .begin = take->begin_frame,
                        .lead  = (int64_t)take->begin_frame - take->zero_frame,
                        .first = writer->first_number,
                        .sample_rate_hz = ring->sample_rate_hz,
                        .lost =
                          take->can_be_made_again ? 0 : ring->lines_lost };
  char          text[LINE_TEXT_BYTES_MAX];
  line_text_format_cut(&cut, text);
  add_text(writer, text);
}

static Status
check_request(const TakeRequest* request, Error* error)
{
  if (!(request->seconds > 0)) {
    return error_set(error,
                     STATUS_BAD_ARGUMENT,
                     "keep: %g s: more than 0 s are needed",
                     request->seconds);
  }
  if (!(request->bpm >= TAKE_BPM_MIN && request->bpm <= TAKE_BPM_MAX)) {
    return error_set(error,
                     STATUS_BAD_ARGUMENT,
                     "keep: a tempo of %g bpm: %g to %g are possible",
                     request->bpm,
                     TAKE_BPM_MIN,
                     TAKE_BPM_MAX);
  }
  return STATUS_OK;
}

Status
take_encode(const TakeRing*    ring,
            const TakeRequest* request,
            SmfTrack*          track,
            Take*              take,
            Error*             error)
{
  *take               = (Take){ 0 };
  const Status status = check_request(request, error);
  if (status) {
    return status;
  }
  take->zero_frame      = find_zero(ring, request);
  const uint64_t from   = find_from(ring, request, take->zero_frame);
  const Begin    begin  = find_begin(ring, from);
  const SmfBeat  beat   = smf_beat(request->bpm, request->quarters_per_bar);
  Writer         writer = { .ring         = ring,
                            .request      = request,
                            .track        = track,
                            .take         = take,
                            .error        = error,
                            .tempo_us     = beat.tempo_us,
                            .from         = from,
                            .line         = begin.line,
                            .first_number = CUT_NO_NOTE };
  writer.status = record_begin_track(track, &beat, request->text, error);
  uint64_t i    = begin.event;
  for (; i < ring->end && !writer.status &&
         event_at(ring, i)->frame < request->now_frame;
       ++i) {
    add_event(&writer, &begin, i);
  }
  writer.whole = i == ring->end;
  if (!take->notes) {
    return error_set(error,
                     STATUS_NOT_FOUND,
                     "keep: no note was played in the last %g s",
                     request->seconds);
  }
  add_end(&writer, &begin);
  return writer.status;
}

Status
take_keep(const TakeRing*    ring,
          const char*        path,
          const TakeRequest* request,
          Take*              take,
          Error*             error)
{
  SmfTrack track  = { 0 };
  Status   status = take_encode(ring, request, &track, take, error);
  if (!status) {
    status =
      record_write_track(path, &track, smf_tempo_us(request->bpm), error);
  }
  smf_track_free(&track);
  return status;
}
