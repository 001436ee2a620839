// Training data: a thread draws a unit, or finds a row of a mask, by the
// arithmetic that the CPU runs too (draw.h). The thread of the Device.
#include "ops.h"

#include "draw.h"

#define THREADS 64u // few units, long work: many blocks

static __global__ void
__launch_bounds__(THREADS) draw_windows(DrawRule   rule,
                                        DrawSource source,
                                        const float* __restrict__ bits,
                                        Tensor pitch,
                                        Tensor channels,
                                        Tensor force)
{
  const DrawNow now = draw_read_now(bits);
  for (uint32_t b = blockIdx.x * THREADS + threadIdx.x;
       b < pitch.rows / WINDOW_NOTES;
       b += gridDim.x * THREADS) {
    draw_window(&rule, &source, &now, b, pitch, channels, force);
  }
}

static __global__ void
__launch_bounds__(THREADS) draw_sequences(DrawRule   rule,
                                          DrawSource source,
                                          const float* __restrict__ bits,
                                          uint32_t notes,
                                          uint32_t slots,
                                          Tensor   pitch,
                                          Tensor   channels,
                                          Tensor   clean)
{
  const DrawNow now = draw_read_now(bits);
  for (uint32_t b = blockIdx.x * THREADS + threadIdx.x; b < slots;
       b += gridDim.x * THREADS) {
    draw_slot(&rule, &source, &now, notes, b, pitch, channels, clean);
  }
}

static __global__ void
__launch_bounds__(THREADS) mask(uint32_t notes,
                                Tensor   clean,
                                Tensor   noised,
                                Tensor   position,
                                Tensor   level,
                                Tensor   allowed)
{
  for (uint32_t r = blockIdx.x * THREADS + threadIdx.x; r < clean.rows;
       r += gridDim.x * THREADS) {
    mask_row(notes, r, clean, noised, position, level, allowed);
  }
}

void
cuda_draw_windows(Device*           device,
                  const DrawRule*   rule,
                  const DrawSource* source,
                  Tensor            now,
                  Tensor            pitch,
                  Tensor            channels,
                  Tensor            force)
{
  CudaDevice* const cuda = cuda_of(device);
  const unsigned    grid = cuda_grid(cuda, pitch.rows / WINDOW_NOTES, THREADS);
  LAUNCH(draw_windows,
         grid,
         THREADS,
         0,
         cuda->stream,
         *rule,
         *source,
         now.data,
         pitch,
         channels,
         force);
  cuda_launched(device, "draw_windows");
}

void
cuda_draw_sequences(Device*           device,
                    const DrawRule*   rule,
                    const DrawSource* source,
                    Tensor            now,
                    uint32_t          notes,
                    Tensor            pitch,
                    Tensor            channels,
                    Tensor            clean)
{
  CudaDevice* const cuda  = cuda_of(device);
  const uint32_t    slots = pitch.rows / (SEQUENCE_NOTES / notes * notes);
  LAUNCH(draw_sequences,
         cuda_grid(cuda, slots, THREADS),
         THREADS,
         0,
         cuda->stream,
         *rule,
         *source,
         now.data,
         notes,
         slots,
         pitch,
         channels,
         clean);
  cuda_launched(device, "draw_sequences");
}

void
cuda_mask(Device*  device,
          uint32_t notes,
          Tensor   clean,
          Tensor   noised,
          Tensor   position,
          Tensor   level,
          Tensor   allowed)
{
  CudaDevice* const cuda = cuda_of(device);
  LAUNCH(mask,
         cuda_grid(cuda, clean.rows, THREADS),
         THREADS,
         0,
         cuda->stream,
         notes,
         clean,
         noised,
         position,
         level,
         allowed);
  cuda_launched(device, "mask");
}
