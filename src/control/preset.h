// Presets: libconfig files whose keys are a description, what they inherit, the
// model that is meant, MIDI bindings, and rows of the
// parameter table. Control thread.
//
// A player's own are in $XDG_CONFIG_HOME/meander/presets (~/.config/...) and
// stand before shipped ones of the same name. Whatever fails changes nothing.
#pragma once

#include "live/params.h"
#include "status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PRESET_BYTES_MAX (64u << 10)
#define PRESET_NAME_BYTES 64u
#define PRESET_MODEL_BYTES 512u
#define PRESET_DESCRIPTION_BYTES 256u

// What one preset may inherit from, how long a line of parents may be, and how
// many files one preset may draw on; more is refused.
#define PRESET_PARENTS_MAX 8u
#define PRESET_DEPTH_MAX 8u
#define PRESET_FILES_MAX 32u

#define PRESET_BINDINGS_MAX 256u
#define PRESET_BINDING_BYTES 128u

typedef struct {
  char path[1024];              // where it was read
  char name[PRESET_NAME_BYTES]; // empty: named as a file
  char description[PRESET_DESCRIPTION_BYTES];
  // A shipped one ("vae"), the whole path of another, or empty.
  char model[PRESET_MODEL_BYTES];
  // The names under `inherits`; the rest holds what they gave.
  uint32_t parent_count;
  char     parents[PRESET_PARENTS_MAX][PRESET_NAME_BYTES];
  int    program; // the number that it asks for; below 0: none. Not inherited.
  Params params;  // the standard ones where all are silent
  bool   named[PARAM_COUNT]; // by it or by one that it inherits from
  // "cc 1 = temperature"; the parents' first, none twice. What a file binds
  // takes the place of what those before it bound to the same controller.
  uint32_t binding_count;
  char     bindings[PRESET_BINDINGS_MAX][PRESET_BINDING_BYTES];
} Preset;

// Whether a binding means anything; the line says what is wrong with it.
typedef Status (*PresetBindingCheck)(const char* text, Error* error);

// `name` is a preset's ("calm") or, with a '/' or ".cfg", a file. Errors name
// file and line, and the line of parents that led there.
Status preset_load(const char* name, Preset* preset, Error* error);
// ... and refuses bindings that `check` (may be NULL) refuses.
Status preset_load_checked(const char*        name,
                           PresetBindingCheck check,
                           Preset*            preset,
                           Error*             error);

bool preset_can_name_model(const char* model);

// Letters, digits, '-' and '_', at most 63, a letter or digit first.
Status preset_check_name(const char* name, Error* error);

// Writes description, model, bindings and parameters as the player's preset
// `name`: whole or not at all, over one of theirs, never over a shipped one
// (theirs then stands before it). Only what differs is written: from the
// parents where the preset has some, else from the standard. What is read back
// is what was given, to the last bit, or nothing is written. Name and path of
// `preset` are not used; `path` (may be NULL, else 1024 bytes) gets the file's.
Status preset_save(const char*   name,
                   const Preset* preset,
                   char*         path,
                   Error*        error);

// The same to a file of any place.
Status preset_write(const char* path, const Preset* preset, Error* error);

// Listing, in the order of the numbers that a Program Change chooses, whether
// or not the file can be used. A number is what a file says (`program = 3`),
// one of the player's own before a shipped one, else the first by name; who
// says none, or comes second, has the next that is free from
// PRESET_PROGRAM_YOURS on, by name. So no number of a shipped one ever changes,
// and that of one's own only where it says none.
#define PRESETS_MAX 256u // more are not listed
#define PRESET_PROGRAM_MAX 127
#define PRESET_PROGRAM_YOURS 64

typedef struct {
  char name[PRESET_NAME_BYTES];
  bool yours;
  bool shadows; // a shipped one of the same name
  int  number;  // below 0: none
} PresetEntry;

// Returns how many there are, which may be more than PRESETS_MAX. `refuse` (may
// be NULL) is told files whose name no preset can have.
size_t preset_list(PresetEntry entries[PRESETS_MAX],
                   void (*refuse)(const char* path, const Error* error));

// The name of preset `number`. STATUS_NOT_FOUND: there is none.
Status preset_by_number(uint32_t number,
                        char     name[PRESET_NAME_BYTES],
                        Error*   error);

// The path of a named preset's file. `shipped_only`: not the player's own.
Status preset_find(const char* name,
                   bool        shipped_only,
                   char        path[1024],
                   Error*      error);
