// Runs of the diffusion model's training: that they can stop and go on anywhere
// and learn, their held-out figures, and what a recipe may say.
#include "diffusion_trainer.h"

#include "counted_reads.h"
#include "emulated_gpu.h"
#include "numbered_set.h"
#include "run_state.h"

#include <math.h>
#include <string.h>

static const char* device_wanted = "cpu";
static const char* teacher_path; // of a student's recipe

static DiffusionTrainer*
open_trainer(const DiffusionRecipe* recipe, uint32_t threads)
{
  DiffusionTrainer* const t = malloc(sizeof *t);
  Error                   error;
  assert_non_null(t);
  assert_int_equal(
    diffusion_trainer_open(
      t, recipe, teacher_path, dataset, device_wanted, threads, &error),
    STATUS_OK);
  return t;
}

static void
close_trainer(DiffusionTrainer* t)
{
  diffusion_trainer_close(t);
  free(t);
}

static void
take_steps(DiffusionTrainer* t, uint32_t count)
{
  Error error;
  for (uint32_t i = 0; i < count; ++i) {
    assert_int_equal(diffusion_trainer_step(t, &error), STATUS_OK);
  }
}

static DiffusionLoss
validate(DiffusionTrainer* t)
{
  DiffusionLoss loss;
  Error         error;
  assert_int_equal(diffusion_trainer_validate(t, &loss, &error), STATUS_OK);
  return loss;
}

typedef struct {
  size_t size;
  char   bytes[1 << 18];
} Saved;

// The state file and the checkpoint, one after the other.
static void
save(DiffusionTrainer* t, Saved* out)
{
  static const char* const names[] = { "checkpoint.safetensors",
                                       "state.safetensors" };
  assert_int_equal(diffusion_trainer_save(t, directory, NULL), STATUS_OK);
  memset(out, 0, sizeof *out);
  for (int i = 0; i < 2; ++i) {
    char name[RUN_PATH_BYTES];
    run_path(directory, names[i], name);
    FILE* const file = fopen(name, "rb");
    assert_non_null(file);
    const size_t room = sizeof out->bytes - out->size;
    out->size += fread(out->bytes + out->size, 1, room, file);
    fclose(file);
    assert_true(out->size < sizeof out->bytes);
  }
}

static void
remove_run(void)
{
  char name[RUN_PATH_BYTES];
  run_path(directory, "checkpoint.safetensors", name);
  unlink(name);
  run_path(directory, "state.safetensors", name);
  unlink(name);
}

static void
test_resumed_run_ends_alike(void** state)
{
  (void)state;
  static Saved          whole, other;
  const DiffusionRecipe recipe = plain_recipe();
  DiffusionTrainer*     t      = open_trainer(&recipe, 1);
  take_steps(t, 6);
  save(t, &whole);
  close_trainer(t);

  // Broken off after three steps, with held-out figures, on two threads.
  t = open_trainer(&recipe, 2);
  take_steps(t, 3);
  validate(t);
  save(t, &other);
  close_trainer(t);
  assert_memory_not_equal(whole.bytes, other.bytes, whole.size);
  DiffusionRecipe again = diffusion_recipe_default();
  assert_int_equal(
    run_state_recipe(directory, &diffusion_recipe_format, &again, NULL),
    STATUS_OK);
  t = open_trainer(&again, 2);
  assert_int_equal(
    run_state_load(&t->optimiser, directory, dataset, NULL, NULL), STATUS_OK);
  assert_int_equal(t->optimiser.step, 3);
  take_steps(t, 3);
  save(t, &other);
  close_trainer(t);
  remove_run();
  assert_int_equal(whole.size, other.size);
  assert_memory_equal(whole.bytes, other.bytes, whole.size);
}

// Nothing but the weights has a value.
static void
check_gaps(const Optimiser* o, Tensor tensor)
{
  const size_t size  = tensor.columns * sizeof(float);
  float* const flat  = calloc(3, size);
  float* const again = flat + tensor.columns;
  assert_non_null(flat);
  tensor_read(o->devices[0], tensor, flat);
  parameters_pack(o->table, o->parameter_count, flat, again + tensor.columns);
  parameters_spread(
    o->table, o->parameter_count, again + tensor.columns, again);
  assert_memory_equal(flat, again, size);
  free(flat);
}

