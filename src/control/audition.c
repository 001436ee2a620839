// The two sides, what is chosen for them, and the way of a model: chosen,
// loaded, handed out, sounding, given back.
#include "control/audition.h"

#include "control/checkpoint_list.h"
#include "control/loader.h"
#include "control/sides.h"
#include "control/watch.h"
#include "data_path.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// How long a load may go on when all else has ended.
#define CLOSE_S_MAX 0.3

// What is to be loaded.
typedef struct {
  bool          wanted;
  bool          requested; // of the loader
  bool          compares;  // it was `ab` that asked for it
  int           side;
  uint64_t      serial;
  CheckpointKey key;
} Target;

struct Audition {
  CheckpointList list;
  uint64_t       list_seen; // its `changes`, when last looked through
  Watch*         watch;     // or NULL
  Loader*        loader;
  Ratings*       ratings;
  char           device[64];
  uint64_t       seed;
  bool           may_follow;
  bool           following;

  Sides  sides;
  Target target;
  Target failed; // chosen, and could not be loaded: tried again when it changes
  CheckpointKey cursor;                  // what was chosen last
  char told_path[CHECKPOINT_PATH_BYTES]; // the player knows that it failed

  Said said;
};

static void
discard(void* context, Model* model)
{
  loader_discard(((const Audition*)context)->loader, model);
}

// --- Choosing ----------------------------------------------------------------

static void
bring(Audition* audition, int slot, int side, bool compares)
{
  audition->target = (Target){ 0 };
  audition->failed = (Target){ 0 };
  sides_bring(&audition->sides, slot, side, compares);
}

static void
choose(Audition*              audition,
       const CheckpointEntry* entry,
       int                    side,
       bool                   compares)
{
  const int slot   = sides_by_serial(&audition->sides, entry->serial);
  audition->cursor = entry->key;
  loader_cancel(audition->loader);
  if (slot != SIDES_NONE) {
    bring(audition, slot, side, compares);
    return;
  }
  audition->failed = (Target){ 0 };
  audition->target = (Target){ .wanted   = true,
                               .compares = compares,
                               .side     = side,
                               .serial   = entry->serial,
                               .key      = entry->key };
}

// Following goes on where the newest was chosen.
static void
see_whether_newest(Audition* audition, uint64_t serial)
{
  const CheckpointEntry* const newest = checkpoint_list_newest(&audition->list);
  audition->following =
    audition->may_follow && newest && newest->serial == serial;
}

static void
choose_by_hand(Audition*              audition,
               const CheckpointEntry* entry,
               int                    side,
               bool                   compares)
{
  see_whether_newest(audition, entry->serial);
  audition->told_path[0] = '\0';
  choose(audition, entry, side, compares);
}

// Where the step is to the other side, it is to compare.
static Status
step(Audition* audition, int by, int side, uint64_t except, Error* error)
{
  checkpoint_list_look_at_named(&audition->list);
  const CheckpointEntry* const entry =
    checkpoint_list_step(&audition->list, &audition->cursor, by, except);
  if (!entry) {
    return error_set(error,
                     STATUS_NOT_FOUND,
                     "there is no other checkpoint to play: name more, or "
                     "watch a folder with --watch");
  }
  choose_by_hand(audition, entry, side, side != audition->sides.side);
  return STATUS_OK;
}

// Of the one that is chosen, or else that plays.
static uint64_t
chosen_serial(const Audition* audition)
{
  const int slot = sides_coming(&audition->sides);
  if (audition->target.wanted) {
    return audition->target.serial;
  }
  return slot == SIDES_NONE ? 0 : audition->sides.slots[slot].serial;
}

static Status
other_side(Audition* audition, Error* error)
{
  const Sides* const sides = &audition->sides;
  const int          other = sides->side ^ 1;
  const int          slot  = sides->on[other];
  if (slot != SIDES_NONE) {
    loader_cancel(audition->loader);
    see_whether_newest(audition, sides->slots[slot].serial);
    audition->cursor = sides->slots[slot].key;
    bring(audition, slot, other, true);
    return STATUS_OK;
  }
  if (audition->target.wanted && audition->target.side == other) {
    audition->target.compares = true; // it is on its way
    return STATUS_OK;
  }
  return step(audition, -1, other, chosen_serial(audition), error);
}

