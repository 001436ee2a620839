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
print_preset(const PresetEntry* entry)
{
  char              number[16] = "-";
  const char* const whose = entry->shadows ? "yours, over the shipped one: "
                            : entry->yours ? "yours: "
                                           : "";
  Preset            preset;
  Error             error;
  const bool        bad = preset_load(entry->name, &preset, &error);
  if (entry->number >= 0) {
    snprintf(number, sizeof number, "%d", entry->number);
  }
  printf("%-15s %3s  %s%s%s\n",
         entry->name,
         number,
         whose,
         bad ? "cannot be used: " : "",
         bad                   ? error.text
         : *preset.description ? preset.description
                               : "(no description)");
}

static void
print_refused(const char* path, const Error* error)
{
  printf("%s: cannot be used: %s\n", path, error->text);
}

void
listing_print_models(void)
{
  data_list("models/weights", ".safetensors", print_model);
}

void
listing_print_presets(void)
{
  PresetEntry  entries[PRESETS_MAX];
  const size_t found = preset_list(entries, print_refused);
  for (size_t i = 0; i < found && i < PRESETS_MAX; ++i) {
    print_preset(&entries[i]);
  }
  if (found > PRESETS_MAX) {
    printf("and %zu more, beyond the %u that can be listed\n",
           found - PRESETS_MAX,
           PRESETS_MAX);
  }
}
