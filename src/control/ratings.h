// What a listener thought of checkpoints: one line a rating in
// meander-ratings.txt beside the checkpoint, for people and programs to read.
// Fields are apart by tabs:
//
//   2026-01-31T12:00:00Z  0123456789abcdef  keep|reject  file  step|-  seed
//
// The last line about a digest counts, whichever folder it is in. Where the
// folder cannot be written, the line goes to $XDG_STATE_HOME/meander (or
// ~/.local/state/meander) with the file's full path, and where that fails too
// it is remembered until the program ends. Programs may write to one file at
// the same time: a line is appended at once (an empty one may come before it).
// Control thread.
#pragma once

#include "status.h"

#include <stdbool.h>
#include <stdint.h>

#define RATINGS_FILE "meander-ratings.txt"
// Of a longer file the last part is read.
#define RATINGS_READ_BYTES_MAX (1u << 20)
// Digests that are remembered; of more, the first ones are forgotten, here but
// not in the file.
#define RATINGS_MAX 4096u
// Folders that were read.
#define RATINGS_FOLDERS_MAX 512u

typedef enum { RATING_NONE, RATING_KEEP, RATING_REJECT } Rating;

extern const char* const rating_names[3]; // "", "keep", "reject"

typedef struct Ratings Ratings;

// Reads those of the state folder. STATUS_NO_MEMORY.
Status ratings_open(Ratings** out, Error* error);
void   ratings_close(Ratings* ratings); // NULL is allowed

// Reads those of the folder that `path` lies in, the first time.
void ratings_read_beside(Ratings* ratings, const char* path);

Rating ratings_find(const Ratings* ratings, const char* digest);

typedef struct {
  const char* path; // of the checkpoint
  const char* digest;
  Rating      rating; // keep or reject
  bool        has_step;
  uint32_t    step; // of training
  uint64_t    seed; // of what was heard
} RatingLine;

// Remembers and appends. STATUS_OK: it stands beside the checkpoint. Any other
// is one line for the player that says where it is instead (once a folder:
// STATUS_OK after that); it counts all the same.
Status ratings_add(Ratings* ratings, const RatingLine* line, Error* error);
