// The recipe of `meander-train vae`.
#include "vae_recipe.h"

#define WHOLE(name, field, low, high)                                          \
  RECIPE_KEY_WHOLE(name, VaeRecipe, field, low, high)
#define REAL(name, field, low, high)                                           \
  RECIPE_KEY_REAL(name, VaeRecipe, field, low, high)

static const RecipeKey keys[] = {
  WHOLE("pitch_embedding", sizes.pitch_embedding, 1, VAE_SIZE_MAX),
  WHOLE("encoder_hidden", sizes.encoder_hidden, 1, VAE_SIZE_MAX),
  WHOLE("latent", sizes.latent, 1, VAE_SIZE_MAX),
  WHOLE("decoder_hidden", sizes.decoder_hidden, 1, VAE_SIZE_MAX),
  REAL("channel_weight", channel_weight, 0, 1000),
  REAL("beta", beta, 0, 100),
  WHOLE("beta_steps", beta_steps, 0, 100000000),
  REAL("free_bits", free_bits, 0, 10000),
  REAL("forcing_start", forcing_start, 0, 1),
  REAL("forcing_end", forcing_end, 0, 1),
  WHOLE("forcing_steps", forcing_steps, 0, 100000000),
  REAL("prior_spread", prior_spread, 0.1, 10),
};

const RecipeFormat vae_recipe_format = { keys, sizeof keys / sizeof *keys };

VaeRecipe
vae_recipe_default(void)
{
  return (VaeRecipe){
    .run            = { .seed            = 1,
                        .batch           = 512,
                        .lanes           = 2,
                        .steps           = 20000,
                        .optimiser       = OPTIMISER_LAMB,
                        .learning_rate   = 1e-3f,
                        .warmup_steps    = 500,
                        .weight_decay    = 1e-4f,
                        .clip_norm       = 1.0f,
                        .average_decay   = 0.999f,
                        .transpose       = 5,
                        .tempo_spread    = 0.1f,
                        .velocity_spread = 0.1f,
                        .save_steps      = 500 },
    .sizes          = { .pitch_embedding = 32,
                        .encoder_hidden  = 256,
                        .latent          = 48,
                        .decoder_hidden  = 384 },
    .channel_weight = 5.0f,
    .beta           = 0.2f,
    .beta_steps     = 5000,
    .free_bits      = 48.0f,
    .forcing_start  = 1.0f,
    .forcing_end    = 0.3f,
    .forcing_steps  = 10000,
    .prior_spread   = 1.15f,
  };
}