// What lies between weights takes no part in a run, nor in what is saved of it.
static void
test_between_weights(void** state)
{
  (void)state;
  for (int kind = DENOISER_TRANSFORMER; kind <= DENOISER_LSTM; ++kind) {
    DiffusionRecipe r         = plain_recipe();
    r.settings.net.kind       = (DenoiserKind)kind;
    DiffusionTrainer* const t = open_trainer(&r, 1);
    const Optimiser* const  o = &t->optimiser;
    take_steps(t, 3);
    check_gaps(o, o->gradients[0]);
    check_gaps(o, o->weights);
    check_gaps(o, o->average);
    check_gaps(o, o->moment1);
    check_gaps(o, o->moment2);
    const uint32_t weights =
      (uint32_t)parameters_weights(o->table, o->parameter_count);
    assert_true(weights < o->weights.columns);
    assert_int_equal(diffusion_trainer_save(t, directory, NULL), STATUS_OK);
    char         path[RUN_PATH_BYTES];
    Checkpoint*  saved;
    const float* data;
    run_path(directory, "state.safetensors", path);
    assert_int_equal(checkpoint_open(path, &saved, NULL), STATUS_OK);
    assert_int_equal(
      checkpoint_tensor(saved, "moment2", &weights, 1, &data, NULL), STATUS_OK);
    checkpoint_close(saved);
    close_trainer(t);
  }
  remove_run();
}

// What lane `i` drew its last pass from: the second of two of CHUNK slots.
static void
check_draw(const DiffusionTrainer* t, uint32_t i, uint32_t step)
{
  const Shuffle* const s = &t->shuffle;
  float                got[DRAW_NOW_FLOATS], want[DRAW_NOW_FLOATS];
  draw_now(t->recipe.run.seed,
           shuffle_first(s, step) + (2 * i + 1) * CHUNK,
           shuffle_epoch(s, step),
           0.0f,
           want);
  tensor_read(t->optimiser.devices[i], t->lanes[i].now, got);
  assert_memory_equal(got, want, sizeof want);
}

// Each step, lane and pass has its sequences, noise levels and noise.
static void
test_each_pass_has_its_own(void** state)
{
  (void)state;
  const DiffusionRecipe   recipe = plain_recipe();
  DiffusionTrainer* const t      = open_trainer(&recipe, 1);
  uint64_t                numbers[6];
  uint32_t                levels[6];
  for (uint32_t i = 0; i < 6; ++i) {
    if (i % 2 == 0) {
      take_steps(t, 1);
    }
    const SequencePass* const pass = &t->lanes[i % 2].pass;
    numbers[i]                     = pass->first_sequence;
    levels[i]                      = pass->t[0];
    check_draw(t, i % 2, i / 2);
    for (uint32_t k = 0; k < i; ++k) {
      assert_true(numbers[k] + 4 * CHUNK <= numbers[i]);
      assert_true(levels[k] != levels[i]);
    }
  }
  assert_true(shuffle_epoch(&t->shuffle, 2) > 0);
  close_trainer(t);
}

static void
test_it_learns(void** state)
{
  (void)state;
  for (int kind = OPTIMISER_LAMB; kind <= OPTIMISER_ADAMW; ++kind) {
    DiffusionRecipe r             = plain_recipe();
    r.run.steps                   = 120;
    r.run.optimiser               = kind;
    r.run.learning_rate           = 1e-2f;
    r.run.average_decay           = 0.9f;
    DiffusionTrainer* const t     = open_trainer(&r, 1);
    const DiffusionLoss     first = validate(t);
    const DiffusionLoss     again = validate(t);
    assert_memory_equal(&first, &again, sizeof first);
    assert_true(first.notes > 1000);
    take_steps(t, 200);
    const DiffusionLoss last = validate(t);
    assert_int_equal(first.notes, last.notes);
    assert_true(last.pitch_nats < 0.7 * first.pitch_nats);
    assert_true(last.squared_error[CHANNEL_STEP] <
                0.8 * first.squared_error[CHANNEL_STEP]);
    assert_true(last.code_error < 0.9 * first.code_error);
    close_trainer(t);
  }
}

static void
read_weights(const DiffusionTrainer* t, Tensor weights, Saved* out)
{
  out->size = weights.columns * sizeof(float);
  assert_true(out->size <= sizeof out->bytes);
  tensor_read(t->optimiser.devices[0], weights, (float*)(void*)out->bytes);
}

