// `meander-train evaluate`: options, models, and the printing of what
// evaluation.h's parts find.
#include "evaluate.h"

#include "command.h"
#include "evaluation.h"
#include "file.h"
#include "window_features.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
  "usage: meander-train evaluate --model M [--model M ...] --data FILE "
  "[options]\n"
  "Compares windows of 8 notes, and streams of 32, from models, from training\n"
  "pieces and from shuffled notes with those of test pieces.\n"
  "  --windows N          of each source; default 10000\n"
  "  --streams N          of each source; default 2000\n"
  "  --samplers LIST      of diffusion models, as ddim-20, ddim-20@0.5 (eta),\n"
  "                       dpm++-10, ddpm-1000; student-4 for distilled ones\n"
  "  --stream-sampler S   likewise, of streams; default: the model's own "
  "steps\n"
  "  --seed S             default 1\n"
  "  --seeds N            so many from there: mean, lowest, highest; default "
  "1\n"
  "  --temperature T      of pitches; default 1\n"
  "  --raw                times not rounded to 5 ms, velocities not to MIDI's\n"
  "  --only LIST          of reconstruction (VAEs), windows, streams; default "
  "all\n"
  "  --device D           auto (default), cpu, cuda or cuda:N\n"
  "  --csv FILE           the tables' figures, seed by seed\n";

#define SAMPLERS_DEFAULT                                                       \
  "ddim-50,ddim-20,ddim-10,ddim-4,dpm++-20,dpm++-10,"                          \
  "student-4,student-2,student-1"

_Static_assert(EVALUATION_MODELS_MAX >= COMMAND_LIST_MAX,
               "room for every --model");

enum { PART_RECONSTRUCTION, PART_WINDOWS, PART_STREAMS, PART_COUNT };
static const char* const part_names[PART_COUNT] = { "reconstruction",
                                                    "windows",
                                                    "streams" };

typedef struct {
  CommandList models;
  const char* data;
  const char* samplers;
  const char* stream_sampler;
  const char* only;
  const char* device;
  const char* csv;
  bool        windows_given;
  bool        parts[PART_COUNT];
  Evaluation  e;
} Options;

static bool
parse_options(int argc, char** argv, Options* o, int* exit_code)
{
  const CommandOption options[] = {
    { "model", 'm', COMMAND_LIST, &o->models, .required = true },
    { "data", 'd', COMMAND_TEXT, &o->data, .required = true },
    { "windows",
      'w',
      COMMAND_U32,
      &o->e.windows,
      .low   = 16,
      .high  = 1e7,
      .given = &o->windows_given },
    { "streams", 0, COMMAND_U32, &o->e.streams, .low = 16, .high = 1e6 },
    { "samplers", 0, COMMAND_TEXT, &o->samplers, .required = false },
    { "stream-sampler",
      0,
      COMMAND_TEXT,
      &o->stream_sampler,
      .required = false },
    { "seed", 's', COMMAND_U64, &o->e.seed, .required = false },
    { "seeds", 0, COMMAND_U32, &o->e.seeds, .low = 1, .high = TABLE_SEEDS_MAX },
    { "temperature",
      't',
      COMMAND_FLOAT,
      &o->e.temperature,
      .low  = 0,
      .high = 4 },
    { "raw", 0, COMMAND_FLAG, &o->e.raw, .required = false },
    { "only", 0, COMMAND_TEXT, &o->only, .required = false },
    { "device", 0, COMMAND_TEXT, &o->device, .required = false },
    { "csv", 0, COMMAND_TEXT, &o->csv, .required = false },
  };
  return command_parse(argc,
                       argv,
                       usage,
                       options,
                       sizeof options / sizeof *options,
                       NULL,
                       exit_code);
}

static Status
parse_parts(Options* o, Error* error)
{
  const char* text = o->only ? o->only : "reconstruction,windows,streams";
  while (*text) {
    const size_t length = strcspn(text, ",");
    bool         known  = false;
    for (int i = 0; i < PART_COUNT; ++i) {
      if (length == strlen(part_names[i]) &&
          !strncmp(text, part_names[i], length)) {
        o->parts[i] = known = true;
      }
    }
    if (!known) {
      return error_set(error,
                       STATUS_BAD_ARGUMENT,
                       "--only %.*s: reconstruction, windows or streams",
                       (int)length,
                       text);
    }
    text += length + (text[length] == ',');
  }
  return STATUS_OK;
}

void
evaluation_row_name(const EvaluatedModel* model,
                    const SamplerSpec*    spec,
                    const char*           suffix,
                    char                  name[TABLE_NAME_BYTES])
{
  snprintf(name,
           TABLE_NAME_BYTES,
           "%s%s%s%s",
           model->name,
           spec ? " " : "",
           spec ? spec->name : "",
           suffix);
}

