// The diffusion model's parts, shared by models/diffusion*.c. R rows of notes,
// K columns of a pitch code, C = K + CHANNEL_COUNT columns of a note's vector.
#pragma once

#include "arena.h"
#include "diffusion.h"
#include "replay.h"

// Estimates of x_0 beyond this are no note (standardised).
#define ESTIMATE_MAX 6.0f
#define SHORTEST_NOTES 8u // of training's sequences, for the number of levels

// Columns of the table of noise levels.
enum {
  LEVEL_ALPHA,
  LEVEL_SIGMA,
  LEVEL_ERROR_WEIGHT, // the signal to noise ratio, before it is clamped
  LEVEL_ERROR_SCALE,
  LEVEL_A,
  LEVEL_B,
  LEVEL_COLUMNS,
};

// What a step of sampling reads, one row each after that of clean notes: the
// features of its time, and the factors that follow from its plan. With them in
// memory of the device a recording holds whatever the plan's start and eta and
// the temperature are.
enum {
  STEP_FACTORS = DENOISER_TIME_FEATURES,         // the sampler's
  STEP_A       = STEP_FACTORS + SAMPLER_FACTORS, // as LEVEL_A and LEVEL_B
  STEP_B,
  STEP_TEMPERATURE,                           // in the first row
  STEP_COLUMNS = DENOISER_TIME_FEATURES + 16, // rows 64 bytes apart
};
_Static_assert(STEP_TEMPERATURE < STEP_COLUMNS, "the columns have room");

// Of a sequence in a teacher's substep: its time, and its shares.
enum { SHARE_X0, SHARE_XT, SHARE_MEAN, SHARE_COLUMNS };
enum { ROUTE_TIME, ROUTE_SHARES, ROUTE_COLUMNS = ROUTE_SHARES + SHARE_COLUMNS };

// The cells of a loss.
enum {
  DIFFUSION_SUM_NOTES,
  DIFFUSION_SUM_PITCH,
  DIFFUSION_SUM_CODE,
  DIFFUSION_SUM_CHANNELS,
  DIFFUSION_SUM_CELLS = DIFFUSION_SUM_CHANNELS + CHANNEL_COUNT,
};

struct Diffusion {
  Device*           device;
  DiffusionSettings settings;
  NoiseSchedule     schedule;
  Denoiser*         net;
  bool              training;
  uint32_t          rows_max;
  uint32_t          sequences_max;
  uint32_t          code_columns; // K
  uint32_t          columns;      // C

  Tensor codes;     // [128, K]
  Tensor code_rows; // [K, 128]: the same, as a few rows of pitches are
                    // multiplied fastest
  float  code_squares[ENCODING_PITCHES]; // |code|^2
  Tensor greedy;                         // [1, 1], temperatures that stay: 0
  Tensor plain;                          // [1, 1]: 1
  Tensor memory;

  // Training, over t = 0 .. T.
  Tensor levels; // [T + 1, LEVEL_COLUMNS]
  Tensor waves;  // [T + 1, half of DENOISER_TIME_FEATURES]
  Tensor sums;   // [1, DIFFUSION_SUM_CELLS]: losses since they were last taken
  Tensor route;  // [1, ...] of a teacher: [substeps][M, ROUTE_COLUMNS]

  // Laid out for each call.
  Tensor pitch;         // [R, 1]
  Tensor x0;            // [R, C]
  Tensor x;             // [R, C]
  Tensor estimate;      // [R, C] of x_0
  Tensor told;          // [R, C] see diffusion_tell()
  Tensor last;          // [R, C] likewise
  Tensor noise;         // [R, C]
  Tensor previous;      // [R, C] sampler's
  Tensor tokens;        // [R, input]
  Tensor position;      // [R, 1]
  Tensor level;         // [R, 1]
  Tensor time;          // [M, DENOISER_TIME_FEATURES]
  Tensor head;          // [R, output]
  Tensor probabilities; // [R, 128]
  Tensor pitch_bias;    // [1, 128]
  Tensor key;           // [1, RNG_KEY_FLOATS]

  // Sampling: the given notes, G rows, and the noise levels of all steps after
  // that of clean notes.
  struct {
    Tensor pitch;    // [G, 1]
    Tensor x;        // [G, C]
    Tensor tokens;   // [G, input]
    Tensor position; // [G, 1]
    Tensor level;    // [G, 1]
  } given;
  Tensor steps; // [1 + steps, STEP_COLUMNS], and columns of it:
  Tensor times; // [1 + steps, DENOISER_TIME_FEATURES]
  Replay sampling;
  Tensor ones; // [R, 1]

