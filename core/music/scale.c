// Keys and scales. Pure; any thread.
#include "music/scale.h"

const char* const scale_names[SCALE_COUNT] = {
  "chromatic", "major",      "minor",      "harmonic-minor",
  "dorian",    "mixolydian", "pentatonic", "minor-pentatonic",
  "blues",     "whole-tone",
};

const char* const scale_key_names[SCALE_KEY_COUNT] = {
  "C",  "C#", "Db", "D",  "D#", "Eb", "E",  "F", "F#",
  "Gb", "G",  "G#", "Ab", "A",  "A#", "Bb", "B",
};

static const uint8_t key_classes[SCALE_KEY_COUNT] = {
  0, 1, 1, 2, 3, 3, 4, 5, 6, 6, 7, 8, 8, 9, 10, 10, 11,
};

// On C; the highest bit is B.
static const uint16_t classes_on_c[SCALE_COUNT] = {
  [SCALE_CHROMATIC]        = SCALE_ALL_CLASSES,
  [SCALE_MAJOR]            = 0xab5, // C D E F G A B
  [SCALE_MINOR]            = 0x5ad, // C D Eb F G Ab Bb
  [SCALE_HARMONIC_MINOR]   = 0x9ad, // C D Eb F G Ab B
  [SCALE_DORIAN]           = 0x6ad, // C D Eb F G A Bb
  [SCALE_MIXOLYDIAN]       = 0x6b5, // C D E F G A Bb
  [SCALE_PENTATONIC]       = 0x295, // C D E G A
  [SCALE_MINOR_PENTATONIC] = 0x4a9, // C Eb F G Bb
  [SCALE_BLUES]            = 0x4e9, // C Eb F Gb G Bb
  [SCALE_WHOLE_TONE]       = 0x555, // C D E Gb Ab Bb
};

uint16_t
scale_transpose(uint16_t classes, int semitones)
{
  const int up = (semitones % 12 + 12) % 12;
  return (uint16_t)((classes << up | classes >> (12 - up)) & SCALE_ALL_CLASSES);
}

uint16_t
scale_classes(Scale scale, unsigned key)
{
  return scale_transpose(classes_on_c[scale], key_classes[key]);
}
