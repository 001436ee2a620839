// A session from the control thread's side: what the player asked for, by
// whatever front end, on its way to the worker and to process; and what comes
// back, on its way to the view, to recordings and to controllers.
#pragma once

#include "control/audition.h"
#include "control/beat_follower.h"
#include "control/checkpoint_list.h"
#include "control/knobs.h"
#include "control/midi_map.h"
#include "control/nsm.h"
#include "control/osc.h"
#include "control/phrase_in.h"
#include "control/preset.h"
#include "control/state_file.h"
#include "live/process.h"
#include "live/worker.h"
#include "narrator.h"
#include "options.h"
#include "record.h"
#include "record/keeper.h"
#include "record/take.h"
#include "sources.h"
#include "view/view.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

// Windows whose point is known until they sound.
#define SESSION_WINDOWS 512u
// Models that were handed to the worker and not given back.
#define SESSION_MODELS 8u
// Notes to come that are shown.
#define SESSION_PLANNED 256u
// "run1/best, step 1200, rated keep"
#define SESSION_NAME_BYTES 192u

// What the backend's poll says, for the readout.
typedef struct {
  const char* backend; // NULL: the server is gone
  uint32_t    connection_count;
  uint32_t    control_count;
  uint32_t    feedback_count;
  uint32_t    xrun_count;
  uint32_t    dropped_count;
  uint32_t    input_lost_count;
  uint32_t    control_gone_count;
} SessionLink;

typedef struct {
  uint64_t number; // of its first note
  uint32_t size;   // of the latent; 0: of no interest
  char     digest[PLAN_DIGEST_BYTES];
  float    z[MODEL_LATENT_MAX];
} SessionWindow;

// By which it is seen whether there is something to save.
typedef struct {
  Params   params;
  uint32_t edition;                      // of the bindings
  char     model[CHECKPOINT_PATH_BYTES]; // its path
} SessionSaved;

typedef struct {
  const Options*    options;
  Sources*          sources;
  Process*          process;
  Worker*           worker;
  View*             view;
  const atomic_int* give_up; // not 0: the player wants to leave
  FILE*             trace;   // NULL: none
  uint32_t          rate_hz;
  bool              started; // the rate is known

  Knobs        knobs;
  Preset       preset;
  MidiMap      map;
  bool         learnt_unread; // the file is there and is not to be replaced
  BeatFollower beat;
  PhraseIn     phrase;
  PointSet     points;
  bool         points_due;        // the worker had no room for all of them
  Params       rig;               // the player's own, of PARAM_RIG
  bool         lent[PARAM_COUNT]; // by the preset instead
  Osc          osc;
  Nsm          nsm;
  bool         has_osc;
  bool         has_nsm;
  char         nsm_path[1024];   // empty: no state to keep
  char         nsm_preset[1100]; // its file
  SessionSaved saved;            // what it has
  char         client_name[64];  // empty: the usual one
  char         first_path[1024]; // what plays first

  Audition* audition;
  Model*    model;                        // what is sampled from
  Model*    sent;                         // on its way; NULL: none
  bool      told_wait;                    // the player knows that it waits
  char      announced[PLAN_DIGEST_BYTES]; // the model that they were told of
  Model*    handed[SESSION_MODELS];
  uint32_t  handed_count;

  Narrator narrator;
  bool     narrates;
  BeatMap  beats; // of what was planned last; bpm 0: nothing was
  Recorder recorder;
  TakeRing ring;
  Keeper   keeper;
  bool     has_ring;
  bool     recording;
  bool     rest_told; // what its end needs
  char     record_path[1024];
  bool     record_placed;       // the name is ours
  uint64_t record_origin_frame; // since the music's origin

  SessionWindow* windows; // [SESSION_WINDOWS]
  uint64_t       window_first;
  uint64_t       window_next;
  SessionWindow  sounding;

  StampedNote planned[SESSION_PLANNED]; // by number: notes to come
  uint64_t    planned_next;             // above the last one's number
  RollPlanned shown[SESSION_PLANNED];

  SessionLink link;
  uint64_t    lost_before;      // messages that came in and did not get here
  uint32_t    players;          // control_count of the last turn
  uint32_t    gone_before;      // and its control_gone_count
  uint32_t    shown_to;         // feedback_count of the last turn
  uint64_t    feedback_refused; // no room on the way to process
  uint64_t    feedback_lost_before;
  uint64_t    lines_lost; // of the plan, before they got here
  const char* waits;      // what was told that the music waits for
  double      feedback_s;
  double      now_s;
  bool        heard_first;
  bool        quit;
} Session;

// The first of all: opens the list of checkpoints, under a session manager asks
// it for what to open, and sets in `options` what plays first.
Status session_find_first(Session* session, Options* options, Error* error);
// The name of the MIDI client.
const char* session_client_name(const Session* session);

