// The diffusion model over sequences of note events: how notes become vectors
// (a pitch code and three channels), what the network predicts, training's
// forward process and loss, and sampling with clean notes around. The network
// is behind denoiser.h, the way back from noise in sampler.h. The thread of the
// Device; all memory is taken at creation; ops report through device_status().
#pragma once

#include "denoiser.h"
#include "encoding.h"
#include "noise_schedule.h"
#include "sampler.h"

typedef enum {
  PITCH_SCALAR,    // 1 column: the key number, standardised (the reference's)
  PITCH_BITS,      // 7 columns: analog bits (Chen et al. 2022, 2208.04202)
  PITCH_EMBEDDING, // 16 columns of one length: circles of pitch class and
                   // height
} PitchCode;
extern const char* const pitch_code_names[]; // "scalar", "bits", "embedding"
#define PITCH_CODE_COLUMNS_MAX 16u

typedef enum {
  PREDICT_NOISE, // epsilon, squared error (Ho et al. 2020)
  PREDICT_V,     // v = alpha epsilon - sigma x_0 (Salimans and Ho 2022)
  PREDICT_DATA,  // x_0: pitch as logits by cross-entropy, whose expectation is
                 // the estimate of the code (CDCD, 2211.15089); channels by
                 // squared error
} Prediction;
extern const char* const prediction_names[]; // "noise", "v", "data", NULL
extern const char* const noise_kind_names[]; // "linear", "cosine", NULL

typedef struct {
  DenoiserSizes net; // input and output follow from the rest
  PitchCode     pitch_code;
  Prediction    prediction;
  NoiseKind     noise;
  uint32_t      noise_steps;    // T
  uint32_t      self_condition; // 0 or 1 (2208.04202)
  uint32_t      student_steps;  // 0: not distilled; else made for so many steps
} DiffusionSettings;

typedef struct Diffusion Diffusion;

// Columns of a note's vector: code and channels.
uint32_t diffusion_columns(const DiffusionSettings* settings);
// Checks, and sets net.input and net.output.
Status diffusion_check_settings(DiffusionSettings* settings, Error* error);

// `sequences_max` of SEQUENCE_NOTES notes; in training up to four times as many
// that are shorter, of as many rows in all. `owner` as in denoiser_create().
Status diffusion_create(Device*                  device,
                        const DiffusionSettings* settings,
                        uint32_t                 sequences_max,
                        bool                     training,
                        const Diffusion*         owner,
                        Diffusion**              out,
                        Error*                   error);
void   diffusion_free(Diffusion* diffusion);

Denoiser*                diffusion_net(const Diffusion* diffusion);
const NoiseSchedule*     diffusion_schedule(const Diffusion* diffusion);
const DiffusionSettings* diffusion_settings(const Diffusion* diffusion);

// --- Training ----------------------------------------------------------------

// Where a pass's notes go, by ops or tensor_write(), before it:
// sequence-major, R = sequences * notes rows, in device memory.
typedef struct {
  Tensor pitch;    // [R, 1]
  Tensor channels; // [R, CHANNEL_COUNT]
  Tensor clean;    // [R, 1]: 1 where a note is given, 0 where it is noised
} DiffusionNotes;
// Of the next pass of that shape, and until another call.
DiffusionNotes diffusion_notes(Diffusion* diffusion,
                               uint32_t   sequences,
                               uint32_t   notes);

// What the ops of a forward and backward pass, and so a recording of them,
// depend on. No padding: it can be part of a key (replay.h).
typedef struct {
  uint32_t sequences;
  uint32_t notes;
  uint32_t self_condition; // 1: a run without gradient feeds a second one
  uint32_t substeps;       // of a teacher, see diffusion_distil()
  float    gradient_scale; // 1 / notes of the whole batch
  float    channel_weight; // of squared errors against cross-entropy
  float    snr_low;        // the weight of squared errors in x_0 is the signal
  float    snr_high;       // to noise ratio within these (min-SNR: 0, 5;
                           // 2303.09556); of epsilon and v, as it follows
} DiffusionPass;

