// Set-up of the process thread's state.
#include "live/process_setup.h"

#include <string.h>
#include <sys/mman.h>

// Keeps what the process thread touches from being paged out. Where the system
// does not grant it (about 1 MB, below the usual limit), play goes on without.
static void
lock_memory(const Process* process)
{
  const Ring* const rings[] = { &process->notes, &process->played };
  mlock(process, sizeof *process);
  for (size_t i = 0; i < sizeof rings / sizeof *rings; ++i) {
    mlock(rings[i]->records,
          rings[i]->capacity_records * rings[i]->record_size_bytes);
  }
}

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
    return status;
  }
  lock_memory(process);
  return STATUS_OK;
}

void
process_free(Process* process)
{
  munlock(process, sizeof *process);
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
