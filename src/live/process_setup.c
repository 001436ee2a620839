// Set-up of the process thread's state.
#include "live/process_setup.h"

#include <string.h>

Status
process_init(Process* process, Error* error)
{
  memset(process, 0, sizeof *process);
  Status status =
    ring_init(&process->notes, sizeof(StampedNote), STAMPED_RING_NOTES, error);
  if (status) {
    return status;
  }
  status =
    ring_init(&process->played, sizeof(PlayedEvent), PLAYED_RING_EVENTS, error);
  if (status) {
    ring_free(&process->notes);
  }
  return status;
}

void
process_free(Process* process)
{
  ring_free(&process->notes);
  ring_free(&process->played);
}

void
process_connect(Process* process)
{
  process->reconnected = true;
}

bool
process_read_played(Process* process, PlayedEvent* event)
{
  const PlayedEvent* const next = ring_peek(&process->played);
  if (!next) {
    return false;
  }
  *event = *next;
  ring_pop(&process->played);
  return true;
}
