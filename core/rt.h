// Marks for real-time code. A function marked REALTIME may run in the process
// thread: it does not allocate, lock, log, wait or call the system, and all its
// loops are bounded by a cap of caps.h or by its arguments.
//
// The mark is checked at run time: rt_enter()/rt_leave() bracket the process
// callback, and a test preloads tests/rt's guard library, which aborts with a
// backtrace when libc's forbidden functions are called in between. Without the
// guard both cost one branch.
#pragma once

#define REALTIME

// Control thread, before any process thread starts: looks for the guard.
void rt_init(void);

// Process thread.
void rt_enter(void) REALTIME;
void rt_leave(void) REALTIME;
