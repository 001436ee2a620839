// What the tests of control/audition share: an audition, and an instrument that
// swaps when a phrase ends. Include after cmocka.h, in one file.
#pragma once

#include "audition_fixture.h"
#include "control/audition.h"
#include "held_model.h"

static Audition* audition;
static Params    params;

// The instrument: a model sounds, another may wait for the phrase to end.
static struct {
  Model* sounds;
  Model* waits;
  bool   at_once; // phrases end at each turn
  int    swaps;
  int    overtaken;
  int    asked;    // swaps
  bool   compares; // the last of them
} instrument;

static char said[8][600]; // the last lines
static int  said_count;

static inline void
sound(Model* model)
{
  float              z[MODEL_LATENT_MAX] = { 0 };
  NoteEvent          out[WINDOW_NOTES];
  Error              error;
  const ModelRequest request = { .z = z, .count = 1 };
  assert_true(held_is_live(model));
  assert_int_equal(__real_model_generate(model, &request, out, &error), 0);
}

static inline void
end_phrase(void)
{
  if (instrument.waits) {
    Model* const before = instrument.sounds;
    instrument.sounds   = instrument.waits;
    instrument.waits    = NULL;
    ++instrument.swaps;
    audition_plays(audition, instrument.sounds);
    audition_retired(audition, before);
  }
  sound(instrument.sounds);
}

static inline void
turn(void)
{
  AuditionEvent event;
  while (audition_poll(audition, &params, &event)) {
    if (event.model) {
      if (instrument.waits) {
        ++instrument.overtaken;
        audition_retired(audition, instrument.waits);
      }
      instrument.waits    = event.model;
      instrument.compares = event.compares;
      ++instrument.asked;
    }
    if (*event.text) {
      memcpy(said[said_count++ % 8], event.text, sizeof *said);
    }
  }
  if (instrument.at_once) {
    end_phrase();
  }
}

static inline bool
was_said(const char* part)
{
  for (int i = 0; i < 8; ++i) {
    if (strstr(said[i], part)) {
      return true;
    }
  }
  return false;
}

static inline void
forget_said(void)
{
  memset(said, 0, sizeof said);
  said_count = 0;
}

static inline void
start(const AuditionSetup* setup, const char* first)
{
  Error error = { 0 };
  forget_said();
  memset(&instrument, 0, sizeof instrument);
  instrument.at_once = true;
  params             = params_standard();
  held_reset();
  if (audition_open(setup, &audition, &error)) {
    fail_msg("%s", error.text);
  }
  assert_int_equal(
    __wrap_model_load(first, "cpu", 1, &instrument.sounds, &error), 0);
  audition_adopt(audition, instrument.sounds, first);
}

static inline void
start_named(size_t count, const char* const* names, const char* watch)
{
  const char*   paths[8];
  char          texts[8][128];
  AuditionSetup setup = { .paths      = paths,
                          .path_count = count,
                          .watch      = watch,
                          .follow     = true,
                          .device     = "cpu",
                          .seed       = 7 };
  for (size_t i = 0; i < count; ++i) {
    snprintf(texts[i], sizeof texts[i], "%s/%s", folder, names[i]);
    paths[i] = texts[i];
  }
  start(&setup, paths[0]);
}

static inline void
finish(void)
{
  if (instrument.waits) {
    audition_retired(audition, instrument.waits);
  }
  if (instrument.sounds) {
    audition_retired(audition, instrument.sounds);
  }
  assert_true(audition_close(audition));
  held_assert_none_left();
}

static inline Status
act_text(ActionKind kind, const char* text, Error* error)
{
  Action action = { .kind = kind };
  snprintf(action.text, sizeof action.text, "%s", text);
  assert_true(audition_takes(kind));
  return audition_do(audition, &action, error);
}

static inline void
act(ActionKind kind)
{
  Error error = { 0 };
  if (act_text(kind, "", &error)) {
    fail_msg("%s", error.text);
  }
}

static inline AuditionStatus
status_now(void)
{
  AuditionStatus status;
  audition_status(audition, &status);
  return status;
}

static inline bool
plays(const char* name)
{
  const AuditionStatus status = status_now();
  return !strcmp(status.playing.name, name) && !*status.pending;
}

static inline void
assert_sides(char side, const char* playing, const char* other)
{
  const AuditionStatus status = status_now();
  assert_int_equal(status.side, side);
  assert_string_equal(status.playing.name, playing);
  assert_string_equal(status.other.name, other);
}
