// What controllers are told, and process of them.
#include "session/session.h"

#include "live/process_setup.h"

// Between two looks at what controllers should show.
#define FEEDBACK_S 0.03

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
  if (session->now_s < session->feedback_s || !session->shown_to) {
    return;
  }
  session->feedback_s = session->now_s + FEEDBACK_S;
  const size_t count =
    midi_map_feedback(&session->map, &session->knobs.params, messages, 32);
  for (size_t i = 0; i < count; ++i) {
    process_send_feedback(session->process, messages[i].message);
  }
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
