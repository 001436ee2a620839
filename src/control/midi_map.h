// What controllers at meander:control do: bindings of controllers, NRPNs and
// keys to parameters and actions, learning them, and what goes back to a
// controller that can show values. Control thread; owns no memory.
//
// A binding in words, as in presets (channels 1 to 16; without one: all):
//   cc 74 = density             the knob spans the parameter's range
//   cc 74 ch 2 = density 0.25..1   ... or this share of it; 1..0 turns it round
//   cc14 16 = tempo             a pair: 16 coarse, 48 fine
//   nrpn 1042 = walk_step
//   note 36 = panic             an action, as action_text.h reads them
//   note 37 = freeze            a key steps through names (off, on), and sets a
//   cc 20 = learn               number by its velocity
// An action is done when its controller reaches 64. One controller may be bound
// to several things by one origin; what a later origin binds is not done by an
// earlier one meanwhile: a preset's come before the standard ones, and what the
// player learnt before both. "cc 74" and "cc 74 ch 2" are rivals, too.
//
// Pickup (the parameter of that name): a knob moves its number only from where
// it has met the value that stands: it came near, or passed it. So nothing
// jumps when a keyboard is switched on and tells where all its knobs are. It
// also takes hold just after it was learnt, and not far from where feedback has
// told it to stand, since a motor fader is there. Names, switches, keys and
// steps are not held back; nor are the NRPNs of the next paragraph.
//
// Always there, unless bound otherwise: NRPN n (MSB 0) is the parameter of
// ParamId n, in the order of 'meander --help-params' from 0; data increment and
// decrement move it by a step.
#pragma once

#include "control/action.h"
#include "control/midi_in.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// More are refused.
#define MIDI_BINDINGS_MAX 256u

// Room for any binding in words.
#define MIDI_BINDING_BYTES (ACTION_TEXT_BYTES + 96u)

typedef struct {
  MidiSource source;
  bool       follows; // a parameter follows; else `action` is done
  double     low;     // follows: shares of the parameter's range, low != high
  double     high;
  Action     action; // follows: only its `param`
} MidiBinding;

// Who bound it. The later ones win.
typedef enum { MIDI_STANDARD, MIDI_OF_PRESET, MIDI_LEARNT } MidiOrigin;

typedef struct {
  MidiBinding binding;
  MidiOrigin  origin;
  bool        shadowed; // a later origin has its controller: it does nothing
  double      shown;    // the value its controller shows; NAN: not known
  double      position; // where its controller stands; below 0: not known
  bool        caught;   // pickup: the controller has met the value
  double      reach;    // pickup: how near it must come, 0..1
  uint8_t     channel;  // last heard on
} MidiBound;

// How far the controllers moved since learning began. 255: not at all.
typedef struct {
  uint8_t first[16][128];
  uint8_t last[16][128];
  int32_t nrpn; // the last that moved, with its channel; -1: none
  double  nrpn_first;
} MidiLearnMoves;

typedef struct {
  MidiIn    in;
  MidiBound bound[MIDI_BINDINGS_MAX];
  size_t    bound_count;
  uint32_t  edition;       // of the table
  uint64_t  played[16][2]; // keys that were passed on and not yet released
  uint64_t  malformed_count;

  bool           is_learning;
  MidiBinding    target; // its source is still to come
  MidiLearnMoves moves;
  double         learn_until_s; // 0: not known yet

  ParamId  touched; // last, PARAM_COUNT: none
  size_t   feedback_next;
  bool     changed;
  ActionDo do_action;
  void*    context;
} MidiMap;

// No bindings. `do_action` is called from midi_map_hear() alone.
void midi_map_init(MidiMap* map, ActionDo do_action, void* context);

// The bindings of a controller that nobody set up; in midi_map.c.
extern const char* const midi_map_standard[];
extern const size_t      midi_map_standard_count;

// STATUS_BAD_ARGUMENT names what is wrong; `binding` is as it was then.
Status midi_map_parse_binding(const char*  text,
                              MidiBinding* binding,
                              Error*       error);
