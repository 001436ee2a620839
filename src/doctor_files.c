// The doctor's checks of files: those that ship, and the player's own.
#include "doctor_report.h"

#include "control/midi_map.h"
#include "control/preset.h"
#include "data_path.h"
#include "model.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MEND_BYTES 2400

// data_list() takes no context.
static Doctor* visiting;

// Cuts `path` down to the source tree that it lies in.
static bool
cut_to_tree(char path[1024])
{
  for (char* slash = strrchr(path, '/'); slash; slash = strrchr(path, '/')) {
    char git[1040];
    *slash = '\0';
    snprintf(git, sizeof git, "%s/.git", path);
    if (!access(git, F_OK)) {
      return true;
    }
  }
  return false;
}

// The command that brings back a file that ships.
static void
mend_shipped(const char* path, char mend[MEND_BYTES])
{
  char        tree[1024] = "";
  char* const whole      = realpath(path, NULL);
  if (whole && strlen(whole) < sizeof tree) {
    strcpy(tree, whole);
  }
  if (cut_to_tree(tree)) {
    snprintf(mend,
             MEND_BYTES,
             "git -C '%s' checkout -- '%s'",
             tree,
             whole + strlen(tree) + 1);
  } else {
    snprintf(mend, MEND_BYTES, "sudo ninja -C build install, in the sources");
  }
  free(whole);
}

// An editor at the place that the error names: "PATH:LINE: ...".
static void
mend_own(const char* path, const char* error, char mend[MEND_BYTES])
{
  const char* const at   = strstr(error, path);
  const char* const rest = at ? at + strlen(path) : "";
  const long        line = *rest == ':' ? strtol(rest + 1, NULL, 10) : 0;
  snprintf(
    mend, MEND_BYTES, "${EDITOR:-nano} +%ld '%s'", line > 0 ? line : 1, path);
}

static Status
check_binding(const char* text, Error* error)
{
  MidiBinding binding;
  return midi_map_parse_binding(text, &binding, error);
}

static void
check_model(const char* path, const char* name)
{
  Model* model = NULL;
  Error  error;
  if (model_load(path, "cpu", 1, &model, &error)) {
    char mend[MEND_BYTES];
    mend_shipped(path, mend);
    doctor_say(visiting, DOCTOR_FAIL, "checkpoint", mend, "%s", error.text);
    return;
  }
  ++visiting->model_count;
  doctor_say(visiting,
             DOCTOR_OK,
             "checkpoint",
             NULL,
             "%s: %s %s",
             name,
             model_kind_name(model),
             model_digest(model));
  model_free(model);
}

void
doctor_check_models(Doctor* doctor)
{
  const uint32_t before = doctor->failures;
  visiting              = doctor;
  data_list("models/weights", ".safetensors", check_model);
  if (!doctor->model_count && doctor->failures == before) {
    doctor_say(doctor,
               DOCTOR_FAIL,
               "checkpoint",
               "export MEANDER_DATA=/path/to/the/source/tree",
               "none ships with this program");
  }
}

static void
check_preset(const char* path, const char* name)
{
  Preset preset;
  Error  error;
  (void)name;
  if (preset_load_checked(path, check_binding, &preset, &error)) {
    char mend[MEND_BYTES];
    mend_shipped(path, mend);
    doctor_say(visiting, DOCTOR_FAIL, "preset", mend, "%s", error.text);
    return;
  }
  ++visiting->preset_count;
}

// `name` as preset_load() takes it.
static void
check_own(Doctor* doctor, const char* name, const char* path)
{
  Preset preset;
  Error  error;
  if (preset_load_checked(name, check_binding, &preset, &error)) {
    char mend[MEND_BYTES];
    mend_own(path, error.text, mend);
    doctor_say(doctor, DOCTOR_FAIL, "your files", mend, "%s", error.text);
    return;
  }
  ++doctor->own_count;
}

static void
check_all_own(Doctor* doctor)
{
  PresetEntry  entries[PRESETS_MAX];
  char         path[1024];
  Error        error;
  const size_t count = preset_list(entries, NULL);
  for (size_t i = 0; i < count && i < PRESETS_MAX; ++i) {
    if (entries[i].yours &&
        !preset_find(entries[i].name, false, path, &error)) {
      check_own(doctor, entries[i].name, path);
    }
  }
  if (data_user_path(DATA_CONFIG, DATA_LEARNT, path) && !access(path, F_OK)) {
    check_own(doctor, path, path);
  }
}

void
doctor_check_presets(Doctor* doctor)
{
  const uint32_t before = doctor->failures;
  visiting              = doctor;
  data_list("presets", ".cfg", check_preset);
  if (doctor->preset_count) {
    doctor_say(doctor,
               DOCTOR_OK,
               "presets",
               NULL,
               "%u that ship can be played",
               doctor->preset_count);
  } else if (doctor->failures == before) {
    doctor_say(doctor,
               DOCTOR_NOTE,
               "presets",
               "export MEANDER_DATA=/path/to/the/source/tree",
               "none ships with this program");
  }
  check_all_own(doctor);
  if (doctor->own_count) {
    doctor_say(doctor,
               DOCTOR_OK,
               "your files",
               NULL,
               "%u presets and bindings of yours can be read",
               doctor->own_count);
  }
}

// Where the folder, or the nearest above it that is there, is one and can be
// written to.
static bool
can_be_written(const char* folder)
{
  char path[1024];
  snprintf(path, sizeof path, "%s", folder);
  struct stat info;
  while (stat(path, &info)) {
    char* const slash = strrchr(path, '/');
    if (errno != ENOENT || !slash || slash == path) {
      return false;
    }
    *slash = '\0';
  }
  return S_ISDIR(info.st_mode) && !access(path, W_OK | X_OK);
}

void
doctor_check_config(Doctor* doctor)
{
  const char* const folder = doctor->world->config_folder;
  if (!*folder) {
    doctor_say(doctor,
               DOCTOR_FAIL,
               "settings",
               "export HOME=/home/you",
               "neither HOME nor XDG_CONFIG_HOME is set: nothing can be saved");
  } else if (!can_be_written(folder)) {
    char mend[2 * sizeof doctor->world->config_folder + 32];
    snprintf(
      mend, sizeof mend, "mkdir -p %s && chmod u+rwx %s", folder, folder);
    doctor_say(doctor,
               DOCTOR_FAIL,
               "settings",
               mend,
               "%s cannot be written to: presets of your own are not saved",
               folder);
  } else {
    doctor_say(doctor, DOCTOR_OK, "settings", NULL, "saved in %s", folder);
  }
}
