// The recipe of `meander-train diffusion`.
#include "diffusion_recipe.h"

#define WHOLE(name, field, low, high)                                          \
  RECIPE_KEY_WHOLE(name, DiffusionRecipe, field, low, high)
#define REAL(name, field, low, high)                                           \
  RECIPE_KEY_REAL(name, DiffusionRecipe, field, low, high)
#define CHOICE(name, field, choices)                                           \
  RECIPE_KEY_CHOICE(name, DiffusionRecipe, field, choices)

static const RecipeKey keys[] = {
  CHOICE("network", settings.net.kind, denoiser_names),
  WHOLE("width", settings.net.width, 1, DENOISER_WIDTH_MAX),
  WHOLE("layers", settings.net.layers, 1, DENOISER_LAYERS_MAX),
  WHOLE("heads", settings.net.heads, 1, DENOISER_HEADS_MAX),
  WHOLE("bottleneck", settings.net.bottleneck, 1, DENOISER_WIDTH_MAX),
  WHOLE("time_width", settings.net.time_width, 1, DENOISER_WIDTH_MAX),
  CHOICE("pitch_code", settings.pitch_code, pitch_code_names),
  CHOICE("prediction", settings.prediction, prediction_names),
  CHOICE("noise", settings.noise, noise_kind_names),
  WHOLE("noise_steps", settings.noise_steps, 2, NOISE_STEPS_MAX),
  WHOLE("self_condition", settings.self_condition, 0, 1),
  WHOLE("student_steps", settings.student_steps, 0, 64),
  WHOLE("teacher_substeps", teacher_substeps, 1, 64),
  WHOLE("chunk", chunk, 1, RECIPE_CHUNK_MAX),
  REAL("continuation_share", continuation_share, 0, 1),
  REAL("prefix_share", prefix_share, 0, 1),
  REAL("infill_share", infill_share, 0, 1),
  REAL("channel_weight", channel_weight, 0, 1000),
  REAL("snr_low", snr_low, 0, 1e6),
  REAL("snr_high", snr_high, 0, 1e6),
  WHOLE("validate_steps", validate_steps, 1, 100000000),
};

const RecipeFormat diffusion_recipe_format = { keys,
                                               sizeof keys / sizeof *keys };

DiffusionRecipe
diffusion_recipe_default(void)
{
  return (DiffusionRecipe){
    .run                = { .seed            = 1,
                            .batch           = 128,
                            .lanes           = 2,
                            .steps           = 20000,
                            .optimiser       = OPTIMISER_ADAMW,
                            .learning_rate   = 1e-3f,
                            .warmup_steps    = 300,
                            .weight_decay    = 0.01f,
                            .clip_norm       = 1.0f,
                            .average_decay   = 0.9995f,
                            .transpose       = 5,
                            .tempo_spread    = 0.1f,
                            .velocity_spread = 0.1f,
                            .save_steps      = 500 },
    .settings           = { .net            = { .kind       = DENOISER_TRANSFORMER,
                                                .width      = 160,
                                                .layers     = 6,
                                                .heads      = 5,
                                                .bottleneck = 64,
                                                .time_width = 64 },
                            .pitch_code     = PITCH_EMBEDDING,
                            .prediction     = PREDICT_DATA,
                            .noise          = NOISE_COSINE,
                            .noise_steps    = 1000,
                            .self_condition = 1 },
    .chunk              = 32,
    .continuation_share = 0.35f,
    .prefix_share       = 0.15f,
    .infill_share       = 0.20f,
    .channel_weight     = 1.0f,
    .snr_low            = 1.0f,
    .snr_high           = 5.0f,
    .teacher_substeps   = 4,
    .validate_steps     = 500,
  };
}

Status
diffusion_recipe_check(DiffusionRecipe* r, Error* error)
{
  if (r->continuation_share + r->prefix_share + r->infill_share > 1.0001f) {
    return error_set(error,
                     STATUS_BAD_ARGUMENT,
                     "recipe: continuation_share, prefix_share and "
                     "infill_share must be at most 1 together");
  }
  if (r->snr_low > r->snr_high) {
    return error_set(
      error, STATUS_BAD_ARGUMENT, "recipe: snr_low is above snr_high");
  }
  const uint32_t student = r->settings.student_steps;
  if (student && (r->settings.prediction != PREDICT_DATA ||
                  r->settings.noise_steps / student < r->teacher_substeps)) {
    return error_set(error,
                     STATUS_BAD_ARGUMENT,
                     "recipe: a student needs prediction \"data\" and at most "
                     "noise_steps / student_steps teacher_substeps");
  }
  return diffusion_check_settings(&r->settings, error);
}
