// `meander-train vae`: the VAE's trainer as a TrainingRun.
#include "vae_command.h"

#include "training_run.h"
#include "vae_trainer.h"

typedef struct {
  VaeTrainer  trainer;
  VaeSchedule schedule; // of the last step
} Run;

enum {
  EPOCH,
  WINDOWS,
  RATE,
  BETA,
  FORCING,
  PITCH,
  VELOCITY,
  STEP,
  DURATION,
  KL,
  NORM,
  SPEED,
  COLUMN_COUNT
};

static const RunColumn columns[COLUMN_COUNT] = {
  [EPOCH]    = { "epoch", NULL, 0 },
  [WINDOWS]  = { "windows", NULL, 0 },
  [RATE]     = { "learning_rate", NULL, 0 },
  [BETA]     = { "beta", NULL, 0 },
  [FORCING]  = { "forcing", NULL, 0 },
  [PITCH]    = { "pitch_nats", "pitch", 2 },
  [VELOCITY] = { "velocity_mse", "vel", 2 },
  [STEP]     = { "step_mse", "step", 2 },
  [DURATION] = { "duration_mse", "dur", 2 },
  [KL]       = { "kl_nats", "KL", 1 },
  [NORM]     = { "gradient_norm", NULL, 0 },
  [SPEED]    = { "windows_per_s", "windows/s", 0 },
};

static Status
open_run(void*          self,
         const void*    recipe,
         const Dataset* dataset,
         const char*    device,
         uint32_t       thread_count,
         Error*         error)
{
  Run* const run = self;
  return vae_trainer_open(
    &run->trainer, recipe, dataset, device, thread_count, error);
}

static void
close_run(void* self)
{
  Run* const run = self;
  vae_trainer_close(&run->trainer);
}

static Status
step(void* self, Error* error)
{
  Run* const run = self;
  run->schedule  = vae_trainer_schedule(&run->trainer);
  return vae_trainer_step(&run->trainer, error);
}

static Status
report(void* self, uint32_t steps, double seconds, double* values, Error* error)
{
  (void)error;
  Run* const          run     = self;
  VaeTrainer* const   t       = &run->trainer;
  const double        batch   = t->recipe.run.batch;
  const double        windows = steps * batch;
  const double        notes   = windows * WINDOW_NOTES;
  VaeLoss             loss    = { 0 };
  const double* const errors  = loss.squared_error;
  vae_trainer_take_loss(t, &loss);

  values[EPOCH]    = (double)t->optimiser.step / t->shuffle.steps_per_epoch;
  values[WINDOWS]  = t->optimiser.step * batch;
  values[RATE]     = run->schedule.learning_rate;
  values[BETA]     = run->schedule.beta;
  values[FORCING]  = run->schedule.forcing;
  values[PITCH]    = loss.pitch_nats / notes;
  values[VELOCITY] = errors[CHANNEL_VELOCITY] / notes;
  values[STEP]     = errors[CHANNEL_STEP] / notes;
  values[DURATION] = errors[CHANNEL_DURATION] / notes;
  values[KL]       = loss.kl_nats / windows;
  values[NORM]     = t->optimiser.gradient_norm;
  values[SPEED]    = seconds > 0 ? windows / seconds : 0;
  return STATUS_OK;
}

static Status
save(void* self, const char* directory, Error* error)
{
  Run* const run = self;
  return vae_trainer_save(&run->trainer, directory, error);
}

int
vae_command_main(int argc, char** argv)
{
  static Run        state; // large
  VaeRecipe         recipe = vae_recipe_default();
  const TrainingRun run    = {
       .command      = "vae",
       .product      = "a VAE",
       .unit         = "windows",
       .format       = &vae_recipe_format,
       .recipe       = &recipe,
       .columns      = columns,
       .column_count = COLUMN_COUNT,
       .trainer      = &state,
       .optimiser    = &state.trainer.optimiser,
       .shuffle      = &state.trainer.shuffle,
       .open         = open_run,
       .close        = close_run,
       .step         = step,
       .report       = report,
       .save         = save,
  };
  return training_run_main(argc, argv, &run);
}
