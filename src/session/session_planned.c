// The notes to come, for the roll: as the planner handed them to process.
#include "session/session.h"

static StampedNote*
note_at(Session* session, uint64_t number)
{
  return &session->planned[number % SESSION_PLANNED];
}

static void
read_planned(Session* session)
{
  StampedNote note;
  while (planner_read_note(&session->worker->planner, &note)) {
    *note_at(session, note.number) = note;
    session->planned_next          = note.number + 1;
  }
}

// As process decides.
static bool
is_played(const StampedNote* note, uint64_t cut)
{
  return (uint16_t)note->epoch == (uint16_t)cut || note->on_frame < cut >> 16;
}

size_t
session_show_planned(Session* session)
{
  const uint64_t now     = session_frame(session);
  const uint64_t cut     = atomic_load(&session->process->cut);
  const double   frame_s = 1.0 / session->rate_hz;
  size_t         count   = 0;
  read_planned(session);
  const uint64_t next  = session->planned_next;
  const uint64_t first = next > SESSION_PLANNED ? next - SESSION_PLANNED : 0;
  for (uint64_t number = first; number < next; ++number) {
    const StampedNote* const note = note_at(session, number);
    // A number that has no note was stamped silent.
    if (note->number == number && note->on_frame >= now &&
        is_played(note, cut)) {
      session->shown[count++] =
        (RollPlanned){ .on_s     = (double)(note->on_frame - now) * frame_s,
                       .off_s    = (double)(note->off_frame - now) * frame_s,
                       .pitch    = note->pitch,
                       .velocity = note->velocity };
    }
  }
  return count;
}
