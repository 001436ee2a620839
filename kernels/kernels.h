// The arithmetic, device-neutral: what networks, samplers and trainers are made
// of. kernels/cpu is the specification; a device's own implementation must
// match it within the tolerances of tests/parity.
//
// Tensors are row-major float matrices, possibly views with a row stride. Only
// kernels dereference Tensor.data: it may be another device's memory. Sequences
// are time-major: step t of a batch of B is rows [t*B, (t+1)*B). Indices (pitch
// tokens) are whole numbers in float tensors [R, 1].
//
// Shapes are checked in every call. A mismatch or a device fault is sticky: it
// is recorded in the device, the op and all later ones do nothing, and
// device_status() tells. So a sequence of ops needs one check at its end.
//
// A Device and its tensors belong to one thread at a time.
#pragma once

#include "rng.h"
#include "status.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct Device Device;

typedef struct {
  float*   data;
  uint32_t rows;
  uint32_t columns;
  uint32_t stride; // floats from one row to the next, >= columns
} Tensor;

// --- Devices -------------------------------------------------------------

// Opens by name: "cpu", "cuda" (the first GPU), "cuda:N", or "auto": the first
// GPU that works, else the CPU. why[DEVICE_WHY_BYTES] (or NULL) is then what
// was chosen and for what reason, for people: "cuda:0 NVIDIA H200" or "cpu avx2
// (no NVIDIA driver)". A Device belongs to one thread at a time.
#define DEVICE_WHY_BYTES 200u
Status device_open(const char* name, Device** out, char* why, Error* error);

// The CPU: single-threaded per Device (callers run one Device a core). Picks
// AVX-512, AVX2 or portable code at run time; `variant` NULL, or one of
// device_cpu_variants() to force one.
Status device_open_cpu(const char* variant, Device** out, Error* error);
void   device_close(Device* device);

// Names that this machine can run, best first, NULL-terminated.
const char* const* device_cpu_variants(void);

const char* device_name(const Device* device); // "cpu avx2"
bool        device_is_gpu(const Device* device);

// The first error since the device was opened or last cleared.
Status device_status(const Device* device, Error* error);
void   device_clear(Device* device);

// --- Memory --------------------------------------------------------------

// Zero-filled, rows start on 64-byte boundaries where columns allow.
Status tensor_allocate(Device*  device,
                       uint32_t rows,
                       uint32_t columns,
                       Tensor*  out,
                       Error*   error);
void   tensor_free(Device* device, Tensor* tensor);

// Views. Out of range is a programming error and yields an empty view, which
// every op then refuses.
Tensor tensor_rows(Tensor tensor, uint32_t first, uint32_t count);
Tensor tensor_columns(Tensor tensor, uint32_t first, uint32_t count);
// rows x columns out of a flat [1, N] tensor, from element `offset`.
Tensor tensor_reshape(Tensor   flat,
                      size_t   offset,
                      uint32_t rows,
                      uint32_t columns);

// Host copies: [rows, columns] packed.
void tensor_write(Device* device, Tensor destination, const float* source);
void tensor_read(Device* device, Tensor source, float* destination);

void op_fill(Device* device, Tensor x, float value);
void op_copy(Device* device, Tensor source, Tensor destination);

// --- Linear algebra ------------------------------------------------------

// C = alpha * op(A) op(B) + beta * C, op = transpose where the flag is set.
// beta 0 does not read C.
void op_matmul(Device* device,
               bool    transpose_a,
               bool    transpose_b,
               float   alpha,
               Tensor  a,
               Tensor  b,
               float   beta,
               Tensor  c);

// y = x weight^T + bias: [M, K], [N, K], [1, N] -> [M, N]. `packed`: what
// tensor_pack() made of that weight, or empty.
void op_affine(Device* device,
               Tensor  x,
               Tensor  weight,
               Tensor  packed,
               Tensor  bias,
               Tensor  y);
