// A training step on a made-up data set of a few windows: what of the recipe
// reaches the network, in which units, and what differs from step to step.
#include "vae_trainer.h"

#include "counted_reads.h"
#include "dataset_write.h"
#include "emulated_gpu.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define WINDOWS 16u
#define WEIGHTS_MAX 4096u

static char        directory[] = "/tmp/meander-trainer-XXXXXX";
static char        path[64];
static Dataset*    one_window;
static Dataset*    windows;
static const char* device_wanted = "cpu";

// No augmentation and no learning: what differs is what a test sets.
static VaeRecipe
plain_recipe(void)
{
  VaeRecipe recipe = vae_recipe_default();
  recipe.sizes     = (VaeSizes){
        .pitch_embedding = 3, .encoder_hidden = 4, .latent = 3, .decoder_hidden = 5
  };
  recipe.run.batch           = 1;
  recipe.run.lanes           = 1;
  recipe.run.learning_rate   = 0.0f;
  recipe.run.warmup_steps    = 0;
  recipe.run.clip_norm       = 0.0f;
  recipe.beta                = 0.0f;
  recipe.beta_steps          = 0;
  recipe.free_bits           = 0.0f;
  recipe.forcing_start       = 1.0f;
  recipe.forcing_end         = 1.0f;
  recipe.run.transpose       = 0;
  recipe.run.tempo_spread    = 0.0f;
  recipe.run.velocity_spread = 0.0f;
  return recipe;
}

static VaeTrainer*
open_trainer(const VaeRecipe* recipe, const Dataset* dataset)
{
  static VaeTrainer trainer; // large
  Error             error;
  assert_int_equal(
    vae_trainer_open(&trainer, recipe, dataset, device_wanted, 1, &error),
    STATUS_OK);
  assert_in_range(trainer.optimiser.average.columns, 1, WEIGHTS_MAX);
  return &trainer;
}

static VaeLoss
take_step(VaeTrainer* trainer)
{
  VaeLoss loss = { 0 };
  Error   error;
  assert_int_equal(vae_trainer_step(trainer, &error), STATUS_OK);
  vae_trainer_take_loss(trainer, &loss);
  return loss;
}

typedef struct {
  VaeLoss  loss;
  float    gradient[WEIGHTS_MAX];
  uint32_t count;
} FirstStep;

// The first step of a run on one window. The optimiser writes over the
// gradient, but its first moment is a tenth of it.
static FirstStep
first_step(const VaeRecipe* recipe)
{
  FirstStep         step    = { 0 };
  VaeTrainer* const trainer = open_trainer(recipe, one_window);
  step.loss                 = take_step(trainer);
  step.count                = trainer->optimiser.average.columns;
  tensor_read(
    trainer->optimiser.devices[0], trainer->optimiser.moment1, step.gradient);
  vae_trainer_close(trainer);
  return step;
}

static double
distance(const float* left, const float* right, uint32_t count)
{
  double sum = 0.0;
  for (uint32_t i = 0; i < count; ++i) {
    const double difference = (double)(left[i] - right[i]);
    sum += difference * difference;
  }
  return sqrt(sum);
}

static void
test_each_epoch_has_its_order(void** state)
{
  (void)state;
  VaeRecipe recipe          = plain_recipe();
  recipe.run.batch          = 8;
  VaeTrainer* const trainer = open_trainer(&recipe, windows);
  assert_int_equal(trainer->shuffle.steps_per_epoch, 2);
  float pitches[4][WINDOW_NOTES * 8];
  for (int step = 0; step < 4; ++step) {
    take_step(trainer);
    tensor_read(trainer->optimiser.devices[0],
                vae_notes(trainer->lanes[0].vae, 8).pitch,
                pitches[step]);
  }
  assert_memory_not_equal(pitches[0], pitches[2], sizeof pitches[0]);
  // Window w has the pitch 1 + w throughout: an epoch visits each once.
  for (int epoch = 0; epoch < 2; ++epoch) {
    int visits[WINDOWS] = { 0 };
    for (uint32_t i = 0; i < WINDOWS; ++i) {
      ++visits[(int)pitches[2 * epoch + i / 8][i % 8] - 1];
    }
    for (uint32_t w = 0; w < WINDOWS; ++w) {
      assert_int_equal(visits[w], 1);
    }
  }
  vae_trainer_close(trainer);
}

