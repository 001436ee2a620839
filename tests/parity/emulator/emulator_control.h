// What tests, C or C++, ask of the emulator: injected failures, limits, counts.
// Any thread may call these, except from within a kernel. The environment:
//  EMULATOR_SEED=N     the order of a block's threads and of a grid's blocks;
//                      0: as numbered. Default 1, a fixed scramble.
//  EMULATOR_LAZY=1     work waits in its stream until something synchronises
//                      with it, so that a missing synchronisation shows.
//                      Default: work is done before the call returns.
//  EMULATOR_LOST_AT_GRAPH=N
//                      the device is lost when the N-th graph is launched.
//  EMULATOR_MEMORY=N   cudaMalloc beyond N bytes fails.
//  EMULATOR_MULTIPROCESSORS=N
//                      of the device. Default 4; a large GPU has 132 and takes
//                      other ways through many ops.
//  EMULATOR_DEVICES=N  0: no device; "none": no driver. Default one device.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// The calls-th countable call from now (1: the next) does nothing and fails
// with this cudaError_t. An error of a device that is lost (700 to 799, or
// an ECC error) then sticks to all later calls, as CUDA's do; another one is
// returned once. Countable is what can fail on a working machine: launches,
// allocations, copies, streams, events, graphs, cuBLAS calls, device
// queries. Releases (cudaFree, ...Destroy) and cudaGetLastError are not
// counted; releases always release, even on a lost device.
void emulator_fail_after(int calls, int error);
// The device works again; nothing is pending, no error is remembered.
void emulator_heal(void);

uint64_t emulator_calls(void); // countable calls so far

// What the device was asked for so far, captures left out.
typedef struct {
  uint64_t graphs; // launched
  uint64_t plain;  // kernels, products, fills, copies from the device
  uint64_t writes; // copies from the host
  uint64_t waits;  // for a stream, an event or the device, releases included
} EmulatorCounts;
EmulatorCounts emulator_counts(void);

// cudaMalloc beyond this total fails. 0: the default, 4 GiB.
void     emulator_memory_limit(size_t bytes);
size_t   emulator_memory_used(void); // bytes in cudaMalloc
unsigned emulator_allocations(void); // in cudaMalloc and cudaHostAlloc
// Streams, events, graphs, executable graphs and cuBLAS handles not
// destroyed.
unsigned emulator_handles(void);

// These override the environment.
void emulator_seed(uint64_t seed);
void emulator_lazy(bool lazy);

// What was said last on stderr of a kernel's fault; "" after a heal.
const char* emulator_report(void);
// False: faults are kept for emulator_report() and not printed.
void emulator_print(bool print);

#ifdef __cplusplus
}
#endif
