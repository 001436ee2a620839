// Making a recording again: reads what it says of itself, samples and plays its
// notes anew, and writes them as they were written.
#include "plan_text.h"
#include "record.h"
#include "record/provenance_read.h"
#include "regenerate.h"
#include "render.h"
#include "render_again_models.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
  const Options* options;
  AgainModels*   models;
  Provenance     provenance;
  Recorder       recorder;
  size_t         line; // the next one
  uint64_t       notes;
} Again;

// --- Writing -----------------------------------------------------------------

// Whether a line stands before this message.
static bool
is_due(const Again* again, const PlayedEvent* event)
{
  const RecordLine* const line = &again->provenance.lines[again->line];
  PlanTextLine            read;
  Error                   none;
  const bool              on   = (event->message[0] & 0xf0) == 0x90;
  const bool              good = !plan_text_read(line->text, &read, &none);
  if (good && read.step.kind >= PLAN_BREAK) {
    return read.step.frame + !on <= event->frame; // after what it ended
  }
  return on && line->number <= event->number;
}

static void
put_line(Again* again)
{
  RecordLine line = again->provenance.lines[again->line++];
  Error      none; // one that is lost is counted there
  line.now = true;
  recorder_line(&again->recorder, &line, &none);
}

static void
hear(void* context, const PlayedEvent* event)
{
  Again* const         again = context;
  const CutLine* const cut   = &again->provenance.cut;
  if (event->number < cut->first || event->frame < cut->begin) {
    return;
  }
  while (again->line < again->provenance.count && is_due(again, event)) {
    put_line(again);
  }
  again->notes += (event->message[0] & 0xf0) == 0x90;
  recorder_add(&again->recorder,
               cut_place(cut->begin, cut->lead, event->frame),
               event->number,
               event->message);
}

static Status
read_lines(Again* again, Regeneration* regeneration, Error* error)
{
  const Provenance* const p      = &again->provenance;
  Status                  status = STATUS_OK;
  for (size_t i = 0; i < p->count && !status; ++i) {
    status = regeneration_line(
      regeneration, p->lines[i].number, p->lines[i].text, error);
  }
  return status;
}

static Status
play_again(Again* again, Regeneration* regeneration, Error* error)
{
  const Provenance* const p = &again->provenance;
  const uint64_t end = p->cut.begin + p->cut.frame - (uint64_t)p->cut.lead;
  Status status      = regeneration_play(regeneration, end, hear, again, error);
  while (!status && again->line < p->count) {
    put_line(again);
  }
  recorder_finish(&again->recorder, p->cut.frame);
  return status ? status
                : recorder_write(&again->recorder,
                                 again->options->record_path,
                                 p->cut.sample_rate_hz,
                                 p->about,
                                 error);
}

static Status
run(Again* again, Error* error)
{
  const Options* const options      = again->options;
  Regeneration*        regeneration = NULL;
  Status status = record_check_target(options->record_path, error);
  if (status || (status = provenance_check(&again->provenance, error))) {
    return status;
  }
  status =
    again_models_open(options, &again->provenance, &again->models, error);
  if (status) {
    return status;
  }
  again->recorder.beat         = again->provenance.beat;
  again->recorder.origin_frame = again->provenance.cut.begin;
  again->recorder.lead_frames  = again->provenance.cut.lead;
  status =
    regeneration_open(again_models_find, again->models, &regeneration, error);
  if (!status) {
    status = read_lines(again, regeneration, error);
  }
  if (!status) {
    status = play_again(again, regeneration, error);
  }
  regeneration_free(regeneration);
  return status;
}

Status
render_again(const Options* options, Error* error)
{
  Again* const again = calloc(1, sizeof *again);
  if (!again) {
    return error_set(error, STATUS_NO_MEMORY, "no memory to render");
  }
  again->options = options;
  Status status =
    provenance_read(options->from_path, &again->provenance, error);
  if (!status) {
    status = run(again, error);
    if (status) {
      error_prefix(error, "%s: ", options->from_path);
    } else {
      printf("meander: %" PRIu64 " notes made again in %s\n",
             again->notes,
             options->record_path);
    }
    again_models_free(again->models);
    provenance_free(&again->provenance);
  }
  recorder_free(&again->recorder);
  free(again);
  return status;
}
