// Training recipes.
#include "recipe.h"

#include <libconfig.h>

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

typedef struct {
  const char* name;
  bool        is_real;
  size_t      offset;
  double      low;
  double      high;
} Key;

#define WHOLE(name, field, low, high)                                          \
  {                                                                            \
    name, false, offsetof(VaeRecipe, field), low, high                         \
  }
#define REAL(name, field, low, high)                                           \
  {                                                                            \
    name, true, offsetof(VaeRecipe, field), low, high                          \
  }

static const Key keys[] = {
  WHOLE("pitch_embedding", sizes.pitch_embedding, 1, VAE_SIZE_MAX),
  WHOLE("encoder_hidden", sizes.encoder_hidden, 1, VAE_SIZE_MAX),
  WHOLE("latent", sizes.latent, 1, VAE_SIZE_MAX),
  WHOLE("decoder_hidden", sizes.decoder_hidden, 1, VAE_SIZE_MAX),
  WHOLE("seed", seed, 0, INT32_MAX),
  WHOLE("batch", batch, 1, RECIPE_BATCH_MAX),
  WHOLE("lanes", lanes, 1, RECIPE_LANES_MAX),
  WHOLE("steps", steps, 1, 100000000),
  REAL("learning_rate", learning_rate, 0, 1),
  WHOLE("warmup_steps", warmup_steps, 0, 100000000),
  REAL("weight_decay", weight_decay, 0, 1),
  REAL("clip_norm", clip_norm, 0, 1e6),
  REAL("average_decay", average_decay, 0, 1),
  REAL("channel_weight", channel_weight, 0, 1000),
  REAL("beta", beta, 0, 100),
  WHOLE("beta_steps", beta_steps, 0, 100000000),
  REAL("free_bits", free_bits, 0, 10000),
  REAL("forcing_start", forcing_start, 0, 1),
  REAL("forcing_end", forcing_end, 0, 1),
  WHOLE("forcing_steps", forcing_steps, 0, 100000000),
  REAL("prior_spread", prior_spread, 0.1, 10),
  WHOLE("transpose", transpose, 0, 24),
  REAL("tempo_spread", tempo_spread, 0, 0.9),
  REAL("velocity_spread", velocity_spread, 0, 0.9),
  WHOLE("save_steps", save_steps, 1, 100000000),
};
#define KEY_COUNT (sizeof keys / sizeof *keys)

VaeRecipe
recipe_default(void)
{
  return (VaeRecipe){
    .sizes           = { .pitch_embedding = 32,
                         .encoder_hidden  = 256,
                         .latent          = 48,
                         .decoder_hidden  = 384 },
    .seed            = 1,
    .batch           = 512,
    .lanes           = 2,
    .steps           = 20000,
    .learning_rate   = 1e-3f,
    .warmup_steps    = 500,
    .weight_decay    = 1e-4f,
    .clip_norm       = 1.0f,
    .average_decay   = 0.999f,
    .channel_weight  = 5.0f,
    .beta            = 0.2f,
    .beta_steps      = 5000,
    .free_bits       = 48.0f,
    .forcing_start   = 1.0f,
    .forcing_end     = 0.3f,
    .forcing_steps   = 10000,
    .prior_spread    = 1.15f,
    .transpose       = 5,
    .tempo_spread    = 0.1f,
    .velocity_spread = 0.1f,
    .save_steps      = 500,
  };
}

static const Key*
find_key(const char* name)
{
  for (size_t i = 0; name && i < KEY_COUNT; ++i) {
    if (!strcmp(keys[i].name, name)) {
      return &keys[i];
    }
  }
  return NULL;
}

// One setting of the file into its field.
static Status
take(const char*             path,
     const config_setting_t* setting,
     VaeRecipe*              recipe,
     Error*                  error)
{
  const char* const name = config_setting_name(setting);
  const int         line = config_setting_source_line(setting);
  const Key* const  key  = find_key(name);
  if (!key) {
    return error_set(error,
                     STATUS_BAD_ARGUMENT,
                     "%s:%d: unknown key '%s'",
                     path,
                     line,
                     name ? name : "");
  }
  const int    type  = config_setting_type(setting);
  const bool   whole = type == CONFIG_TYPE_INT || type == CONFIG_TYPE_INT64;
  const double value = whole ? (double)config_setting_get_int64(setting)
                       : type == CONFIG_TYPE_FLOAT
                         ? config_setting_get_float(setting)
                         : 0.0;
  if (!whole && (!key->is_real || type != CONFIG_TYPE_FLOAT)) {
    return error_set(error,
                     STATUS_BAD_ARGUMENT,
                     "%s:%d: %s must be a %s",
                     path,
                     line,
                     key->name,
                     key->is_real ? "number" : "whole number");
  }
  if (!(value >= key->low && value <= key->high)) {
    return error_set(error,
                     STATUS_BAD_ARGUMENT,
                     "%s:%d: %s = %g is out of range, %g to %g",
                     path,
                     line,
                     key->name,
                     value,
                     key->low,
                     key->high);
  }
  if (key->is_real) {
    *(float*)(void*)((char*)recipe + key->offset) = (float)value;
  } else {
    *(uint32_t*)(void*)((char*)recipe + key->offset) = (uint32_t)value;
  }
  return STATUS_OK;
}

// `stream` NULL: reads `text`.
static Status
read_config(const char* name,
            FILE*       stream,
            const char* text,
            VaeRecipe*  recipe,
            Error*      error)
{
  config_t config;
  config_init(&config);
  const int parsed =
    stream ? config_read(&config, stream) : config_read_string(&config, text);
  Status status = STATUS_OK;
  if (!parsed) {
    status = error_set(error,
                       STATUS_BAD_FILE,
                       "%s:%d: %s",
                       name,
                       config_error_line(&config),
                       config_error_text(&config));
  }
  const config_setting_t* const root = config_root_setting(&config);
  const int count = status == STATUS_OK ? config_setting_length(root) : 0;
  for (int i = 0; i < count && status == STATUS_OK; ++i) {
    status =
      take(name, config_setting_get_elem(root, (unsigned)i), recipe, error);
  }
  config_destroy(&config);
  return status;
}

Status
recipe_read(const char* path, VaeRecipe* recipe, Error* error)
{
  FILE* const stream = fopen(path, "re");
  if (!stream) {
    return error_set(error,
                     STATUS_NOT_FOUND,
                     "%s: cannot read the recipe: %s",
                     path,
                     strerror(errno));
  }
  const Status status = read_config(path, stream, NULL, recipe, error);
  fclose(stream);
  return status;
}

Status
recipe_read_text(const char* name,
                 const char* text,
                 VaeRecipe*  recipe,
                 Error*      error)
{
  return read_config(name, NULL, text, recipe, error);
}

void
recipe_print(const VaeRecipe* recipe, char* text)
{
  size_t used = 0;
  for (size_t i = 0; i < KEY_COUNT; ++i) {
    const char* const at = (const char*)recipe + keys[i].offset;
    if (keys[i].is_real) {
      const double value = (double)*(const float*)(const void*)at;
      used += (size_t)snprintf(text + used,
                               RECIPE_TEXT_BYTES - used,
                               "%s = %.8e;\n",
                               keys[i].name,
                               value);
    } else {
      const uint32_t value = *(const uint32_t*)(const void*)at;
      used += (size_t)snprintf(text + used,
                               RECIPE_TEXT_BYTES - used,
                               "%s = %u;\n",
                               keys[i].name,
                               value);
    }
  }
}
