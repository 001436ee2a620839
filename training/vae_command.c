// `meander-train vae`: the command line, the loop, signals and the run
// directory.
#include "vae_command.h"

#include "clock.h"
#include "command.h"
#include "file.h"
#include "run_log.h"
#include "trainer_state.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define REPORT_STEPS 25u

static volatile sig_atomic_t stop_signal;

static void
on_signal(int signal)
{
  stop_signal = signal;
}

static const char usage[] =
  "usage: meander-train vae --data FILE --out DIR [options]\n"
  "Trains a VAE; DIR/checkpoint.safetensors is ready to play at any time.\n"
  "  --data FILE     data set made by meander-train prepare\n"
  "  --out DIR       run directory, made if absent\n"
  "  --config FILE   recipe (libconfig; training/recipe.h lists the keys)\n"
  "  --resume        go on with the run in DIR\n"
  "  --steps N       instead of the recipe's\n"
  "  --batch N       instead of the recipe's, 1 to 4096\n"
  "  --seed N        instead of the recipe's\n"
  "  --threads N     default: one a core\n";

typedef struct {
  const char* data;
  const char* out;
  const char* config;
  bool        resume;
  uint32_t    steps, batch, seed, threads;
  bool        has_steps, has_batch, has_seed;
} Options;

static bool
parse(int argc, char** argv, Options* o, int* exit_code)
{
  const CommandOption options[] = {
    { "data", 'd', COMMAND_TEXT, &o->data, .required = true },
    { "out", 'o', COMMAND_TEXT, &o->out, .required = true },
    { "config", 'c', COMMAND_TEXT, &o->config, .required = false },
    { "resume", 'r', COMMAND_FLAG, &o->resume, .required = false },
    { "steps", 0, COMMAND_U32, &o->steps, 1, 100000000, false, &o->has_steps },
    { "batch",
      0,
      COMMAND_U32,
      &o->batch,
      1,
      RECIPE_BATCH_MAX,
      false,
      &o->has_batch },
    { "seed", 0, COMMAND_U32, &o->seed, 0, INT32_MAX, false, &o->has_seed },
    { "threads", 0, COMMAND_U32, &o->threads, .low = 1, .high = 64 },
  };
  if (!command_parse(argc,
                     argv,
                     usage,
                     options,
                     sizeof options / sizeof *options,
                     NULL,
                     exit_code)) {
    return false;
  }
  if (o->resume && (o->config || o->has_batch || o->has_seed)) {
    fprintf(stderr,
            "meander-train vae: --resume keeps the run's own recipe; only "
            "--steps may change\n%s",
            usage);
    *exit_code = COMMAND_USAGE;
    return false;
  }
  return true;
}

static Status
make_recipe(const Options* o, VaeRecipe* recipe, Error* error)
{
  Status status = STATUS_OK;
  *recipe       = recipe_default();
  if (o->resume) {
    status = trainer_read_recipe(o->out, recipe, error);
  } else if (o->config) {
    status = recipe_read(o->config, recipe, error);
  }
  recipe->steps = o->has_steps ? o->steps : recipe->steps;
  recipe->batch = o->has_batch ? o->batch : recipe->batch;
  recipe->seed  = o->has_seed ? o->seed : recipe->seed;
  if (status == STATUS_OK && recipe->lanes > recipe->batch) {
    recipe->lanes = recipe->batch;
  }
  return status;
}

static RunReport
make_report(const Trainer*  t,
            const Schedule* schedule,
            const VaeLoss*  loss,
            uint32_t        steps,
            float           norm,
            double          seconds)
{
  const double windows = (double)steps * t->recipe.batch;
  const double notes   = windows * WINDOW_NOTES;
  RunReport    report  = {
        .step          = t->step,
        .step_count    = t->recipe.steps,
        .epoch         = (double)t->step / t->steps_per_epoch,
        .windows       = (uint64_t)t->step * t->recipe.batch,
        .learning_rate = schedule->learning_rate,
        .beta          = schedule->beta,
        .forcing       = schedule->forcing,
        .gradient_norm = norm,
        .pitch_nats    = loss->pitch_nats / notes,
        .kl_nats       = loss->kl_nats / windows,
        .windows_per_s = seconds > 0 ? windows / seconds : 0,
  };
  for (int i = 0; i < CHANNEL_COUNT; ++i) {
    report.squared_error[i] = loss->squared_error[i] / notes;
  }
  return report;
}

