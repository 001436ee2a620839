// `meander-train sample`.
#include "sample.h"

#include "command.h"
#include "file.h"
#include "model_windows.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
  "usage: meander-train sample --model M --count N --out FILE [options]\n"
  "Draws windows from the model's prior. FILE.csv has columns window, note, "
  "pitch,\n"
  "velocity (0 to 1], step and duration in seconds; FILE.npy is a NumPy array "
  "of\n"
  "float32 [N, 8, 4]: pitch, velocity, step, duration.\n"
  "  --seed S          default 1\n"
  "  --device D        auto (default), cpu, cuda or cuda:N\n"
  "  --temperature T   of the pitches, 0 to 4; default 1\n"
  "Diffusion models only:\n"
  "  --sampler S       ddpm, ddim, dpm++ or student; also with steps and eta, "
  "as\n"
  "                    ddim-20@0.5; default ddim\n"
  "  --steps N         default: what the model was made for, or 20\n"
  "  --eta E           noise that ddim adds, 0 to 1; default 0\n";

typedef struct {
  const char* model;
  const char* out;
  const char* device;
  uint64_t    count;
  uint64_t    seed;
  float       temperature;
  const char* sampler;
  uint32_t    steps;
  float       eta;
  bool        steps_given;
  bool        eta_given;
} Options;

static bool
parse(int argc, char** argv, Options* o, int* exit_code)
{
  const CommandOption options[] = {
    { "model", 'm', COMMAND_TEXT, &o->model, .required = true },
    { "count", 'n', COMMAND_U64, &o->count, .low = 1, .required = true },
    { "out", 'o', COMMAND_TEXT, &o->out, .required = true },
    { "seed", 's', COMMAND_U64, &o->seed, .required = false },
    { "device", 0, COMMAND_TEXT, &o->device, .required = false },
    { "temperature", 't', COMMAND_FLOAT, &o->temperature, .low = 0, .high = 4 },
    { "sampler", 0, COMMAND_TEXT, &o->sampler, .required = false },
    { "steps",
      0,
      COMMAND_U32,
      &o->steps,
      .low   = 1,
      .high  = NOISE_STEPS_MAX,
      .given = &o->steps_given },
    { "eta",
      0,
      COMMAND_FLOAT,
      &o->eta,
      .low   = 0,
      .high  = 1,
      .given = &o->eta_given },
  };
  return command_parse(argc,
                       argv,
                       usage,
                       options,
                       sizeof options / sizeof *options,
                       NULL,
                       exit_code);
}

// How windows are written.
typedef struct {
  const char* suffix;
  void (*begin)(FILE* stream, uint64_t count);
  void (*rows)(FILE*            stream,
               uint64_t         first,
               uint32_t         count,
               const NoteEvent* events);
} Format;

static void
csv_begin(FILE* stream, uint64_t count)
{
  (void)count;
  fputs("window,note,pitch,velocity,step,duration\n", stream);
}

static void
csv_rows(FILE* stream, uint64_t first, uint32_t count, const NoteEvent* events)
{
  for (uint32_t i = 0; i < count * WINDOW_NOTES; ++i) {
    const NoteEvent* const e = &events[i];
    fprintf(stream,
            "%llu,%u,%u,%.6f,%.6f,%.6f\n",
            (unsigned long long)(first + i / WINDOW_NOTES),
            i % WINDOW_NOTES,
            e->pitch,
            (double)e->velocity,
            (double)e->step_s,
            (double)e->duration_s);
  }
}

#define NPY_HEADER_BYTES 128 // a multiple of 64, as the format asks

// NumPy's format 1.0: magic, version, length of the header, its dictionary.
static void
npy_begin(FILE* stream, uint64_t count)
{
  char      header[NPY_HEADER_BYTES + 1] = "\x93NUMPY\x01";
  const int length                       = NPY_HEADER_BYTES - 10;
  header[8]                              = (char)length;
  snprintf(header + 10,
           sizeof header - 10,
           "{'descr': '<f4', 'fortran_order': False, 'shape': (%llu, %u, 4), }",
           (unsigned long long)count,
           WINDOW_NOTES);
  const size_t used = 10 + strlen(header + 10);
  memset(header + used, ' ', sizeof header - used);
  header[NPY_HEADER_BYTES - 1] = '\n';
  fwrite(header, 1, NPY_HEADER_BYTES, stream);
}

