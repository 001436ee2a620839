// The LSTM cell and the memory overwrite. Compiled once for each instruction
// set; the thread of the Device.
#include "cpu/simd.h"

void
VARIANT(
  lstm_cell)(Device* device, Tensor gates, Tensor c_prev, Tensor c, Tensor h)
{
  (void)device;
  const uint32_t n = c.columns;
  for (uint32_t r = 0; r < c.rows; ++r) {
    float* const       gi = row(gates, r);
    float* const       gf = gi + n;
    float* const       gg = gf + n;
    float* const       go = gg + n;
    const float* const cp = row(c_prev, r);
    float* const       cr = row(c, r);
    float* const       hr = row(h, r);
#pragma GCC ivdep
    for (uint32_t i = 0; i < n; ++i) {
      const float in  = sigmoid(gi[i]);
      const float fo  = sigmoid(gf[i]);
      const float ca  = fast_tanh(gg[i]);
      const float out = sigmoid(go[i]);
      const float ci  = fo * cp[i] + in * ca;
      gi[i]           = in;
      gf[i]           = fo;
      gg[i]           = ca;
      go[i]           = out;
      cr[i]           = ci;
      hr[i]           = out * fast_tanh(ci);
    }
  }
}

void
VARIANT(lstm_cell_backward)(Device* device,
                            Tensor  gates,
                            Tensor  c_prev,
                            Tensor  c,
                            Tensor  dh,
                            Tensor  dc,
                            Tensor  dgates)
{
  (void)device;
  const uint32_t n = c.columns;
  for (uint32_t r = 0; r < c.rows; ++r) {
    const float* const gi  = row(gates, r);
    const float* const cp  = row(c_prev, r);
    const float* const cr  = row(c, r);
    const float* const dhr = row(dh, r);
    float* const       dcr = row(dc, r);
    float* const       di  = row(dgates, r);
#pragma GCC ivdep
    for (uint32_t i = 0; i < n; ++i) {
      const float in  = gi[i];
      const float fo  = gi[n + i];
      const float ca  = gi[2 * n + i];
      const float out = gi[3 * n + i];
      const float tc  = fast_tanh(cr[i]);
      const float dci = dcr[i] + dhr[i] * out * (1.0f - tc * tc);
      di[i]           = dci * ca * in * (1.0f - in);
      di[n + i]       = dci * cp[i] * fo * (1.0f - fo);
      di[2 * n + i]   = dci * in * (1.0f - ca * ca);
      di[3 * n + i]   = dhr[i] * tc * out * (1.0f - out);
      dcr[i]          = dci * fo;
    }
  }
}

void
VARIANT(overwrite_gates)(Device* device, Tensor pre, Tensor keep, Tensor add)
{
  (void)device;
  const uint32_t n = keep.columns;
  for (uint32_t r = 0; r < keep.rows; ++r) {
    const float* const p = row(pre, r);
    float* const       k = row(keep, r);
    float* const       a = row(add, r);
#pragma GCC ivdep
    for (uint32_t i = 0; i < n; ++i) {
      k[i] = sigmoid(p[i]);
      a[i] = sigmoid(p[n + i]) * fast_tanh(p[2 * n + i]);
    }
  }
}

void
VARIANT(overwrite_gates_backward)(Device* device,
                                  Tensor  pre,
                                  Tensor  dkeep,
                                  Tensor  dadd,
                                  Tensor  dpre)
{
  (void)device;
  const uint32_t n = dkeep.columns;
  for (uint32_t r = 0; r < dkeep.rows; ++r) {
    const float* const p  = row(pre, r);
    const float* const dk = row(dkeep, r);
    const float* const da = row(dadd, r);
    float* const       d  = row(dpre, r);
#pragma GCC ivdep
    for (uint32_t i = 0; i < n; ++i) {
      const float keep = sigmoid(p[i]);
      const float in   = sigmoid(p[n + i]);
      const float ca   = fast_tanh(p[2 * n + i]);
      d[i]             = dk[i] * keep * (1.0f - keep);
      d[n + i]         = da[i] * ca * in * (1.0f - in);
      d[2 * n + i]     = da[i] * in * (1.0f - ca * ca);
    }
  }
}

void
VARIANT(
  overwrite)(Device* device, Tensor state, Tensor keep, Tensor add, Tensor out)
{
  (void)device;
  for (uint32_t r = 0; r < state.rows; ++r) {
    const float* const s = row(state, r);
    const float* const k = row(keep, r);
    const float* const a = row(add, r);
    float* const       o = row(out, r);
#pragma GCC ivdep
    for (uint32_t i = 0; i < state.columns; ++i) {
      o[i] = s[i] * k[i] + a[i];
    }
  }
}

void
VARIANT(overwrite_backward)(Device* device,
                            Tensor  state,
                            Tensor  keep,
                            Tensor  dout,
                            Tensor  dstate,
                            Tensor  dkeep,
                            Tensor  dadd)
{
  (void)device;
  for (uint32_t r = 0; r < state.rows; ++r) {
    const float* const s  = row(state, r);
    const float* const k  = row(keep, r);
    const float* const d  = row(dout, r);
    float* const       ds = row(dstate, r);
    float* const       dk = row(dkeep, r);
    float* const       da = row(dadd, r);
#pragma GCC ivdep
    for (uint32_t i = 0; i < state.columns; ++i) {
      const float di = d[i];
      dk[i] += di * s[i];
      da[i] += di;
      ds[i] = di * k[i];
    }
  }
}
