// Writing presets. What was written is read again before it takes its place, so
// that a preset is kept exactly or not at all.
#include "control/preset.h"

#include "control/preset_text.h"
#include "control/text_file.h"
#include "data_path.h"
#include "file.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void
print_text(FILE* out, const char* text)
{
  putc('"', out);
  for (; *text; ++text) {
    if (*text == '"' || *text == '\\') {
      putc('\\', out);
    }
    putc(*text, out);
  }
  putc('"', out);
}

// The shortest number that reads back equal.
static void
print_number(FILE* out, double value)
{
  if (value == floor(value) && fabs(value) < 1e6) {
    fprintf(out, "%.0f", value); // and not 4e+01
    return;
  }
  int  digits = 0;
  char text[48];
  do {
    snprintf(text, sizeof text, "%.*g", ++digits, value);
  } while (digits < 17 && strtod(text, NULL) != value);
  text_file_put_number(out, value, digits);
}

static void
print_value(FILE* out, const Params* params, ParamId id)
{
  fprintf(out, "%s = ", param_table[id].name);
  if (params_is_auto(params, id) || param_table[id].type == PARAM_CHOICE) {
    char name[32];
    params_format(params, id, name, sizeof name);
    print_text(out, name);
  } else {
    print_number(out, params->value[id]);
  }
  putc('\n', out);
}

// `count` strings, one a line.
static void
print_list(FILE*       out,
           const char* name,
           const char* first, // NULL: none
           const char* texts,
           size_t      size, // of each
           uint32_t    count)
{
  if (!first && !count) {
    return;
  }
  fprintf(out, "%s = (", name);
  if (first) {
    fputs("\n  ", out);
    print_text(out, first);
  }
  for (uint32_t i = 0; i < count; ++i) {
    fputs(i || first ? ",\n  " : "\n  ", out);
    print_text(out, texts + i * size);
  }
  fputs("\n)\n", out);
}

// The parents' bindings come by themselves where ours begin with them.
static void
print_bindings(FILE* out, const Preset* preset, const Preset* base)
{
  const uint32_t theirs = base->binding_count;
  bool           follow = theirs <= preset->binding_count;
  for (uint32_t i = 0; follow && i < theirs; ++i) {
    follow = !strcmp(base->bindings[i], preset->bindings[i]);
  }
  const uint32_t skipped = follow ? theirs : 0;
  print_list(out,
             "bindings",
             follow ? NULL : PRESET_NO_BINDINGS,
             *preset->bindings + skipped * sizeof preset->bindings[0],
             sizeof preset->bindings[0],
             preset->binding_count - skipped);
}

// `base`: what it has before its own settings.
static void
print_preset(FILE* out, const Preset* preset, const Preset* base)
{
  if (*preset->description) {
    fputs("description = ", out);
    print_text(out, preset->description);
    putc('\n', out);
  }
  print_list(out,
             "inherits",
             NULL,
             *preset->parents,
             sizeof preset->parents[0],
             base->parent_count);
  if (strcmp(preset->model, base->model)) {
    fputs("model = ", out);
    print_text(out, preset->model);
    putc('\n', out);
  }
  if (preset->program >= 0) {
    fprintf(out, "program = %d\n", preset->program);
  }
  for (int id = 0; id < PARAM_COUNT; ++id) {
    if (preset->params.value[id] != base->params.value[id]) {
      print_value(out, &preset->params, (ParamId)id);
    }
  }
  print_bindings(out, preset, base);
}

// NULL: no memory. The caller frees it.
static char*
preset_text(const Preset* preset, const Preset* base)
{
  char*       text = NULL;
  size_t      size = 0;
  FILE* const out  = open_memstream(&text, &size);
  if (!out) {
    return NULL;
  }
  print_preset(out, preset, base);
  const bool failed = ferror(out);
  if (fclose(out) || failed) {
    free(text);
    return NULL;
  }
  return text;
}