static void
test_each_step_and_window_has_its_noise(void** state)
{
  (void)state;
  VaeRecipe recipe     = plain_recipe();
  recipe.run.batch     = 2;
  recipe.run.lanes     = 2;
  VaeTrainer* t        = open_trainer(&recipe, one_window);
  VaeLoss     lanes[2] = { 0 };
  assert_int_equal(vae_trainer_step(t, NULL), STATUS_OK);
  for (int i = 0; i < 2; ++i) {
    vae_take_loss(t->lanes[i].vae, &lanes[i]);
  }
  assert_true(lanes[0].pitch_nats != lanes[1].pitch_nats);
  const VaeLoss one = { .pitch_nats = lanes[0].pitch_nats + lanes[1].pitch_nats,
                        .kl_nats    = lanes[0].kl_nats + lanes[1].kl_nats };
  const VaeLoss two = take_step(t);
  assert_true(one.pitch_nats != two.pitch_nats);
  // The same window and the same weights, all the same.
  assert_true(fabs(one.kl_nats - two.kl_nats) < 1e-6);
  // Another seed's noise on the same weights.
  static float weights[WEIGHTS_MAX];
  tensor_read(t->optimiser.devices[0], vae_weights(t->lanes[0].vae), weights);
  vae_trainer_close(t);
  ++recipe.run.seed;
  t = open_trainer(&recipe, one_window);
  tensor_write(t->optimiser.devices[0], vae_weights(t->lanes[0].vae), weights);
  assert_true(take_step(t).pitch_nats != one.pitch_nats);
  vae_trainer_close(t);
}

static void
test_beta_and_channel_weight_scale_their_terms(void** state)
{
  (void)state;
  for (int which = 0; which < 2; ++which) {
    FirstStep steps[3];
    for (int i = 0; i < 3; ++i) {
      VaeRecipe recipe                                 = plain_recipe();
      recipe.channel_weight                            = 1.0f;
      *(which ? &recipe.beta : &recipe.channel_weight) = (float)i;
      steps[i]                                         = first_step(&recipe);
    }
    const uint32_t count = steps[0].count;
    const double whole = distance(steps[0].gradient, steps[2].gradient, count);
    const double half  = distance(steps[0].gradient, steps[1].gradient, count);
    assert_true(half > 1e-3);
    assert_true(fabs(whole - 2.0 * half) < 1e-3 * whole);
  }
}

// The first step has the schedule's first values, not the recipe's last.
static void
test_schedules_are_followed(void** state)
{
  (void)state;
  VaeRecipe       recipe  = plain_recipe();
  const FirstStep without = first_step(&recipe);
  recipe.beta             = 1.0f;
  recipe.beta_steps       = 10;
  const FirstStep ramped  = first_step(&recipe);
  assert_memory_equal(
    without.gradient, ramped.gradient, sizeof without.gradient);

  double moved[2];
  for (int i = 0; i < 2; ++i) {
    static float before[WEIGHTS_MAX], after[WEIGHTS_MAX];
    recipe.run.learning_rate = 0.1f;
    recipe.run.warmup_steps  = i ? 10 : 0;
    VaeTrainer* const t      = open_trainer(&recipe, one_window);
    const Tensor      flat   = vae_weights(t->lanes[0].vae);
    tensor_read(t->optimiser.devices[0], flat, before);
    take_step(t);
    tensor_read(t->optimiser.devices[0], flat, after);
    moved[i] = distance(before, after, flat.columns);
    vae_trainer_close(t);
  }
  assert_true(moved[0] > 0.1);
  assert_true(fabs(moved[1] - 0.1 * moved[0]) < 1e-3 * moved[0]);
}