static void
npy_rows(FILE* stream, uint64_t first, uint32_t count, const NoteEvent* events)
{
  (void)first;
  for (uint32_t i = 0; i < count * WINDOW_NOTES; ++i) {
    const NoteEvent* const e    = &events[i];
    const float            v[4] = {
                 (float)e->pitch, e->velocity, e->step_s, e->duration_s
    };
    fwrite(v, sizeof v, 1, stream);
  }
}

static const Format formats[] = { { ".csv", csv_begin, csv_rows },
                                  { ".npy", npy_begin, npy_rows } };

static Status
choose_format(const char* path, const Format** out, Error* error)
{
  const size_t length = strlen(path);
  for (size_t i = 0; i < sizeof formats / sizeof *formats; ++i) {
    const size_t suffix = strlen(formats[i].suffix);
    if (length > suffix && !strcmp(path + length - suffix, formats[i].suffix)) {
      *out = &formats[i];
      return STATUS_OK;
    }
  }
  return error_set(error,
                   STATUS_BAD_ARGUMENT,
                   "--out %s: the name must end in .csv or .npy",
                   path);
}

static Status
choose_sampler(const Options* o,
               const Model*   model,
               SamplerSpec*   spec,
               Error*         error)
{
  if (model_kind(model) != MODEL_DIFFUSION) {
    return o->sampler || o->steps_given || o->eta_given
             ? model_require(
                 model, MODEL_DIFFUSION, "--sampler, --steps or --eta", error)
             : STATUS_OK;
  }
  const Status status =
    sampler_spec_parse(o->sampler ? o->sampler : "ddim", spec, error);
  if (status != STATUS_OK) {
    return status;
  }
  if (o->eta_given && (spec->sampler != SAMPLER_DDIM || spec->student)) {
    return error_set(error,
                     STATUS_BAD_ARGUMENT,
                     "--eta with sampler %s: only ddim has one",
                     spec->name);
  }
  spec->steps = o->steps_given ? o->steps : spec->steps;
  spec->eta   = o->eta_given ? o->eta : spec->eta;
  return STATUS_OK;
}

static Status
write_samples(const Options* o,
              const Format*  format,
              Model*         model,
              FILE*          stream,
              Error*         error)
{
  SamplerSpec spec;
  Status      status = choose_sampler(o, model, &spec, error);
  if (status != STATUS_OK) {
    return status;
  }
  const uint32_t   batch = model_batch_max(model);
  NoteEvent* const events =
    malloc((size_t)batch * WINDOW_NOTES * sizeof *events);
  if (!events) {
    return error_set(
      error, STATUS_NO_MEMORY, "no memory for %u windows", batch);
  }
  const WindowMaker maker = {
    .model       = model,
    .spec        = model_kind(model) == MODEL_DIFFUSION ? &spec : NULL,
    .temperature = o->temperature,
    .seed        = o->seed,
  };
  format->begin(stream, o->count);
  // A failed write ends it: committing the file tells why.
  for (uint64_t first = 0;
       status == STATUS_OK && first < o->count && !ferror(stream);
       first += batch) {
    const uint64_t left  = o->count - first;
    const uint32_t count = left < batch ? (uint32_t)left : batch;
    status               = make_windows(&maker, first, count, events, error);
    if (status == STATUS_OK) {
      format->rows(stream, first, count, events);
    }
  }
  free(events);
  return status;
}

static Status
sample(const Options* o, Error* error)
{
  const Format* format = NULL;
  Model*        model  = NULL;
  FileWriter    writer;
  Status        status = choose_format(o->out, &format, error);
  if (status == STATUS_OK) {
    status = model_load(o->model, o->device, 0, &model, error);
  }
  if (status != STATUS_OK) {
    return status;
  }
  printf("%s on %s\n", o->model, model_device(model));
  status = file_writer_open(&writer, o->out, error);
  if (status == STATUS_OK) {
    status = write_samples(o, format, model, writer.stream, error);
    if (status == STATUS_OK) {
      status = file_writer_commit(&writer, error);
    } else {
      file_writer_abort(&writer);
    }
  }
  model_free(model);
  return status;
}

int
sample_main(int argc, char** argv)
{
  Options o = { .seed = 1, .temperature = 1.0f, .device = "auto" };
  int     exit_code;
  if (!parse(argc, argv, &o, &exit_code)) {
    return exit_code;
  }
  Error error;
  return sample(&o, &error) == STATUS_OK ? 0 : command_fail("sample", &error);
}