// A copy of a weight in the order in which the device reads it fastest for few
// rows. It does not follow the weight's changes. Empty where the device has no
// better order.
Status tensor_pack(Device* device, Tensor weight, Tensor* packed, Error* error);

// y[r, :] = bias[0, :] for every row.
void op_broadcast_row(Device* device, Tensor bias, Tensor y);
// out[0, :] = sum over rows of x + beta * out[0, :]; the gradient of a bias.
void op_sum_rows(Device* device, Tensor x, float beta, Tensor out);

// y = tanh(x) (x and y may be the same); dx = dy * (1 - y^2).
void op_tanh(Device* device, Tensor x, Tensor y);
void op_tanh_backward(Device* device, Tensor y, Tensor dy, Tensor dx);

// y += x
void op_accumulate(Device* device, Tensor x, Tensor y);

// --- LSTM ----------------------------------------------------------------

// One cell (Hochreiter and Schmidhuber 1997, with the forget gate of Gers
// 2000). gates[B, 4H]: in, pre-activations in the order input, forget,
// candidate, output; out, their activations. c = f * c_prev + i * g; h = o *
// tanh(c).
void op_lstm_cell(Device* device,
                  Tensor  gates,
                  Tensor  c_prev,
                  Tensor  c,
                  Tensor  h);
// gates: the activations. dh[B, H]: gradient of h. dc[B, H]: in, gradient of c
// from later steps; out, gradient of c_prev. dgates[B, 4H]: pre-activations'.
void op_lstm_cell_backward(Device* device,
                           Tensor  gates,
                           Tensor  c_prev,
                           Tensor  c,
                           Tensor  dh,
                           Tensor  dc,
                           Tensor  dgates);

// Memory overwrite (RESEARCH.md): a forget and an input gate driven by the
// latent. From pre-activations pre[B, 3N] (forget, input, candidate):
// keep = sigmoid(f), add = sigmoid(i) * tanh(g), each [B, N]. They do not
// depend on the step, so they are computed once a window.
void op_overwrite_gates(Device* device, Tensor pre, Tensor keep, Tensor add);
void op_overwrite_gates_backward(Device* device,
                                 Tensor  pre,
                                 Tensor  dkeep,
                                 Tensor  dadd,
                                 Tensor  dpre);
// out = state * keep + add, all [B, N].
void op_overwrite(Device* device,
                  Tensor  state,
                  Tensor  keep,
                  Tensor  add,
                  Tensor  out);
// dstate = dout * keep; dkeep += dout * state; dadd += dout. dout and dstate
// may be the same.
void op_overwrite_backward(Device* device,
                           Tensor  state,
                           Tensor  keep,
                           Tensor  dout,
                           Tensor  dstate,
                           Tensor  dkeep,
                           Tensor  dadd);

// --- Transformer -----------------------------------------------------------

// y = x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) (GELU, Hendrycks and Gimpel
// 2016, tanh form). y may be x where no backward pass follows. Backward: dx =
// dy
// * dy/dx at x; dx may be dy.
void op_gelu(Device* device, Tensor x, Tensor y);
void op_gelu_backward(Device* device, Tensor x, Tensor dy, Tensor dx);

// Layer norm without weights of its own, then shift and scale from outside
// (adaLN, Peebles and Xie 2023). x, y, normal[R, D]; inverse[R, 1];
// modulation[M, 2D] = shift, scale; index[R, 1]: each row's row of modulation.
// normal = (x - mean) * inverse, inverse = 1 / sqrt(variance + 1e-5);
// y = normal * (1 + scale) + shift. y may be x.
void op_modulated_norm(Device* device,
                       Tensor  x,
                       Tensor  index,
                       Tensor  modulation,
                       Tensor  normal,
                       Tensor  inverse,
                       Tensor  y);
// dx += (the gradient adds to the residual path's); dmodulation += over rows.
void op_modulated_norm_backward(Device* device,
                                Tensor  index,
                                Tensor  modulation,
                                Tensor  normal,
                                Tensor  inverse,
                                Tensor  dy,
                                Tensor  dx,
                                Tensor  dmodulation);

