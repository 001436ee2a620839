// Lines for the player that wait to be read. Control thread.
#pragma once

#include <stdbool.h>
#include <stdint.h>

// When full the oldest is dropped.
#define SAID_LINES_MAX 8u
#define SAID_LINE_BYTES 600u

typedef struct {
  char     lines[SAID_LINES_MAX][SAID_LINE_BYTES];
  uint32_t count;
} Said;

void said_add(Said* said, const char* format, ...)
  __attribute__((format(printf, 2, 3)));
// The oldest; false: there is none.
bool said_take(Said* said, char line[SAID_LINE_BYTES]);