// Free bits are bits, and what is below them costs nothing.
static void
test_free_bits(void** state)
{
  (void)state;
  VaeRecipe       recipe  = plain_recipe();
  const FirstStep without = first_step(&recipe);
  recipe.beta             = 1.0f;
  const double kl_bits    = without.loss.kl_nats / 0.69314718;
  assert_true(kl_bits > 1e-3);
  recipe.free_bits        = (float)(kl_bits * 1.05);
  const FirstStep beneath = first_step(&recipe);
  recipe.free_bits        = (float)(kl_bits * 0.95);
  const FirstStep costs   = first_step(&recipe);
  assert_true(distance(without.gradient, beneath.gradient, without.count) ==
              0.0);
  assert_true(distance(without.gradient, costs.gradient, without.count) > 1e-3);
}

static void
test_teacher_forcing(void** state)
{
  (void)state;
  VaeRecipe recipe     = plain_recipe();
  recipe.run.batch     = 32;
  recipe.forcing_end   = 0.0f;
  recipe.forcing_steps = 4;
  VaeTrainer* const t  = open_trainer(&recipe, windows);
  for (int step = 0; step < 5; ++step) {
    take_step(t);
    double share = 0.0;
    float  force[WINDOW_NOTES * 32];
    tensor_read(t->optimiser.devices[0],
                vae_notes(t->lanes[0].vae, recipe.run.batch).force,
                force);
    for (uint32_t i = 0; i < WINDOW_NOTES * recipe.run.batch; ++i) {
      share += (double)force[i] / (WINDOW_NOTES * recipe.run.batch);
    }
    const double wanted = 1.0 - step / 4.0;
    // Drawn 256 times: three standard deviations, none at the ends.
    assert_true(fabs(share - wanted) <=
                1e-9 + 3.0 * sqrt(wanted * (1.0 - wanted) / 256.0));
  }
  vae_trainer_close(t);
  // The network hears of it.
  recipe.run.batch       = 1;
  const FirstStep forced = first_step(&recipe);
  recipe.forcing_start   = 0.0f;
  const FirstStep own    = first_step(&recipe);
  assert_true(forced.loss.pitch_nats != own.loss.pitch_nats);
}

// --- What steps came to, taken late ------------------------------------------

static double
relative(double a, double b)
{
  return fabs(a - b) / fabs(b);
}

static double
loss_distance(const VaeLoss* a, const VaeLoss* b)
{
  double most = fmax(relative(a->pitch_nats, b->pitch_nats),
                     relative(a->kl_nats, b->kl_nats));
  for (int i = 0; i < CHANNEL_COUNT; ++i) {
    most = fmax(most, relative(a->squared_error[i], b->squared_error[i]));
  }
  return most;
}

// The sums of a whole report lose nothing that would be seen in it.
static void
test_a_report_adds_up(void** state)
{
  (void)state;
  VaeRecipe recipe = plain_recipe();
  recipe.run.batch = 600; // in chunks
  recipe.run.lanes = 2;
  VaeLoss sum = { 0 }, whole = { 0 };
  for (int i = 0; i < 2; ++i) {
    VaeTrainer* const t = open_trainer(&recipe, windows);
    for (int step = 0; step < 25; ++step) {
      assert_int_equal(vae_trainer_step(t, NULL), STATUS_OK);
      if (i == 0) {
        vae_trainer_take_loss(t, &sum);
      }
    }
    if (i) {
      vae_trainer_take_loss(t, &whole);
      VaeLoss nothing = { 0 };
      vae_trainer_take_loss(t, &nothing);
      assert_true(nothing.pitch_nats == 0.0 && nothing.kl_nats == 0.0);
    }
    vae_trainer_close(t);
  }
  assert_true(loss_distance(&whole, &sum) < 1e-6);
  assert_true(sum.pitch_nats > 25 * 600 * 8);
}