// x += gate[index] * branch; x, branch[R, D]; gate[M, D].
void op_gated_add(Device* device,
                  Tensor  branch,
                  Tensor  index,
                  Tensor  gate,
                  Tensor  x);
// dbranch = gate[index] * dx; dgate[index] += branch * dx.
void op_gated_add_backward(Device* device,
                           Tensor  branch,
                           Tensor  index,
                           Tensor  gate,
                           Tensor  dx,
                           Tensor  dbranch,
                           Tensor  dgate);

// Rotary positions (Su et al. 2021, 2104.09864), in place: in each of the H
// heads of x[R, D], the pair of columns (i, i + D/2H) turns by the angle whose
// cosine and sine stand in row position[r] of the tables [P, D/2H]; the other
// way round where `back` is set, which is also the backward pass.
void op_rotate(Device*  device,
               uint32_t heads,
               Tensor   position,
               Tensor   cosines,
               Tensor   sines,
               bool     back,
               Tensor   x);

// Scaled dot-product attention of S sequences with H heads (Vaswani et al.
// 2017). Rows are sequence-major: q, out[S * Lq, D], k, v[S * Lk, D], head h in
// columns [h D/H, (h+1) D/H). allowed[S * Lq, Lk]: 0 hides a key from a query;
// an empty tensor ({0}) allows all; every query must see a key.
// probabilities[S * H * Lq, Lk]: out, kept for the backward pass. Lk <=
// ATTENTION_KEYS_MAX. dq, dk and dv are overwritten.
#define ATTENTION_KEYS_MAX 64u
void op_attention(Device*  device,
                  uint32_t sequences,
                  uint32_t heads,
                  Tensor   q,
                  Tensor   k,
                  Tensor   v,
                  Tensor   allowed,
                  Tensor   probabilities,
                  Tensor   out);
void op_attention_backward(Device*  device,
                           uint32_t sequences,
                           uint32_t heads,
                           Tensor   q,
                           Tensor   k,
                           Tensor   v,
                           Tensor   probabilities,
                           Tensor   dout,
                           Tensor   dq,
                           Tensor   dk,
                           Tensor   dv);

// --- Transformer, sampling -------------------------------------------------

// The ops of a block as sampling runs them, joined, because at few rows a
// launch costs a device more than its arithmetic. They keep nothing for a
// backward pass. `scratch` and `probabilities` are for devices that run the
// parts one by one: their contents are undefined before and after. Outputs
// overlap no input, unless said.

// y = f(norm(x) weight^T + bias), norm as op_modulated_norm's, f = GELU or
// nothing: x[R, D], index[R, 1], modulation[M, 2D], weight[N, D], bias[1, N],
// scratch[R, 2D + 1], y[R, N]. packed: as op_affine's.
void op_norm_affine(Device* device,
                    Tensor  x,
                    Tensor  index,
                    Tensor  modulation,
                    Tensor  weight,
                    Tensor  packed,
                    Tensor  bias,
                    bool    gelu,
                    Tensor  scratch,
                    Tensor  y);
// x += gate[index] * (input weight^T + bias): input[R, K], weight[D, K],
// bias[1, D], index[R, 1], gate[M, D], scratch, x[R, D].
void op_affine_gated(Device* device,
                     Tensor  input,
                     Tensor  weight,
                     Tensor  packed,
                     Tensor  bias,
                     Tensor  index,
                     Tensor  gate,
                     Tensor  scratch,
                     Tensor  x);
// Attention of L new rows of each of S sequences to all of theirs so far. qkv[S
// * L, 3D]: queries, keys and values, undefined after. Queries and keys are
// turned as by op_rotate (position[S * L, 1]); keys and values are then written
// to rows before .. before + L - 1 of each sequence's block of seen[S * (before
// + L), 2D] (keys, then values), and every query sees all of its block.
// probabilities[S * heads * L, before + L]; out[S * L, D]; before + L <=
// ATTENTION_KEYS_MAX.
void op_attend(Device*  device,
               uint32_t sequences,
               uint32_t heads,
               Tensor   qkv,
               Tensor   position,
               Tensor   cosines,
               Tensor   sines,
               uint32_t before,
               Tensor   seen,
               Tensor   probabilities,
               Tensor   out);

