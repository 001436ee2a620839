// The signals that ask the program to end. Control thread.
#pragma once

#include <stdatomic.h>

// How many came; not 0: it is over.
extern atomic_int signals_count;

// Counts SIGINT, SIGTERM and SIGHUP from here on. Where the end does not come
// (a library hangs), one that follows a second after the first forces it, once
// rescue(), which a signal handler may call, has given the terminal back. A
// write to what nobody reads, or beyond a file's limit, fails instead.
void signals_catch(void (*rescue)(void));