void   midi_map_format_binding(const MidiBinding* binding,
                               char*              text,
                               size_t             size_bytes);

// Whether the same controller could move both, or one is half of the other.
bool midi_map_are_rivals(const MidiSource* a, const MidiSource* b);

// Adds a binding; the same source and target of the same origin once more only
// changes the range. STATUS_LIMIT when there are too many.
Status midi_map_add(MidiMap*           map,
                    const MidiBinding* binding,
                    MidiOrigin         origin,
                    Error*             error);
void   midi_map_clear(MidiMap* map); // all bindings; learning ends
void   midi_map_drop(MidiMap* map, MidiOrigin origin);
size_t midi_map_forget(MidiMap* map, ParamId id); // how many there were

// The bindings, to be saved or shown: [0 .. map->bound_count).
const MidiBinding* midi_map_binding(const MidiMap* map, size_t i);
bool               midi_map_is_active(const MidiMap* map, size_t i);

// Whether bindings were learnt or forgotten since the last midi_map_saved().
bool midi_map_changed(const MidiMap* map);
void midi_map_saved(MidiMap* map);

// Where the controller of a parameter would stand for its value, 0..1.
double midi_binding_position(const MidiBinding* binding, const Params* params);

// Binds what comes next: a key at once; a controller or NRPN that has moved by
// 8 of 127 from where it was first heard, so that no noisy knob gets in, or
// that says 127 twice running (buttons that never say 0). It is learnt on its
// own channel, as a pair if its fine half was heard, and loses whatever else
// it was bound to. Meanwhile nothing else that is bound is done, but for panic
// and learn; learn ends it.
void   midi_map_learn_param(MidiMap* map, ParamId id);
Status midi_map_learn_action(MidiMap* map, const Action* action, Error* error);
// ... what stands to the right of a binding's '=': "density 0.25..1", "store
// 3".
Status midi_map_learn_text(MidiMap* map, const char* target, Error* error);
void   midi_map_learn_stop(MidiMap* map);
bool   midi_map_is_learning(const MidiMap* map);

// To be asked now and then, by any steady clock: whether learning has just
// ended because nothing came for so long. It was begun by mistake, perhaps, and
// all that is bound is shut out meanwhile.
#define MIDI_LEARN_S_MAX 15.0
bool midi_map_learn_ends(MidiMap* map, double now_s);

// Keys that are not there to be played, a bit each: [channel][key / 64]. Those
// that are bound; while something is learnt, all.
void midi_map_keys(const MidiMap* map, uint64_t keys[16][2]);

// To be told of each parameter that another front end sets: "learn" without a
// name means the one last touched.
void midi_map_touch(MidiMap* map, ParamId id);

typedef enum {
  MIDI_HEARD_NOTHING, // not for us
  MIDI_HEARD_DONE,    // bound, or a Program Change
  MIDI_HEARD_LEARNT,  // a binding is there that was not: the last one
  MIDI_HEARD_PLAYED,  // a note-on or note-off that is not bound
  MIDI_HEARD_END,     // CC 120, 123 to 127: played notes of the channel end
  MIDI_HEARD_CLOCK    // clock, start, continue, stop, song position
} MidiHeard;

// Takes one message. `params` are the values that stand; a do_action() that
// sets one must change them before it returns. `error` has status STATUS_OK
// unless what was asked for was refused: by whoever does actions, or a reserved
// controller to be learnt. Note-offs that are PLAYED always follow their
// note-on, whatever was bound in between.
MidiHeard midi_map_hear(MidiMap*           map,
                        const MidiMessage* message,
                        const Params*      params,
                        Error*             error);

// Messages (frame 0) for the controllers of parameters whose value is not what
// they show, at most `messages_max` (>= 4); the rest comes with the next call.
// 20 to 50 times a second is enough, and only while somebody listens. All are
// sent at first and after midi_map_feedback_all(), for a controller that was
// plugged in: nothing is known of its knobs.
size_t midi_map_feedback(MidiMap*      map,
                         const Params* params,
                         MidiMessage*  messages,
                         size_t        messages_max);
void   midi_map_feedback_all(MidiMap* map);
