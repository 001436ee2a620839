// Paths through latent space, and what is played around them.
#include "live/generator.h"

#include <math.h>
#include <string.h>

// Draws are numbered apart by what they are for; a session has far fewer than
// 2^32 windows.
#define DRAWS_FOR_STEPS (1ull << 40)
#define DRAWS_FOR_FIRST_ANCHOR (1ull << 41)

// With fewer steps a model sounds worse than what stands in for it; one made
// for few steps does not.
#define STEPS_LEAST 4u

void
generator_init(Generator*    generator,
               const Model*  model,
               const Params* params,
               uint64_t      seed)
{
  *generator =
    (Generator){ .seed = seed, .state.recent = GENERATOR_ALL_RECENT };
  generator_set(generator, model, params);
}

// Legs before a point was gone to are counted from the first window.
static uint64_t
leg_of(const Generator* generator)
{
  const GeneratorState* const state = &generator->state;
  return state->origin_leg +
         (state->window - state->origin_window) / generator->leg_windows;
}

// How far in its leg the next window is.
static uint64_t
leg_step(const Generator* generator)
{
  const GeneratorState* const state = &generator->state;
  return (state->window - state->origin_window) % generator->leg_windows;
}

static void
set_out_from(Generator* generator, const LatentPoint* point)
{
  GeneratorState* const state = &generator->state;
  state->origin_leg           = leg_of(generator);
  state->origin_window        = state->window;
  state->origin_position      = generator->position;
  state->set_out              = true;
  memcpy(state->origin, point->z, point->size * sizeof *point->z);
}

bool
generator_go_to(Generator* generator, const LatentPoint* point)
{
  GeneratorState* const state = &generator->state;
  const GeneratorMode   mode  = generator->mode;
  if (!point->size || point->size != generator->latent_size) {
    return false;
  }
  memcpy(state->z, point->z, point->size * sizeof *point->z);
  state->stays          = true;
  state->target_windows = 0;
  state->recent         = 0;
  if (mode == GENERATOR_INTERPOLATE || mode == GENERATOR_BRIDGE) {
    set_out_from(generator, point);
  }
  if (mode == GENERATOR_MUTATE || mode == GENERATOR_BRIDGE) {
    state->has_phrase = false; // the next is made of the point alone
  }
  return true;
}

void
generator_hear(Generator*       generator,
               Listen           listen,
               const NoteEvent* notes,
               uint32_t         count)
{
  GeneratorState* const state = &generator->state;
  const uint32_t keep = count < CONTEXT_NOTES_MAX ? count : CONTEXT_NOTES_MAX;
  state->listen       = keep ? listen : LISTEN_OFF;
  state->heard_count  = keep;
  memcpy(state->heard, notes + count - keep, keep * sizeof *notes);
}

void
generator_walk(const Model* model, const LatentWalk* walk, float* z)
{
  const float step = walk->step;
  const float rho  = sqrtf(1.0f - step * step);
  float       eps[MODEL_LATENT_MAX];
  model_sample_prior(model, walk->seed, DRAWS_FOR_STEPS + walk->window, 1, eps);
  for (uint32_t i = 0; i < model_latent_size(model); ++i) {
    z[i] = (rho * z[i] + step * eps[i]) * (1.0f - walk->pull);
  }
}

static float
dot(const float* a, const float* b, uint32_t size)
{
  double sum = 0;
  for (uint32_t i = 0; i < size; ++i) {
    sum += (double)a[i] * b[i];
  }
  return (float)sum;
}

void
slerp(const float* a, const float* b, uint32_t size, float t, float* out)
{
  const float norms  = sqrtf(dot(a, a, size) * dot(b, b, size));
  const float cosine = norms > 0 ? dot(a, b, size) / norms : 1.0f;
  const float angle  = acosf(fminf(fmaxf(cosine, -1.0f), 1.0f));
  const float sine   = sinf(angle);
  // Nearly parallel or opposite: a great circle is not defined, a line is.
  const bool  line = sine < 1e-4f;
  const float wa   = line ? 1.0f - t : sinf((1.0f - t) * angle) / sine;
  const float wb   = line ? t : sinf(t * angle) / sine;
  for (uint32_t i = 0; i < size; ++i) {
    out[i] = wa * a[i] + wb * b[i];
  }
}