// A step waits for nothing; the device is read when its steps are told.
static void
test_a_step_reads_nothing(void** state)
{
  (void)state;
  VaeRecipe recipe    = plain_recipe();
  VaeLoss   loss      = { 0 };
  recipe.run.batch    = 8;
  VaeTrainer* const t = open_trainer(&recipe, windows);
  count_reads(t->optimiser.devices[0]);
  assert_int_equal(vae_trainer_step(t, NULL), STATUS_OK);
  assert_int_equal(vae_trainer_step(t, NULL), STATUS_OK);
  assert_int_equal(reads, 0);
  vae_trainer_take_loss(t, &loss);
  assert_int_equal(optimiser_check(&t->optimiser, NULL), STATUS_OK);
  assert_int_equal(reads, 2);
  vae_trainer_close(t);
}

// A gradient that is not finite changes nothing, is told whichever step of a
// report it was, and once.
static void
test_a_gradient_that_is_not_finite(void** state)
{
  (void)state;
  static float before[WEIGHTS_MAX], after[WEIGHTS_MAX];
  VaeRecipe    recipe      = plain_recipe();
  recipe.run.learning_rate = 0.01f;
  recipe.run.lanes         = 2;
  recipe.run.batch         = 4;
  VaeTrainer* const t      = open_trainer(&recipe, windows);
  Optimiser* const  o      = &t->optimiser;
  Device* const     device = o->devices[0];
  const float       bad    = INFINITY;
  Error             error;
  take_step(t);
  assert_int_equal(optimiser_check(o, &error), STATUS_OK);
  assert_true(o->gradient_norm > 1e-3f && isfinite(o->gradient_norm));
  take_step(t);
  const Tensor one = tensor_columns(o->weights, 7, 1);
  float        good;
  tensor_read(device, one, &good);
  tensor_write(device, one, &bad);
  tensor_read(device, o->moment1, before);
  assert_int_equal(vae_trainer_step(t, &error), STATUS_OK);
  tensor_read(device, o->moment1, after);
  assert_memory_equal(before, after, sizeof before);
  tensor_write(device, one, &good);
  assert_int_equal(vae_trainer_step(t, &error), STATUS_OK);
  tensor_read(device, o->moment1, after);
  assert_memory_not_equal(before, after, sizeof before);
  assert_int_equal(optimiser_check(o, &error), STATUS_BAD_ARGUMENT);
  assert_non_null(strstr(error.text, "steps 2 to 4"));
  assert_int_equal(o->step, 4);
  assert_int_equal(vae_trainer_step(t, &error), STATUS_OK);
  assert_int_equal(optimiser_check(o, &error), STATUS_OK);
  vae_trainer_close(t);
}

static void
double_gradient(void* context, Device* device, Tensor gradient)
{
  ++*(uint32_t*)context;
  op_combine(device, 2.0f, gradient, 0.0f, gradient, gradient);
}

// What joins runs sees the sum of the lanes; norm and update see what it made.
static void
test_gradients_of_others_are_reduced(void** state)
{
  (void)state;
  static float moment[2][WEIGHTS_MAX];
  float        norms[2];
  uint32_t     calls  = 0;
  uint32_t     count  = 0;
  VaeRecipe    recipe = plain_recipe();
  recipe.run.batch    = 8;
  recipe.run.lanes    = 2;
  for (int i = 0; i < 2; ++i) {
    VaeTrainer* const t         = open_trainer(&recipe, windows);
    t->optimiser.reduce         = i ? double_gradient : NULL;
    t->optimiser.reduce_context = &calls;
    take_step(t);
    assert_int_equal(optimiser_check(&t->optimiser, NULL), STATUS_OK);
    norms[i] = t->optimiser.gradient_norm;
    count    = t->optimiser.weights.columns;
    tensor_read(t->optimiser.devices[0], t->optimiser.moment1, moment[i]);
    vae_trainer_close(t);
  }
  assert_int_equal(calls, 1);
  assert_true(fabsf(norms[1] / norms[0] - 2.0f) < 1e-5f);
  for (uint32_t i = 0; i < count; ++i) {
    assert_true(fabsf(moment[1][i] - 2.0f * moment[0][i]) < 1e-6f);
  }
}

