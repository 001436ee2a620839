// Finds what ships with the program (presets/, models/weights/): in
// $MEANDER_DATA, beside a source tree's build folder, or where it was
// installed; and the folders where the player's own things are. Control thread.
#pragma once

#include "status.h"

#include <stdbool.h>
#include <stddef.h>

#define DATA_DIRECTORIES_MAX 3

// The folders to look in, best first; those that cannot be named are left out.
// Returns how many.
size_t data_directories(char paths[DATA_DIRECTORIES_MAX][1024]);

// Finds `relative` ("presets/calm.cfg") in the first folder that has it.
bool data_find(const char* relative, char* path, size_t size);

// Calls `visit` with the path of each file in `folder` ("presets") that ends in
// `suffix`, by name, the first folder's where a name occurs twice.
void data_list(const char* folder,
               const char* suffix,
               void (*visit)(const char* path, const char* name));

// Whether the file at `path` is in that folder ("models/weights") of one of
// them.
bool data_is_shipped(const char* folder, const char* path);

// The XDG base directories.
typedef enum {
  DATA_CONFIG, // $XDG_CONFIG_HOME, ~/.config
  DATA_STATE   // $XDG_STATE_HOME, ~/.local/state
} DataKind;

// Under DATA_CONFIG: what the player's controllers learnt.
#define DATA_LEARNT "controller.cfg"

// The path of `relative` ("presets/mine.cfg") in meander's folder there,
// whether or not it exists. False: no variable names the folder, or the path is
// too long.
bool data_user_path(DataKind kind, const char* relative, char path[1024]);

// Makes the folders that the file `path` needs.
Status data_make_folders(const char* path, Error* error);
