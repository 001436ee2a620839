// The CPU device: opening, memory, OpenBLAS products, random numbers.
#include "cpu/cpu.h"

#include <cblas.h>

#include <stdlib.h>
#include <string.h>

static const char* const variants[] = {
#ifdef __x86_64__
  "avx512",
  "avx2",
#endif
  "portable",
  NULL,
};

static const DeviceOps*
find_variant(const char* name)
{
#ifdef __x86_64__
  if (!strcmp(name, "avx512") && __builtin_cpu_supports("avx512f") &&
      __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512bw")) {
    return &cpu_ops_avx512;
  }
  if (!strcmp(name, "avx2") && __builtin_cpu_supports("avx2") &&
      __builtin_cpu_supports("fma")) {
    return &cpu_ops_avx2;
  }
#endif
  return strcmp(name, "portable") ? NULL : &cpu_ops_portable;
}

const char* const*
device_cpu_variants(void)
{
  const char* const* first = variants;
  while (!find_variant(*first)) {
    ++first;
  }
  return first;
}

Status
device_open_cpu(const char* variant, Device** out, Error* error)
{
  *out                        = NULL;
  const char* const      name = variant ? variant : *device_cpu_variants();
  const DeviceOps* const ops  = find_variant(name);
  if (!ops) {
    return error_set(
      error,
      STATUS_UNSUPPORTED,
      "CPU variant '%s' does not exist or does not run on this machine",
      name);
  }
  Device* const device = calloc(1, sizeof *device);
  if (!device) {
    return error_set(error, STATUS_NO_MEMORY, "no memory for a device");
  }
  // One thread a Device: callers split work themselves, which also keeps sums
  // in one order and so results repeatable.
  openblas_set_num_threads(1);
  device->ops  = ops;
  device->name = ops->name;
  *out         = device;
  return STATUS_OK;
}

void
cpu_close(Device* device)
{
  free(device);
}

Status
cpu_allocate(Device* device, size_t count, float** out, Error* error)
{
  (void)device;
  const size_t size_bytes = (count * sizeof(float) + 63) / 64 * 64;
  *out                    = aligned_alloc(64, size_bytes);
  if (!*out) {
    return error_set(
      error, STATUS_NO_MEMORY, "no memory for a tensor of %zu values", count);
  }
  memset(*out, 0, size_bytes);
  return STATUS_OK;
}

void
cpu_release(Device* device, float* data)
{
  (void)device;
  free(data);
}

static void
copy_rows(uint32_t     rows,
          uint32_t     columns,
          const float* from,
          size_t       from_stride,
          float*       to,
          size_t       to_stride)
{
  for (uint32_t r = 0; r < rows; ++r) {
    memmove(
      to + r * to_stride, from + r * from_stride, columns * sizeof(float));
  }
}

void
cpu_write(Device* device, Tensor destination, const float* source)
{
  (void)device;
  copy_rows(destination.rows,
            destination.columns,
            source,
            destination.columns,
            destination.data,
            destination.stride);
}

void
cpu_read(Device* device, Tensor source, float* destination)
{
  (void)device;
  copy_rows(source.rows,
            source.columns,
            source.data,
            source.stride,
            destination,
            source.columns);
}

void
cpu_copy(Device* device, Tensor source, Tensor destination)
{
  (void)device;
  copy_rows(source.rows,
            source.columns,
            source.data,
            source.stride,
            destination.data,
            destination.stride);
}

void
cpu_matmul(Device* device,
           bool    transpose_a,
           bool    transpose_b,
           float   alpha,
           Tensor  a,
           Tensor  b,
           float   beta,
           Tensor  c)
{
  (void)device;
  const int m = (int)c.rows;
  const int n = (int)c.columns;
  const int k = (int)(transpose_a ? a.rows : a.columns);
  if (m == 1 && (!transpose_a || a.stride == 1)) {
    // One row: a matrix-vector product reads the weights once, at full
    // bandwidth.
    cblas_sgemv(CblasRowMajor,
                transpose_b ? CblasNoTrans : CblasTrans,
                (int)b.rows,
                (int)b.columns,
                alpha,
                b.data,
                (int)b.stride,
                a.data,
                1,
                beta,
                c.data,
                1);
    return;
  }
  cblas_sgemm(CblasRowMajor,
              transpose_a ? CblasTrans : CblasNoTrans,
              transpose_b ? CblasTrans : CblasNoTrans,
              m,
              n,
              k,
              alpha,
              a.data,
              (int)a.stride,
              b.data,
              (int)b.stride,
              beta,
              c.data,
              (int)c.stride);
}

// Where a key's rows begin.
static Rng
keyed(Tensor key, RngUse use, uint32_t r)
{
  uint32_t words[RNG_KEY_FLOATS];
  memcpy(words, key.data, sizeof words);
  const uint64_t seed  = words[0] | (uint64_t)words[1] << 32;
  const uint64_t first = words[2] | (uint64_t)words[3] << 32;
  return rng_make(seed, use, first + r);
}

void
cpu_normals(Device*  device,
            Tensor   key,
            RngUse   use,
            uint64_t counter,
            Tensor   out)
{
  (void)device;
  for (uint32_t r = 0; r < out.rows; ++r) {
    Rng rng     = keyed(key, use, r);
    rng.counter = counter;
    rng_normals(&rng, out.data + (size_t)r * out.stride, out.columns);
  }
}

void
cpu_uniforms(Device*  device,
             Tensor   key,
             RngUse   use,
             uint64_t counter,
             Tensor   out)
{
  (void)device;
  for (uint32_t r = 0; r < out.rows; ++r) {
    Rng rng                          = keyed(key, use, r);
    rng.counter                      = counter;
    out.data[(size_t)r * out.stride] = rng_uniform(&rng);
  }
}