// The point `leg` sets out from; the next leg's is where it leads. Stored
// points come in turn.
static void
find_end(const Generator* generator, uint64_t leg, float* z)
{
  const GeneratorState* const state = &generator->state;
  const uint32_t slot = leg % 2 ? generator->to_point : generator->from_point;
  const LatentPoint* const point = slot ? &generator->points[slot - 1] : NULL;
  if (state->set_out && leg == state->origin_leg) {
    memcpy(z, state->origin, generator->latent_size * sizeof *z);
  } else if (point && point->size == generator->latent_size) {
    memcpy(z, point->z, point->size * sizeof *z);
  } else {
    model_sample_prior(generator->model, generator->seed, leg, 1, z);
  }
}

static void
interpolate(Generator* generator)
{
  GeneratorState* const state  = &generator->state;
  const bool            stands = generator->position >= 0;
  const uint64_t        leg    = stands ? 0 : leg_of(generator);
  const float           t =
    stands ? generator->position
                     : (float)leg_step(generator) / (float)generator->leg_windows;
  float from[MODEL_LATENT_MAX];
  float to[MODEL_LATENT_MAX];
  if (stands && state->set_out) {
    memcpy(state->z, state->origin, generator->latent_size * sizeof *from);
    return;
  }
  find_end(generator, leg, from);
  find_end(generator, leg + 1, to);
  slerp(from, to, generator->latent_size, t, state->z);
}

static void
give_context(const Generator* generator, GeneratorJob* job)
{
  const uint32_t known = generator->history_count < generator->state.recent
                           ? generator->history_count
                           : generator->state.recent;
  const uint32_t count =
    generator->context < known ? generator->context : known;
  memcpy(job->given,
         generator->history + generator->history_count - count,
         count * sizeof *job->given);
  job->request.before = count;
}

// A leg begins with the phrase it leaves, played as it is: meanwhile the one
// that it leads to is made, at the other end of the leg's great circle. The
// windows between go along it; the last of them knows what follows.
static void
prepare_bridge(Generator* generator, GeneratorJob* job)
{
  GeneratorState* const state = &generator->state;
  const uint64_t        leg   = leg_of(generator);
  state->stays                = false; // it is where the leg begins
  if (leg_step(generator) == 0) {
    const bool first = !state->has_phrase;
    job->is_anchor   = true;
    if (first) {
      job->request.first_window = DRAWS_FOR_FIRST_ANCHOR + state->window;
    }
    find_end(generator, first ? leg : leg + 1, state->z);
    return;
  }
  interpolate(generator);
  give_context(generator, job);
  if (leg_step(generator) == generator->leg_windows - 1) {
    memcpy(
      job->given + job->request.before, state->phrase, sizeof state->phrase);
    job->request.after = GENERATOR_BRIDGE_AFTER;
  }
}

static void
prepare_mutation(const Generator* generator, GeneratorJob* job)
{
  if (generator->state.has_phrase) {
    job->has_phrase       = true;
    job->request.strength = generator->strength;
    memcpy(job->phrase, generator->state.phrase, sizeof job->phrase);
  }
}

// Steps to ask for, so that STEPS_LEAST are run: a mutation runs only the last
// of those asked for.
static uint32_t
steps_least(const Generator* generator, const GeneratorJob* job)
{
  if (model_student_steps(generator->model)) {
    return 1;
  }
  const float    share = job->has_phrase ? generator->strength : 1.0f;
  const uint32_t least = (uint32_t)floorf((STEPS_LEAST - 1) / share) + 1;
  return least < job->steps_full ? least : job->steps_full;
}

// Where the window starts from: state.z.
static void
move(Generator* generator, GeneratorJob* job)
{
  GeneratorState* const state = &generator->state;
  const bool            first = !state->window;
  if (state->stays || (generator->hold && !first)) {
    state->stays = false;
  } else if (generator->mode == GENERATOR_INTERPOLATE) {
    interpolate(generator);
  } else if (generator->mode == GENERATOR_WALK && !first) {
    job->z_rule = Z_WALK;
    job->walk   = (LatentWalk){
        generator->walk_step, generator->pull, generator->seed, state->window
    };
    generator_walk(generator->model, &job->walk, state->z);
  } else {
    job->z_rule = Z_PRIOR;
    job->z_draw = state->window;
    model_sample_prior(
      generator->model, generator->seed, state->window, 1, state->z);
  }
}

// A follower's way to what was played, one window at a time.
static void
follow(Generator* generator, GeneratorJob* job)
{
  GeneratorState* const state = &generator->state;
  if (state->target_windows) {
    float from[MODEL_LATENT_MAX];
    memcpy(from, state->z, sizeof from);
    slerp(from,
          state->target,
          generator->latent_size,
          1.0f / (float)state->target_windows--,
          state->z);
    job->z_rule = Z_GIVEN;
  }
}