  // Training; M - 1 sequences, and the level of clean notes.
  Tensor clean;        // [R, 1]: 1 where a note is given
  Tensor noised;       // [R, 1]: 1 where it is not
  Tensor allowed;      // [R, notes]
  Tensor t;            // [M, 1]
  Tensor way;          // [M, 1]: of a student, from t to next
  Tensor at_level;     // [M, LEVEL_COLUMNS]
  Tensor at_row;       // [R, LEVEL_COLUMNS], and columns of it:
  Tensor alpha, sigma; // [R, 1]
  Tensor error_weight; // [R, 1]
  Tensor a, b;         // [R, 1] factors
  Tensor shares;       // [R, SHARE_COLUMNS]
  Tensor target;       // [R, C]
  Tensor dhead;        // [R, output]
  Tensor loss;         // [R, 1]
  Tensor scratch;      // [R, C]
  Tensor mean;         // [R, 128] of a teacher's probabilities

  float* host; // the largest of the host arrays that a call fills
};

// Lays every tensor out for such a call; returns the floats used. `given`: rows
// of given notes, sampling.
size_t diffusion_lay_out(Diffusion* d,
                         uint32_t   rows,
                         uint32_t   levels,
                         uint32_t   notes,
                         uint32_t   given);

// x[:, :K] = code of pitch; x[:, K:] = channels (host, [rows][CHANNEL_COUNT]).
void diffusion_embed(Diffusion*   d,
                     const float* pitch,
                     const float* channels,
                     Tensor       x);

void diffusion_write_key(Diffusion* d, uint64_t seed, uint64_t first_row);

// tokens = x | estimate of x_0 (zero where NULL) | clean flag.
void   diffusion_tokens(Diffusion*    d,
                        Tensor        x,
                        const Tensor* estimate,
                        Tensor        tokens);
Tensor diffusion_token_flag(Tensor tokens); // [R, 1] of them

// The sampling that a recording holds.
void diffusion_sample_ops(void* diffusion, const void* key);

// Between two steps of a sampler: told = what the next step is told of x_0,
// given this step's estimate of it. Training tells the network an estimate of
// the same level of noise, where a sampler only has one of the level before,
// and in few steps that is stale: so it is carried on along the line from the
// estimate before (`again`: there is one, told by the last call), by `reach`
// times the way between them. 1 is what a straight line would lead to; more
// sharpens, until it rings.
void diffusion_tell(Diffusion* d, Tensor x0, bool again, double reach);
// Reaches by figures (models/weights/diffusion.md): of a sampler, and of a
// teacher's substeps.
double diffusion_reach(uint32_t steps);
#define TEACHER_REACH 2.0
// A sampler's steps from levels up to this share of T are told nothing: so near
// to the notes an estimate of the level before only blurs them.
#define UNTOLD_SHARE 0.3

// The features of time t, for a network that will be asked to go to `next`.
void diffusion_time_features(const DiffusionSettings* settings,
                             uint32_t                 t,
                             uint32_t                 next,
                             float features[DENOISER_TIME_FEATURES]);

Tensor diffusion_pitch_head(Tensor head);   // PREDICT_DATA
Tensor diffusion_channel_head(Tensor head); // PREDICT_DATA
// PREDICT_DATA: probabilities of pitches, and the x_0 that follows from a head.
void diffusion_expect(Diffusion* d, Tensor head, Tensor temperature, Tensor x0);

// --- Training: diffusion_train.c, diffusion_distil.c
// --------------------------

// The tables of a training Diffusion.
Status diffusion_make_tables(Diffusion* d, Error* error);

// Notes and noise to x, and all of the network's input, which is returned,
// without an estimate.
DenoiserInput diffusion_pass_begin(Diffusion* d, const DiffusionPass* pass);
// d->time of the times t[M, 1].
void diffusion_pass_embed_times(Diffusion* d, Tensor t);
// d->estimate: what d->head says x_0 is; 0 for clean notes.
void diffusion_pass_estimate(Diffusion* d);
// Adds the sum of `loss` to a cell of d->sums.
void diffusion_pass_add(Diffusion* d, Tensor loss, uint32_t cell);
// Notes, and the errors of d->estimate against `truth`, to d->sums.
void diffusion_pass_report(Diffusion* d, Tensor truth);