// Before anything plays: models, points, presets' bindings, OSC, NSM. `session`
// is all zeros but for its first fields. After a failure session_close() is
// still owed.
Status session_open(Session* session, Error* error);
// The rate is known, the worker has not started.
Status session_start(Session* session, uint32_t rate_hz, Error* error);
// Once a turn of the loop.
void session_turn(Session* session, const SessionLink* link);
// The music has ended and the worker has stopped: writes what is to be written.
Status session_end(Session* session, Error* error);
// False: a model is stuck within a call; nothing may be freed.
bool session_close(Session* session);

// An ActionDo; `context` is the Session.
Status session_do(void* context, const Action* action, Error* error);

// --- session_presets.c -------------------------------------------------------

// All settings of a preset, its model last; not what belongs to the rig, unless
// the preset names it.
Status session_take_preset(Session* session, const char* name, Error* error);
// A Program Change.
Status session_take_program(Session* session, uint32_t number, Error* error);
Status session_save_preset(Session* session, const char* name, Error* error);
// Settings as they stand, as a preset.
void session_fill_preset(const Session* session, Preset* preset);
// A shipped one's name, or a file.
Status session_load_model(Session* session, const char* name, Error* error);
// Bindings at the start: what was learnt or is standard, and the preset's.
void session_bind_all(Session* session);
void session_save_learnt(Session* session);

// --- session_nsm.c -----------------------------------------------------------

Status session_open_nsm(Session* session, Options* options, Error* error);
// What stands now needs no saving.
void session_mark_saved(Session* session);
bool session_is_dirty(const Session* session);

// --- Between the other files of this folder ----------------------------------

// One command to the worker; an error: it has no room.
Status session_tell(Session*             session,
                    const WorkerCommand* command,
                    Error*               error);
// The list of checkpoints, and what plays first of it.
Status session_open_list(Session*       session,
                         const Options* options,
                         Error*         error);
void   session_adopt_model(Session* session);
void   session_give_back(Session* session, Model* model);
// Models that come and go, and what the player is told of them.
void session_turn_models(Session* session);
// A checkpoint as people know it: name, step of training, rating.
void session_name_model(const AuditionNamed* named,
                        char                 text[SESSION_NAME_BYTES]);
// What was chosen and is not heard yet, and why not; empty: nothing.
void session_name_coming(const Session*        session,
                         const AuditionStatus* status,
                         char                  text[SESSION_NAME_BYTES]);
// Why a model that was chosen is not heard until something else goes on; NULL:
// nothing is in its way.
const char* session_waits_for(const Session* session);
// Notes to come, in `shown`; returns how many.
size_t session_show_planned(Session* session);
// Learning that nothing came to ends; keys that do not echo, feedback.
void session_turn_controllers(Session* session);
// What plays has other points.
void session_tell_points(Session* session);
// So many seconds, or bars from a bar line on.
Status session_keep(Session* session,
                    double   amount,
                    bool     is_bars,
                    Error*   error);
Status session_start_recording(Session*    session,
                               const char* path,
                               Error*      error);
// Has it written; after an error the recording goes on.
Status session_stop_recording(Session* session, Error* error);
// To a file of its own.
Status session_switch_recording(Session* session, bool on, Error* error);
// Files grow, and those that are done are told of.
void session_turn_files(Session* session);
// All that was given to be written is on the disk then. `status` and `error`
// are those so far; a recording that could not be written is one.
Status session_finish_files(Session* session, Status status, Error* error);
// A message, on the music's clock.
void session_record(Session* session, const PlayedEvent* event);
// A frame of the music's clock as the recording counts.
uint64_t session_recorded_frame(const Session* session, uint64_t frame);
// Seconds since the music began; the frame on the session clock.
uint64_t session_frame(const Session* session);
uint64_t session_since_origin(const Session* session, uint64_t frame);
double   session_bpm(const Session* session);
// What was played and planned since the last turn.
void session_drain(Session* session);
// For recordings: the file that what sounds came from.
void session_remember_file(Session* session);
// A player who is gone holds no keys.
void session_watch_players(Session* session, const SessionLink* link);
// Says what the music waits for, if it does.
void session_tell_waiting(Session* session);
// Before a file is written: breaks that no note has followed yet.
void session_tell_breaks(Session* session);
// To the recording, once: what its end needs to be made again.
void session_tell_rest(Session* session);
void session_draw(Session* session);
// Notes and messages that were not played; messages to meander:control that
// were not heard; messages that no controller got.
uint64_t session_dropped(const Session* session, const SessionLink* link);
uint64_t session_missed(const Session* session, const SessionLink* link);
uint64_t session_feedback_lost(const Session* session);
size_t   session_fill_status(void* context, OscStatus lines[OSC_STATUS_MAX]);