// --- Diffusion ---------------------------------------------------------------

// out = a x + b y. out may be x or y.
void op_combine(Device* device,
                float   a,
                Tensor  x,
                float   b,
                Tensor  y,
                Tensor  out);
// The same with factors of each row, [R, 1], or of all rows, [1, 1]: out[r] =
// a[r] x[r] + b[r] y[r].
void op_combine_rows(Device* device,
                     Tensor  a,
                     Tensor  x,
                     Tensor  b,
                     Tensor  y,
                     Tensor  out);
// x = x within [low, high]; NaN becomes low.
void op_clamp(Device* device, float low, float high, Tensor x);
// x[r, :] *= factor[r]
void op_scale_rows(Device* device, Tensor factor, Tensor x);

// probabilities = softmax(logits / temperature) by rows; they may be the same.
// temperature[1, 1], 0 or above; 0: 1 at the largest.
void op_softmax(Device* device,
                Tensor  logits,
                Tensor  temperature,
                Tensor  probabilities);
// loss[r] = -weight[r] sum_v target[r, v] ln softmax(logits[r])[v]; dlogits =
// weight[r] * scale * (softmax - target). target rows sum to 1; where weight[r]
// is 0 loss and gradient are 0.
void op_soft_cross_entropy(Device* device,
                           Tensor  logits,
                           Tensor  target,
                           Tensor  weight,
                           float   scale,
                           Tensor  loss,
                           Tensor  dlogits);

// --- Tokens --------------------------------------------------------------

// out[r, :] = table[index[r], :]
void op_gather(Device* device, Tensor table, Tensor index, Tensor out);
// dtable[index[r], :] += dout[r, :]
void op_scatter_add(Device* device, Tensor index, Tensor dout, Tensor dtable);

// Picks one column of each row of logits[R, V] into index[R, 1]: the largest
// where temperature[1, 1] is 0, else by inverse transform of softmax(logits /
// temperature) with uniform[R, 1] in [0, 1).
void op_sample(Device* device,
               Tensor  logits,
               Tensor  temperature,
               Tensor  uniform,
               Tensor  index);

// choice[r] != 0 ? a[r, :] : b[r, :] -> out[r, :]
void op_select_rows(Device* device,
                    Tensor  choice,
                    Tensor  a,
                    Tensor  b,
                    Tensor  out);

// --- Losses: value and gradient in one pass --------------------------------

// loss[r] = -ln softmax(logits[r])[target[r]]; dlogits = scale * (softmax -
// one-hot).
void op_cross_entropy(Device* device,
                      Tensor  logits,
                      Tensor  target,
                      float   scale,
                      Tensor  loss,
                      Tensor  dlogits);
// loss[r] = sum_c (y - target)^2; dy = scale * 2 (y - target).
void op_squared_error(Device* device,
                      Tensor  y,
                      Tensor  target,
                      float   scale,
                      Tensor  loss,
                      Tensor  dy);

// --- Latent --------------------------------------------------------------

// Reparameterisation (Kingma and Welling 2014): stats[B, 2Z] holds mu and
// ln(sigma^2); z = mu + sigma * noise.
void op_latent(Device* device, Tensor stats, Tensor noise, Tensor z);
// kl[b] = KL(N(mu, sigma^2) || N(0, 1)) in nats. dstats = gradient of
// dz . z + beta * max(kl - free_nats, 0) per window (MusicVAE, Roberts 2018);
// beta[1, 1].
void op_latent_backward(Device* device,
                        Tensor  stats,
                        Tensor  noise,
                        Tensor  dz,
                        Tensor  beta,
                        float   free_nats,
                        Tensor  kl,
                        Tensor  dstats);

