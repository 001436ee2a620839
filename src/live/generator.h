// Decides what comes next: one window of notes after another, each a pure
// function of seed, mode, its number and the notes before it. The thread that
// plans (the worker, or whoever runs it synchronously).
//
// Deciding and sampling are apart, so that sampling may take its time in a
// thread of its own: generator_prepare() writes down all that a window needs,
// generator_run() samples it, generator_accept() takes what came of it.
#pragma once

#include "live/params.h"
#include "model.h"

#include <stdbool.h>
#include <stdint.h>

// Where a job's z came from, so that a recording need not hold all of it.
typedef enum {
  Z_GIVEN,
  Z_PRIOR, // model_sample_prior() with the job's seed and z_draw
  Z_WALK   // generator_walk() from the z of the window before
} ZRule;

// How z moves from one window to the next.
typedef struct {
  float    step; // 0..1
  float    pull; // 0..1
  uint64_t seed;
  uint64_t window;
} LatentWalk;

// One window to be sampled; complete in itself.
typedef struct {
  ModelRequest request;     // without its pointers
  uint32_t     steps_full;  // what request.steps is when there is time
  uint32_t     steps_least; // with fewer, what stands in sounds better
  uint32_t     context;     // notes that later windows are given at most
  bool         is_anchor;   // of a bridge: kept, not played next
  float        z[MODEL_LATENT_MAX];
  ZRule        z_rule;
  uint64_t     z_draw;
  LatentWalk   walk;
  NoteEvent    given[CONTEXT_NOTES_MAX]; // before, then after
  bool         has_phrase;
  NoteEvent    phrase[WINDOW_NOTES];
  // A phrase that a player played: its point in latent space is found first,
  // and z follows from it (LISTEN_OFF: there is none).
  Listen    listen;
  NoteEvent heard[WINDOW_NOTES];
  float     heard_z[MODEL_LATENT_MAX]; // what was found
} GeneratorJob;

// A stored point in latent space.
typedef struct {
  uint32_t size; // 0: none
  float    z[MODEL_LATENT_MAX];
} LatentPoint;

// What moves on with each window; may be copied and put back.
typedef struct {
  uint64_t  window;               // the number of the next one
  float     z[MODEL_LATENT_MAX];  // the last window's latent
  bool      stays;                // the next one's is the same
  NoteEvent phrase[WINDOW_NOTES]; // what mutate varies, where a bridge leads
  bool      has_phrase;
  // What a player played, until the next window takes it into account.
  Listen    listen;
  NoteEvent heard[CONTEXT_NOTES_MAX];
  uint32_t  heard_count;
  float     target[MODEL_LATENT_MAX]; // where a follower goes,
  uint32_t  target_windows;           // in so many windows
  // Where interpolate and bridge set out from when a point was gone to: their
  // first leg from there, and their legs are counted from that window on.
  bool     set_out;
  float    origin[MODEL_LATENT_MAX];
  float    origin_position; // of the knob, which stood so
  uint64_t origin_leg;
  uint64_t origin_window;
  // Of the last notes so many are context: those before are of another point.
  uint32_t recent; // GENERATOR_ALL_RECENT: all
} GeneratorState;

#define GENERATOR_ALL_RECENT UINT32_MAX

typedef struct {
  const Model*  model; // not owned; only what any thread may ask of it
  GeneratorMode mode;
  float         walk_step; // 0..1
  float         pull;      // 0..1
  uint32_t      leg_windows;
  uint32_t      from_point; // 0: the seed's own
  uint32_t      to_point;
  float         position; // below 0: travels
  bool          hold;
  float         strength; // of mutate
  uint32_t      context;  // notes given before each window at most
  ModelRequest  request;  // what all windows have in common
  uint64_t      seed;
  uint32_t      latent_size;
  LatentPoint   points[POINTS_MAX]; // slot 1 is points[0]

  GeneratorState state;
  NoteEvent      history[CONTEXT_NOTES_MAX]; // the last notes, as sampled
  uint32_t       history_count;
} Generator;

// Notes that the last window of a bridge is given after it: the phrase it leads
// to.
#define GENERATOR_BRIDGE_AFTER WINDOW_NOTES

// The mode that the parameters ask for, or else the one that suits the model.
GeneratorMode generator_mode(const Model* model, const Params* params);

// STATUS_BAD_ARGUMENT, STATUS_UNSUPPORTED: the parameters ask for what `model`
// cannot do; the line names the parameter.
Status generator_check(const Model* model, const Params* params, Error* error);

// Of parameters that generator_check() took.
void generator_init(Generator*    generator,
                    const Model*  model,
                    const Params* params,
                    uint64_t      seed);

// The parameters as far as this model can follow them: what it cannot do is at
// its standard. Where generator_check() is content nothing changes.
Params generator_fit(const Model* model, const Params* params);
// Other parameters, or another model, from the next window on. A latent of
// another size is drawn anew.
void generator_set(Generator*    generator,
                   const Model*  model,
                   const Params* params);
// The next window is at this point and of this point only: no notes before it
// count. Walk, continue and mutate go on from what it makes, interpolate and
// bridge set out from it; a position that stands waits there for its knob.
// False: the point is not of this model.
bool generator_go_to(Generator* generator, const LatentPoint* point);
// What a player played; the next window takes it into account.
void generator_hear(Generator*       generator,
                    Listen           listen,
                    const NoteEvent* notes,
                    uint32_t         count);
// The same notes again as generator_heard() would have left them.
void generator_set_history(Generator*       generator,
                           const NoteEvent* events,
                           uint32_t         count);

// z' = ((1 - pull) (rho z + step eps)), where step is sqrt(1 - rho^2) and eps a
// fresh draw: without pull the walk stays on the (standard normal) prior
// however long it lasts.
void generator_walk(const Model* model, const LatentWalk* walk, float* z);

// Begins from notes that were not generated: continue goes on from the last,
// mutate varies and bridge leaves the first WINDOW_NOTES (`count` or more). Of
// a scale each takes the nearest note.
void generator_begin_from(Generator*       generator,
                          const NoteEvent* notes,
                          uint32_t         count);

// The next window's job. Each that is prepared must be accepted (or be the
// last).
void generator_prepare(Generator* generator, GeneratorJob* job);

// The thread that owns `model`. Where the job has a player's phrase z is found.
Status generator_run(Model*        model,
                     GeneratorJob* job,
                     NoteEvent     out[WINDOW_NOTES],
                     Error*        error);

// What the model is asked for such a job, in `steps` steps; it lives no longer
// than the job.
ModelRequest generator_request(const GeneratorJob* job, uint32_t steps);

// Takes the window sampled for `job`. False: there is nothing to play yet,
// prepare another; else `events` is what to play next.
bool generator_accept(Generator*          generator,
                      const GeneratorJob* job,
                      NoteEvent           events[WINDOW_NOTES]);

// Notes that were played though this generator did not make them.
void generator_heard(Generator*       generator,
                     const NoteEvent* events,
                     uint32_t         count);

// All three at once, with a `model` that the caller owns.
Status generator_next(Generator* generator,
                      Model*     model,
                      NoteEvent  out[WINDOW_NOTES],
                      Error*     error);

// From a (t = 0) to b (t = 1) along the great circle; out may be neither.
void slerp(const float* a, const float* b, uint32_t size, float t, float* out);
