// Devices, views, and the shape check of every op before it reaches a device.
#include "check.h"

#include <stdlib.h>
#include <string.h>

// --- Devices -------------------------------------------------------------

void
device_close(Device* device)
{
  if (device) {
    device->ops->close(device);
  }
}

const char*
device_name(const Device* device)
{
  return device->name;
}

bool
device_is_gpu(const Device* device)
{
  return strncmp(device->name, "cpu", 3) != 0;
}

Status
device_status(const Device* device, Error* error)
{
  if (device->error.status != STATUS_OK && error) {
    *error = device->error;
  }
  return device->error.status;
}

void
device_clear(Device* device)
{
  device->error.status = STATUS_OK;
}

// --- Tensors -------------------------------------------------------------

Status
tensor_allocate(Device*  device,
                uint32_t rows,
                uint32_t columns,
                Tensor*  out,
                Error*   error)
{
  *out = (Tensor){ 0 };
  if (!rows || !columns) {
    return error_set(
      error, STATUS_BAD_ARGUMENT, "tensor of %u x %u values", rows, columns);
  }
  float*       data;
  const Status status =
    device->ops->allocate(device, (size_t)rows * columns, &data, error);
  if (status == STATUS_OK) {
    *out = (Tensor){ data, rows, columns, columns };
  }
  return status;
}

Status
tensor_pack(Device* device, Tensor weight, Tensor* packed, Error* error)
{
  *packed = (Tensor){ 0 };
  return device->ops->pack ? device->ops->pack(device, weight, packed, error)
                           : STATUS_OK;
}

void
tensor_free(Device* device, Tensor* tensor)
{
  if (tensor->data) {
    device->ops->release(device, tensor->data);
  }
  *tensor = (Tensor){ 0 };
}

Tensor
tensor_rows(Tensor tensor, uint32_t first, uint32_t count)
{
  if (first > tensor.rows || count > tensor.rows - first) {
    return (Tensor){ 0 };
  }
  return (Tensor){ tensor.data + (size_t)first * tensor.stride,
                   count,
                   tensor.columns,
                   tensor.stride };
}

Tensor
tensor_columns(Tensor tensor, uint32_t first, uint32_t count)
{
  if (first > tensor.columns || count > tensor.columns - first) {
    return (Tensor){ 0 };
  }
  return (Tensor){ tensor.data + first, tensor.rows, count, tensor.stride };
}

Tensor
tensor_reshape(Tensor flat, size_t offset, uint32_t rows, uint32_t columns)
{
  const size_t count = (size_t)rows * columns;
  if (flat.rows != 1 || offset > flat.columns ||
      count > flat.columns - offset) {
    return (Tensor){ 0 };
  }
  return (Tensor){ flat.data + offset, rows, columns, columns };
}

// --- Ops -----------------------------------------------------------------

void
tensor_write(Device* device, Tensor destination, const float* source)
{
  RUN(write, same(destination, destination) && source, destination, source);
}

void
tensor_read(Device* device, Tensor source, float* destination)
{
  RUN(read, same(source, source) && destination, source, destination);
}

void
op_fill(Device* device, Tensor x, float value)
{
  RUN(fill, same(x, x), x, value);
}

void
op_copy(Device* device, Tensor source, Tensor destination)
{
  RUN(copy, same(source, destination), source, destination);
}

void
op_matmul(Device* device,
          bool    transpose_a,
          bool    transpose_b,
          float   alpha,
          Tensor  a,
          Tensor  b,
          float   beta,
          Tensor  c)
{
  const uint32_t m  = transpose_a ? a.columns : a.rows;
  const uint32_t k  = transpose_a ? a.rows : a.columns;
  const uint32_t bk = transpose_b ? b.columns : b.rows;
  const uint32_t n  = transpose_b ? b.rows : b.columns;
  RUN(matmul,
      same(a, a) && same(b, b) && k == bk && is(c, m, n),
      transpose_a,
      transpose_b,
      alpha,
      a,
      b,
      beta,
      c);
}

void
op_affine(Device* device,
          Tensor  x,
          Tensor  weight,
          Tensor  packed,
          Tensor  bias,
          Tensor  y)
{
  RUN(affine,
      same(weight, weight) && is(x, y.rows, weight.columns) &&
        is(y, x.rows, weight.rows) && is(bias, 1, weight.rows) &&
        (!packed.data || packed.columns == weight.columns),
      x,
      weight,
      packed,
      bias,
      y);
}

void
op_broadcast_row(Device* device, Tensor bias, Tensor y)
{
  RUN(broadcast_row, same(y, y) && is(bias, 1, y.columns), bias, y);
}

