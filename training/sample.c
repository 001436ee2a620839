// `meander-train sample`.
#include "sample.h"

#include "command.h"
#include "file.h"
#include "model_windows.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
  "usage: meander-train sample --model M --count N --out FILE.csv [options]\n"
  "Draws windows from the model's prior; columns window, note, pitch, "
  "velocity\n"
  "(0 to 1], step and duration in seconds.\n"
  "  --seed S          default 1\n"
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

static void
write_rows(FILE*            stream,
           uint64_t         first,
           uint32_t         count,
           const NoteEvent* events)
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
write_samples(const Options* o, Model* model, FILE* stream, Error* error)
{
  static NoteEvent events[MODEL_BATCH_MAX * WINDOW_NOTES];
  SamplerSpec      spec;
  Status           status = choose_sampler(o, model, &spec, error);
  if (status != STATUS_OK) {
    return status;
  }
  const WindowMaker maker = {
    .model       = model,
    .spec        = model_kind(model) == MODEL_DIFFUSION ? &spec : NULL,
    .temperature = o->temperature,
    .seed        = o->seed,
  };
  fputs("window,note,pitch,velocity,step,duration\n", stream);
  for (uint64_t first = 0; first < o->count; first += MODEL_BATCH_MAX) {
    const uint64_t left = o->count - first;
    const uint32_t count =
      left < MODEL_BATCH_MAX ? (uint32_t)left : MODEL_BATCH_MAX;
    status = make_windows(&maker, first, count, events, error);
    if (status != STATUS_OK) {
      return status;
    }
    write_rows(stream, first, count, events);
    if (ferror(stream)) {
      break; // the commit below tells why
    }
  }
  return STATUS_OK;
}

int
sample_main(int argc, char** argv)
{
  Options o = { .seed = 1, .temperature = 1.0f };
  int     exit_code;
  if (!parse(argc, argv, &o, &exit_code)) {
    return exit_code;
  }
  Error      error;
  Model*     model;
  FileWriter writer;
  Status     status = model_load(o.model, MODEL_BATCH_MAX, &model, &error);
  if (status != STATUS_OK) {
    return command_fail("sample", &error);
  }
  status = file_writer_open(&writer, o.out, &error);
  if (status == STATUS_OK) {
    status = write_samples(&o, model, writer.stream, &error);
    if (status == STATUS_OK) {
      status = file_writer_commit(&writer, &error);
    } else {
      file_writer_abort(&writer);
    }
  }
  model_free(model);
  return status == STATUS_OK ? 0 : command_fail("sample", &error);
}
