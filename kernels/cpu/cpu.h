// What the CPU's variants share: memory, BLAS and random numbers, which gain
// nothing from being compiled for each instruction set. Only kernels/cpu/.
#pragma once

#include "device.h"

Status cpu_allocate(Device* device, size_t count, float** out, Error* error);
void   cpu_release(Device* device, float* data);
void   cpu_write(Device* device, Tensor destination, const float* source);
void   cpu_read(Device* device, Tensor source, float* destination);
void   cpu_close(Device* device);
void   cpu_copy(Device* device, Tensor source, Tensor destination);
void   cpu_matmul(Device* device,
                  bool    transpose_a,
                  bool    transpose_b,
                  float   alpha,
                  Tensor  a,
                  Tensor  b,
                  float   beta,
                  Tensor  c);
void   cpu_normals(Device*  device,
                   Tensor   key,
                   RngUse   use,
                   uint64_t counter,
                   Tensor   out);
void   cpu_uniforms(Device*  device,
                    Tensor   key,
                    RngUse   use,
                    uint64_t counter,
                    Tensor   out);
void   cpu_draw_windows(Device*           device,
                        const DrawRule*   rule,
                        const DrawSource* source,
                        Tensor            now,
                        Tensor            pitch,
                        Tensor            channels,
                        Tensor            force);
void   cpu_draw_sequences(Device*           device,
                          const DrawRule*   rule,
                          const DrawSource* source,
                          Tensor            now,
                          uint32_t          notes,
                          Tensor            pitch,
                          Tensor            channels,
                          Tensor            clean);
void   cpu_mask(Device*  device,
                uint32_t notes,
                Tensor   clean,
                Tensor   noised,
                Tensor   position,
                Tensor   level,
                Tensor   allowed);
