// What worker.c and worker_change.c share. The worker's thread.
#pragma once

#include "live/worker.h"

// Beats nearer than this are the same: to a place of the grid, to each other.
#define BEAT_EPSILON 1e-6

bool worker_is_placed(const Worker* worker);
// Where what is stamped now can still be played, in a change of the plan.
uint64_t worker_change_frame(const Worker* worker);
// What is planned beyond the committed frame and the reserve.
double worker_spare_s(const Worker* worker);
// Gives the next window of the generator to the sampling thread.
void worker_give_job(Worker* worker, bool in_time);
// Makes worker->window of what was sampled; false: there is nothing to plan.
bool worker_accept(Worker* worker, const Sampled* sampled);
// Hands worker->window out.
void   worker_plan(Worker* worker);
double worker_seconds_of(const Worker* worker, uint32_t steps);

// --- worker_windows.c --------------------------------------------------------

// Each makes worker->window; false: it has none now.
bool worker_next_primed(Worker* worker);
bool worker_next_sampled(Worker* worker);
bool worker_next_of_fallback(Worker* worker);
bool worker_next_repeated(Worker* worker);
// Of worker->window: its notes are planned as they are.
void worker_set_again(Worker* worker);

// --- worker_change.c ---------------------------------------------------------

// Reads commands, and does what can be done of what is due.
void worker_change(Worker* worker);
// Whether a window is to be asked for that replaces what is planned.
bool worker_wants_splice(const Worker* worker);
// Asks for that window. When nothing is being sampled.
void worker_ask_splice(Worker* worker);
// It did not come, or came too late: what it was for is still to be done.
void worker_ask_again(Worker* worker);
// Puts it in its place.
void worker_finish_splice(Worker* worker, const Sampled* sampled);
// Where the music begins by the beat that it follows, from `frame` on.
void worker_begin_at(Worker* worker, uint64_t frame);

// --- worker_loop.c -----------------------------------------------------------

// Freezes or thaws, as the parameter says. True: the plan was changed.
bool worker_change_freeze(Worker* worker, uint64_t frame);
// Plans what is frozen from its place on once more, in its present length.
void worker_change_loop(Worker* worker, uint64_t frame);
// The next notes of what is frozen, in worker->window.
void worker_next_of_loop(Worker* worker);
