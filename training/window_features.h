// Hand features of a short run of notes: what a musician would measure. One
// list for windows of WINDOW_NOTES and for longer streams; streams have a few
// more about their own constancy. Pure; any thread.
//
// Logarithms: of a step ln(1 + S / 0.02 s), of a duration ln(max(D, 0.01 s)).
// A chord tone is a note with S below 30 ms that is not the first. Correlations
// are Pearson's, 0 where one side is constant.
#pragma once

#include "music/note.h"

#define FEATURE_CHORD_S 0.03f

// X(name in code, what it is)
#define FEATURES(X)                                                            \
  X(PITCH_MEAN, "pitch mean")                                                  \
  X(PITCH_STD, "pitch standard deviation")                                     \
  X(PITCH_LOW, "lowest pitch")                                                 \
  X(PITCH_HIGH, "highest pitch")                                               \
  X(PITCH_DISTINCT, "different pitches, share of notes")                       \
  X(CLASS_ENTROPY, "entropy of the pitch classes, bits")                       \
  X(SCALE, "scale consistency")                                                \
  X(INTERVAL_MEAN, "mean interval between neighbours, semitones")              \
  X(INTERVAL_SIZE, "mean size of interval")                                    \
  X(INTERVAL_STD, "standard deviation of intervals")                           \
  X(INTERVAL_MAX, "largest size of interval")                                  \
  X(REPEATED, "share of intervals that are 0")                                 \
  X(BY_STEP, "share of intervals of 1 or 2 semitones")                         \
  X(OCTAVES, "share of intervals of whole octaves")                            \
  X(LEAPS, "share of intervals of more than an octave")                        \
  X(HARSH, "share of intervals of 1, 6 or 11 semitones, octaves apart")        \
  X(TURNS, "share of neighbouring intervals of opposite direction")            \
  X(PITCH_LAG1, "correlation of pitch with the next note's")                   \
  X(PITCH_LAG2, "correlation of pitch with that two notes on")                 \
  X(STEP_MEAN, "mean log step, the first left out")                            \
  X(STEP_STD, "standard deviation of log steps")                               \
  X(STEP_MAX, "largest log step")                                              \
  X(STEP_EQUAL, "share of neighbouring steps within 10 % or 10 ms")            \
  X(STEP_LAG1, "correlation of log step with the next one's")                  \
  X(RATE, "ln of notes a second")                                              \
  X(CHORD_RATE, "share of chord tones")                                        \
  X(CHORD_SIZE, "largest chord, share of notes")                               \
  X(CHORD_SPAN, "mean size of interval within chords")                         \
  X(DURATION_MEAN, "mean log duration")                                        \
  X(DURATION_STD, "standard deviation of log durations")                       \
  X(DURATION_MIN, "smallest log duration")                                     \
  X(DURATION_MAX, "largest log duration")                                      \
  X(DURATION_EQUAL, "share of neighbouring durations within 10 % or 10 ms")    \
  X(DURATION_LAG1, "correlation of log duration with the next note's")         \
  X(LEGATO, "mean of ln of duration over time to the next onset")              \
  X(POLYPHONY, "ln of sounding seconds over elapsed seconds")                  \
  X(SOUNDING, "mean number of earlier notes that sound at an onset")           \
  X(VELOCITY_MEAN, "mean velocity")                                            \
  X(VELOCITY_STD, "standard deviation of velocity")                            \
  X(VELOCITY_RANGE, "largest less smallest velocity")                          \
  X(VELOCITY_CHANGE, "mean size of change of velocity")                        \
  X(VELOCITY_LAG1, "correlation of velocity with the next note's")             \
  X(PITCH_VELOCITY, "correlation of pitch and velocity")                       \
  X(PITCH_DURATION, "correlation of pitch and log duration")                   \
  X(STEP_DURATION, "correlation of log step and log duration")

// Between consecutive windows of a stream of several.
#define STREAM_FEATURES(X)                                                     \
  X(DRIFT_CLASS, "mean L1 distance of pitch class shares")                     \
  X(DRIFT_SCALE, "scale consistency of the whole less mean of its windows")    \
  X(DRIFT_PITCH, "mean size of change of mean pitch")                          \
  X(DRIFT_RATE, "mean size of change of ln notes a second")                    \
  X(DRIFT_DURATION, "mean size of change of mean log duration")                \
  X(DRIFT_VELOCITY, "mean size of change of mean velocity")                    \
  X(DRIFT_CHORD, "mean size of change of the share of chord tones")            \
  X(DRIFT_POLYPHONY, "mean size of change of ln polyphony")                    \
  X(SEAM_INTERVAL, "mean size of interval across window borders")              \
  X(SEAM_STEP, "mean log step across borders, less that of all steps")

#define FEATURE_ENUM(name, text) FEATURE_##name,
enum { FEATURES(FEATURE_ENUM) FEATURE_COUNT };
enum {
  FEATURE_BEFORE_STREAMS = FEATURE_COUNT - 1,
  STREAM_FEATURES(FEATURE_ENUM) STREAM_FEATURE_COUNT,
};
#undef FEATURE_ENUM

#define FEATURE_NOTES_MAX SEQUENCE_NOTES

// notes 2 .. FEATURE_NOTES_MAX. Every feature is finite.
void features_of_window(const NoteEvent* events,
                        uint32_t         notes,
                        float            out[FEATURE_COUNT]);
// `notes` a multiple of WINDOW_NOTES, two windows at least.
void features_of_stream(const NoteEvent* events,
                        uint32_t         notes,
                        float            out[STREAM_FEATURE_COUNT]);