void
op_sum_rows(Device* device, Tensor x, float beta, Tensor out)
{
  RUN(sum_rows, same(x, x) && is(out, 1, x.columns), x, beta, out);
}

void
op_tanh(Device* device, Tensor x, Tensor y)
{
  RUN(tanh, same(x, y), x, y);
}

void
op_tanh_backward(Device* device, Tensor y, Tensor dy, Tensor dx)
{
  RUN(tanh_backward, same(y, dy) && same(y, dx), y, dy, dx);
}

void
op_accumulate(Device* device, Tensor x, Tensor y)
{
  RUN(accumulate, same(x, y), x, y);
}

void
op_lstm_cell(Device* device, Tensor gates, Tensor c_prev, Tensor c, Tensor h)
{
  RUN(lstm_cell,
      same(c, h) && same(c, c_prev) && is(gates, c.rows, 4 * c.columns),
      gates,
      c_prev,
      c,
      h);
}

void
op_lstm_cell_backward(Device* device,
                      Tensor  gates,
                      Tensor  c_prev,
                      Tensor  c,
                      Tensor  dh,
                      Tensor  dc,
                      Tensor  dgates)
{
  RUN(lstm_cell_backward,
      same(c, c_prev) && same(c, dh) && same(c, dc) &&
        is(gates, c.rows, 4 * c.columns) && same(gates, dgates),
      gates,
      c_prev,
      c,
      dh,
      dc,
      dgates);
}

void
op_overwrite_gates(Device* device, Tensor pre, Tensor keep, Tensor add)
{
  RUN(overwrite_gates,
      same(keep, add) && is(pre, keep.rows, 3 * keep.columns),
      pre,
      keep,
      add);
}

void
op_overwrite_gates_backward(Device* device,
                            Tensor  pre,
                            Tensor  dkeep,
                            Tensor  dadd,
                            Tensor  dpre)
{
  RUN(overwrite_gates_backward,
      same(dkeep, dadd) && is(pre, dkeep.rows, 3 * dkeep.columns) &&
        same(pre, dpre),
      pre,
      dkeep,
      dadd,
      dpre);
}

void
op_overwrite(Device* device, Tensor state, Tensor keep, Tensor add, Tensor out)
{
  RUN(overwrite,
      same(state, keep) && same(state, add) && same(state, out),
      state,
      keep,
      add,
      out);
}

void
op_overwrite_backward(Device* device,
                      Tensor  state,
                      Tensor  keep,
                      Tensor  dout,
                      Tensor  dstate,
                      Tensor  dkeep,
                      Tensor  dadd)
{
  RUN(overwrite_backward,
      same(state, keep) && same(state, dout) && same(state, dstate) &&
        same(state, dkeep) && same(state, dadd),
      state,
      keep,
      dout,
      dstate,
      dkeep,
      dadd);
}

void
op_gather(Device* device, Tensor table, Tensor index, Tensor out)
{
  RUN(gather,
      same(table, table) && is(index, out.rows, 1) &&
        is(out, out.rows, table.columns),
      table,
      index,
      out);
}

void
op_scatter_add(Device* device, Tensor index, Tensor dout, Tensor dtable)
{
  RUN(scatter_add,
      same(dtable, dtable) && is(index, dout.rows, 1) &&
        is(dout, dout.rows, dtable.columns),
      index,
      dout,
      dtable);
}

void
op_sample(Device* device,
          Tensor  logits,
          Tensor  temperature,
          Tensor  uniform,
          Tensor  index)
{
  RUN(sample,
      same(logits, logits) && same(uniform, index) &&
        is(index, logits.rows, 1) && is(temperature, 1, 1),
      logits,
      temperature,
      uniform,
      index);
}

void
op_select_rows(Device* device, Tensor choice, Tensor a, Tensor b, Tensor out)
{
  RUN(select_rows,
      same(a, b) && same(a, out) && is(choice, a.rows, 1),
      choice,
      a,
      b,
      out);
}

void
op_cross_entropy(Device* device,
                 Tensor  logits,
                 Tensor  target,
                 float   scale,
                 Tensor  loss,
                 Tensor  dlogits)
{
  RUN(cross_entropy,
      same(logits, dlogits) && same(target, loss) && is(loss, logits.rows, 1),
      logits,
      target,
      scale,
      loss,
      dlogits);
}