// The file's name without its ending, or the folder's where every run's file
// has the same; the second of a name says so.
static void
name_model(const Evaluation* e, EvaluatedModel* model)
{
  char        path[1024];
  char        stem[32];
  const char* name = path;
  snprintf(path, sizeof path, "%s", model->path);
  char* const slash = strrchr(path, '/');
  if (slash) {
    *slash = '\0';
    name   = slash + 1;
    if (!strncmp(name, "checkpoint.", strlen("checkpoint."))) {
      const char* const folder = strrchr(path, '/');
      name                     = folder ? folder + 1 : path;
    }
  }
  snprintf(stem, sizeof stem, "%.*s", (int)strcspn(name, ".,"), name);
  uint32_t     same   = 1;
  const size_t length = strlen(stem);
  for (uint32_t i = 0; i < e->model_count; ++i) {
    same += !strncmp(e->models[i].name, stem, length) &&
            strchr("#", e->models[i].name[length]);
  }
  snprintf(model->name, sizeof model->name, "%s", stem);
  if (same > 1) {
    snprintf(model->name, sizeof model->name, "%s#%u", stem, same);
  }
}

// Those of `list` that are for this model; none are: of the default.
static Status
choose_specs(EvaluatedModel* model, const char* list, Error* error)
{
  const bool student = model_student_steps(model->model) > 0;
  for (int attempt = 0; attempt < 2 && !model->spec_count; ++attempt) {
    SamplerSpec  specs[SAMPLER_SPECS_MAX];
    uint32_t     count;
    const Status status = sampler_specs_parse(
      attempt ? SAMPLERS_DEFAULT : list, specs, &count, error);
    if (status != STATUS_OK) {
      return status;
    }
    for (uint32_t i = 0; i < count; ++i) {
      if (specs[i].student == student) {
        model->specs[model->spec_count++] = specs[i];
      }
    }
  }
  return STATUS_OK;
}

static Status
choose_stream_spec(EvaluatedModel* model, const char* text, Error* error)
{
  const bool student = model_student_steps(model->model) > 0;
  if (text) {
    const Status status = sampler_spec_parse(text, &model->stream_spec, error);
    if (status != STATUS_OK || model->stream_spec.student == student) {
      return status;
    }
  }
  char own[SAMPLER_SPEC_BYTES];
  snprintf(own,
           sizeof own,
           "%s-%u",
           student ? "student" : "ddim",
           model_steps_default(model->model));
  return sampler_spec_parse(own, &model->stream_spec, error);
}

static Status
load_models(Options* o, Error* error)
{
  Evaluation* const e = &o->e;
  for (uint32_t i = 0; i < o->models.count; ++i) {
    EvaluatedModel* const model = &e->models[i];
    model->path                 = o->models.texts[i];
    name_model(e, model);
    Status status = model_load(model->path, o->device, 0, &model->model, error);
    if (status != STATUS_OK) {
      return status;
    }
    ++e->model_count;
    status = choose_specs(model, o->samplers, error);
    if (status == STATUS_OK) {
      status = choose_stream_spec(model, o->stream_sampler, error);
    }
    if (status != STATUS_OK) {
      return status;
    }
  }
  return STATUS_OK;
}

static void
print_models(const Evaluation* e)
{
  printf("data %s", dataset_digest(e->data));
  for (uint32_t i = 0; i < e->model_count; ++i) {
    printf(", %s = %s %s",
           e->models[i].name,
           model_kind_name(e->models[i].model),
           model_digest(e->models[i].model));
  }
  printf("; seed %" PRIu64, e->seed);
  if (e->seeds > 1) {
    printf(" to %" PRIu64, e->seed + e->seeds - 1);
  }
  printf(", temperature %g\n", (double)e->temperature);
}

static void
print_about(const Evaluation* e)
{
  print_models(e);
  puts(e->raw
         ? "times and velocities as they are (--raw)"
         : "on all sides times are rounded to 5 ms and velocities to MIDI's "
           "(real files lie on a grid of ticks),\nnotes end where their key "
           "is pressed again, and notes of one onset are ordered by pitch");
  puts("test: held-out pieces, with which all else is compared. real: training "
       "pieces, the floor.\nsteps >= 0.1 s: those without chords, as the "
       "reference system has them. shuffled: test notes dealt out at\nrandom, "
       "each whole. marginals: each field on its own.\nc2st_auc: boosted trees "
       "on hand features and notes, trained on half of the test pieces, judged "
       "on the\nother, and the other way round; 0.5 cannot be told from test "
       "pieces. It grows with the number of windows.");
  printf("frechet: on %d z-scored hand features (streams %d), corrected for "
         "sample size (a of a + b/N).\n",
         FEATURE_COUNT,
         STREAM_FEATURE_COUNT);
}