static Status
load_named(Audition* audition, const char* text, Error* error)
{
  char       path[CHECKPOINT_PATH_BYTES];
  char       relative[ACTION_TEXT_BYTES + 64];
  const bool is_file = strchr(text, '/') || checkpoint_list_takes(text);
  snprintf(path, sizeof path, "%s", text);
  snprintf(
    relative, sizeof relative, "models/weights/%s" CHECKPOINT_SUFFIX, text);
  if (!is_file && !data_find(relative, path, sizeof path)) {
    return error_set(
      error,
      STATUS_NOT_FOUND,
      "there is no checkpoint '%.100s': `meander models` lists "
      "those that ship, a file's name ends in " CHECKPOINT_SUFFIX,
      text);
  }
  struct stat info;
  if (!stat(path, &info) && S_ISDIR(info.st_mode)) {
    return error_set(error,
                     STATUS_BAD_ARGUMENT,
                     "%s: is a folder: load takes a checkpoint",
                     path);
  }
  checkpoint_list_look_at_named(&audition->list);
  const Status status = checkpoint_list_add_named(&audition->list, path, error);
  if (!status) {
    choose_by_hand(audition,
                   checkpoint_list_by_path(&audition->list, path),
                   audition->sides.side,
                   false);
  }
  return status;
}

Status
audition_choose(Audition* audition, size_t index, Error* error)
{
  checkpoint_list_look_at_named(&audition->list);
  if (index >= audition->list.count) {
    return error_set(error,
                     STATUS_NOT_FOUND,
                     "there is no checkpoint %zu: the list has %zu",
                     index + 1,
                     audition->list.count);
  }
  choose_by_hand(
    audition, audition->list.entries + index, audition->sides.side, false);
  return STATUS_OK;
}

// NULL: nothing sounds.
static const SidesSlot*
sounding(const Audition* audition)
{
  const int slot = audition->sides.sounding;
  return slot == SIDES_NONE ? NULL : audition->sides.slots + slot;
}

static Status
rate(Audition* audition, Rating rating, Error* error)
{
  const SidesSlot* const slot = sounding(audition);
  if (!slot) {
    return error_set(
      error, STATUS_UNAVAILABLE, "no checkpoint sounds that could be rated");
  }
  const RatingLine line   = { .path     = slot->key.path,
                              .digest   = slot->digest,
                              .rating   = rating,
                              .has_step = slot->has_step,
                              .step     = slot->step,
                              .seed     = audition->seed };
  const Status     status = ratings_add(audition->ratings, &line, error);
  char             name[AUDITION_NAME_BYTES];
  checkpoint_list_name(&audition->list, slot->key.path, name);
  said_add(
    &audition->said, "%s %s: %s", name, slot->digest, rating_names[rating]);
  return status;
}

static Status
reject(Audition* audition, Error* error)
{
  const Status           status = rate(audition, RATING_REJECT, error);
  const SidesSlot* const slot   = sounding(audition);
  // Who has chosen another one already stays with it. And where there is none,
  // what was asked for first is done all the same.
  if (slot && chosen_serial(audition) == slot->serial) {
    step(audition, 1, audition->sides.side, slot->serial, NULL);
  }
  return status;
}

bool
audition_takes(ActionKind kind)
{
  return kind == ACTION_AB || kind == ACTION_NEXT || kind == ACTION_PREVIOUS ||
         kind == ACTION_ACCEPT || kind == ACTION_REJECT || kind == ACTION_LOAD;
}

Status
audition_do(Audition* audition, const Action* action, Error* error)
{
  const uint64_t here = chosen_serial(audition);
  switch (action->kind) {
    case ACTION_AB:
      return other_side(audition, error);
    case ACTION_NEXT:
      return step(audition, 1, audition->sides.side, here, error);
    case ACTION_PREVIOUS:
      return step(audition, -1, audition->sides.side, here, error);
    case ACTION_ACCEPT:
      return rate(audition, RATING_KEEP, error);
    case ACTION_REJECT:
      return reject(audition, error);
    case ACTION_LOAD:
      return load_named(audition, action->text, error);
    default:
      return error_set(error,
                       STATUS_BAD_ARGUMENT,
                       "'%s' has nothing to do with checkpoints",
                       action_table[action->kind].name);
  }
}

// --- Each turn ---------------------------------------------------------------

// A file came or changed.
static void
take_fresh(Audition* audition, const CheckpointEntry* entry)
{
  const char* const path = entry->key.path;
  Target* const     goal =
    audition->target.wanted ? &audition->target : &audition->failed;
  if (goal->wanted && !strcmp(goal->key.path, path)) {
    // Who asked for one that failed waits for no comparison any more.
    const bool compares = goal == &audition->target && goal->compares;
    choose(audition, entry, goal->side, compares);
  } else if (audition->following &&
             entry == checkpoint_list_newest(&audition->list)) {
    choose(audition, entry, sides_to_follow_on(&audition->sides), false);
  }
}

