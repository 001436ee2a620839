// Bytes on their way to standard output that never make the caller wait: what a
// stopped terminal (Ctrl-S), a dead ssh or a pipe that nobody reads does not
// take, stays here. Control thread.
#pragma once

#include <stdbool.h>
#include <stddef.h>

// When full, what comes is refused whole; the caller counts it.
#define OUTLET_BYTES 65536u

typedef struct {
  int    fd;
  bool   owned; // an opening of its own, that does not block
  size_t sent;
  size_t used;
  char   bytes[OUTLET_BYTES];
} Outlet;

// A terminal is opened anew, since its flags are shared with the shell. `owned`
// says whether that could be done; otherwise poll() is asked before each write.
void outlet_open(Outlet* outlet, int fd);

// Gives what is left at most `wait_s` seconds.
void outlet_close(Outlet* outlet, double wait_s);

bool outlet_put(Outlet* outlet, const char* bytes, size_t size);

// Writes what is taken now; true: nothing is left. What the other end refuses
// for good is forgotten.
bool outlet_flush(Outlet* outlet);
bool outlet_flush_within(Outlet* outlet, double wait_s);
