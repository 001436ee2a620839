// Standard MIDI files (formats 0 and 1): reading to a flat list of notes, and
// writing of timed messages. Any thread except process.
//
// Reading merges all tracks and channels except channel 10 (drums). Sustain
// pedal is ignored, as in the reference system: a note lasts from key press to
// key release. A note-on with velocity 0 is a note-off; a note-off ends a note
// of its own track. The same pitch pressed again on the same channel while it
// sounds, in whatever track, ends the earlier note there; pressed twice at one
// tick, it is one note, as long and as loud as the longer and the louder. A
// note without an off ends at the file's end.
#pragma once

#include "file.h"
#include "music/note.h"
#include "status.h"

#include <stddef.h>

typedef struct {
  PlayedNote* notes; // sorted by onset, then pitch
  size_t      count;
  size_t      press_count; // note-ons read: `count` and those found doubled
  unsigned    format;      // 0 or 1
  unsigned    track_count;
  double      length_s;
} SmfNotes;

// Errors: STATUS_BAD_FILE names the byte offset and the broken rule;
// STATUS_LIMIT names the cap (caps.h). On error nothing is left allocated.
Status smf_read_bytes(const uint8_t* data,
                      size_t         size_bytes,
                      SmfNotes*      out,
                      Error*         error);
// The same, with "PATH: " before the error text.
Status smf_read_file(const char* path, SmfNotes* out, Error* error);
void   smf_notes_free(SmfNotes* notes);

// The meta events of a file (text, tempo and so on), track by track in the
// order of each. `data` is not a C string and may hold anything.
typedef struct {
  void (*take)(void*          context,
               uint64_t       tick,
               uint8_t        type,
               const uint8_t* data,
               uint32_t       length);
  void* context;
} SmfMeta;
#define SMF_META_TEXT 0x01u
#define SMF_META_TEMPO 0x51u
#define SMF_META_METER 0x58u
// Reads the whole file as smf_read_file() does, with the same errors; what was
// handed out before an error came is of a broken file.
Status smf_read_meta(const char* path, const SmfMeta* meta, Error* error);

// One timed three-byte channel message, or a text meta event.
typedef struct {
  uint64_t    tick;
  uint8_t     message[3];
  const char* text; // when set, a text meta event and `message` is not used
} SmfEvent;

// 960 ticks a quarter at 120 beats a minute: 1920 ticks a second.
#define SMF_WRITE_TICKS_PER_QUARTER 960u
#define SMF_WRITE_TICKS_PER_SECOND 1920u
// That tempo, in microseconds a quarter.
#define SMF_WRITE_TEMPO_US 500000u

// A file's tempo and meter.
typedef struct {
  uint32_t tempo_us;    // microseconds a quarter
  uint8_t  meter_count; // so many of `unit` a bar; 0: the file does not say
  uint8_t  meter_unit;  // 2: quarters, 3: eighths, 4: sixteenths, ...
} SmfBeat;

// Bars that no meter can tell are left out. A file can hold 3.58 bpm and up.
SmfBeat smf_beat(double bpm, double quarters_per_bar);

// Writes a format 0 file to `stream`, byte for byte a function of its
// arguments. Events must not go back in time.
Status smf_write(FILE*           stream,
                 const SmfEvent* events,
                 size_t          count,
                 Error*          error);

// The same in steps, at any tempo: events become bytes one by one. Begins as
// all zeros.
typedef struct {
  uint8_t* bytes; // as they stand in the file
  size_t   size;
  size_t   capacity;
  uint64_t tick;        // of the last event
  size_t   event_count; // names an event that is refused
} SmfTrack;

// STATUS_BAD_ARGUMENT: back in time, or no three-byte channel message;
// STATUS_LIMIT: too far after the one before, or a track of 4 GiB. Nothing was
// added then.
Status smf_track_add(SmfTrack* track, const SmfEvent* event, Error* error);
// The meter, where the track stands.
Status smf_track_add_meter(SmfTrack* track, const SmfBeat* beat, Error* error);
// The end of the track, for those who write its bytes themselves.
Status smf_track_end(SmfTrack* track, Error* error);
void   smf_track_free(SmfTrack* track);

// What stands before the events (format 0, one track, the tempo) and after.
#define SMF_HEAD_BYTES 29u
#define SMF_HEAD_LENGTH_AT 18u // where the track's length stands: 4 bytes
extern const uint8_t smf_end_of_track[4];
// The track's length: `event_bytes` and what head and end add to them.
uint32_t smf_track_length(size_t event_bytes);
void     smf_put_u32(uint8_t out[4], uint32_t value);
// `tempo_us`: microseconds a quarter, 1 to 0xffffff.
void smf_head(uint8_t  out[SMF_HEAD_BYTES],
              uint32_t tempo_us,
              size_t   event_bytes);

Status smf_write_track(FILE*           stream,
                       const SmfTrack* track,
                       uint32_t        tempo_us,
                       Error*          error);

// The tempo nearest to `bpm` quarters a minute that a file can hold (3.58 and
// up), and the tick nearest to a frame at that tempo. A tick lasts
// tempo_us / 960 microseconds: 0.52 ms at 120 bpm, 1.04 ms at 60, so that a
// frame comes back within half of that.
uint32_t smf_tempo_us(double bpm);
uint64_t smf_tick(uint64_t frame, uint32_t sample_rate_hz, uint32_t tempo_us);