static void
look_through_list(Audition* audition)
{
  CheckpointList* const list = &audition->list;
  Error                 error;
  if (audition->watch) {
    watch_poll(audition->watch);
    if (watch_problem(audition->watch, &error)) {
      said_add(&audition->said, "%s", error.text);
    }
  }
  if (audition->list_seen == list->changes) {
    return;
  }
  audition->list_seen = list->changes;
  for (size_t i = 0; i < list->count; ++i) {
    if (list->entries[i].fresh) {
      list->entries[i].fresh = false;
      take_fresh(audition, list->entries + i);
    }
  }
}

// A file that is being written fails again and again: that is said once.
static void
refuse(Audition* audition, const Error* error)
{
  const char* const      path = audition->target.key.path;
  CheckpointEntry* const entry =
    checkpoint_list_by_serial(&audition->list, audition->target.serial);
  if (entry) {
    entry->failed = true;
  }
  if (strcmp(audition->told_path, path) != 0) {
    memcpy(audition->told_path, path, sizeof audition->told_path);
    said_add(&audition->said, "not played: %s", error->text);
  }
  audition->failed = audition->target;
  audition->target = (Target){ 0 };
}

static void
ask_loader(Audition* audition, const Params* params)
{
  Target* const target = &audition->target;
  Error         error;
  if (!target->wanted || target->requested) {
    return;
  }
  target->requested = true;
  if (loader_request(audition->loader,
                     target->key.path,
                     audition->device,
                     params,
                     audition->seed,
                     &error)) {
    refuse(audition, &error);
  }
}

static void
take_new(Audition* audition, const Loaded* loaded)
{
  const Target target = audition->target;
  SidesSlot    slot   = { .model    = loaded->model,
                          .serial   = target.serial,
                          .key      = target.key,
                          .has_step = loaded->has_step,
                          .step     = loaded->step };
  memcpy(slot.digest, loaded->digest, sizeof slot.digest);
  const int taken = sides_take(&audition->sides, &slot);
  if (taken == SIDES_NONE) {
    const Error error = { STATUS_LIMIT,
                          "too many models wait to be given back: try again" };
    refuse(audition, &error);
    return;
  }
  bring(audition, taken, target.side, target.compares);
  if (loaded->fit) {
    char name[AUDITION_NAME_BYTES];
    checkpoint_list_name(&audition->list, target.key.path, name);
    said_add(&audition->said, "%s: %s", name, loaded->misfit.text);
  }
}

// The same bytes may be there already: a file that was only touched, or copied.
static void
take_loaded(Audition* audition, const Loaded* loaded)
{
  const Target target    = audition->target;
  const int    slot      = sides_by_digest(&audition->sides, loaded->digest);
  audition->told_path[0] = '\0';
  ratings_read_beside(audition->ratings, target.key.path);
  if (slot == SIDES_NONE) {
    take_new(audition, loaded);
    return;
  }
  loader_discard(audition->loader, loaded->model);
  audition->sides.slots[slot].serial = target.serial;
  audition->sides.slots[slot].key    = target.key;
  bring(audition, slot, target.side, target.compares);
}

static void
fetch_loaded(Audition* audition)
{
  Loaded loaded;
  if (!loader_poll(audition->loader, &loaded)) {
    return;
  }
  if (loaded.status) {
    refuse(audition, &loaded.error);
  } else {
    take_loaded(audition, &loaded);
  }
}

bool
audition_poll(Audition* audition, const Params* params, AuditionEvent* event)
{
  *event = (AuditionEvent){ 0 };
  look_through_list(audition);
  ask_loader(audition, params);
  fetch_loaded(audition);
  event->model = sides_hand_out(&audition->sides, &event->compares);
  said_take(&audition->said, event->text);
  return event->model || *event->text;
}

void
audition_plays(Audition* audition, const Model* model)
{
  sides_plays(&audition->sides, model);
}

void
audition_retired(Audition* audition, Model* model)
{
  sides_retired(&audition->sides, model);
}

// --- Start and end -----------------------------------------------------------

static Status
list_everything(Audition* audition, const AuditionSetup* setup, Error* error)
{
  Status status = checkpoint_list_init(&audition->list, error);
  for (size_t i = 0; !status && i < setup->path_count; ++i) {
    status = checkpoint_list_add_named(&audition->list, setup->paths[i], error);
  }
  if (!status && setup->watch) {
    status = watch_open(setup->watch, &audition->list, &audition->watch, error);
  }
  // What is there at the start is not news.
  for (size_t i = 0; i < audition->list.count; ++i) {
    audition->list.entries[i].fresh = false;
  }
  audition->list_seen = audition->list.changes;
  return status;
}