// A step in several passes is a step in one, up to rounding.
static void
test_passes_add_up(void** state)
{
  (void)state;
  static float weights[2][WEIGHTS_MAX];
  uint32_t     count       = 0;
  VaeRecipe    recipe      = plain_recipe();
  recipe.run.batch         = 12;
  recipe.run.learning_rate = 0.01f;
  for (int i = 0; i < 2; ++i) {
    VaeTrainer* const t = open_trainer(&recipe, windows);
    t->chunk            = i ? 5 : 12;
    take_step(t);
    take_step(t);
    count = t->optimiser.weights.columns;
    tensor_read(t->optimiser.devices[0], t->optimiser.weights, weights[i]);
    vae_trainer_close(t);
  }
  assert_true(distance(weights[0], weights[1], count) < 1e-4);
}

// --- Another device ----------------------------------------------------------

// A GPU goes the CPU's way with one lane: the same draws, losses and weights up
// to rounding, also when steps are replayed, and in passes of which the last is
// smaller.
static void
test_a_gpu_learns_alike(void** state)
{
  (void)state;
  enum { STEPS_TAKEN = 8 };
  static float weights[2][WEIGHTS_MAX];
  VaeLoss      losses[2][STEPS_TAKEN];
  Device*      gpu;
  uint32_t     count       = 0;
  VaeRecipe    recipe      = plain_recipe();
  recipe.run.batch         = 12;
  recipe.run.learning_rate = 0.01f;
  recipe.run.warmup_steps  = 6; // the rate changes
  recipe.run.transpose     = 3;
  recipe.run.tempo_spread  = 0.1f;
  recipe.beta              = 0.3f;
  recipe.forcing_end       = 0.5f;
  recipe.forcing_steps     = 2;
  if (device_open("cuda", &gpu, NULL, NULL) != STATUS_OK) {
    skip();
  }
  device_close(gpu);
  for (int i = 0; i < 2; ++i) {
    recipe.run.lanes    = 1 + 2 * (uint32_t)i; // a GPU has one all the same
    device_wanted       = i ? "cuda" : "cpu";
    VaeTrainer* const t = open_trainer(&recipe, windows);
    device_wanted       = "cpu";
    assert_int_equal(t->optimiser.lanes, 1);
    for (int step = 0; step < STEPS_TAKEN; ++step) {
      t->chunk        = step % 4 < 2 ? 12 : 5;
      losses[i][step] = take_step(t);
    }
    assert_int_equal(optimiser_check(&t->optimiser, NULL), STATUS_OK);
    count = t->optimiser.weights.columns;
    tensor_read(t->optimiser.devices[0], t->optimiser.weights, weights[i]);
    assert_int_equal(vae_trainer_save(t, directory, NULL), STATUS_OK);
    vae_trainer_close(t);
  }
  for (int step = 0; step < STEPS_TAKEN; ++step) {
    assert_true(loss_distance(&losses[1][step], &losses[0][step]) < 1e-3);
  }
  assert_true(distance(weights[0], weights[1], count) < 1e-2);
  snprintf(path, sizeof path, "%s/checkpoint.safetensors", directory);
  unlink(path);
  snprintf(path, sizeof path, "%s/state.safetensors", directory);
  unlink(path);
}

