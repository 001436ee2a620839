// Preset files.
#include "control/preset.h"

#include "data_path.h"
#include "file.h"

#include <libconfig.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static Status
find_file(const char* name, char* path, size_t size, Error* error)
{
  if (strchr(name, '/') || strstr(name, ".cfg")) {
    const int length = snprintf(path, size, "%s", name);
    return length >= 0 && (size_t)length < size
             ? STATUS_OK
             : error_set(error,
                         STATUS_NOT_FOUND,
                         "--preset %.60s...: the path is too long",
                         name);
  }
  char relative[256];
  snprintf(relative, sizeof relative, "presets/%s.cfg", name);
  if (data_find(relative, path, size)) {
    return STATUS_OK;
  }
  return error_set(error,
                   STATUS_NOT_FOUND,
                   "no preset '%s': 'meander presets' lists them",
                   name);
}

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

static Status
read_text(const config_setting_t* setting,
          char*                   text,
          size_t                  size,
          Error*                  error)
{
  const char* const value = config_setting_get_string(setting);
  if (!value || strlen(value) >= size) {
    return error_set(error,
                     STATUS_BAD_FILE,
                     value ? "%s is longer than %zu bytes"
                           : "%s is not a string",
                     config_setting_name(setting),
                     size - 1);
  }
  snprintf(text, size, "%s", value);
  return STATUS_OK;
}

// A name, not a path: presets are passed around.
static Status
read_model(const config_setting_t* setting, Preset* preset, Error* error)
{
  const Status status =
    read_text(setting, preset->model, sizeof preset->model, error);
  if (!status && (!*preset->model || strpbrk(preset->model, "/."))) {
    return error_set(error,
                     STATUS_BAD_FILE,
                     "model is '%s', use a name that 'meander models' lists",
                     preset->model);
  }
  return status;
}

static Status
read_setting(const config_setting_t* setting, Preset* preset, Error* error)
{
  const char* const name = config_setting_name(setting);
  if (!strcmp(name, "description")) {
    return read_text(
      setting, preset->description, sizeof preset->description, error);
  }
  if (!strcmp(name, "model")) {
    return read_model(setting, preset, error);
  }
  const ParamId id = params_find(name);
  if (id == PARAM_COUNT) {
    return error_set(error,
                     STATUS_BAD_FILE,
                     "unknown key '%s' ('meander --help-params' lists them)",
                     name);
  }
  return read_value(setting, id, &preset->params, error);
}

static Status
read_settings(config_t* config, Preset* preset, Error* error)
{
  const config_setting_t* const root = config_root_setting(config);
  for (int i = 0; i < config_setting_length(root); ++i) {
    const config_setting_t* const setting =
      config_setting_get_elem(root, (unsigned)i);
    const Status status = read_setting(setting, preset, error);
    if (status) {
      error_prefix(error,
                   "%s:%u: ",
                   preset->path,
                   (unsigned)config_setting_source_line(setting));
      return status;
    }
  }
  const Status status = params_check(&preset->params, error);
  if (status) {
    error_prefix(error, "%s: ", preset->path);
  }
  return status;
}

static Status
parse(const char* text, Preset* preset, Error* error)
{
  // libconfig would open any file named there.
  if (strstr(text, "@include")) {
    return error_set(error,
                     STATUS_BAD_FILE,
                     "%s: @include is not allowed in a preset",
                     preset->path);
  }
  config_t config;
  config_init(&config);
  Status status;
  if (config_read_string(&config, text) == CONFIG_TRUE) {
    status = read_settings(&config, preset, error);
  } else {
    status = error_set(error,
                       STATUS_BAD_FILE,
                       "%s:%d: %s: not a preset file",
                       preset->path,
                       config_error_line(&config),
                       config_error_text(&config));
  }
  config_destroy(&config);
  return status;
}

Status
preset_load(const char* name, Preset* preset, Error* error)
{
  *preset        = (Preset){ .params = params_standard() };
  Status  status = find_file(name, preset->path, sizeof preset->path, error);
  FileMap map;
  if (status || (status = file_map_open(&map, preset->path, error))) {
    return status;
  }
  char* const text =
    map.size_bytes <= PRESET_BYTES_MAX
      ? strndup(map.data ? (const char*)map.data : "", map.size_bytes)
      : NULL;
  if (map.size_bytes > PRESET_BYTES_MAX) {
    status = error_set(error,
                       STATUS_LIMIT,
                       "%s: larger than %u bytes, not a preset",
                       preset->path,
                       PRESET_BYTES_MAX);
  } else if (!text) {
    status = error_set(error, STATUS_NO_MEMORY, "no memory for a preset");
  } else {
    status = parse(text, preset, error);
  }
  free(text);
  file_map_close(&map);
  return status;
}
