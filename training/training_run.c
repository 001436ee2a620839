// The command line, the loop, signals and the run directory of a training run.
#include "training_run.h"

#include "clock.h"
#include "command.h"
#include "file.h"
#include "run_state.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#define REPORT_STEPS 25u
#define USAGE_BYTES 1024u

static volatile sig_atomic_t stop_signal;

static void
on_signal(int signal)
{
  stop_signal = signal;
}

static const char teacher_usage[] = "  --teacher FILE  checkpoint to distil, "
                                    "where the recipe has student_steps\n";

static void
print_usage(const TrainingRun* run, char text[USAGE_BYTES])
{
  snprintf(
    text,
    USAGE_BYTES,
    "usage: meander-train %s --data FILE --out DIR [options]\n"
    "Trains %s; DIR/checkpoint.safetensors is ready to play at any time.\n"
    "  --data FILE     data set made by meander-train prepare\n"
    "  --out DIR       run directory, made if absent\n"
    "  --config FILE   recipe (libconfig; training/*_recipe.h list the keys)\n"
    "  --resume        go on with the run in DIR\n"
    "  --steps N       instead of the recipe's\n"
    "  --batch N       %s a step, instead of the recipe's, 1 to %u\n"
    "  --seed N        instead of the recipe's\n"
    "  --device D      auto (default), cpu, cuda or cuda:N\n"
    "  --threads N     on the CPU; default: one a core\n"
    "%s",
    run->command,
    run->product,
    run->unit,
    RECIPE_BATCH_MAX,
    run->teacher_path ? teacher_usage : "");
}

typedef struct {
  const char* data;
  const char* out;
  const char* config;
  const char* device;
  bool        resume;
  uint32_t    steps, batch, seed, threads;
  bool        has_steps, has_batch, has_seed;
} Options;

static bool
parse(int argc, char** argv, const TrainingRun* run, Options* o, int* exit_code)
{
  const CommandOption options[] = {
    { "data", 'd', COMMAND_TEXT, &o->data, .required = true },
    { "out", 'o', COMMAND_TEXT, &o->out, .required = true },
    { "config", 'c', COMMAND_TEXT, &o->config, .required = false },
    { "resume", 'r', COMMAND_FLAG, &o->resume, .required = false },
    { "device", 0, COMMAND_TEXT, &o->device, .required = false },
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
    // Last: only some commands have it.
    { "teacher", 0, COMMAND_TEXT, run->teacher_path, .required = false },
  };
  const size_t count =
    sizeof options / sizeof *options - (run->teacher_path ? 0 : 1);
  char usage[USAGE_BYTES];
  print_usage(run, usage);
  if (!command_parse(argc, argv, usage, options, count, NULL, exit_code)) {
    return false;
  }
  if (o->resume && (o->config || o->has_batch || o->has_seed)) {
    fprintf(stderr,
            "meander-train %s: --resume keeps the run's own recipe; only "
            "--steps may change\n%s",
            run->command,
            usage);
    *exit_code = COMMAND_USAGE;
    return false;
  }
  return true;
}

static Status
make_recipe(const Options* o, const TrainingRun* run, Error* error)
{
  RunRecipe* const recipe = run->recipe;
  Status           status = STATUS_OK;
  if (o->resume) {
    status = run_state_recipe(o->out, run->format, recipe, error);
  } else if (o->config) {
    status = recipe_read(o->config, run->format, recipe, error);
  }
  recipe->steps = o->has_steps ? o->steps : recipe->steps;
  recipe->batch = o->has_batch ? o->batch : recipe->batch;
  recipe->seed  = o->has_seed ? o->seed : recipe->seed;
  return status;
}

static Status
report(const TrainingRun* run,
       RunLog*            log,
       uint32_t           steps,
       double             seconds,
       Error*             error)
{
  double       values[RUN_LOG_COLUMNS_MAX];
  const Status status =
    run->report(run->trainer, steps, seconds, values, error);
  if (status == STATUS_OK) {
    run_log_write(log,
                  run->optimiser->step,
                  run->optimiser->recipe->steps,
                  seconds > 0 ? steps / seconds : 0,
                  values);
  }
  return status;
}