static Status
train(Trainer* t, const char* directory, RunLog* log, Error* error)
{
  VaeLoss  loss    = { 0 };
  uint32_t counted = 0;
  double   since_s = clock_now_s();
  bool     last    = t->step >= t->recipe.steps;
  // A finished run is only saved again: its checkpoint may be gone.
  Status status = last ? trainer_save(t, directory, error) : STATUS_OK;
  while (status == STATUS_OK && !last) {
    const Schedule schedule = trainer_schedule(t);
    float          norm;
    status = trainer_step(t, &loss, &norm, error);
    ++counted;
    // Read once a step: a signal that comes later ends the next one.
    last = t->step >= t->recipe.steps || stop_signal;
    if (status == STATUS_OK && (t->step % REPORT_STEPS == 0 || last)) {
      const RunReport report = make_report(
        t, &schedule, &loss, counted, norm, clock_now_s() - since_s);
      run_log_write(log, &report);
      loss    = (VaeLoss){ 0 };
      counted = 0;
      since_s = clock_now_s();
    }
    if (status == STATUS_OK && (t->step % t->recipe.save_steps == 0 || last)) {
      status = trainer_save(t, directory, error);
    }
  }
  return status;
}

static Status
run(const Options* o, const Dataset* dataset, Trainer* trainer, Error* error)
{
  VaeRecipe recipe;
  Status    status = make_recipe(o, &recipe, error);
  if (status == STATUS_OK) {
    status = file_make_directory(o->out, error);
  }
  if (status == STATUS_OK && !o->resume &&
      command_exists_in(o->out, "state.safetensors")) {
    status = error_set(error,
                       STATUS_BAD_ARGUMENT,
                       "%s: a run is in it; use --resume, or another --out",
                       o->out);
  }
  if (status == STATUS_OK) {
    status = trainer_open(trainer, &recipe, dataset, o->threads, error);
  }
  if (status == STATUS_OK && o->resume) {
    status = trainer_load(trainer, o->out, error);
  }
  RunLog log = { 0 };
  if (status == STATUS_OK) {
    status = run_log_open(&log, o->out, trainer->step, error);
  }
  if (status != STATUS_OK) {
    return status;
  }
  printf(
    "%zu weights, %llu windows (%s), %u threads, batch %u, steps %u to %u\n",
    (size_t)trainer->average.columns,
    (unsigned long long)trainer->shuffle.window_count,
    device_name(trainer->lanes[0].device),
    pool_thread_count(trainer->pool),
    recipe.batch,
    trainer->step,
    recipe.steps);
  fflush(stdout);
  status = train(trainer, o->out, &log, error);
  run_log_close(&log);
  return status;
}

int
vae_command_main(int argc, char** argv)
{
  Options options = { 0 };
  int     exit_code;
  if (!parse(argc, argv, &options, &exit_code)) {
    return exit_code;
  }
  Error    error;
  Dataset* dataset;
  Status   status = dataset_open(options.data, &dataset, &error);
  if (status != STATUS_OK) {
    return command_fail("vae", &error);
  }
  const struct sigaction action = { .sa_handler = on_signal };
  sigaction(SIGINT, &action, NULL);
  sigaction(SIGTERM, &action, NULL);
  static Trainer trainer; // large
  status = run(&options, dataset, &trainer, &error);
  if (status == STATUS_OK) {
    printf("%s at step %u: %s/checkpoint.safetensors\n",
           stop_signal ? "stopped" : "done",
           trainer.step,
           options.out);
  }
  trainer_close(&trainer);
  dataset_close(dataset);
  return status == STATUS_OK ? 0 : command_fail("vae", &error);
}