// Fewer notes than a window has come again from the first on.
static void
fill_window(const NoteEvent* notes, uint32_t count, NoteEvent* window)
{
  const uint32_t skip = count > WINDOW_NOTES ? count - WINDOW_NOTES : 0;
  for (uint32_t i = 0; i < WINDOW_NOTES; ++i) {
    window[i] = notes[skip + i % (count - skip)];
  }
}

// Of the notes given before the window the last ones, as many as have room.
static void
keep_last_given(GeneratorJob* job, uint32_t room)
{
  const uint32_t before = job->request.before;
  if (before > room) {
    memmove(job->given, job->given + before - room, room * sizeof *job->given);
    job->request.before = room;
  }
}

// What a diffusion model makes of a player's phrase: noised and sampled anew it
// is an answer, given before a window it is gone on from, given after one it is
// led to.
static void
hear_as_notes(const Generator* generator, GeneratorJob* job)
{
  const GeneratorState* const state = &generator->state;
  const uint32_t              room  = model_context_max(generator->model);
  const uint32_t keep = state->heard_count < room ? state->heard_count : room;
  if (state->listen == LISTEN_FOLLOW && room >= WINDOW_NOTES) {
    keep_last_given(job, room - WINDOW_NOTES);
    fill_window(
      state->heard, state->heard_count, job->given + job->request.before);
    job->request.after = WINDOW_NOTES;
  } else if (state->listen == LISTEN_SEED) {
    memcpy(job->given,
           state->heard + state->heard_count - keep,
           keep * sizeof *job->given);
    job->request.before = keep;
  } else {
    job->has_phrase       = true;
    job->request.strength = generator->strength;
    fill_window(state->heard, state->heard_count, job->phrase);
  }
}

static void
prepare_answer(Generator* generator, GeneratorJob* job)
{
  GeneratorState* const state = &generator->state;
  if (model_kind(generator->model) == MODEL_DIFFUSION) {
    hear_as_notes(generator, job);
  } else {
    job->listen = state->listen;
    job->walk   = (LatentWalk){
        generator->walk_step, generator->pull, generator->seed, state->window
    };
    fill_window(state->heard, state->heard_count, job->heard);
  }
  state->listen = LISTEN_OFF;
}

void
generator_prepare(Generator* generator, GeneratorJob* job)
{
  GeneratorState* const state = &generator->state;
  job->request                = generator->request;
  job->request.first_window   = state->window;
  job->steps_full             = job->request.steps;
  job->context                = generator->context;
  job->is_anchor              = false;
  job->has_phrase             = false;
  job->listen                 = LISTEN_OFF;
  job->z_rule                 = Z_GIVEN;
  if (generator->mode == GENERATOR_BRIDGE) {
    prepare_bridge(generator, job);
  } else {
    move(generator, job);
    follow(generator, job);
    give_context(generator, job);
  }
  if (generator->mode == GENERATOR_MUTATE) {
    prepare_mutation(generator, job);
  }
  if (state->listen != LISTEN_OFF && !job->is_anchor) {
    prepare_answer(generator, job);
  }
  memcpy(job->z, state->z, generator->latent_size * sizeof *job->z);
  job->steps_least = steps_least(generator, job);
}

// Windows that a follower takes to what was played.
#define FOLLOW_WINDOWS 4u

// z, from the point of what was played.
static Status
find_heard(Model* model, GeneratorJob* job, Error* error)
{
  const Status status = model_encode(model, job->heard, 1, job->heard_z, error);
  if (status) {
    return status;
  }
  const uint32_t size = model_latent_size(model);
  if (job->listen == LISTEN_FOLLOW) {
    float from[MODEL_LATENT_MAX];
    memcpy(from, job->z, sizeof from);
    slerp(from, job->heard_z, size, 1.0f / FOLLOW_WINDOWS, job->z);
  } else {
    memcpy(job->z, job->heard_z, size * sizeof *job->z);
    if (job->listen == LISTEN_RESPOND) {
      generator_walk(model, &job->walk, job->z);
    }
  }
  job->z_rule = Z_GIVEN;
  return STATUS_OK;
}

ModelRequest
generator_request(const GeneratorJob* job, uint32_t steps)
{
  ModelRequest request = job->request;
  request.steps        = steps;
  request.z            = job->z;
  request.given        = job->given;
  request.phrase       = job->has_phrase ? job->phrase : NULL;
  return request;
}

