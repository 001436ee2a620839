// Sampling in more steps than denoiser_levels() takes at once: the same as
// asking the network step by step, each time with its own noise level.
#include "diffusion_fixture.h"
#include "diffusion_internal.h"

#define STEPS_ASKED (2 * DENOISER_LEVELS_MAX + 6)
#define C (7 + CHANNEL_COUNT) // columns of a note: pitch bits, channels

typedef struct {
  Fixture*           f;
  const SamplerPlan* plan;
  Tensor             tokens, position, level, time, head;
  uint32_t           calls;
} ByHand;

// x_0 from the noise that the network finds.
static void
predict(void* context, Tensor x, uint32_t step, Tensor x0)
{
  ByHand* const              h      = context;
  Device* const              device = h->f->device;
  const Diffusion* const     d      = h->f->diffusion;
  const NoiseSchedule* const n      = diffusion_schedule(d);
  const uint32_t             t      = sampler_time(h->plan, step);
  const uint32_t             next   = sampler_time(h->plan, step + 1);
  float                      features[DENOISER_TIME_FEATURES];
  diffusion_time_features(diffusion_settings(d), t, next, features);
  tensor_write(device, h->time, features);
  op_copy(device, x, tensor_columns(h->tokens, 0, C));
  const DenoiserInput input = { .sequences = SEQUENCES,
                                .notes     = NOTES,
                                .tokens    = h->tokens,
                                .position  = h->position,
                                .level     = h->level,
                                .time      = h->time };
  denoiser_step(diffusion_net(d), &input, h->head);
  const float alpha = (float)noise_alpha(n, t);
  const float sigma = (float)noise_sigma(n, t);
  op_combine(device, 1.0f / alpha, x, -sigma / alpha, h->head, x0);
  op_clamp(device, -ESTIMATE_MAX, ESTIMATE_MAX, x0);
  ++h->calls;
}

static Tensor
make(Device* device, uint32_t rows, uint32_t columns)
{
  Tensor t;
  assert_int_equal(tensor_allocate(device, rows, columns, &t, NULL), STATUS_OK);
  return t;
}

static void
sample_by_hand(Fixture* f, const SamplerPlan* plan, float* x)
{
  Device* const device = f->device;
  ByHand        h      = { .f        = f,
                           .plan     = plan,
                           .tokens   = make(device, ROWS, C + 1),
                           .position = make(device, ROWS, 1),
                           .level    = make(device, ROWS, 1),
                           .time     = make(device, 1, DENOISER_TIME_FEATURES),
                           .head     = make(device, ROWS, C) };
  SamplerRun    run    = { .device   = device,
                           .predict  = predict,
                           .context  = &h,
                           .key      = make(device, 1, RNG_KEY_FLOATS),
                           .x        = make(device, ROWS, C),
                           .x0       = make(device, ROWS, C),
                           .previous = make(device, ROWS, C),
                           .noise    = make(device, ROWS, C),
                           .factors = make(device, plan->steps, SAMPLER_FACTORS) };
  float         places[ROWS];
  for (uint32_t r = 0; r < ROWS; ++r) {
    places[r] = (float)(r % NOTES);
  }
  tensor_write(device, h.position, places);
  tensor_write(device, run.x, x);
  const DenoiserInput none = { .sequences = SEQUENCES };
  denoiser_context(diffusion_net(f->diffusion), &none);
  for (uint32_t i = 0; i < plan->steps; ++i) {
    float factors[SAMPLER_FACTORS];
    sampler_factors(diffusion_schedule(f->diffusion), plan, i, factors);
    tensor_write(device, tensor_rows(run.factors, i, 1), factors);
  }
  sampler_run(&run, sampler_form(plan));
  tensor_read(device, run.x, x);
  assert_int_equal(h.calls, plan->steps);
  Tensor* const all[] = { &h.tokens,     &h.position, &h.level,    &h.time,
                          &h.head,       &run.key,    &run.x,      &run.x0,
                          &run.previous, &run.noise,  &run.factors };
  for (size_t i = 0; i < sizeof all / sizeof *all; ++i) {
    tensor_free(device, all[i]);
  }
}

static void
test_steps_beyond_one_chunk_of_levels(void** state)
{
  (void)state;
  DiffusionSettings settings =
    settings_of(DENOISER_TRANSFORMER, PITCH_BITS, PREDICT_NOISE);
  settings.self_condition = 0;
  Fixture f;
  open_fixture(&f, &settings, false);
  static float x[ROWS * C], pitch[ROWS], channels[ROWS * CHANNEL_COUNT];
  Rng          rng = rng_make(8, RNG_USE_TEST, 0);
  rng_normals(&rng, x, ROWS * C);
  const DiffusionRequest request = {
    .count = SEQUENCES,
    .notes = NOTES,
    .x     = x,
    .plan  = { .kind = SAMPLER_DDIM, .steps = STEPS_ASKED, .start = 1000 },
  };
  diffusion_sample(f.diffusion, &request, pitch, channels);
  sample_by_hand(&f, &request.plan, x);
  for (uint32_t r = 0; r < ROWS; ++r) {
    for (uint32_t i = 0; i < CHANNEL_COUNT; ++i) {
      const float ours = channels[r * CHANNEL_COUNT + i];
      assert_true(fabsf(ours - x[r * C + 7 + i]) < 1e-4f * (1 + fabsf(ours)));
    }
  }
  close_fixture(&f);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_steps_beyond_one_chunk_of_levels),
  };
  return cmocka_run_group_tests_name("many_steps", tests, NULL, NULL);
}
