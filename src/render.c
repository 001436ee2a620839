// Rendering faster than real time.
#include "render.h"

#include "live/process_setup.h"
#include "live/worker.h"
#include "narrator.h"
#include "provenance.h"
#include "record.h"
#include "sources.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RENDER_RATE_HZ 48000u
#define RENDER_SPAN_FRAMES 256u

typedef struct {
  Process  process;
  Worker   worker;
  Recorder recorder;
  Narrator narrator;
  PlanStep step;
  Sources  sources;
} Render;

static void
tell_line(void* context, const RecordLine* line)
{
  Render* const render = context;
  Error         error; // a line that is lost is counted there
  recorder_line(&render->recorder, line, &error);
}

static void
record_played(Render* render)
{
  PlayedEvent event;
  while (planner_read_step(&render->worker.planner, &render->step)) {
    narrator_hear(&render->narrator, &render->step);
  }
  while (process_read_played(&render->process, &event)) {
    if ((event.message[0] & 0xf0) == 0x90) {
      narrator_note(&render->narrator, event.number, tell_line, render);
    }
    recorder_add(&render->recorder, event.frame, event.number, event.message);
  }
}

static Status
play_through(Render* render, double seconds, Error* error)
{
  const uint64_t end = (uint64_t)llround(seconds * RENDER_RATE_HZ);
  worker_place(&render->worker, RENDER_RATE_HZ, 0);
  narrator_begin(&render->narrator, RENDER_RATE_HZ, 0);
  const double* const values = render->worker.params.value;
  render->recorder.beat =
    smf_beat(values[PARAM_BPM], values[PARAM_BEATS_PER_BAR]);
  for (uint64_t frame = 0; frame <= end; frame += RENDER_SPAN_FRAMES) {
    const Status status =
      worker_run_until(&render->worker, frame + RENDER_SPAN_FRAMES, error);
    if (status) {
      return status;
    }
    const BackendSpan span = { .frame       = frame,
                               .frame_count = RENDER_SPAN_FRAMES,
                               .sink        = &midi_sink_nowhere };
    process_span(&render->process, &span);
    record_played(render);
  }
  uint32_t                count;
  const RecordLine* const rest = narrator_rest(&render->narrator, &count);
  for (uint32_t i = 0; i < count; ++i) {
    tell_line(render, &rest[i]);
  }
  recorder_finish(&render->recorder, end);
  return STATUS_OK;
}

static Status
run(Render* render, const Options* options, Error* error)
{
  Status status = record_check_target(options->record_path, error);
  if (status ||
      (status = sources_load(&render->sources, options, false, error)) ||
      (status = process_init(&render->process, error))) {
    return status;
  }
  const WorkerSetup setup = sources_setup(&render->sources, options);
  status = worker_init(&render->worker, &render->process, &setup, error);
  if (status || (status = play_through(render, options->seconds, error))) {
    return status;
  }
  char text[PROVENANCE_BYTES_MAX];
  provenance_format(options, &render->sources, &render->worker, text);
  status = recorder_write(
    &render->recorder, options->record_path, RENDER_RATE_HZ, text, error);
  if (!status) {
    printf("meander: %g s, %" PRIu64 " notes, seed %" PRIu64 " in %s\n",
           options->seconds,
           atomic_load(&render->process.counters.notes),
           options->seed,
           options->record_path);
  }
  return status;
}

Status
render_run(const Options* options, Error* error)
{
  if (options->from_path) {
    return render_again(options, error);
  }
  // Aligned: rings keep their indices on cache lines of their own.
  Render* const render = aligned_alloc(alignof(Render), sizeof *render);
  if (!render) {
    return error_set(error, STATUS_NO_MEMORY, "no memory to render");
  }
  memset(render, 0, sizeof *render);
  const Status status = run(render, options, error);
  recorder_free(&render->recorder);
  narrator_free(&render->narrator);
  worker_free(&render->worker);
  process_free(&render->process);
  sources_free(&render->sources);
  free(render);
  return status;
}