void
op_squared_error(Device* device,
                 Tensor  y,
                 Tensor  target,
                 float   scale,
                 Tensor  loss,
                 Tensor  dy)
{
  RUN(squared_error,
      same(y, target) && same(y, dy) && is(loss, y.rows, 1),
      y,
      target,
      scale,
      loss,
      dy);
}

void
op_latent(Device* device, Tensor stats, Tensor noise, Tensor z)
{
  RUN(latent,
      same(noise, z) && is(stats, z.rows, 2 * z.columns),
      stats,
      noise,
      z);
}

void
op_latent_backward(Device* device,
                   Tensor  stats,
                   Tensor  noise,
                   Tensor  dz,
                   Tensor  beta,
                   float   free_nats,
                   Tensor  kl,
                   Tensor  dstats)
{
  RUN(latent_backward,
      same(noise, dz) && is(stats, dz.rows, 2 * dz.columns) &&
        same(stats, dstats) && is(kl, dz.rows, 1) && is(beta, 1, 1),
      stats,
      noise,
      dz,
      beta,
      free_nats,
      kl,
      dstats);
}

void
rng_key(uint64_t seed, uint64_t first_index, float key[RNG_KEY_FLOATS])
{
  const uint32_t words[RNG_KEY_FLOATS] = { (uint32_t)seed,
                                           (uint32_t)(seed >> 32),
                                           (uint32_t)first_index,
                                           (uint32_t)(first_index >> 32) };
  memcpy(key, words, sizeof words);
}

void
op_normals(Device* device, Tensor key, RngUse use, uint64_t counter, Tensor out)
{
  RUN(normals,
      is(key, 1, RNG_KEY_FLOATS) && same(out, out),
      key,
      use,
      counter,
      out);
}

void
op_uniforms(Device*  device,
            Tensor   key,
            RngUse   use,
            uint64_t counter,
            Tensor   out)
{
  RUN(uniforms,
      is(key, 1, RNG_KEY_FLOATS) && is(out, out.rows, 1),
      key,
      use,
      counter,
      out);
}

void
op_sum(Device* device, Tensor x, float beta, Tensor out)
{
  RUN(sum, same(x, x) && is(out, 1, 1), x, beta, out);
}

void
op_square_sum(Device* device, Tensor x, float beta, Tensor out)
{
  RUN(square_sum, same(x, x) && is(out, 1, 1), x, beta, out);
}

static bool
segments_fit(const OptimiserSegment* segments, uint32_t count, Tensor flat)
{
  bool fit = count <= OPTIMISER_SEGMENTS_MAX;
  for (uint32_t i = 0; fit && i < count; ++i) {
    fit = segments[i].first <= flat.columns &&
          segments[i].count <= flat.columns - segments[i].first;
  }
  return fit;
}

void
op_optimise(Device*                 device,
            const OptimiserRule*    rule,
            const OptimiserSegment* segments,
            uint32_t                count,
            Tensor                  now,
            Tensor                  square_sum,
            const OptimiserTables*  t)
{
  RUN(optimise,
      is(now, 1, OPTIMISER_NOW_FLOATS) && is(square_sum, 1, 1) &&
        is(t->weight, 1, t->weight.columns) && same(t->weight, t->gradient) &&
        same(t->weight, t->moment1) && same(t->weight, t->moment2) &&
        same(t->weight, t->average) && segments_fit(segments, count, t->weight),
      rule,
      segments,
      count,
      now,
      square_sum,
      t);
}

// --- Recordings ------------------------------------------------------------

struct Recording {
  RecordedOps ops;
  void*       context;
  void*       own; // the device's; NULL: it calls the ops again
};

Status
device_record(Device*     device,
              RecordedOps ops,
              void*       context,
              Recording** out,
              Error*      error)
{
  *out                 = NULL;
  Recording* const new = malloc(sizeof *new);
  if (!new) {
    return error_set(error, STATUS_NO_MEMORY, "no memory for a recording");
  }
  *new = (Recording){ .ops = ops, .context = context };
  if (device->ops->record) {
    const Status status =
      device->ops->record(device, ops, context, &new->own, &device->error);
    if (status != STATUS_OK) {
      free(new);
      return device_status(device, error);
    }
  }
  *out = new;
  return STATUS_OK;
}

void
device_replay(Device* device, Recording* recording)
{
  if (device->error.status != STATUS_OK) {
    return;
  }
  if (recording->own) {
    device->ops->replay(device, recording->own);
  } else {
    recording->ops(recording->context);
  }
}

void
recording_free(Device* device, Recording* recording)
{
  if (recording && recording->own) {
    device->ops->forget(device, recording->own);
  }
  free(recording);
}
