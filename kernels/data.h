// Ops for training data that lie in memory of the device: which notes a step
// sees, drawn, augmented and encoded there, so that a step can be recorded and
// waits for nothing. As with the ops of kernels.h, kernels/cpu is the
// specification; the arithmetic of one unit is in draw.h, for all devices.
#pragma once

#include "kernels.h"

// Notes as the data set file has them (training/dataset.h): bytes pitch and
// velocity, then step and duration in 1/20000 s as two bytes each, low first.
#define NOTE_RECORD_BYTES 6u
#define NOTE_UNITS_PER_SECOND 20000u
#define NOTE_CHANNELS 3u // velocity, step, duration

// How a note's channels become numbers: ln(1 + step / step_scale_s),
// ln(max(duration, duration_floor_s)) and the velocity, each (x - mean) /
// deviation.
typedef struct {
  float step_scale_s;
  float duration_floor_s;
  float mean[NOTE_CHANNELS];
  float deviation[NOTE_CHANNELS];
} NoteScale;

// What one draw is made of: a place of some notes that may begin up to `back`
// notes earlier and up to `ahead` later.
#define DRAW_UNIT_FLOATS 2u
void draw_unit(uint64_t first_note,
               uint8_t  back,
               uint8_t  ahead,
               float    unit[DRAW_UNIT_FLOATS]);

// Both as bits, not numbers.
typedef struct {
  Tensor notes; // [1, N]: the records, one after the other
  Tensor units; // [count, DRAW_UNIT_FLOATS]
} DrawSource;

// What a run's draws have in common.
typedef struct {
  NoteScale scale;
  // Augmentation, one draw of each for all of a unit's notes: chords stay
  // chords, and a transposition that would leave the piano is not made.
  uint32_t transpose;       // +- semitones
  float    tempo_spread;    // +- share, of steps and durations
  float    velocity_spread; // +- share
  // Shares of sequences by the notes that are given; the rest has none.
  float continuation_share; // all but the last WINDOW_NOTES
  float prefix_share;       // a beginning of any length
  float infill_share;       // all but WINDOW_NOTES or any number in a row
} DrawRule;

// What changes from draw to draw, in memory of the device so that a recording
// can be replayed: [1, DRAW_NOW_FLOATS], made by draw_now(). Draws are numbered
// over the whole run; number n has random stream (seed, RNG_USE_BATCH, n) and
// is unit draw_order(n modulo count) of its epoch (draw.h).
#define DRAW_NOW_FLOATS 7u
void draw_now(uint64_t seed,
              uint64_t first, // number of the first row's or slot's draw
              uint64_t epoch,
              float    forcing, // probability of teacher forcing
              float    now[DRAW_NOW_FLOATS]);
// B windows of WINDOW_NOTES notes, time-major: pitch[R, 1], channels[R, 3] and
// force[R, 1], 1 with probability `forcing`, else 0; R = WINDOW_NOTES * B.
// The units' `back` is 0.
void op_draw_windows(Device*           device,
                     const DrawRule*   rule,
                     const DrawSource* source,
                     Tensor            now,
                     Tensor            pitch,
                     Tensor            channels,
                     Tensor            force);
// Slots of SEQUENCE_NOTES notes, each cut into SEQUENCE_NOTES / notes sequences
// (what is over is left out at random), sequence-major: pitch[R, 1],
// channels[R, 3] and clean[R, 1], 1 where a note is given, else 0.
void op_draw_sequences(Device*           device,
                       const DrawRule*   rule,
                       const DrawSource* source,
                       Tensor            now,
                       uint32_t          notes,
                       Tensor            pitch,
                       Tensor            channels,
                       Tensor            clean);
// What follows from clean[R, 1] for S = R / notes sequences: noised[R, 1] = 1 -
// clean; position[R, 1] in the sequence; level[R, 1], the sequence's number,
// where clean S; allowed[R, notes], 1 where a token may attend to another of
// its sequence: a clean one to clean ones, another to all.
void op_mask(Device*  device,
             uint32_t notes,
             Tensor   clean,
             Tensor   noised,
             Tensor   position,
             Tensor   level,
             Tensor   allowed);
