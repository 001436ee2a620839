// Reading preset files, and those that they inherit from.
#include "control/preset.h"

#include "control/checkpoint_list.h"
#include "control/midi_map.h"
#include "control/preset_text.h"
#include "control/text_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// A file that is being read, and for whom.
typedef struct Link {
  const char*        name; // empty: named as a file
  const char*        path;
  const struct Link* heir; // NULL: none, this is what was asked for
  uint32_t           depth;
} Link;

typedef struct {
  Preset*            preset;
  PresetBindingCheck check;
  uint32_t           files;
  bool               parent_failed; // the error's text begins with a parent
} Loading;

static Status read_file(Loading* loading, const Link* link, Error* error);

static Status
read_value(const config_setting_t* setting,
           ParamId                 id,
           Params*                 params,
           Error*                  error)
{
  const int type = config_setting_type(setting);
  if (type == CONFIG_TYPE_STRING) {
    return params_set_text(
      params, id, config_setting_get_string(setting), error);
  }
  if (type == CONFIG_TYPE_INT) {
    return params_set_number(
      params, id, config_setting_get_int(setting), error);
  }
  if (type == CONFIG_TYPE_INT64) {
    return params_set_number(
      params, id, (double)config_setting_get_int64(setting), error);
  }
  if (type == CONFIG_TYPE_FLOAT) {
    return params_set_number(
      params, id, config_setting_get_float(setting), error);
  }
  return error_set(error,
                   STATUS_BAD_FILE,
                   "%s is neither a number nor a name",
                   param_table[id].name);
}

// Presets are passed around: none may steer the terminal that lists it. Bytes
// 0x80 to 0x9f are controls as characters of their own only, which UTF-8 spells
// with 0xc2.
static bool
has_controls(const char* text)
{
  for (const unsigned char* c = (const unsigned char*)text; *c; ++c) {
    if (*c < 0x20 || *c == 0x7f || (*c == 0xc2 && c[1] < 0xa0)) {
      return true;
    }
  }
  return false;
}

// `what`: the setting's name, for whom a list's element has none.
static Status
read_text(const config_setting_t* setting,
          const char*             what,
          char*                   text,
          size_t                  size,
          Error*                  error)
{
  const char* const value = config_setting_get_string(setting);
  if (!value) {
    return error_set(error, STATUS_BAD_FILE, "%s is not a string", what);
  }
  if (strlen(value) >= size) {
    return error_set(
      error, STATUS_BAD_FILE, "%s is longer than %zu bytes", what, size - 1);
  }
  if (has_controls(value)) {
    return error_set(
      error, STATUS_BAD_FILE, "%s holds a control character", what);
  }
  snprintf(text, size, "%s", value);
  return STATUS_OK;
}

// A name, or a whole path: a part of one would mean another file elsewhere.
bool
preset_can_name_model(const char* model)
{
  const size_t length  = strlen(model);
  const size_t suffix  = strlen(CHECKPOINT_SUFFIX);
  const bool   is_path = *model == '/' && length > suffix &&
                       !strcmp(model + length - suffix, CHECKPOINT_SUFFIX);
  return length && length < PRESET_MODEL_BYTES && !has_controls(model) &&
         (is_path || !strpbrk(model, "/."));
}

static Status
read_model(const config_setting_t* setting, Preset* preset, Error* error)
{
  char         model[PRESET_MODEL_BYTES];
  const Status status = read_text(setting, "model", model, sizeof model, error);
  if (status) {
    return status;
  }
  if (!preset_can_name_model(model)) {
    return error_set(
      error,
      STATUS_BAD_FILE,
      "model is '%.200s', use a name that 'meander models' "
      "lists, or a file's whole path, from / to " CHECKPOINT_SUFFIX,
      model);
  }
  strcpy(preset->model, model);
  return STATUS_OK;
}

Status
preset_read_program(const config_setting_t* setting, int* program, Error* error)
{
  const int number = config_setting_get_int(setting);
  if (config_setting_type(setting) != CONFIG_TYPE_INT || number < 0 ||
      number > PRESET_PROGRAM_MAX) {
    return error_set(error,
                     STATUS_BAD_FILE,
                     "program is no whole number from 0 to %d",
                     PRESET_PROGRAM_MAX);
  }
  *program = number;
  return STATUS_OK;
}

// A list's elements, or a string alone as a list of one.
static int
text_count(const config_setting_t* setting)
{
  return config_setting_is_aggregate(setting) ? config_setting_length(setting)
                                              : 1;
}

static const config_setting_t*
text_at(const config_setting_t* setting, int i)
{
  return config_setting_is_aggregate(setting)
           ? config_setting_get_elem(setting, (unsigned)i)
           : setting;
}

