// A strict reader of format 0 files, apart from the program's own: every byte
// is accounted for, nothing is forgiven.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
  uint64_t tick;
  uint8_t  message[3];
  char*    text; // or NULL
} TrackEvent;

typedef struct {
  TrackEvent* events;
  size_t      count;
  uint32_t    tempo_us;
  uint8_t     meter[2]; // count and unit; 0: none
  uint8_t*    bytes;
  size_t      size;
} MidiTrack;

static void
midi_track_free(MidiTrack* track)
{
  for (size_t i = 0; i < track->count; ++i) {
    free(track->events[i].text);
  }
  free(track->events);
  free(track->bytes);
  *track = (MidiTrack){ 0 };
}

static bool
midi_track_variable(const MidiTrack* track, size_t* at, uint32_t* value)
{
  *value = 0;
  for (int i = 0; i < 4 && *at < track->size; ++i) {
    const uint8_t byte = track->bytes[(*at)++];
    *value             = *value << 7 | (byte & 0x7fu);
    if (byte < 0x80) {
      return true;
    }
  }
  return false;
}

// NULL, or what is wrong.
static const char*
midi_track_event(MidiTrack* track, size_t* at, uint64_t* tick, bool* ended)
{
  uint32_t delta;
  uint32_t length;
  if (!midi_track_variable(track, at, &delta) || *at + 3 > track->size) {
    return "a delta time";
  }
  *tick += delta;
  const uint8_t* const bytes = track->bytes + *at;
  TrackEvent           event = { .tick = *tick };
  if (bytes[0] != 0xff) {
    if (bytes[0] < 0x80 || bytes[0] >= 0xf0 || bytes[1] > 127 ||
        bytes[2] > 127) {
      return "a channel message";
    }
    memcpy(event.message, bytes, 3);
    *at += 3;
  } else {
    *at += 2;
    if (!midi_track_variable(track, at, &length) ||
        length > track->size - *at) {
      return "a meta event's length";
    }
    const uint8_t* const data = track->bytes + *at;
    *at += length;
    if (bytes[1] == 0x2f) {
      *ended = true;
      return length ? "an end of track with data" : NULL;
    }
    if (bytes[1] == 0x51 && length == 3 && !track->tempo_us && !*tick) {
      track->tempo_us = (uint32_t)(data[0] << 16 | data[1] << 8 | data[2]);
      return NULL;
    }
    if (bytes[1] == 0x58 && length == 4 && !track->meter[0] && !*tick) {
      memcpy(track->meter, data, sizeof track->meter);
      return NULL;
    }
    if (bytes[1] != 0x01) {
      return "an unknown meta event";
    }
    event.text = strndup((const char*)data, length);
  }
  track->events[track->count++] = event;
  return NULL;
}

static const char*
midi_track_parse(MidiTrack* track)
{
  static const uint8_t head[] = {
    'M', 'T', 'h', 'd', 0, 0, 0, 6, 0, 0, 0, 1, 3, 0xc0, 'M', 'T', 'r', 'k'
  };
  const uint8_t* const b = track->bytes;
  if (track->size < 22 || memcmp(b, head, sizeof head) != 0) {
    return "the head";
  }
  const size_t length =
    (size_t)b[18] << 24 | (size_t)b[19] << 16 | (size_t)b[20] << 8 | b[21];
  if (length + 22 != track->size) {
    return "the track's length";
  }
  track->events  = calloc(track->size, sizeof *track->events);
  bool     ended = false;
  uint64_t tick  = 0;
  for (size_t at = 22; at < track->size;) {
    if (ended) {
      return "something after the end of the track";
    }
    const char* const wrong = midi_track_event(track, &at, &tick, &ended);
    if (wrong) {
      return wrong;
    }
  }
  return !ended ? "no end of track" : !track->tempo_us ? "no tempo" : NULL;
}

// NULL, or what breaks the rule that each on has one later off, and each off an
// on.
static const char*
midi_track_check_notes(const MidiTrack* track)
{
  static bool sounding[16][128];
  memset(sounding, 0, sizeof sounding);
  int count = 0;
  for (size_t i = 0; i < track->count; ++i) {
    const uint8_t* const m    = track->events[i].message;
    bool* const          here = &sounding[m[0] & 15][m[1]];
    const uint8_t        kind = m[0] & 0xf0;
    if (track->events[i].text || (kind != 0x80 && kind != 0x90)) {
      continue;
    }
    const bool on = kind == 0x90 && m[2];
    if (on == *here) {
      return on ? "a key pressed twice" : "a key released twice";
    }
    *here = on;
    count += on ? 1 : -1;
  }
  return count ? "a note without an off" : NULL;
}

// Reads, parses and checks. NULL, or what is wrong.
static const char*
midi_track_open(const char* path, MidiTrack* track)
{
  *track           = (MidiTrack){ 0 };
  FILE* const file = fopen(path, "rb");
  if (!file) {
    return "cannot be opened";
  }
  fseek(file, 0, SEEK_END);
  track->size  = (size_t)ftell(file);
  track->bytes = malloc(track->size + 1);
  rewind(file);
  const bool is_read = fread(track->bytes, 1, track->size, file) == track->size;
  fclose(file);
  const char* const wrong =
    is_read ? midi_track_parse(track) : "cannot be read";
  return wrong ? wrong : midi_track_check_notes(track);
}

// The same; says what is wrong.
static bool
midi_track_read(const char* path, MidiTrack* track)
{
  const char* const wrong = midi_track_open(path, track);
  if (wrong) {
    fprintf(stderr, "%s: wrong: %s\n", path, wrong);
  }
  return !wrong;
}
