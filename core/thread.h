// Threads that leave signals to the control thread, and a join that gives up.
// Any thread but process.
#pragma once

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>

// Threads that this one starts from here on (a library's, too) are sent no
// signal: those are the control thread's. A fault is the thread's own, and has
// to reach the handler that gives the terminal back. Undone by
// pthread_sigmask(SIG_SETMASK, before, NULL).
void thread_mask_signals(sigset_t* before);

// As pthread_create() with these attributes (or NULL), with signals masked. 0,
// or the system's reason.
int thread_start(pthread_t*            thread,
                 const pthread_attr_t* attributes,
                 void* (*run)(void* context),
                 void* context);

// False: it still runs after `seconds`, and is still to be joined or detached.
bool thread_join_within(pthread_t thread, double seconds);
