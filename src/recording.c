// Recording a session.
#include "recording.h"

#include "clock.h"
#include "provenance.h"

// Where the music stands.
static uint64_t
frames_since_origin(Recorder* recorder, const Worker* worker)
{
  const uint64_t origin  = atomic_load(&worker->origin_frame);
  const uint64_t now     = atomic_load(&worker->process->processed_until);
  recorder->origin_frame = origin == WORKER_NO_ORIGIN ? 0 : origin;
  return now > origin ? now - origin : 0;
}

Status
recording_start(Recorder*      recorder,
                const Options* options,
                const Sources* sources,
                const Worker*  worker,
                uint32_t       sample_rate_hz,
                Error*         error)
{
  if (!options->record_path) {
    return STATUS_OK;
  }
  char text[PROVENANCE_BYTES_MAX];
  provenance_format(options, sources, worker, text);
  return recorder_grow(
    recorder, options->record_path, sample_rate_hz, text, error);
}

bool
recording_turn(Recorder* recorder, const Worker* worker, Error* told)
{
  return recorder_turn(
    recorder, clock_now_s(), frames_since_origin(recorder, worker), told);
}

Status
recording_end(Recorder*      recorder,
              const Options* options,
              const Sources* sources,
              const Worker*  worker,
              uint32_t       sample_rate_hz,
              Error*         error)
{
  // A note whose off could not be written any more ends where time did.
  recorder_finish(recorder, frames_since_origin(recorder, worker));
  char text[PROVENANCE_BYTES_MAX];
  provenance_format(options, sources, worker, text);
  return recorder_write(
    recorder, options->record_path, sample_rate_hz, text, error);
}
