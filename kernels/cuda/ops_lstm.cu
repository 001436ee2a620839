// The LSTM cell and the memory overwrite. The blocks of gates are views of
// their own, so that each op is a function of corresponding elements. The
// thread of the Device.
#include "elementwise.h"
#include "ops.h"

// The gates of a tensor that holds them side by side, n columns each.
static inline Tensor
gate(Tensor gates, uint32_t number, uint32_t n)
{
  return columns_of(gates, number * n, n);
}

// in: input, forget, candidate, output, c_prev; out: the activations, c, h.
struct LstmCell {
  static constexpr bool BY_ROW = false;
  __device__ inline void
  operator()(uint32_t, const float* x, float* y) const
  {
    const float in  = device_sigmoid(x[0]);
    const float fo  = device_sigmoid(x[1]);
    const float ca  = device_tanh(x[2]);
    const float out = device_sigmoid(x[3]);
    const float c   = fo * x[4] + in * ca;
    y[0]            = in;
    y[1]            = fo;
    y[2]            = ca;
    y[3]            = out;
    y[4]            = c;
    y[5]            = out * device_tanh(c);
  }
};

void
cuda_lstm_cell(Device* device, Tensor gates, Tensor c_prev, Tensor c, Tensor h)
{
  const uint32_t n  = c.columns;
  const Tensor   gi = gate(gates, 0, n);
  const Tensor   gf = gate(gates, 1, n);
  const Tensor   gg = gate(gates, 2, n);
  const Tensor   go = gate(gates, 3, n);
  map(device,
      "lstm_cell",
      LstmCell{},
      { gi, gf, gg, go, c_prev },
      { gi, gf, gg, go, c, h });
}

// in: the activations, c_prev, c, dh, dc; out: the gates' gradients, dc.
struct LstmCellBackward {
  static constexpr bool BY_ROW = false;
  __device__ inline void
  operator()(uint32_t, const float* x, float* y) const
  {
    const float in  = x[0];
    const float fo  = x[1];
    const float ca  = x[2];
    const float out = x[3];
    const float dh  = x[6];
    const float tc  = device_tanh(x[5]);
    const float dc  = x[7] + dh * out * (1.0f - tc * tc);
    y[0]            = dc * ca * in * (1.0f - in);
    y[1]            = dc * x[4] * fo * (1.0f - fo);
    y[2]            = dc * in * (1.0f - ca * ca);
    y[3]            = dh * tc * out * (1.0f - out);
    y[4]            = dc * fo;
  }
};

void
cuda_lstm_cell_backward(Device* device,
                        Tensor  gates,
                        Tensor  c_prev,
                        Tensor  c,
                        Tensor  dh,
                        Tensor  dc,
                        Tensor  dgates)
{
  const uint32_t n = c.columns;
  map(device,
      "lstm_cell_backward",
      LstmCellBackward{},
      { gate(gates, 0, n),
        gate(gates, 1, n),
        gate(gates, 2, n),
        gate(gates, 3, n),
        c_prev,
        c,
        dh,
        dc },
      { gate(dgates, 0, n),
        gate(dgates, 1, n),
        gate(dgates, 2, n),
        gate(dgates, 3, n),
        dc });
}

// in: forget, input, candidate; out: keep, add.
struct OverwriteGates {
  static constexpr bool BY_ROW = false;
  __device__ inline void
  operator()(uint32_t, const float* x, float* y) const
  {
    y[0] = device_sigmoid(x[0]);
    y[1] = device_sigmoid(x[1]) * device_tanh(x[2]);
  }
};

void
cuda_overwrite_gates(Device* device, Tensor pre, Tensor keep, Tensor add)
{
  const uint32_t n = keep.columns;
  map(device,
      "overwrite_gates",
      OverwriteGates{},
      { gate(pre, 0, n), gate(pre, 1, n), gate(pre, 2, n) },
      { keep, add });
}

// in: forget, input, candidate, dkeep, dadd; out: the gradients of the three.
struct OverwriteGatesBackward {
  static constexpr bool BY_ROW = false;
  __device__ inline void
  operator()(uint32_t, const float* x, float* y) const
  {
    const float keep = device_sigmoid(x[0]);
    const float in   = device_sigmoid(x[1]);
    const float ca   = device_tanh(x[2]);
    y[0]             = x[3] * keep * (1.0f - keep);
    y[1]             = x[4] * ca * in * (1.0f - in);
    y[2]             = x[4] * in * (1.0f - ca * ca);
  }
};

void
cuda_overwrite_gates_backward(Device* device,
                              Tensor  pre,
                              Tensor  dkeep,
                              Tensor  dadd,
                              Tensor  dpre)
{
  const uint32_t n = dkeep.columns;
  map(device,
      "overwrite_gates_backward",
      OverwriteGatesBackward{},
      { gate(pre, 0, n), gate(pre, 1, n), gate(pre, 2, n), dkeep, dadd },
      { gate(dpre, 0, n), gate(dpre, 1, n), gate(dpre, 2, n) });
}

// in: state, keep, add.
struct Overwrite {
  static constexpr bool BY_ROW = false;
  __device__ inline void
  operator()(uint32_t, const float* x, float* y) const
  {
    y[0] = x[0] * x[1] + x[2];
  }
};

void
cuda_overwrite(Device* device,
               Tensor  state,
               Tensor  keep,
               Tensor  add,
               Tensor  out)
{
  map(device, "overwrite", Overwrite{}, { state, keep, add }, { out });
}

// in: state, keep, dout, dkeep, dadd; out: dstate, dkeep, dadd.
struct OverwriteBackward {
  static constexpr bool BY_ROW = false;
  __device__ inline void
  operator()(uint32_t, const float* x, float* y) const
  {
    y[0] = x[2] * x[1];
    y[1] = x[3] + x[2] * x[0];
    y[2] = x[4] + x[2];
  }
};

void
cuda_overwrite_backward(Device* device,
                        Tensor  state,
                        Tensor  keep,
                        Tensor  dout,
                        Tensor  dstate,
                        Tensor  dkeep,
                        Tensor  dadd)
{
  map(device,
      "overwrite_backward",
      OverwriteBackward{},
      { state, keep, dout, dkeep, dadd },
      { dstate, dkeep, dadd });
}