static void
print_counts(const Evaluation* e, uint32_t notes, uint32_t wanted)
{
  const uint64_t all    = window_set_available(e->data, true, notes);
  size_t         pieces = 0;
  for (size_t i = 0; i < dataset_piece_count(e->data); ++i) {
    pieces += dataset_piece(e->data, i)->is_test;
  }
  printf("\n%" PRIu64 " of %u notes from each source; the test set's are from "
         "%zu pieces\n",
         all < wanted ? all : wanted,
         notes,
         pieces);
}

static Status
show_windows(const Evaluation* e, Table* table, Error* error)
{
  print_counts(e, WINDOW_NOTES, e->windows);
  printf("oa: overlapping area of the marginal with the test windows', 1 is "
         "equal. memorised: windows whose\nintervals stand exactly in training "
         "music (real: in another piece). windows/s: by wall time, on %s.\n",
         model_device(e->models[0].model));
  fflush(stdout);
  const Status status = evaluate_windows(e, table, error);
  if (status == STATUS_OK) {
    table_print(table, e->seeds, stdout);
    fflush(stdout);
  }
  return status;
}

static Status
show_streams(const Evaluation* e, Table* table, Error* error)
{
  print_counts(e, SEQUENCE_NOTES, e->streams);
  puts("consistency, variance: framewise self-similarity against the test "
       "streams' (SCHmUBERT), 1 is equal.\nglued: independent windows in a "
       "row. continued: each window made with all notes before it.");
  fflush(stdout);
  const Status status = evaluate_streams(e, table, error);
  if (status == STATUS_OK) {
    table_print(table, e->seeds, stdout);
  }
  return status;
}

static void
write_csv(const Evaluation* e, const Table* tables, FILE* stream)
{
  fputs("table,source,seed,measure,value\n", stream);
  for (int i = PART_WINDOWS; i < PART_COUNT; ++i) {
    table_write_csv(&tables[i], e->seeds, e->seed, stream);
  }
}

static Status
evaluate(const Options* o, Table* tables, Error* error)
{
  const Evaluation* const e      = &o->e;
  Status                  status = STATUS_OK;
  for (uint32_t i = 0; i < e->model_count && o->parts[PART_RECONSTRUCTION] &&
                       status == STATUS_OK;
       ++i) {
    if (model_kind(e->models[i].model) == MODEL_VAE) {
      status = evaluate_reconstruction(
        e, &e->models[i], o->windows_given ? e->windows : 0, error);
    }
  }
  if (status == STATUS_OK &&
      (o->parts[PART_WINDOWS] || o->parts[PART_STREAMS])) {
    print_about(e);
  }
  if (status == STATUS_OK && o->parts[PART_WINDOWS]) {
    status = show_windows(e, &tables[PART_WINDOWS], error);
  }
  if (status == STATUS_OK && o->parts[PART_STREAMS]) {
    status = show_streams(e, &tables[PART_STREAMS], error);
  }
  return status;
}

// The CSV file is opened first: it would be a pity to find out after an hour
// that it cannot be.
static Status
evaluate_to_csv(const Options* o, Error* error)
{
  Table      tables[PART_COUNT] = { [PART_WINDOWS] = { .progress = stderr },
                                    [PART_STREAMS] = { .progress = stderr } };
  FileWriter writer;
  Status status = o->csv ? file_writer_open(&writer, o->csv, error) : STATUS_OK;
  if (status != STATUS_OK) {
    return status;
  }
  status = evaluate(o, tables, error);
  if (o->csv && status == STATUS_OK) {
    write_csv(&o->e, tables, writer.stream);
    status = file_writer_commit(&writer, error);
  } else if (o->csv) {
    file_writer_abort(&writer);
  }
  for (int i = 0; i < PART_COUNT; ++i) {
    table_free(&tables[i]);
  }
  return status;
}

int
evaluate_main(int argc, char** argv)
{
  static Options o = {
    .samplers = SAMPLERS_DEFAULT,
    .device   = "auto",
    .e        = { .windows     = 10000,
                  .streams     = 2000,
                  .seed        = 1,
                  .seeds       = 1,
                  .temperature = 1.0f },
  };
  int exit_code;
  if (!parse_options(argc, argv, &o, &exit_code)) {
    return exit_code;
  }
  Error    error;
  Dataset* data   = NULL;
  Status   status = parse_parts(&o, &error);
  if (status == STATUS_OK) {
    status = dataset_open(o.data, &data, &error);
  }
  if (status == STATUS_OK) {
    o.e.data = data;
    status   = load_models(&o, &error);
  }
  if (status == STATUS_OK) {
    status = evaluate_to_csv(&o, &error);
  }
  for (uint32_t i = 0; i < o.e.model_count; ++i) {
    model_free(o.e.models[i].model);
  }
  dataset_close(data);
  return status == STATUS_OK ? 0 : command_fail("evaluate", &error);
}