// --- Random numbers: the same on every device up to rounding ----------------

// Row r draws from rng_make(seed, use, first_index + r), from block `counter`.
// key: [1, RNG_KEY_FLOATS], rng_key() of seed and first_index as tensor_write()
// takes it: bits, not numbers. In memory of the device, so that a recording can
// be replayed with another seed.
#define RNG_KEY_FLOATS 4u
void rng_key(uint64_t seed, uint64_t first_index, float key[RNG_KEY_FLOATS]);
void op_normals(Device*  device,
                Tensor   key,
                RngUse   use,
                uint64_t counter,
                Tensor   out);
// One uniform a row: word 0 of block `counter`. out[R, 1].
void op_uniforms(Device*  device,
                 Tensor   key,
                 RngUse   use,
                 uint64_t counter,
                 Tensor   out);

// --- Optimiser -------------------------------------------------------------

// out[0, 0] = sum of x + beta * out[0, 0], added up in double precision.
void op_sum(Device* device, Tensor x, float beta, Tensor out);
// The same of the squares of x.
void op_square_sum(Device* device, Tensor x, float beta, Tensor out);

// A tensor of a flat [1, N] table of weights.
typedef struct {
  uint32_t first; // element
  uint32_t count;
  bool     decays; // takes part in weight decay
} OptimiserSegment;
#define OPTIMISER_SEGMENTS_MAX 256u

typedef enum { OPTIMISER_LAMB, OPTIMISER_ADAMW } OptimiserKind;

typedef struct {
  OptimiserKind kind;
  float         beta1;
  float         beta2;
  float         epsilon;
  float         weight_decay;
  float         clip_norm; // of the whole gradient; 0: no clipping
} OptimiserRule;

// What changes from step to step, in memory of the device so that a recording
// can be replayed: [1, OPTIMISER_NOW_FLOATS].
enum {
  OPTIMISER_NOW_RATE,        // learning rate
  OPTIMISER_NOW_CORRECTION1, // 1 - beta1^step, step from 1
  OPTIMISER_NOW_CORRECTION2, // 1 - beta2^step
  OPTIMISER_NOW_AVERAGE,     // decay of the moving average
  OPTIMISER_NOW_FLOATS,
};

// The flat tables of one network, all [1, N].
typedef struct {
  Tensor gradient; // in; out: the update, before rate and trust ratio
  Tensor moment1;
  Tensor moment2;
  Tensor weight;
  Tensor average; // = decay * average + (1 - decay) * weight
} OptimiserTables;

// One step of `count` segments (at most OPTIMISER_SEGMENTS_MAX).
// LAMB (You et al. 2020, algorithm 2): Adam's bias-corrected update plus decay,
// scaled by each segment's ||weight|| / ||update|| (1 where either is 0).
// AdamW (Loshchilov and Hutter 2019): weight -= rate * (update + weight_decay *
// weight). The gradient is first scaled by clip_norm / sqrt(square_sum) where
// that is below 1; square_sum[1, 1] is of the whole gradient. Where it is not
// finite nothing changes.
void op_optimise(Device*                 device,
                 const OptimiserRule*    rule,
                 const OptimiserSegment* segments,
                 uint32_t                count,
                 Tensor                  now,
                 Tensor                  square_sum,
                 const OptimiserTables*  tables);

// --- Recordings ------------------------------------------------------------

// Ops that are asked for once and run again and again by one call: on CUDA a
// graph. `ops` may only call op_*(): what changes between replays is written to
// tensors before. On a device without recordings a replay calls ops(context).
typedef struct Recording Recording;
typedef void (*RecordedOps)(void* context);
// Records without running; context is used as long as the recording lives. A
// failure is also the device's error.
Status device_record(Device*     device,
                     RecordedOps ops,
                     void*       context,
                     Recording** out,
                     Error*      error);
void   device_replay(Device* device, Recording* recording);
void   recording_free(Device* device, Recording* recording);