// With what changes from pass to pass.
typedef struct {
  DiffusionPass   pass;
  const uint32_t* t;       // [sequences], 1 .. T
  const uint32_t* next;    // [sequences]: where a student is to go, or
                           // NULL: 0
  uint64_t seed;           // noise: row r has stream
  uint64_t first_sequence; // first_sequence * SEQUENCE_NOTES + r
} DiffusionBatch;

typedef struct {
  uint64_t notes;                        // that were noised
  double   pitch_nats;                   // of PREDICT_DATA, summed over them
  double   squared_error[CHANNEL_COUNT]; // of x_0, standardised, unweighted
  double   code_error;                   // of x_0's pitch code, unweighted
} DiffusionLoss;

// Before a pass: writes what its ops find in tensors.
void diffusion_write_batch(Diffusion* diffusion, const DiffusionBatch* batch);
// Ops alone: adds to the gradients and to the loss that diffusion_take_loss()
// takes, from the notes in diffusion_notes().
void diffusion_learn(Diffusion* diffusion, const DiffusionPass* pass);
// The loss alone, for held-out notes.
void diffusion_judge(Diffusion* diffusion, const DiffusionPass* pass);

// A pass of distillation (after Salimans and Ho 2022 and shortcut models,
// 2410.12557; PREDICT_DATA only): the student is to make the jump from t to
// next in one, as the teacher does in `substeps` steps of DDIM with eta 0. Both
// read the student's notes and the same noise. The student's target is the mean
// of the teacher's estimates, weighted as DDIM weights them: probabilities of
// pitches, values of the channels. As diffusion_learn() otherwise; the
// student's loss compares with the teacher.
void diffusion_distil(Diffusion*           student,
                      Diffusion*           teacher,
                      const DiffusionPass* pass);
// Before such a pass, in place of diffusion_write_batch().
void diffusion_write_jumps(Diffusion*            student,
                           Diffusion*            teacher,
                           const DiffusionBatch* batch);
// Takes the memory that a teacher of up to `substeps` needs: a training
// Diffusion too (its gradients stay 0), on its student's device.
Status diffusion_make_teacher(Diffusion* diffusion,
                              uint32_t   substeps,
                              Error*     error);

// Adds what the passes since the last call came to, up to float rounding of
// their sum. Waits for the device.
void diffusion_take_loss(Diffusion* diffusion, DiffusionLoss* loss);

// --- Sampling
// ------------------------------------------------------------------

typedef struct {
  uint32_t     count;          // sequences
  uint32_t     notes;          // to make in each, 1 .. SEQUENCE_NOTES - context
  uint32_t     before;         // given notes before them
  uint32_t     after;          // and after them
  const float* given_pitch;    // [count][before + after]
  const float* given_channels; // [count][before + after][CHANNEL_COUNT]
  const float* x; // [count][notes][columns]: at plan.start; at T, the noise
  SamplerPlan  plan;
  float        temperature; // of pitch logits; 0: the likeliest
  const float* pitch_bias;  // [ENCODING_PITCHES], added to pitch logits (0 or
                            // a large negative number), or NULL
  uint64_t seed;            // noise of the steps: row r has stream
  uint64_t first_sequence;  // first_sequence * notes + r
} DiffusionRequest;

// pitch[count][notes], channels[count][notes][CHANNEL_COUNT].
void diffusion_sample(Diffusion*              diffusion,
                      const DiffusionRequest* request,
                      float*                  pitch,
                      float*                  channels);

// For requests of that form, whatever is in their arrays (they may be NULL, but
// for whether there is a bias): see replay_prepare().
bool diffusion_prepare(Diffusion* diffusion, const DiffusionRequest* request);

// x_0 of notes as vectors: x[rows][columns] (for noising a phrase).
void diffusion_encode(Diffusion*   diffusion,
                      uint32_t     rows,
                      const float* pitch,
                      const float* channels,
                      float*       x);
