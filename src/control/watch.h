// Watches a folder and those below it for checkpoints, through inotify, and
// keeps a CheckpointList up to date. A file counts when its writer has closed
// it or renamed it into place; one that is still being written is only met by a
// scan (at the start, or after the system lost events). Hidden folders and
// links to folders are passed over. Control thread; nothing waits.
//
// Where the system tells too little (a folder that is not there yet, folders
// beyond the cap of the system, a network file system) the watch looks for
// itself, WATCH_LOOK_S apart.
#pragma once

#include "control/checkpoint_list.h"
#include "status.h"

#include <stdbool.h>

// Folders beyond a cap are not watched; watch_problem() says so.
#define WATCH_FOLDERS_MAX 256u
#define WATCH_DEPTH_MAX 3u
#define WATCH_LOOK_S 0.25

typedef struct Watch Watch;

// `folder` may appear later. What is there already is in `list` when it
// returns, marked fresh. STATUS_BAD_ARGUMENT: it is no folder, or the path is
// too long.
Status watch_open(const char*     folder,
                  CheckpointList* list,
                  Watch**         out,
                  Error*          error);
void   watch_close(Watch* watch); // NULL is allowed

// Takes in what happened. Every turn of the control loop.
void watch_poll(Watch* watch);

// One line for the player, once, where something cannot be watched, or the
// folder is not there (yet); false: there is nothing new to say.
bool watch_problem(Watch* watch, Error* error);