Status
generator_run(Model*        model,
              GeneratorJob* job,
              NoteEvent     out[WINDOW_NOTES],
              Error*        error)
{
  if (job->listen != LISTEN_OFF) {
    const Status status = find_heard(model, job, error);
    if (status) {
      return status;
    }
  }
  const ModelRequest request = generator_request(job, job->request.steps);
  return model_generate(model, &request, out, error);
}

void
generator_set_history(Generator*       generator,
                      const NoteEvent* events,
                      uint32_t         count)
{
  const uint32_t keep = count < CONTEXT_NOTES_MAX ? count : CONTEXT_NOTES_MAX;
  memcpy(generator->history, events + count - keep, keep * sizeof *events);
  generator->history_count = keep;
}

void
generator_heard(Generator* generator, const NoteEvent* events, uint32_t count)
{
  const uint32_t room = CONTEXT_NOTES_MAX;
  const uint32_t keep = generator->history_count + count > room
                          ? room - count
                          : generator->history_count;
  memmove(generator->history,
          generator->history + generator->history_count - keep,
          keep * sizeof *events);
  memcpy(generator->history + keep, events, count * sizeof *events);
  generator->history_count = keep + count;
  uint32_t* const recent   = &generator->state.recent;
  *recent = *recent == GENERATOR_ALL_RECENT || *recent + count >= room
              ? GENERATOR_ALL_RECENT
              : *recent + count;
}

// Keeps the anchor that came, and plays the one before it.
static bool
accept_anchor(GeneratorState* state, NoteEvent events[WINDOW_NOTES])
{
  NoteEvent  came[WINDOW_NOTES];
  const bool first = !state->has_phrase;
  memcpy(came, events, sizeof came);
  memcpy(events, state->phrase, sizeof came);
  memcpy(state->phrase, came, sizeof came);
  state->has_phrase = true;
  return !first;
}

bool
generator_accept(Generator*          generator,
                 const GeneratorJob* job,
                 NoteEvent           events[WINDOW_NOTES])
{
  GeneratorState* const state   = &generator->state;
  const size_t          z_bytes = generator->latent_size * sizeof *state->z;
  if (job->is_anchor && !accept_anchor(state, events)) {
    return false;
  }
  if (generator->mode == GENERATOR_MUTATE) {
    memcpy(state->phrase, events, sizeof state->phrase);
    state->has_phrase = true;
  }
  if (job->listen != LISTEN_OFF) {
    memcpy(state->z, job->z, z_bytes);
    memcpy(state->target, job->heard_z, z_bytes);
    state->target_windows =
      job->listen == LISTEN_FOLLOW ? FOLLOW_WINDOWS - 1 : 0;
  }
  generator_heard(generator, events, WINDOW_NOTES);
  ++state->window;
  return true;
}

// The nearest pitch of an allowed class, the lower of two.
static uint8_t
allowed_pitch(uint16_t forbidden, uint8_t pitch)
{
  for (int away = 0; away < 12; ++away) {
    for (int sign = -1; sign <= 1; sign += 2) {
      const int near = pitch + sign * away;
      if (near >= 1 && near <= 127 && !(forbidden >> (near % 12) & 1)) {
        return (uint8_t)near;
      }
    }
  }
  return pitch;
}

void
generator_begin_from(Generator*       generator,
                     const NoteEvent* notes,
                     uint32_t         count)
{
  const bool     last = generator->mode == GENERATOR_CONTINUE;
  const uint32_t room = last ? CONTEXT_NOTES_MAX : WINDOW_NOTES;
  const uint32_t keep = count < room ? count : room;
  NoteEvent      kept[CONTEXT_NOTES_MAX];
  memcpy(kept, last ? notes + count - keep : notes, keep * sizeof *kept);
  for (uint32_t i = 0; i < keep; ++i) {
    kept[i].pitch =
      allowed_pitch(generator->request.forbidden_classes, kept[i].pitch);
  }
  if (last) {
    generator_heard(generator, kept, keep);
  } else {
    memcpy(generator->state.phrase, kept, sizeof generator->state.phrase);
    generator->state.has_phrase = true;
  }
}

Status
generator_next(Generator* generator,
               Model*     model,
               NoteEvent  out[WINDOW_NOTES],
               Error*     error)
{
  Status       status;
  GeneratorJob job;
  do {
    generator_prepare(generator, &job);
    status = generator_run(model, &job, out, error);
  } while (!status && !generator_accept(generator, &job, out));
  return status;
}
