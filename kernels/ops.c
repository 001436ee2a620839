// Devices, views, and the shape check of every op before it reaches a device.
#include "check.h"

#include <math.h>
#include <stdlib.h>

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
  return device->ops->name;
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
          float   temperature,
          Tensor  uniform,
          Tensor  index)
{
  RUN(sample,
      same(logits, logits) && same(uniform, index) &&
        is(index, logits.rows, 1) && temperature >= 0.0f,
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
                   float   beta,
                   float   free_nats,
                   Tensor  kl,
                   Tensor  dstats)
{
  RUN(latent_backward,
      same(noise, dz) && is(stats, dz.rows, 2 * dz.columns) &&
        same(stats, dstats) && is(kl, dz.rows, 1),
      stats,
      noise,
      dz,
      beta,
      free_nats,
      kl,
      dstats);
}

void
op_normals(Device*  device,
           uint64_t seed,
           RngUse   use,
           uint64_t first_index,
           uint64_t counter,
           Tensor   out)
{
  RUN(normals, same(out, out), seed, use, first_index, counter, out);
}

void
op_uniforms(Device*  device,
            uint64_t seed,
            RngUse   use,
            uint64_t first_index,
            uint64_t counter,
            Tensor   out)
{
  RUN(uniforms, is(out, out.rows, 1), seed, use, first_index, counter, out);
}

void
op_square_sum(Device* device, Tensor x, float beta, Tensor out)
{
  RUN(square_sum, same(x, x) && is(out, 1, 1), x, beta, out);
}

void
op_lamb(Device*              device,
        const OptimiserStep* step,
        Tensor               square_sum,
        Tensor               gradient,
        Tensor               moment1,
        Tensor               moment2,
        Tensor               weight)
{
  RUN(lamb,
      is(square_sum, 1, 1) && same(weight, gradient) && same(weight, moment1) &&
        same(weight, moment2) && step->step > 0,
      step,
      square_sum,
      gradient,
      moment1,
      moment2,
      weight);
}

void
op_adamw(Device*              device,
         const OptimiserStep* step,
         Tensor               square_sum,
         Tensor               gradient,
         Tensor               moment1,
         Tensor               moment2,
         Tensor               weight)
{
  RUN(adamw,
      is(square_sum, 1, 1) && same(weight, gradient) && same(weight, moment1) &&
        same(weight, moment2) && step->step > 0,
      step,
      square_sum,
      gradient,
      moment1,
      moment2,
      weight);
}

void
op_moving_average(Device* device, float decay, Tensor weight, Tensor average)
{
  RUN(moving_average,
      same(weight, average) && decay >= 0.0f && decay <= 1.0f,
      decay,
      weight,
      average);
}