static bool
is_same(const Preset* a, const Preset* b)
{
  bool same = !strcmp(a->description, b->description) &&
              !strcmp(a->model, b->model) && a->program == b->program &&
              a->binding_count == b->binding_count;
  for (uint32_t i = 0; same && i < a->binding_count; ++i) {
    same = !strcmp(a->bindings[i], b->bindings[i]);
  }
  for (int id = 0; same && id < PARAM_COUNT; ++id) {
    same = a->params.value[id] == b->params.value[id];
  }
  return same;
}

// The text of `preset` as `name`, proved; the caller frees it. Heirs of `base`.
static Status
make_text(const char*   name,
          const char*   path,
          const Preset* preset,
          const Preset* base,
          char**        text,
          Error*        error)
{
  *text = preset_text(preset, base);
  if (!*text) {
    return error_set(error, STATUS_NO_MEMORY, "no memory to save a preset");
  }
  Preset again;
  Status status = preset_text_parse(name, path, *text, NULL, &again, error);
  if (!status && strlen(*text) > PRESET_BYTES_MAX) {
    status = error_set(error,
                       STATUS_LIMIT,
                       "%s: more than the %u bytes of a preset",
                       path,
                       PRESET_BYTES_MAX);
  } else if (!status && !is_same(&again, preset)) {
    status = error_set(error,
                       STATUS_BAD_ARGUMENT,
                       "%s: a preset cannot hold these settings",
                       path);
  }
  if (status) {
    free(*text);
    *text = NULL;
  }
  return status;
}

// What the parents give now.
static Status
load_base(const char*   name,
          const char*   path,
          const Preset* preset,
          Preset*       base,
          Error*        error)
{
  Preset heir       = { .program = -1, .params = params_standard() };
  heir.parent_count = preset->parent_count;
  memcpy(heir.parents, preset->parents, sizeof heir.parents);
  char* const text = preset_text(&heir, &heir);
  if (!text) {
    return error_set(error, STATUS_NO_MEMORY, "no memory to save a preset");
  }
  const Status status = preset_text_parse(name, path, text, NULL, base, error);
  free(text);
  return status;
}

static Status
write_text(const char* path, const char* text, Error* error)
{
  FileWriter writer;
  Status     status = data_make_folders(path, error);
  if (status || (status = file_writer_open(&writer, path, error))) {
    return status;
  }
  fputs(text, writer.stream);
  return file_writer_commit(&writer, error);
}

// Parents may be gone, have changed, or become heirs of this very name: then it
// stands by itself.
static Status
save_to(const char* name, const char* path, const Preset* preset, Error* error)
{
  char*  text   = NULL;
  Status status = STATUS_OK;
  Preset base;
  if (!preset->parent_count || load_base(name, path, preset, &base, error) ||
      make_text(name, path, preset, &base, &text, error)) {
    const Preset standard = { .program = -1, .params = params_standard() };
    status = make_text(name, path, preset, &standard, &text, error);
  }
  if (!status) {
    status = write_text(path, text, error);
    free(text);
  }
  return status;
}

Status
preset_write(const char* path, const Preset* preset, Error* error)
{
  return save_to("", path, preset, error);
}

Status
preset_save(const char* name, const Preset* preset, char* path, Error* error)
{
  Status status = preset_check_name(name, error);
  char   relative[PRESET_NAME_BYTES + 16];
  char   target[1024];
  if (status) {
    return status;
  }
  snprintf(relative, sizeof relative, "presets/%s.cfg", name);
  if (!data_user_path(DATA_CONFIG, relative, target)) {
    return error_set(error,
                     STATUS_NOT_FOUND,
                     "no place for presets of your own: set HOME or "
                     "XDG_CONFIG_HOME");
  }
  status = save_to(name, target, preset, error);
  if (!status && path) {
    strcpy(path, target);
  }
  return status;
}
