// `meander-train sample`.
#include "sample.h"

#include "command.h"
#include "file.h"
#include "model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
  "usage: meander-train sample --model M --count N --out FILE.csv [options]\n"
  "Draws windows from the model's prior; columns window, note, pitch, "
  "velocity\n"
  "(0 to 1], step and duration in seconds.\n"
  "  --seed S          default 1\n"
  "  --temperature T   of the pitches, 0 to 4; default 1\n";

typedef struct {
  const char* model;
  const char* out;
  uint64_t    count;
  uint64_t    seed;
  float       temperature;
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
write_samples(const Options* o, Model* model, FILE* stream, Error* error)
{
  static float     z[MODEL_BATCH_MAX * MODEL_LATENT_MAX];
  static NoteEvent events[MODEL_BATCH_MAX * WINDOW_NOTES];
  fputs("window,note,pitch,velocity,step,duration\n", stream);
  for (uint64_t first = 0; first < o->count; first += MODEL_BATCH_MAX) {
    const uint64_t left = o->count - first;
    const uint32_t count =
      left < MODEL_BATCH_MAX ? (uint32_t)left : MODEL_BATCH_MAX;
    model_sample_prior(model, o->seed, first, count, z);
    const Status status = model_decode(
      model, z, count, o->temperature, o->seed, first, events, error);
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