// A student begins as its teacher, which stays as it is, and learns from as
// many of its steps as the recipe says.
static void
test_a_student_learns_from_its_teacher(void** state)
{
  (void)state;
  static Saved      teacher, student, learnt[2];
  DiffusionRecipe   r = plain_recipe();
  DiffusionTrainer* t = open_trainer(&r, 1);
  char              path[RUN_PATH_BYTES];
  Error             error;
  take_steps(t, 3);
  read_weights(t, t->optimiser.average, &teacher);
  assert_int_equal(diffusion_trainer_save(t, directory, &error), STATUS_OK);
  close_trainer(t);
  run_path(directory, "checkpoint.safetensors", path);
  r.settings.student_steps = 1;
  for (uint32_t i = 0; i < 2; ++i) {
    r.teacher_substeps = 1 + 3 * i;
    t                  = malloc(sizeof *t);
    assert_non_null(t);
    assert_int_equal(
      diffusion_trainer_open(t, &r, path, dataset, "cpu", 1, &error),
      STATUS_OK);
    read_weights(t, t->optimiser.weights, &student);
    assert_memory_equal(student.bytes, teacher.bytes, teacher.size);
    take_steps(t, 2);
    read_weights(t, t->optimiser.weights, &learnt[i]);
    for (uint32_t k = 0; k < r.run.lanes; ++k) {
      read_weights(
        t, denoiser_weights(diffusion_net(t->lanes[k].teacher)), &student);
      assert_memory_equal(student.bytes, teacher.bytes, teacher.size);
    }
    close_trainer(t);
  }
  assert_memory_not_equal(learnt[0].bytes, learnt[1].bytes, teacher.size);
  remove_run();
}

// A step of either network, and of a student, waits for nothing.
static void
test_a_step_reads_nothing(void** state)
{
  (void)state;
  char            path[RUN_PATH_BYTES];
  DiffusionRecipe r = plain_recipe();
  r.run.lanes       = 1;
  run_path(directory, "checkpoint.safetensors", path);
  for (int i = 0; i < 3; ++i) {
    r.settings.student_steps  = i == 1 ? 2 : 0;
    teacher_path              = i == 1 ? path : NULL;
    r.settings.net.kind       = i == 2 ? DENOISER_LSTM : DENOISER_TRANSFORMER;
    DiffusionTrainer* const t = open_trainer(&r, 1);
    count_reads(t->optimiser.devices[0]);
    take_steps(t, 3);
    assert_int_equal(reads, 0);
    assert_int_equal(optimiser_check(&t->optimiser, NULL), STATUS_OK);
    assert_int_equal(reads, 1);
    if (i == 0) {
      assert_int_equal(diffusion_trainer_save(t, directory, NULL), STATUS_OK);
    }
    close_trainer(t);
  }
  teacher_path = NULL;
  remove_run();
}

// The held-out set is not the recipe's: only the weights count.
static void
test_held_out_figures_compare(void** state)
{
  (void)state;
  DiffusionRecipe   r     = plain_recipe();
  DiffusionTrainer* t     = open_trainer(&r, 1);
  const uint32_t    total = t->optimiser.weights.columns;
  float* const      host  = malloc(total * sizeof *host);
  tensor_read(t->optimiser.devices[0], t->optimiser.average, host);
  const DiffusionLoss one = validate(t);
  for (uint32_t i = 0; i < r.run.lanes; ++i) { // each as sampling has it
    assert_true(t->lanes[i].pass.self_condition);
  }
  close_trainer(t);
  r.run.seed      = 99;
  r.run.lanes     = 3;
  r.run.transpose = 5;
  r.infill_share  = 0.0f;
  t               = open_trainer(&r, 2);
  tensor_write(t->optimiser.devices[0], t->optimiser.average, host);
  const DiffusionLoss other = validate(t);
  close_trainer(t);
  free(host);
  assert_memory_equal(&one, &other, sizeof one);
}

// AdamW's first step moves no weight by more than the learning rate, and those
// with a gradient by just that; LAMB's by the size of their tensor.
static void
test_optimisers_differ(void** state)
{
  (void)state;
  double most[2], whole[2];
  for (int kind = OPTIMISER_LAMB; kind <= OPTIMISER_ADAMW; ++kind) {
    DiffusionRecipe r           = plain_recipe();
    r.run.optimiser             = kind;
    r.run.weight_decay          = 0.0f;
    DiffusionTrainer* const t   = open_trainer(&r, 1);
    Optimiser* const        o   = &t->optimiser;
    const uint32_t          all = o->weights.columns;
    float* const            at  = malloc(2 * all * sizeof *at);
    tensor_read(o->devices[0], o->weights, at);
    take_steps(t, 1);
    tensor_read(o->devices[0], o->weights, at + all);
    most[kind] = whole[kind] = 0.0;
    for (uint32_t i = 0; i < all; ++i) {
      const double moved = fabs((double)(at[all + i] - at[i]));
      most[kind]         = fmax(most[kind], moved);
      whole[kind] += moved * moved;
    }
    free(at);
    close_trainer(t);
  }
  assert_true(fabs(most[OPTIMISER_ADAMW] / 1e-3 - 1.0) < 0.01);
  assert_true(whole[OPTIMISER_LAMB] < 0.5 * whole[OPTIMISER_ADAMW]);
}

