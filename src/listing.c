// Listings on standard output.
#include "listing.h"

#include "control/preset.h"
#include "data_path.h"
#include "model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void
print_model(const char* path, const char* name)
{
  (void)name;
  Model*            model = NULL;
  Error             error;
  char* const       resolved = realpath(path, NULL);
  const char* const shown    = resolved ? resolved : path;
  if (model_load(path, "cpu", 1, &model, &error)) {
    printf("%s: cannot be used: %s\n", shown, error.text);
    free(resolved);
    return;
  }
  printf("%s: %s %s, latent of %u\n",
         shown,
         model_kind_name(model),
         model_digest(model),
         model_latent_size(model));
  model_free(model);
  free(resolved);
}

static void
print_preset(const char* path, const char* name)
{
  Preset    preset;
  Error     error;
  const int length = (int)(strlen(name) - strlen(".cfg"));
  if (preset_load(path, &preset, &error)) {
    printf("%.*s: cannot be used: %s\n", length, name, error.text);
  } else {
    printf("%-12.*s %s\n", length, name, preset.description);
  }
}

void
listing_print_models(void)
{
  data_list("models/weights", ".safetensors", print_model);
}

void
listing_print_presets(void)
{
  data_list("presets", ".cfg", print_preset);
}
