// Stands before model_generate() (the linker's --wrap) in meander-slow, which
// is meander but for this: models are as slow, or as bad, as the environment
// says. MEANDER_SLOW="STEP_MS STALL_AT_S STALL_S [VAE_S [FAIL_AT_S]]": of a
// diffusion model each step takes STEP_MS longer, the first call that begins
// STALL_AT_S after the first of all takes STALL_S longer, and those that begin
// FAIL_AT_S after it (0: never) fail; each call of a VAE takes VAE_S longer.
// The sampling thread and the worker (and control, before play).
#include "clock.h"
#include "model.h"

#include <stdio.h>
#include <stdlib.h>

Status __real_model_generate(Model*              model,
                             const ModelRequest* request,
                             NoteEvent*          out,
                             Error*              error);
Status __wrap_model_generate(Model*              model,
                             const ModelRequest* request,
                             NoteEvent*          out,
                             Error*              error);

static void
sleep_s(double seconds)
{
  const double end_s = clock_now_s() + seconds; // signals end a sleep early
  while (clock_now_s() < end_s) {
    clock_sleep_ns((int64_t)((end_s - clock_now_s()) * 1e9));
  }
}

// False: the call fails.
static bool
be_slow(ModelKind kind, uint32_t steps)
{
  static double     first_s;
  static int        stalls;
  double            step_ms, stall_at_s, stall_s, vae_s = 0, fail_at_s = 0;
  const char* const text = getenv("MEANDER_SLOW");
  if (!text || sscanf(text,
                      "%lf %lf %lf %lf %lf",
                      &step_ms,
                      &stall_at_s,
                      &stall_s,
                      &vae_s,
                      &fail_at_s) < 3) {
    return true;
  }
  if (kind == MODEL_VAE) {
    sleep_s(vae_s);
    return true;
  }
  const double now_s = clock_now_s();
  first_s            = first_s > 0 ? first_s : now_s;
  sleep_s(1e-3 * step_ms * steps);
  if (stall_s > 0 && now_s - first_s >= stall_at_s && !stalls) {
    ++stalls;
    sleep_s(stall_s);
  }
  return !(fail_at_s > 0 && now_s - first_s >= fail_at_s);
}

Status
__wrap_model_generate(Model*              model,
                      const ModelRequest* request,
                      NoteEvent*          out,
                      Error*              error)
{
  if (!be_slow(model_kind(model), request->steps)) {
    return error_set(error, STATUS_UNAVAILABLE, "it broke, as it was told to");
  }
  return __real_model_generate(model, request, out, error);
}
