// A thread that writes files, so that a slow disk does not hold up the one that
// listens to the player. One job at a time. All functions: control thread.
#pragma once

#include "status.h"

#include <pthread.h>
#include <stdbool.h>

typedef struct {
  pthread_t       thread;
  pthread_mutex_t mutex;
  pthread_cond_t  changed;
  void (*job)(void* context); // NULL: none
  void* context;
  bool  quit;
  bool  runs;
} Scribe;

Status scribe_start(Scribe* scribe, Error* error);
// Waits for the job under way. Also for one that is all zeros.
void scribe_stop(Scribe* scribe);

// False: what the last job wrote to its context can be read.
bool scribe_is_busy(Scribe* scribe);
// Only while it is not busy; `context` is the scribe's until it is so again.
void scribe_give(Scribe* scribe, void (*job)(void* context), void* context);
void scribe_wait(Scribe* scribe);