// False where one of them means nothing.
static bool
are_rivals(const char* a, const char* b)
{
  MidiBinding one;
  MidiBinding other;
  Error       error;
  return !midi_map_parse_binding(a, &one, &error) &&
         !midi_map_parse_binding(b, &other, &error) &&
         midi_map_are_rivals(&one.source, &other.source);
}

// `theirs`: of those before this file, which has its controllers to itself. One
// that is named again comes last.
static void
remove_bindings(Preset* preset, uint32_t* theirs, const char* text)
{
  const uint32_t of_others = *theirs;
  uint32_t       kept      = 0;
  for (uint32_t i = 0; i < preset->binding_count; ++i) {
    const bool gone = !strcmp(preset->bindings[i], text) ||
                      (i < of_others && are_rivals(preset->bindings[i], text));
    if (gone) {
      *theirs -= i < of_others;
      continue;
    }
    if (kept != i) {
      strcpy(preset->bindings[kept], preset->bindings[i]);
    }
    ++kept;
  }
  preset->binding_count = kept;
}

static Status
add_binding(Loading*                loading,
            const config_setting_t* setting,
            uint32_t*               theirs,
            Error*                  error)
{
  Preset* const preset = loading->preset;
  char          text[PRESET_BINDING_BYTES];
  Status status = read_text(setting, "a binding", text, sizeof text, error);
  if (status) {
    return status;
  }
  if (!strcmp(text, PRESET_NO_BINDINGS)) {
    preset->binding_count = 0;
    *theirs               = 0;
    return STATUS_OK;
  }
  if (!*text) {
    return error_set(error, STATUS_BAD_FILE, "a binding is empty");
  }
  if (loading->check && (status = loading->check(text, error))) {
    return status;
  }
  remove_bindings(preset, theirs, text);
  if (preset->binding_count == PRESET_BINDINGS_MAX) {
    return error_set(
      error, STATUS_LIMIT, "more than %u bindings", PRESET_BINDINGS_MAX);
  }
  strcpy(preset->bindings[preset->binding_count++], text);
  return STATUS_OK;
}

static Status
read_bindings(Loading* loading, const config_setting_t* setting, Error* error)
{
  uint32_t theirs = loading->preset->binding_count;
  Status   status = STATUS_OK;
  for (int i = 0; !status && i < text_count(setting); ++i) {
    status = add_binding(loading, text_at(setting, i), &theirs, error);
  }
  return status;
}

// A preset that inherits its own name means the shipped one that it stands
// before.
static Status
find_parent(const Link* link, const char* name, char path[1024], Error* error)
{
  const bool own    = !strcmp(name, link->name);
  Status     status = preset_find(name, own, path, error);
  bool       circle = own && status == STATUS_NOT_FOUND;
  for (const Link* l = link; !status && !circle && l; l = l->heir) {
    circle = !strcmp(l->path, path);
  }
  if (circle) {
    return error_set(
      error, STATUS_BAD_FILE, "a circle: take one 'inherits' out");
  }
  return status;
}

static Status
read_parent(Loading* loading, const Link* link, const char* name, Error* error)
{
  char         path[1024];
  const Status status = find_parent(link, name, path, error);
  if (status) {
    return status;
  }
  if (link->depth == PRESET_DEPTH_MAX) {
    return error_set(error,
                     STATUS_LIMIT,
                     "more than %u deep, which no preset may be",
                     PRESET_DEPTH_MAX);
  }
  const Link parent = { name, path, link, link->depth + 1 };
  return read_file(loading, &parent, error);
}

static Status
read_parents(Loading*                loading,
             const Link*             link,
             const config_setting_t* setting,
             Error*                  error)
{
  if (text_count(setting) > (int)PRESET_PARENTS_MAX) {
    return error_set(error,
                     STATUS_LIMIT,
                     "inherits from %d presets, %u are the most",
                     text_count(setting),
                     PRESET_PARENTS_MAX);
  }
  for (int i = 0; i < text_count(setting); ++i) {
    char   name[PRESET_NAME_BYTES];
    Status status =
      read_text(text_at(setting, i), "inherits", name, sizeof name, error);
    if (!status && !(status = read_parent(loading, link, name, error))) {
      if (!link->heir) {
        strcpy(loading->preset->parents[loading->preset->parent_count++], name);
      }
      continue;
    }
    if (config_setting_get_string(text_at(setting, i))) {
      error_prefix(error,
                   "inherits %.63s%s",
                   config_setting_get_string(text_at(setting, i)),
                   loading->parent_failed ? ", which " : ": ");
    }
    loading->parent_failed = true;
    return status;
  }
  return STATUS_OK;
}

