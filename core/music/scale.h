// Keys and scales as sets of pitch classes: bit 0 is C, bit 11 is B. Pure; any
// thread.
#pragma once

#include <stdint.h>

#define SCALE_ALL_CLASSES 0xfffu

typedef enum { // in the order of scale_names
  SCALE_CHROMATIC,
  SCALE_MAJOR,
  SCALE_MINOR,
  SCALE_HARMONIC_MINOR,
  SCALE_DORIAN,
  SCALE_MIXOLYDIAN,
  SCALE_PENTATONIC,
  SCALE_MINOR_PENTATONIC,
  SCALE_BLUES,
  SCALE_WHOLE_TONE,
  SCALE_COUNT
} Scale;
extern const char* const scale_names[SCALE_COUNT];

// "C", "C#", "Db", ... "B".
#define SCALE_KEY_COUNT 17u
extern const char* const scale_key_names[SCALE_KEY_COUNT];

// The classes of a scale on key number `key` of scale_key_names.
uint16_t scale_classes(Scale scale, unsigned key);

// The same set, each class `semitones` higher (any number, also below 0).
uint16_t scale_transpose(uint16_t classes, int semitones);
