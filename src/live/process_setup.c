// Set-up of the process thread's state.
#include "live/process_setup.h"

#include <string.h>
#include <sys/mman.h>

// Keeps what the process thread touches from being paged out. Where the system
// does not grant it (about 1 MB, below the usual limit), play goes on without.
#define RINGS 5

typedef struct {
  Ring*    ring;
  size_t   record_bytes;
  uint32_t records;
} RingPlan;

static void
list_rings(Process* process, RingPlan rings[RINGS])
{
  rings[0] =
    (RingPlan){ &process->notes, sizeof(StampedNote), STAMPED_RING_NOTES };
  rings[1] =
    (RingPlan){ &process->played, sizeof(PlayedEvent), PLAYED_RING_EVENTS };
  rings[2] =
    (RingPlan){ &process->heard, sizeof(HeardEvent), HEARD_RING_EVENTS };
  rings[3] = (RingPlan){ &process->feedback,
                         sizeof(FeedbackMessage),
                         FEEDBACK_RING_EVENTS };
  rings[4] = (RingPlan){ &process->beats, sizeof(BeatMark), BEAT_RING_MARKS };
}

// Keeps what the process thread touches from being paged out. Where the system
// does not grant it (about 2 MB, below the usual limit), play goes on without.
static void
lock_memory(const Process* process, const RingPlan rings[RINGS])
{
  mlock(process, sizeof *process);
  for (size_t i = 0; i < RINGS; ++i) {
    mlock(rings[i].ring->records, rings[i].records * rings[i].record_bytes);
  }
}

Status
process_init(Process* process, Error* error)
{
  memset(process, 0, sizeof *process);
  RingPlan rings[RINGS];
  list_rings(process, rings);
  for (size_t i = 0; i < RINGS; ++i) {
    const Status status =
      ring_init(rings[i].ring, rings[i].record_bytes, rings[i].records, error);
    if (status) {
      process_free(process);
      return status;
    }
  }
  lock_memory(process, rings);
  return STATUS_OK;
}

void
process_free(Process* process)
{
  RingPlan rings[RINGS];
  list_rings(process, rings);
  munlock(process, sizeof *process);
  for (size_t i = 0; i < RINGS; ++i) {
    ring_free(rings[i].ring);
  }
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

bool
process_read_heard(Process* process, HeardEvent* event)
{
  const HeardEvent* const next = ring_peek(&process->heard);
  if (!next) {
    return false;
  }
  *event = *next;
  ring_pop(&process->heard);
  return true;
}

bool
process_send_feedback(Process* process, const uint8_t message[3])
{
  FeedbackMessage feedback;
  memcpy(feedback.message, message, sizeof feedback.message);
  if (!ring_push(&process->feedback, &feedback)) {
    return false;
  }
  ring_commit(&process->feedback);
  return true;
}
