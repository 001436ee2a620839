// `meander-train diffusion`: the diffusion model's trainer as a TrainingRun.
#include "diffusion_command.h"

#include "diffusion_trainer.h"
#include "training_run.h"

#include <math.h>

typedef struct {
  DiffusionTrainer trainer;
  const char*      teacher_path;
  float            learning_rate; // of the last step
} Run;

// What a loss is told by, for training and for held-out pieces.
enum { PITCH, CODE, VELOCITY, STEP, DURATION, LOSS_COLUMNS };

enum {
  EPOCH,
  RATE,
  NORM,
  TRAINED,
  SPEED = TRAINED + LOSS_COLUMNS,
  HELD_OUT,
  COLUMN_COUNT = HELD_OUT + LOSS_COLUMNS
};

static const RunColumn columns[COLUMN_COUNT] = {
  [EPOCH]               = { "epoch", NULL, 0 },
  [RATE]                = { "learning_rate", NULL, 0 },
  [NORM]                = { "gradient_norm", NULL, 0 },
  [TRAINED + PITCH]     = { "pitch_nats", "pitch", 3 },
  [TRAINED + CODE]      = { "code_error", NULL, 0 },
  [TRAINED + VELOCITY]  = { "velocity_mse", "vel", 3 },
  [TRAINED + STEP]      = { "step_mse", "step", 3 },
  [TRAINED + DURATION]  = { "duration_mse", "dur", 3 },
  [SPEED]               = { "notes_per_s", "notes/s", 0 },
  [HELD_OUT + PITCH]    = { "valid_pitch_nats", "held out: pitch", 3 },
  [HELD_OUT + CODE]     = { "valid_code_error", NULL, 0 },
  [HELD_OUT + VELOCITY] = { "valid_velocity_mse", "vel", 3 },
  [HELD_OUT + STEP]     = { "valid_step_mse", "step", 3 },
  [HELD_OUT + DURATION] = { "valid_duration_mse", "dur", 3 },
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
  return diffusion_trainer_open(&run->trainer,
                                recipe,
                                run->teacher_path,
                                dataset,
                                device,
                                thread_count,
                                error);
}

static const char*
teacher_digest(const void* self)
{
  const Run* const run = self;
  return diffusion_trainer_teacher(&run->trainer);
}

static void
close_run(void* self)
{
  Run* const run = self;
  diffusion_trainer_close(&run->trainer);
}

static Status
step(void* self, Error* error)
{
  Run* const run     = self;
  run->learning_rate = optimiser_rate(&run->trainer.optimiser);
  return diffusion_trainer_step(&run->trainer, error);
}

// Means over the noised notes; NaN where there are none, and for the pitch of a
// network that gives no probabilities.
static void
tell_loss(const DiffusionTrainer* t, const DiffusionLoss* loss, double* values)
{
  const double notes     = loss->notes ? (double)loss->notes : NAN;
  const bool   has_pitch = t->recipe.settings.prediction == PREDICT_DATA;
  values[PITCH]          = has_pitch ? loss->pitch_nats / notes : NAN;
  values[CODE]           = loss->code_error / notes;
  values[VELOCITY]       = loss->squared_error[CHANNEL_VELOCITY] / notes;
  values[STEP]           = loss->squared_error[CHANNEL_STEP] / notes;
  values[DURATION]       = loss->squared_error[CHANNEL_DURATION] / notes;
}

static Status
report(void* self, uint32_t steps, double seconds, double* values, Error* error)
{
  Run* const              run    = self;
  DiffusionTrainer* const t      = &run->trainer;
  const uint32_t          now    = t->optimiser.step;
  const uint32_t          every  = t->recipe.validate_steps;
  DiffusionLoss           loss   = { 0 };
  DiffusionLoss           held   = { 0 };
  uint64_t                notes  = 0;
  Status                  status = STATUS_OK;
  diffusion_trainer_take_loss(t, &loss, &notes);
  // When a multiple of `every` was passed, and at the end.
  if (now / every != (now - steps) / every || now >= t->recipe.run.steps) {
    status = diffusion_trainer_validate(t, &held, error);
  }
  values[EPOCH] = (double)now / t->shuffle.steps_per_epoch;
  values[RATE]  = run->learning_rate;
  values[NORM]  = t->optimiser.gradient_norm;
  values[SPEED] = seconds > 0 ? (double)notes / seconds : 0;
  tell_loss(t, &loss, values + TRAINED);
  tell_loss(t, &held, values + HELD_OUT);
  return status;
}

static Status
save(void* self, const char* directory, Error* error)
{
  Run* const run = self;
  return diffusion_trainer_save(&run->trainer, directory, error);
}

int
diffusion_command_main(int argc, char** argv)
{
  static Run        state; // large
  DiffusionRecipe   recipe = diffusion_recipe_default();
  const TrainingRun run    = {
       .command        = "diffusion",
       .product        = "a diffusion model",
       .unit           = "sequences",
       .format         = &diffusion_recipe_format,
       .recipe         = &recipe,
       .columns        = columns,
       .column_count   = COLUMN_COUNT,
       .trainer        = &state,
       .optimiser      = &state.trainer.optimiser,
       .shuffle        = &state.trainer.shuffle,
       .teacher_path   = &state.teacher_path,
       .teacher_digest = teacher_digest,
       .open           = open_run,
       .close          = close_run,
       .step           = step,
       .report         = report,
       .save           = save,
  };
  return training_run_main(argc, argv, &run);
}