static Status
train(const TrainingRun* run, const char* directory, RunLog* log, Error* error)
{
  const Optimiser* const o       = run->optimiser;
  const RunRecipe* const recipe  = o->recipe;
  uint32_t               counted = 0;
  double                 since_s = clock_now_s();
  double                 aside_s = 0.0; // spent on reports and saves
  bool                   last    = o->step >= recipe->steps;
  // A finished run is only saved again: its checkpoint may be gone.
  Status status = last ? run->save(run->trainer, directory, error) : STATUS_OK;
  while (status == STATUS_OK && !last) {
    status = run->step(run->trainer, error);
    ++counted;
    // Read once a step: a signal that comes later ends the next one.
    last               = o->step >= recipe->steps || stop_signal;
    const bool reports = o->step % REPORT_STEPS == 0 || last;
    const bool saves   = o->step % recipe->save_steps == 0 || last;
    // Nothing is told or saved of steps that failed, or are still to be done.
    if (status == STATUS_OK && (reports || saves)) {
      status = optimiser_check(run->optimiser, error);
    }
    const double before_s = clock_now_s();
    if (status == STATUS_OK && reports) {
      status  = report(run, log, counted, before_s - since_s - aside_s, error);
      counted = 0;
      since_s = before_s;
      aside_s = 0.0;
    }
    if (status == STATUS_OK && saves) {
      status = run->save(run->trainer, directory, error);
    }
    aside_s += clock_now_s() - before_s;
  }
  return status;
}

static Status
open_and_train(const Options*     o,
               const Dataset*     dataset,
               const TrainingRun* run,
               Error*             error)
{
  Status status = make_recipe(o, run, error);
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
  if (status != STATUS_OK) {
    return status;
  }
  RunLog log = { 0 };
  status =
    run->open(run->trainer, run->recipe, dataset, o->device, o->threads, error);
  if (status == STATUS_OK && o->resume) {
    const char* const teacher =
      run->teacher_digest ? run->teacher_digest(run->trainer) : NULL;
    status = run_state_load(run->optimiser, o->out, dataset, teacher, error);
  }
  if (status == STATUS_OK) {
    status = run_log_open(&log,
                          o->out,
                          run->columns,
                          run->column_count,
                          run->optimiser->step,
                          error);
  }
  if (status == STATUS_OK) {
    const RunRecipe* const recipe = run->recipe;
    printf("%zu weights, %llu %s (%s), %u threads, batch %u, steps %u to %u\n",
           parameters_weights(run->optimiser->table,
                              run->optimiser->parameter_count),
           (unsigned long long)run->shuffle->count,
           run->unit,
           run->optimiser->device_text,
           pool_thread_count(run->optimiser->pool),
           recipe->batch,
           run->optimiser->step,
           recipe->steps);
    fflush(stdout);
    status = train(run, o->out, &log, error);
    run_log_close(&log);
  }
  if (status == STATUS_OK) {
    printf("%s at step %u: %s/checkpoint.safetensors\n",
           stop_signal ? "stopped" : "done",
           run->optimiser->step,
           o->out);
  }
  run->close(run->trainer);
  return status;
}

int
training_run_main(int argc, char** argv, const TrainingRun* run)
{
  Options options = { .device = "auto" };
  int     exit_code;
  if (!parse(argc, argv, run, &options, &exit_code)) {
    return exit_code;
  }
  Error    error;
  Dataset* dataset;
  Status   status = dataset_open(options.data, &dataset, &error);
  if (status != STATUS_OK) {
    return command_fail(run->command, &error);
  }
  const struct sigaction action = { .sa_handler = on_signal };
  sigaction(SIGINT, &action, NULL);
  sigaction(SIGTERM, &action, NULL);
  status = open_and_train(&options, dataset, run, &error);
  dataset_close(dataset);
  return status == STATUS_OK ? 0 : command_fail(run->command, &error);
}
