// Training recipes.
#include "recipe.h"

#include <libconfig.h>

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static const char* const optimiser_names[] = { "lamb", "adamw", NULL };

static const RecipeKey run_keys[] = {
  RECIPE_KEY_WHOLE("seed", RunRecipe, seed, 0, INT32_MAX),
  RECIPE_KEY_WHOLE("batch", RunRecipe, batch, 1, RECIPE_BATCH_MAX),
  RECIPE_KEY_WHOLE("lanes", RunRecipe, lanes, 1, RECIPE_LANES_MAX),
  RECIPE_KEY_WHOLE("steps", RunRecipe, steps, 1, 100000000),
  RECIPE_KEY_CHOICE("optimiser", RunRecipe, optimiser, optimiser_names),
  RECIPE_KEY_REAL("learning_rate", RunRecipe, learning_rate, 0, 1),
  RECIPE_KEY_WHOLE("warmup_steps", RunRecipe, warmup_steps, 0, 100000000),
  RECIPE_KEY_REAL("weight_decay", RunRecipe, weight_decay, 0, 1),
  RECIPE_KEY_REAL("clip_norm", RunRecipe, clip_norm, 0, 1e6),
  RECIPE_KEY_REAL("average_decay", RunRecipe, average_decay, 0, 1),
  RECIPE_KEY_WHOLE("transpose", RunRecipe, transpose, 0, 24),
  RECIPE_KEY_REAL("tempo_spread", RunRecipe, tempo_spread, 0, 0.9),
  RECIPE_KEY_REAL("velocity_spread", RunRecipe, velocity_spread, 0, 0.9),
  RECIPE_KEY_WHOLE("save_steps", RunRecipe, save_steps, 1, 100000000),
};
#define RUN_KEY_COUNT (sizeof run_keys / sizeof *run_keys)

// Key `i` of a format: its own, then those of every run.
static const RecipeKey*
key_at(const RecipeFormat* format, size_t i)
{
  return i < format->count                   ? &format->keys[i]
         : i < format->count + RUN_KEY_COUNT ? &run_keys[i - format->count]
                                             : NULL;
}

static const RecipeKey*
find_key(const RecipeFormat* format, const char* name)
{
  const RecipeKey* key = NULL;
  for (size_t i = 0; name && (key = key_at(format, i)) != NULL; ++i) {
    if (!strcmp(key->name, name)) {
      break;
    }
  }
  return key;
}

static Status
take_choice(const char*             path,
            const config_setting_t* setting,
            const RecipeKey*        key,
            void*                   field,
            Error*                  error)
{
  const char* const text = config_setting_type(setting) == CONFIG_TYPE_STRING
                             ? config_setting_get_string(setting)
                             : "";
  char              words[128] = "";
  for (uint32_t i = 0; key->choices[i]; ++i) {
    if (!strcmp(key->choices[i], text)) {
      memcpy(field, &i, sizeof i);
      return STATUS_OK;
    }
    const size_t used = strlen(words);
    snprintf(words + used,
             sizeof words - used,
             "%s\"%s\"",
             i ? ", " : "",
             key->choices[i]);
  }
  return error_set(error,
                   STATUS_BAD_ARGUMENT,
                   "%s:%d: %s must be one of %s",
                   path,
                   config_setting_source_line(setting),
                   key->name,
                   words);
}

static Status
take_number(const char*             path,
            const config_setting_t* setting,
            const RecipeKey*        key,
            void*                   field,
            Error*                  error)
{
  const int    line  = config_setting_source_line(setting);
  const int    type  = config_setting_type(setting);
  const bool   real  = key->kind == RECIPE_REAL;
  const bool   whole = type == CONFIG_TYPE_INT || type == CONFIG_TYPE_INT64;
  const double value = whole ? (double)config_setting_get_int64(setting)
                       : type == CONFIG_TYPE_FLOAT
                         ? config_setting_get_float(setting)
                         : 0.0;
  if (!whole && (!real || type != CONFIG_TYPE_FLOAT)) {
    return error_set(error,
                     STATUS_BAD_ARGUMENT,
                     "%s:%d: %s must be a %s",
                     path,
                     line,
                     key->name,
                     real ? "number" : "whole number");
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
  if (real) {
    *(float*)field = (float)value;
  } else {
    *(uint32_t*)field = (uint32_t)value;
  }
  return STATUS_OK;
}

// One setting of the file into its field.
static Status
take(const char*             path,
     const config_setting_t* setting,
     const RecipeFormat*     format,
     void*                   recipe,
     Error*                  error)
{
  const char* const      name = config_setting_name(setting);
  const RecipeKey* const key  = find_key(format, name);
  if (!key) {
    return error_set(error,
                     STATUS_BAD_ARGUMENT,
                     "%s:%d: unknown key '%s'",
                     path,
                     config_setting_source_line(setting),
                     name ? name : "");
  }
  void* const field = (char*)recipe + key->offset;
  return key->kind == RECIPE_CHOICE
           ? take_choice(path, setting, key, field, error)
           : take_number(path, setting, key, field, error);
}

// `stream` NULL: reads `text`.
static Status
read_config(const char*         name,
            FILE*               stream,
            const char*         text,
            const RecipeFormat* format,
            void*               recipe,
            Error*              error)
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
    status = take(
      name, config_setting_get_elem(root, (unsigned)i), format, recipe, error);
  }
  config_destroy(&config);
  return status;
}

Status
recipe_read(const char*         path,
            const RecipeFormat* format,
            void*               recipe,
            Error*              error)
{
  FILE* const stream = fopen(path, "re");
  if (!stream) {
    return error_set(error,
                     STATUS_NOT_FOUND,
                     "%s: cannot read the recipe: %s",
                     path,
                     strerror(errno));
  }
  const Status status = read_config(path, stream, NULL, format, recipe, error);
  fclose(stream);
  return status;
}

Status
recipe_read_text(const char*         name,
                 const char*         text,
                 const RecipeFormat* format,
                 void*               recipe,
                 Error*              error)
{
  return read_config(name, NULL, text, format, recipe, error);
}

void
recipe_print(const RecipeFormat* format, const void* recipe, char* text)
{
  const RecipeKey* key;
  size_t           used = 0;
  for (size_t i = 0; (key = key_at(format, i)) != NULL; ++i) {
    const void* const at   = (const char*)recipe + key->offset;
    char* const       to   = text + used;
    const size_t      room = RECIPE_TEXT_BYTES - used;
    uint32_t          whole;
    memcpy(&whole, at, sizeof whole);
    int length = 0;
    switch (key->kind) {
      case RECIPE_WHOLE:
        length = snprintf(to, room, "%s = %u;\n", key->name, whole);
        break;
      case RECIPE_REAL:
        length = snprintf(
          to, room, "%s = %.8e;\n", key->name, (double)*(const float*)at);
        break;
      case RECIPE_CHOICE:
        length =
          snprintf(to, room, "%s = \"%s\";\n", key->name, key->choices[whole]);
        break;
    }
    used += (size_t)length;
  }
}