// --- Another device ----------------------------------------------------------

static double
loss_distance(const DiffusionLoss* a, const DiffusionLoss* b)
{
  double most = fmax(fabs(a->pitch_nats / b->pitch_nats - 1.0),
                     fabs(a->code_error / b->code_error - 1.0));
  for (int i = 0; i < CHANNEL_COUNT; ++i) {
    most = fmax(most, fabs(a->squared_error[i] / b->squared_error[i] - 1.0));
  }
  assert_int_equal(a->notes, b->notes);
  return most;
}

enum { GPU_STEPS = 8 }; // shapes of a pass, some of them replayed

typedef struct {
  DiffusionLoss losses[GPU_STEPS + 1]; // the last: held-out, not a student's
} Trained;

// In so many passes a step.
static DiffusionTrainer*
open_on(const char* device, const DiffusionRecipe* recipe, uint32_t passes)
{
  device_wanted             = device;
  DiffusionTrainer* const t = open_trainer(recipe, 1);
  device_wanted             = "cpu";
  t->lane_passes            = passes;
  t->chunk                  = recipe->run.batch / passes;
  assert_int_equal(t->optimiser.lanes, 1);
  return t;
}

static void
train_on(const char*            device,
         const DiffusionRecipe* recipe,
         uint32_t               passes,
         Trained*               out)
{
  DiffusionTrainer* const t = open_on(device, recipe, passes);
  for (int i = 0; i < GPU_STEPS; ++i) {
    uint64_t notes = 0;
    take_steps(t, 1);
    diffusion_trainer_take_loss(t, &out->losses[i], &notes);
    assert_in_range(notes, recipe->run.batch * 24, recipe->run.batch * 32);
  }
  assert_int_equal(optimiser_check(&t->optimiser, NULL), STATUS_OK);
  if (!teacher_path) {
    out->losses[GPU_STEPS] = validate(t);
    assert_int_equal(diffusion_trainer_save(t, directory, NULL), STATUS_OK);
  }
  close_trainer(t);
}

// What is trained on a GPU; the second's teacher is the first.
enum { GPU_TEACHER, GPU_STUDENT, GPU_LSTM, GPU_KINDS };

static DiffusionRecipe
gpu_recipe(int kind)
{
  static char     path[RUN_PATH_BYTES];
  DiffusionRecipe r  = plain_recipe();
  r.run.lanes        = 1;
  r.run.transpose    = 5;
  r.run.batch        = kind == GPU_LSTM ? 2 : CHUNK; // the emulator is slow
  r.run.warmup_steps = 5;                            // the rate changes
  r.settings.student_steps = kind == GPU_STUDENT ? 4 : 0;
  r.settings.net.kind = kind == GPU_LSTM ? DENOISER_LSTM : DENOISER_TRANSFORMER;
  run_path(directory, "checkpoint.safetensors", path);
  teacher_path = kind == GPU_STUDENT ? path : NULL;
  return r;
}

static bool
has_gpu(void)
{
  Device* device = NULL;
  if (device_open("cuda", &device, NULL, NULL) != STATUS_OK) {
    return false;
  }
  device_close(device);
  return true;
}

// As the CPU with one lane, up to rounding, in one pass a step or several; also
// in distilling.
static void
test_a_gpu_learns_alike(void** state)
{
  (void)state;
  static Trained cpu, gpu;
  if (!has_gpu()) {
    skip();
  }
  for (int kind = 0; kind < GPU_KINDS; ++kind) {
    const DiffusionRecipe r      = gpu_recipe(kind);
    const uint32_t        passes = kind == GPU_TEACHER ? 2 : 1;
    train_on("cpu", &r, passes, &cpu);
    train_on("cuda", &r, passes, &gpu);
    for (int i = 0; i < GPU_STEPS + !teacher_path; ++i) {
      assert_true(loss_distance(&gpu.losses[i], &cpu.losses[i]) < 1e-3);
    }
  }
  teacher_path = NULL;
  remove_run();
}

