// Every op of the CUDA device, as kernels/device.h lists them. Only
// kernels/cuda/*.cu include this.
#pragma once

#include "cuda.h"

// --- Memory and recordings: device.cu ---

Status cuda_allocate(Device* device, size_t count, float** out, Error* error);
void   cuda_release(Device* device, float* data);
void   cuda_write(Device* device, Tensor destination, const float* source);
void   cuda_read(Device* device, Tensor source, float* destination);
void   cuda_close(Device* device);
void   cuda_fill(Device* device, Tensor x, float value);
void   cuda_copy(Device* device, Tensor source, Tensor destination);
Status cuda_record(Device*     device,
                   RecordedOps ops,
                   void*       context,
                   void**      out,
                   Error*      error);
void   cuda_replay(Device* device, void* recording);
void   cuda_forget(Device* device, void* recording);

// --- Products: ops_product.cu ---

void cuda_matmul(Device* device,
                 bool    ta,
                 bool    tb,
                 float   alpha,
                 Tensor  a,
                 Tensor  b,
                 float   beta,
                 Tensor  c);
void cuda_affine(Device* device,
                 Tensor  x,
                 Tensor  weight,
                 Tensor  packed,
                 Tensor  bias,
                 Tensor  y);

// --- Random numbers: ops_random.cu ---

void cuda_normals(Device*  device,
                  Tensor   key,
                  RngUse   use,
                  uint64_t counter,
                  Tensor   out);
void cuda_uniforms(Device*  device,
                   Tensor   key,
                   RngUse   use,
                   uint64_t counter,
                   Tensor   out);

// --- The other ops ---

void cuda_broadcast_row(Device* device, Tensor bias, Tensor y);
void cuda_sum_rows(Device* device, Tensor x, float beta, Tensor out);
void cuda_tanh(Device* device, Tensor x, Tensor y);
void cuda_tanh_backward(Device* device, Tensor y, Tensor dy, Tensor dx);
void cuda_accumulate(Device* device, Tensor x, Tensor y);
void cuda_lstm_cell(Device* device,
                    Tensor  gates,
                    Tensor  c_prev,
                    Tensor  c,
                    Tensor  h);
void cuda_lstm_cell_backward(Device* device,
                             Tensor  gates,
                             Tensor  c_prev,
                             Tensor  c,
                             Tensor  dh,
                             Tensor  dc,
                             Tensor  dgates);
void cuda_overwrite_gates(Device* device, Tensor pre, Tensor keep, Tensor add);
void cuda_overwrite_gates_backward(Device* device,
                                   Tensor  pre,
                                   Tensor  dkeep,
                                   Tensor  dadd,
                                   Tensor  dpre);
void cuda_overwrite(Device* device,
                    Tensor  state,
                    Tensor  keep,
                    Tensor  add,
                    Tensor  out);
void cuda_overwrite_backward(Device* device,
                             Tensor  state,
                             Tensor  keep,
                             Tensor  dout,
                             Tensor  dstate,
                             Tensor  dkeep,
                             Tensor  dadd);
void cuda_gelu(Device* device, Tensor x, Tensor y);
void cuda_gelu_backward(Device* device, Tensor x, Tensor dy, Tensor dx);
void cuda_modulated_norm(Device* device,
                         Tensor  x,
                         Tensor  index,
                         Tensor  modulation,
                         Tensor  normal,
                         Tensor  inverse,
                         Tensor  y);
void cuda_modulated_norm_backward(Device* device,
                                  Tensor  index,
                                  Tensor  modulation,
                                  Tensor  normal,
                                  Tensor  inverse,
                                  Tensor  dy,
                                  Tensor  dx,
                                  Tensor  dmodulation);
void cuda_gated_add(Device* device,
                    Tensor  branch,
                    Tensor  index,
                    Tensor  gate,
                    Tensor  x);
void cuda_gated_add_backward(Device* device,
                             Tensor  branch,
                             Tensor  index,
                             Tensor  gate,
                             Tensor  dx,
                             Tensor  dbranch,
                             Tensor  dgate);
