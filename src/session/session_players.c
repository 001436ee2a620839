// Those who play along: who is connected, whose clock is waited for, and what
// controllers are shown.
#include "session/session.h"

#include "live/process_setup.h"

#include <string.h>

// Between two looks at what controllers should show.
#define FEEDBACK_S 0.03

// A player who is gone, or whose messages were lost, holds no keys. Who came in
// place of another is counted as both.
void
session_watch_players(Session* session, const SessionLink* link)
{
  const uint64_t lost = session_missed(session, link);
  const bool     gone = link->control_gone_count != session->gone_before ||
                    link->control_count < session->players;
  if (gone || lost != session->lost_before) {
    phrase_in_release(&session->phrase, session_frame(session));
    atomic_fetch_add(&session->process->release_requests, 1);
  }
  if (gone || link->control_count > session->players ||
      link->feedback_count > session->shown_to) {
    midi_map_feedback_all(&session->map);
  }
  session->players     = link->control_count;
  session->gone_before = link->control_gone_count;
  session->shown_to    = link->feedback_count;
  session->lost_before = lost;
}

// A silence that is meant is told, once.
void
session_tell_waiting(Session* session)
{
  const Sync  sync = (Sync)(int)session->knobs.params.value[PARAM_SYNC];
  const char* waits =
    sync == SYNC_MIDI && !session->beat.running
      ? "MIDI clock at meander:control"
    : sync != SYNC_JACK || session->beat.transport.rolling ? NULL
    : session->link.backend && strcmp(session->link.backend, "jack")
      ? "JACK's transport, which only --backend jack has; "
        "--sync free does without"
      : "JACK's transport to start";
  if (waits && waits != session->waits) {
    view_log(session->view, "the music waits for %s", waits);
  }
  session->waits = waits;
}

// Keys that are bound or learnt are not played: they do not echo.
static void
tell_bound_keys(Session* session)
{
  uint64_t keys[16][2];
  midi_map_keys(&session->map, keys);
  for (int channel = 0; channel < 16; ++channel) {
    for (int half = 0; half < 2; ++half) {
      atomic_store(&session->process->silent_keys[channel][half],
                   keys[channel][half]);
    }
  }
}

static void
send_feedback(Session* session)
{
  MidiMessage messages[32];
  if (session->now_s < session->feedback_s || !session->link.backend ||
      !session->shown_to) {
    return;
  }
  session->feedback_s = session->now_s + FEEDBACK_S;
  const size_t count =
    midi_map_feedback(&session->map, &session->knobs.params, messages, 32);
  for (size_t i = 0; i < count; ++i) {
    if (!process_send_feedback(session->process, messages[i].message)) {
      ++session->feedback_refused;
    }
  }
  const uint64_t lost = session_feedback_lost(session);
  if (lost != session->feedback_lost_before) {
    midi_map_feedback_all(&session->map); // another time
  }
  session->feedback_lost_before = lost;
}

void
session_turn_controllers(Session* session)
{
  if (midi_map_learn_ends(&session->map, session->now_s)) {
    view_log(session->view,
             "nothing to learn from came within %g s: controllers do what they "
             "did before",
             MIDI_LEARN_S_MAX);
  }
  tell_bound_keys(session);
  send_feedback(session);
}