// On a GPU a step is writes, then one replay; in passes, one for each; where
// others take part the update comes after. Shapes that come back are not
// recorded anew.
static void
test_a_step_is_one_launch(void** state)
{
  (void)state;
  VaeRecipe      recipe    = plain_recipe();
  EmulatorCounts counts    = { 0 };
  uint32_t       calls     = 0;
  recipe.run.batch         = 12;
  recipe.run.learning_rate = 0.01f;
  Device* gpu;
  if (device_open("cuda", &gpu, NULL, NULL) != STATUS_OK) {
    skip();
  }
  device_close(gpu);
  if (!emulated_counts(&counts)) {
    skip();
  }
  device_wanted       = "cuda";
  VaeTrainer* const t = open_trainer(&recipe, windows);
  device_wanted       = "cpu";
  for (uint32_t step = 0; step < 8; ++step) {
    const uint32_t passes = step < 4 ? 1 : 3;
    t->chunk              = 12 / passes;
    emulated_counts(&counts);
    assert_int_equal(vae_trainer_step(t, NULL), STATUS_OK);
    const EmulatorCounts asked = emulated_since(counts);
    assert_int_equal(asked.graphs, passes);
    assert_int_equal(asked.plain, 0);
    assert_int_equal(asked.waits, 0);
    assert_in_range(asked.writes, 1, 1 + 3 * passes);
  }
  t->optimiser.reduce         = double_gradient;
  t->optimiser.reduce_context = &calls;
  emulated_counts(&counts);
  assert_int_equal(vae_trainer_step(t, NULL), STATUS_OK);
  assert_int_equal(calls, 1);
  assert_int_equal(emulated_since(counts).graphs, 3);
  assert_true(emulated_since(counts).plain > 0);
  vae_trainer_close(t);
}

// `count` pieces of one window; piece p has the pitch 1 + p.
static Dataset*
make_set(const char* name, unsigned count)
{
  DatasetWriter writer;
  Dataset*      set = NULL;
  Error         error;
  snprintf(path, sizeof path, "%s/%s", directory, name);
  bool ok = !dataset_writer_open(&writer, path, &error);
  for (unsigned p = 0; p < count && ok; ++p) {
    NoteEvent events[WINDOW_NOTES];
    char      piece[16];
    for (int i = 0; i < WINDOW_NOTES; ++i) {
      events[i] = (NoteEvent){ (uint8_t)(1 + p),
                               velocity_from_midi((uint8_t)(40 + 9 * i)),
                               0.1f + 0.05f * (float)i,
                               0.2f + 0.03f * (float)(i * i) };
    }
    snprintf(piece, sizeof piece, "a/%02u.mid", p);
    ok =
      !dataset_writer_add(&writer, piece, false, events, WINDOW_NOTES, &error);
  }
  ok = ok && !dataset_writer_commit(&writer, &error) &&
       !dataset_open(path, &set, &error);
  unlink(path);
  return ok ? set : NULL;
}

static int
set_up(void** state)
{
  (void)state;
  if (!mkdtemp(directory)) {
    return 1;
  }
  one_window = make_set("one", 1);
  windows    = make_set("more", WINDOWS);
  return !one_window || !windows;
}

static int
tear_down(void** state)
{
  (void)state;
  dataset_close(one_window);
  dataset_close(windows);
  return rmdir(directory);
}

int
main(void)
{
  const struct CMUnitTest all[] = {
    cmocka_unit_test(test_each_epoch_has_its_order),
    cmocka_unit_test(test_each_step_and_window_has_its_noise),
    cmocka_unit_test(test_beta_and_channel_weight_scale_their_terms),
    cmocka_unit_test(test_schedules_are_followed),
    cmocka_unit_test(test_free_bits),
    cmocka_unit_test(test_teacher_forcing),
    cmocka_unit_test(test_a_report_adds_up),
    cmocka_unit_test(test_a_step_reads_nothing),
    cmocka_unit_test(test_a_gradient_that_is_not_finite),
    cmocka_unit_test(test_gradients_of_others_are_reduced),
    cmocka_unit_test(test_passes_add_up),
    cmocka_unit_test(test_a_gpu_learns_alike),
    cmocka_unit_test(test_a_step_is_one_launch),
  };
  return cmocka_run_group_tests_name("trainer", all, set_up, tear_down);
}