void cuda_attention(Device*  device,
                    uint32_t sequences,
                    uint32_t heads,
                    Tensor   q,
                    Tensor   k,
                    Tensor   v,
                    Tensor   allowed,
                    Tensor   probabilities,
                    Tensor   out);
void cuda_attention_backward(Device*  device,
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
void cuda_combine(Device* device,
                  float   a,
                  Tensor  x,
                  float   b,
                  Tensor  y,
                  Tensor  out);
void cuda_combine_rows(Device* device,
                       Tensor  a,
                       Tensor  x,
                       Tensor  b,
                       Tensor  y,
                       Tensor  out);
void cuda_rotate(Device*  device,
                 uint32_t heads,
                 Tensor   position,
                 Tensor   cosines,
                 Tensor   sines,
                 bool     back,
                 Tensor   x);
void cuda_clamp(Device* device, float low, float high, Tensor x);
void cuda_scale_rows(Device* device, Tensor factor, Tensor x);
void cuda_softmax(Device* device,
                  Tensor  logits,
                  Tensor  temperature,
                  Tensor  probabilities);
void cuda_soft_cross_entropy(Device* device,
                             Tensor  logits,
                             Tensor  target,
                             Tensor  weight,
                             float   scale,
                             Tensor  loss,
                             Tensor  dlogits);
void cuda_gather(Device* device, Tensor table, Tensor index, Tensor out);
void cuda_scatter_add(Device* device, Tensor index, Tensor dout, Tensor dtable);
void cuda_sample(Device* device,
                 Tensor  logits,
                 Tensor  temperature,
                 Tensor  uniform,
                 Tensor  index);
void cuda_select_rows(Device* device,
                      Tensor  choice,
                      Tensor  a,
                      Tensor  b,
                      Tensor  out);
void cuda_cross_entropy(Device* device,
                        Tensor  logits,
                        Tensor  target,
                        float   scale,
                        Tensor  loss,
                        Tensor  dlogits);
void cuda_squared_error(Device* device,
                        Tensor  y,
                        Tensor  target,
                        float   scale,
                        Tensor  loss,
                        Tensor  dy);
void cuda_latent(Device* device, Tensor stats, Tensor noise, Tensor z);
void cuda_latent_backward(Device* device,
                          Tensor  stats,
                          Tensor  noise,
                          Tensor  dz,
                          Tensor  beta,
                          float   free_nats,
                          Tensor  kl,
                          Tensor  dstats);
void cuda_sum(Device* device, Tensor x, float beta, Tensor out);
void cuda_square_sum(Device* device, Tensor x, float beta, Tensor out);
void cuda_optimise(Device*                 device,
                   const OptimiserRule*    rule,
                   const OptimiserSegment* segments,
                   uint32_t                count,
                   Tensor                  now,
                   Tensor                  square_sum,
                   const OptimiserTables*  tables);

// --- Joined, for sampling ---

void cuda_norm_affine(Device* device,
                      Tensor  x,
                      Tensor  index,
                      Tensor  modulation,
                      Tensor  weight,
                      Tensor  packed,
                      Tensor  bias,
                      bool    gelu,
                      Tensor  scratch,
                      Tensor  y);
void cuda_affine_gated(Device* device,
                       Tensor  input,
                       Tensor  weight,
                       Tensor  packed,
                       Tensor  bias,
                       Tensor  index,
                       Tensor  gate,
                       Tensor  scratch,
                       Tensor  x);
void cuda_attend(Device*  device,
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

// --- Training data: ops_data.cu ---

void cuda_draw_windows(Device*           device,
                       const DrawRule*   rule,
                       const DrawSource* source,
                       Tensor            now,
                       Tensor            pitch,
                       Tensor            channels,
                       Tensor            force);
void cuda_draw_sequences(Device*           device,
                         const DrawRule*   rule,
                         const DrawSource* source,
                         Tensor            now,
                         uint32_t          notes,
                         Tensor            pitch,
                         Tensor            channels,
                         Tensor            clean);
void cuda_mask(Device*  device,
               uint32_t notes,
               Tensor   clean,
               Tensor   noised,
               Tensor   position,
               Tensor   level,
               Tensor   allowed);

// All of them: table.cu.
extern const DeviceOps cuda_ops;