// On a GPU a step is writes, then one replay; in passes, one for each.
static void
test_a_step_is_one_launch(void** state)
{
  (void)state;
  EmulatorCounts before = { 0 };
  if (!has_gpu() || !emulated_counts(&before)) {
    skip();
  }
  for (int kind = 0; kind < GPU_KINDS; ++kind) {
    const DiffusionRecipe r = gpu_recipe(kind);
    for (uint32_t passes = 1; passes <= 2; ++passes) {
      DiffusionTrainer* const t = open_on("cuda", &r, passes);
      for (int i = 0; i < 2; ++i) {
        emulated_counts(&before);
        take_steps(t, 1);
        const EmulatorCounts asked = emulated_since(before);
        assert_int_equal(asked.graphs, passes);
        assert_int_equal(asked.plain, 0);
        assert_int_equal(asked.waits, 0);
        assert_true(asked.writes > 0);
      }
      if (kind == GPU_TEACHER) {
        assert_int_equal(diffusion_trainer_save(t, directory, NULL), STATUS_OK);
      }
      close_trainer(t);
    }
  }
  teacher_path = NULL;
  remove_run();
}

// --- Recipes -----------------------------------------------------------------

static void
test_recipe(void** state)
{
  (void)state;
  static const struct {
    const char* text;
    const char* words[3];
  } bad[] = {
    { "width = 8;\nwidht = 9;", { "r.cfg:2:", "widht" } },
    { "\n\nlayers = 0;", { "r.cfg:3:", "layers", "1 to" } },
    { "heads = 2.5;", { "r.cfg:1:", "heads", "whole" } },
    { "seed = 1;\nnetwork = \"gru\";",
      { "r.cfg:2:", "network", "transformer" } },
    { "optimiser = 1;", { "r.cfg:1:", "optimiser", "adamw" } },
    { "prefix_share = 1.5;", { "r.cfg:1:", "prefix_share", "0 to 1" } },
    { "beta = 0.1;", { "r.cfg:1:", "beta" } }, // a VAE's
    { "pitch_code = ;", { "r.cfg:1:" } },
  };
  DiffusionRecipe r;
  Error           error;
  for (size_t i = 0; i < sizeof bad / sizeof *bad; ++i) {
    r = diffusion_recipe_default();
    assert_int_not_equal(
      recipe_read_text(
        "r.cfg", bad[i].text, &diffusion_recipe_format, &r, &error),
      STATUS_OK);
    for (int w = 0; w < 3 && bad[i].words[w]; ++w) {
      assert_non_null(strstr(error.text, bad[i].words[w]));
    }
  }
  r              = diffusion_recipe_default();
  r.prefix_share = 0.6f;
  assert_int_equal(diffusion_recipe_check(&r, &error), STATUS_BAD_ARGUMENT);
  assert_non_null(strstr(error.text, "prefix_share"));

  r                     = diffusion_recipe_default();
  r.settings.pitch_code = PITCH_BITS;
  r.settings.prediction = PREDICT_V;
  r.settings.noise      = NOISE_LINEAR;
  r.run.optimiser       = OPTIMISER_LAMB;
  r.run.learning_rate   = 0.00123f;
  r.snr_high            = 7.0f;
  char text[RECIPE_TEXT_BYTES], again[RECIPE_TEXT_BYTES];
  recipe_print(&diffusion_recipe_format, &r, text);
  DiffusionRecipe read = diffusion_recipe_default();
  assert_int_equal(
    recipe_read_text("t", text, &diffusion_recipe_format, &read, &error),
    STATUS_OK);
  assert_memory_equal(&r, &read, sizeof r);
  recipe_print(&diffusion_recipe_format, &read, again);
  assert_string_equal(text, again);
}

int
main(void)
{
  const struct CMUnitTest all[] = {
    cmocka_unit_test(test_resumed_run_ends_alike),
    cmocka_unit_test(test_between_weights),
    cmocka_unit_test(test_each_pass_has_its_own),
    cmocka_unit_test(test_it_learns),
    cmocka_unit_test(test_a_student_learns_from_its_teacher),
    cmocka_unit_test(test_a_step_reads_nothing),
    cmocka_unit_test(test_held_out_figures_compare),
    cmocka_unit_test(test_optimisers_differ),
    cmocka_unit_test(test_a_gpu_learns_alike),
    cmocka_unit_test(test_a_step_is_one_launch),
    cmocka_unit_test(test_recipe),
  };
  return cmocka_run_group_tests_name(
    "diffusion_trainer", all, set_up, tear_down);
}
