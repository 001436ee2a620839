// The seam between the checked, device-neutral ops and one device's arithmetic.
// Only kernels/ includes this.
#pragma once

#include "data.h"

// One entry an op (pack and the fused ones may be NULL); shapes were checked by
// the caller (kernels/ops.c).
typedef struct {
  const char* name;
  Status (*allocate)(Device* device, size_t count, float** out, Error* error);
  void (*release)(Device* device, float* data);
  void (*write)(Device* device, Tensor destination, const float* source);
  void (*read)(Device* device, Tensor source, float* destination);
  void (*close)(Device* device);

  void (*fill)(Device*, Tensor x, float value);
  void (*copy)(Device*, Tensor source, Tensor destination);
  void (*matmul)(Device*,
                 bool   ta,
                 bool   tb,
                 float  alpha,
                 Tensor a,
                 Tensor b,
                 float  beta,
                 Tensor c);
  Status (*pack)(Device*, Tensor weight, Tensor* packed, Error* error);
  void (*affine)(Device*,
                 Tensor x,
                 Tensor weight,
                 Tensor packed,
                 Tensor bias,
                 Tensor y);
  void (*broadcast_row)(Device*, Tensor bias, Tensor y);
  void (*sum_rows)(Device*, Tensor x, float beta, Tensor out);
  void (*tanh)(Device*, Tensor x, Tensor y);
  void (*tanh_backward)(Device*, Tensor y, Tensor dy, Tensor dx);
  void (*accumulate)(Device*, Tensor x, Tensor y);
  void (*lstm_cell)(Device*, Tensor gates, Tensor c_prev, Tensor c, Tensor h);
  void (*lstm_cell_backward)(Device*,
                             Tensor gates,
                             Tensor c_prev,
                             Tensor c,
                             Tensor dh,
                             Tensor dc,
                             Tensor dgates);
  void (*overwrite_gates)(Device*, Tensor pre, Tensor keep, Tensor add);
  void (*overwrite_gates_backward)(Device*,
                                   Tensor pre,
                                   Tensor dkeep,
                                   Tensor dadd,
                                   Tensor dpre);
  void (*overwrite)(Device*, Tensor state, Tensor keep, Tensor add, Tensor out);
  void (*overwrite_backward)(Device*,
                             Tensor state,
                             Tensor keep,
                             Tensor dout,
                             Tensor dstate,
                             Tensor dkeep,
                             Tensor dadd);
  void (*gelu)(Device*, Tensor x, Tensor y);
  void (*gelu_backward)(Device*, Tensor x, Tensor dy, Tensor dx);
  void (*modulated_norm)(Device*,
                         Tensor x,
                         Tensor index,
                         Tensor modulation,
                         Tensor normal,
                         Tensor inverse,
                         Tensor y);
  void (*modulated_norm_backward)(Device*,
                                  Tensor index,
                                  Tensor modulation,
                                  Tensor normal,
                                  Tensor inverse,
                                  Tensor dy,
                                  Tensor dx,
                                  Tensor dmodulation);
  void (
    *gated_add)(Device*, Tensor branch, Tensor index, Tensor gate, Tensor x);
  void (*gated_add_backward)(Device*,
                             Tensor branch,
                             Tensor index,
                             Tensor gate,
                             Tensor dx,
                             Tensor dbranch,
                             Tensor dgate);
  void (*attention)(Device*,
                    uint32_t sequences,
                    uint32_t heads,
                    Tensor   q,
                    Tensor   k,
                    Tensor   v,
                    Tensor   allowed,
                    Tensor   probabilities,
                    Tensor   out);
  void (*attention_backward)(Device*,
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
  // NULL where the device runs the parts one by one.
  void (*norm_affine)(Device*,
                      Tensor x,
                      Tensor index,
                      Tensor modulation,
                      Tensor weight,
                      Tensor packed,
                      Tensor bias,
                      bool   gelu,
                      Tensor scratch,
                      Tensor y);
  void (*affine_gated)(Device*,
                       Tensor input,
                       Tensor weight,
                       Tensor packed,
                       Tensor bias,
                       Tensor index,
                       Tensor gate,
                       Tensor scratch,
                       Tensor x);
  void (*attend)(Device*,
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
  void (*combine)(Device*, float a, Tensor x, float b, Tensor y, Tensor out);
  void (
    *combine_rows)(Device*, Tensor a, Tensor x, Tensor b, Tensor y, Tensor out);
  void (*rotate)(Device*,
                 uint32_t heads,
                 Tensor   position,
                 Tensor   cosines,
                 Tensor   sines,
                 bool     back,
                 Tensor   x);
  void (*clamp)(Device*, float low, float high, Tensor x);
  void (*scale_rows)(Device*, Tensor factor, Tensor x);
  void (*softmax)(Device*,
                  Tensor logits,
                  Tensor temperature,
                  Tensor probabilities);
  void (*soft_cross_entropy)(Device*,
                             Tensor logits,
                             Tensor target,
                             Tensor weight,
                             float  scale,
                             Tensor loss,
                             Tensor dlogits);
  void (*gather)(Device*, Tensor table, Tensor index, Tensor out);
  void (*scatter_add)(Device*, Tensor index, Tensor dout, Tensor dtable);
  void (*sample)(Device*,
                 Tensor logits,
                 Tensor temperature,
                 Tensor uniform,
                 Tensor index);
  void (*select_rows)(Device*, Tensor choice, Tensor a, Tensor b, Tensor out);
  void (*cross_entropy)(Device*,
                        Tensor logits,
                        Tensor target,
                        float  scale,
                        Tensor loss,
                        Tensor dlogits);
  void (*squared_error)(Device*,
                        Tensor y,
                        Tensor target,
                        float  scale,
                        Tensor loss,
                        Tensor dy);
  void (*latent)(Device*, Tensor stats, Tensor noise, Tensor z);
  void (*latent_backward)(Device*,
                          Tensor stats,
                          Tensor noise,
                          Tensor dz,
                          Tensor beta,
                          float  free_nats,
                          Tensor kl,
                          Tensor dstats);
  void (
    *normals)(Device*, Tensor key, RngUse use, uint64_t counter, Tensor out);
  void (
    *uniforms)(Device*, Tensor key, RngUse use, uint64_t counter, Tensor out);
  void (*sum)(Device*, Tensor x, float beta, Tensor out);
  void (*square_sum)(Device*, Tensor x, float beta, Tensor out);
  void (*optimise)(Device*,
                   const OptimiserRule*    rule,
                   const OptimiserSegment* segments,
                   uint32_t                count,
                   Tensor                  now,
                   Tensor                  square_sum,
                   const OptimiserTables*  tables);

  void (*draw_windows)(Device*,
                       const DrawRule*   rule,
                       const DrawSource* source,
                       Tensor            now,
                       Tensor            pitch,
                       Tensor            channels,
                       Tensor            force);
  void (*draw_sequences)(Device*,
                         const DrawRule*   rule,
                         const DrawSource* source,
                         Tensor            now,
                         uint32_t          notes,
                         Tensor            pitch,
                         Tensor            channels,
                         Tensor            clean);
  void (*mask)(Device*,
               uint32_t notes,
               Tensor   clean,
               Tensor   noised,
               Tensor   position,
               Tensor   level,
               Tensor   allowed);

  // NULL where a replay just calls the ops again. What `record` makes is
  // Recording.own.
  Status (
    *record)(Device*, RecordedOps ops, void* context, void** out, Error* error);
  void (*replay)(Device*, void* recording);
  void (*forget)(Device*, void* recording);
} DeviceOps;

struct Device {
  const DeviceOps* ops;
  const char*      name;  // as device_name() tells it
  Error            error; // sticky
};

// The CPU's tables, one a variant; all but portable exist only on x86-64.
extern const DeviceOps cpu_ops_portable;
extern const DeviceOps cpu_ops_avx2;
extern const DeviceOps cpu_ops_avx512;
