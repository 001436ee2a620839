// Listening to one checkpoint after another, and to two in turn: which ones
// there are, which two are at hand, what the keys mean, and what listeners
// thought. Control thread; nothing here waits for a disk, a GPU or a model.
//
// Two sides, A and B, each with a loaded model. `ab` goes to the other side;
// next, previous, load and choose bring another checkpoint to the side that
// plays, so that the other stays as what to compare with. An empty side gets
// the neighbour in the list. A watched folder is followed while the newest of
// it plays: a newer one comes to the other side and plays, so that `ab` goes
// back to the version before, whose file may be gone. Who goes elsewhere is
// left alone until the newest is chosen again.
//
// Whose a Model is. What an AUDITION_SWAP carries belongs to the instrument
// until it gives it back with audition_retired(), once for each time that it
// was handed out: a model may be handed out again before it is back. Everything
// else belongs to the audition. Loaded are A, B, and what the instrument has
// not given back yet; one more while it is being loaded.
//
// In app.c:
//
//   AuditionSetup setup = { .paths = o->paths, .path_count = o->path_count,
//                           .watch = o->watch, .follow = true,
//                           .device = o->device, .seed = o->seed };
//   audition_open(&setup, &app->audition, error);
//   audition_first(app->audition, path)   // what to load first, if anything
//   audition_adopt(app->audition, model, path);     // what begins to play
//
//   // each turn of the loop
//   AuditionEvent event;
//   while (audition_poll(app->audition, &app->params, &event)) {
//     if (event.model && !give_to_worker(app, event.model)) { // no room, say
//       audition_retired(app->audition, event.model);
//     }
//     if (*event.text) view_log(&app->view, "%s", event.text);
//   }
//   // as the worker tells of them
//   audition_plays(app->audition, model);    // it sounds from here on
//   audition_retired(app->audition, model);  // not sampled from any more
//
//   // of an action
//   if (audition_takes(action->kind)) audition_do(app->audition, action, error)
//
//   // at the end, when worker_stop() said that nothing is stuck and each model
//   // was given back
//   app->model_stuck |= !audition_close(app->audition);
#pragma once

#include "control/action.h"
#include "control/ratings.h"
#include "control/said.h"
#include "live/params.h"
#include "model.h"
#include "status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AUDITION_NAME_BYTES 96u

typedef struct Audition Audition;

typedef struct {
  const char* const* paths; // files and folders, in the order to play them
  size_t             path_count;
  const char*        watch;  // folder; NULL: none
  bool               follow; // the newest of it plays
  const char*        device; // as model_load() takes it
  uint64_t           seed;   // of the session, for ratings
} AuditionSetup;

// The texts of the setup are copied. STATUS_NOT_FOUND, STATUS_BAD_ARGUMENT,
// ...: one of them cannot be listed.
Status audition_open(const AuditionSetup* setup, Audition** out, Error* error);

// Frees every model that the instrument gave back. False: one is being loaded,
// and that does not end; nothing that models stand on may be unloaded any more.
// NULL is allowed.
bool audition_close(Audition* audition);

// What to begin with: the first that was named, or else the newest of the
// watched folder. False: there is none (yet).
bool audition_first(const Audition* audition, char path[1024]);

// What plays when all begins: on side A from here on, and handed out, as if by
// a swap. `path` is where it came from.
void audition_adopt(Audition* audition, Model* model, const char* path);

// The actions that are audition_do()'s: ab, next, previous, accept, reject and
// load.
bool audition_takes(ActionKind kind);

// What follows comes from audition_poll(). An error is one line for the player
// and nothing changed, but that a rating counts which could not be written.
// `accept` and `reject` rate what sounds now; `reject` then goes on to the
// next.
Status audition_do(Audition* audition, const Action* action, Error* error);

// Number `index` of the list, 0 first: for Program Change.
Status audition_choose(Audition* audition, size_t index, Error* error);

typedef struct {
  Model* model;  // not NULL: swap to it at the next phrase boundary, in place
                 // of any other that waits for one
  bool compares; // with `model`: at once, and at the point that sounds
  char text[SAID_LINE_BYTES]; // not empty: a line for the player
} AuditionEvent;

// Every turn, until it is false. `params` are those of now, which a model is
// warmed up with; whether it can do what they ask for is checked at the swap.
bool audition_poll(Audition*      audition,
                   const Params*  params,
                   AuditionEvent* event);

// From the instrument: `model` sounds from now on.
void audition_plays(Audition* audition, const Model* model);
// And: no thread touches `model` any more, for one of the times that it was
// handed out. Also for a swap that it could not make, or that another overtook.
void audition_retired(Audition* audition, Model* model);

typedef struct {
  char        name[AUDITION_NAME_BYTES]; // "run12", "calm": short, for people
  char        digest[24];
  bool        has_step;
  uint32_t    step; // of training
  Rating      rating;
  const char* path; // its file; good until the next audition_poll()
} AuditionNamed;

// For the view. Names are empty where there is nothing.
typedef struct {
  AuditionNamed playing; // what sounds
  AuditionNamed other;   // of the other side
  char          side;    // of what sounds: 'A' or 'B'
  size_t        index;   // of what sounds, from 1; 0: no longer in the list
  size_t        count;   // of the list
  char          pending[AUDITION_NAME_BYTES]; // chosen, and does not sound yet
  bool          loading;                      // ... because it is being loaded
  bool          following;
  const char*   chosen; // path of what sounds, or is pending; or ""
} AuditionStatus;

void audition_status(const Audition* audition, AuditionStatus* status);