Status
audition_open(const AuditionSetup* setup, Audition** out, Error* error)
{
  *out                     = NULL;
  Audition* const audition = calloc(1, sizeof *audition);
  if (!audition) {
    return error_set(error, STATUS_NO_MEMORY, "no memory for an audition");
  }
  sides_init(&audition->sides, discard, audition);
  audition->seed       = setup->seed;
  audition->may_follow = setup->watch && setup->follow;
  audition->following  = audition->may_follow;
  snprintf(audition->device, sizeof audition->device, "%s", setup->device);
  Status status = list_everything(audition, setup, error);
  if (!status) {
    status = ratings_open(&audition->ratings, error);
  }
  if (!status) {
    status = loader_start(&audition->loader, error);
  }
  if (status) {
    audition_close(audition);
    return status;
  }
  *out = audition;
  return STATUS_OK;
}

bool
audition_close(Audition* audition)
{
  if (!audition) {
    return true;
  }
  if (audition->loader) {
    sides_end(&audition->sides);
  }
  const bool ended = loader_stop(audition->loader, CLOSE_S_MAX);
  watch_close(audition->watch);
  ratings_close(audition->ratings);
  checkpoint_list_free(&audition->list);
  free(audition);
  return ended;
}

bool
audition_first(const Audition* audition, char path[1024])
{
  const CheckpointList* const list  = &audition->list;
  const CheckpointEntry*      entry = list->count ? list->entries : NULL;
  if (entry && entry->key.place == CHECKPOINT_WATCHED) {
    entry = checkpoint_list_newest(list);
  }
  if (entry) {
    memcpy(path, entry->key.path, sizeof entry->key.path);
  }
  return entry;
}

void
audition_adopt(Audition* audition, Model* model, const char* path)
{
  const CheckpointEntry* const entry =
    checkpoint_list_by_path(&audition->list, path);
  SidesSlot slot = { .model  = model,
                     .serial = entry ? entry->serial : 0,
                     .key    = { .place = CHECKPOINT_WATCHED } };
  if (entry) {
    slot.key = entry->key;
  } else {
    snprintf(slot.key.path, sizeof slot.key.path, "%s", path);
  }
  snprintf(slot.digest, sizeof slot.digest, "%s", model_digest(model));
  slot.has_step = loader_find_step(path, slot.digest, &slot.step);
  ratings_read_beside(audition->ratings, path);
  audition->cursor = slot.key;
  sides_bring(&audition->sides, sides_take(&audition->sides, &slot), 0, false);
  bool compares;
  sides_hand_out(&audition->sides, &compares);
  sides_plays(&audition->sides, model);
}

static void
describe(const Audition* audition, int slot, AuditionNamed* named)
{
  if (slot != SIDES_NONE) {
    const SidesSlot* const from = audition->sides.slots + slot;
    checkpoint_list_name(&audition->list, from->key.path, named->name);
    memcpy(named->digest, from->digest, sizeof named->digest);
    named->has_step = from->has_step;
    named->step     = from->step;
    named->path     = from->key.path;
    named->rating   = ratings_find(audition->ratings, from->digest);
  }
}

static size_t
index_of(const Audition* audition, const SidesSlot* slot)
{
  const CheckpointEntry* const entry =
    slot ? checkpoint_list_by_serial(&audition->list, slot->serial) : NULL;
  return entry ? (size_t)(entry - audition->list.entries) + 1 : 0;
}

void
audition_status(const Audition* audition, AuditionStatus* status)
{
  const Sides* const sides  = &audition->sides;
  const int          side   = sides_of_sounding(sides);
  const int          other  = sides->on[side ^ 1];
  const int          coming = sides_coming(sides);
  *status                   = (AuditionStatus){ .side    = side ? 'B' : 'A',
                                                .index   = index_of(audition, sounding(audition)),
                                                .count   = audition->list.count,
                                                .loading = audition->target.wanted,
                                                .following = audition->following };
  describe(audition, sides->sounding, &status->playing);
  if (other != sides->sounding) {
    describe(audition, other, &status->other);
  }
  status->chosen = audition->target.wanted ? audition->target.key.path
                   : coming != SIDES_NONE  ? sides->slots[coming].key.path
                                           : "";
  if (audition->target.wanted ||
      (coming != SIDES_NONE && coming != sides->sounding)) {
    checkpoint_list_name(&audition->list, status->chosen, status->pending);
  }
}