static Status
read_setting(Loading*                loading,
             const Link*             link,
             const config_setting_t* setting,
             Error*                  error)
{
  Preset* const     preset = loading->preset;
  const char* const name   = config_setting_name(setting);
  if (!strcmp(name, "inherits")) {
    return STATUS_OK; // read before all others
  }
  if (!strcmp(name, "description")) {
    // Says what this one is, and not an heir.
    char  others[PRESET_DESCRIPTION_BYTES];
    char* text = link->heir ? others : preset->description;
    return read_text(setting, name, text, sizeof others, error);
  }
  if (!strcmp(name, "model")) {
    return read_model(setting, preset, error);
  }
  if (!strcmp(name, "program")) {
    int        others;
    int* const program = link->heir ? &others : &preset->program;
    return preset_read_program(setting, program, error);
  }
  if (!strcmp(name, "bindings")) {
    return read_bindings(loading, setting, error);
  }
  const ParamId id = params_find(name);
  if (id == PARAM_COUNT) {
    return error_set(error,
                     STATUS_BAD_FILE,
                     "unknown key '%s' ('meander --help-params' lists them)",
                     name);
  }
  preset->named[id] = true;
  return read_value(setting, id, &preset->params, error);
}

static void
prefix_place(const Link* link, const config_setting_t* setting, Error* error)
{
  error_prefix(error,
               "%s:%u: ",
               link->path,
               (unsigned)config_setting_source_line(setting));
}

static Status
read_settings(Loading*        loading,
              const Link*     link,
              const config_t* config,
              Error*          error)
{
  const config_setting_t* const root = config_root_setting(config);
  const config_setting_t* const inherits =
    config_setting_get_member(root, "inherits");
  Status status =
    inherits ? read_parents(loading, link, inherits, error) : STATUS_OK;
  if (status) {
    if (!link->heir) {
      prefix_place(link, inherits, error);
    }
    return status;
  }
  for (int i = 0; !status && i < config_setting_length(root); ++i) {
    const config_setting_t* const setting =
      config_setting_get_elem(root, (unsigned)i);
    status = read_setting(loading, link, setting, error);
    if (status) {
      prefix_place(link, setting, error);
    }
  }
  return status;
}

static Status
parse(Loading* loading, const Link* link, const char* text, Error* error)
{
  config_t config;
  Status   status = text_file_parse(
    link->path, text, "use inherits = \"NAME\"", &config, error);
  if (!status) {
    status = read_settings(loading, link, &config, error);
    config_destroy(&config);
  }
  return status;
}

static Status
read_file(Loading* loading, const Link* link, Error* error)
{
  if (++loading->files > PRESET_FILES_MAX) {
    return error_set(error,
                     STATUS_LIMIT,
                     "more than %u files for one preset",
                     PRESET_FILES_MAX);
  }
  char*  text;
  Status status = text_file_read(link->path, PRESET_BYTES_MAX, &text, error);
  if (!status) {
    status = parse(loading, link, text, error);
    free(text);
  }
  return status;
}

// All parents' values and its own must agree in the end, not on the way.
static Status
finish(const Preset* preset, Status status, Error* error)
{
  if (!status && (status = params_check(&preset->params, error))) {
    error_prefix(error, "%s: ", preset->path);
  }
  return status;
}

Status
preset_text_parse(const char*        name,
                  const char*        path,
                  const char*        text,
                  PresetBindingCheck check,
                  Preset*            preset,
                  Error*             error)
{
  *preset = (Preset){ .program = -1, .params = params_standard() };
  snprintf(preset->path, sizeof preset->path, "%s", path);
  snprintf(preset->name, sizeof preset->name, "%s", name);
  Loading    loading = { .preset = preset, .check = check, .files = 1 };
  const Link link    = { .name = preset->name, .path = preset->path };
  return finish(preset, parse(&loading, &link, text, error), error);
}

static Status
find_file(const char* name, Preset* preset, Error* error)
{
  if (strchr(name, '/') || strstr(name, ".cfg")) {
    const int length = snprintf(preset->path, sizeof preset->path, "%s", name);
    return length >= 0 && (size_t)length < sizeof preset->path
             ? STATUS_OK
             : error_set(error,
                         STATUS_NOT_FOUND,
                         "--preset %.60s...: the path is too long",
                         name);
  }
  const Status status = preset_find(name, false, preset->path, error);
  if (!status) {
    snprintf(preset->name, sizeof preset->name, "%s", name);
  }
  return status;
}

Status
preset_load_checked(const char*        name,
                    PresetBindingCheck check,
                    Preset*            preset,
                    Error*             error)
{
  *preset       = (Preset){ .program = -1, .params = params_standard() };
  Status status = find_file(name, preset, error);
  if (status) {
    return status;
  }
  Loading    loading = { .preset = preset, .check = check };
  const Link link    = { .name = preset->name, .path = preset->path };
  return finish(preset, read_file(&loading, &link, error), error);
}

Status
preset_load(const char* name, Preset* preset, Error* error)
{
  return preset_load_checked(name, NULL, preset, error);
}
