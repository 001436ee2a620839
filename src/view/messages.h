// The last lines that were said: log lines, and why a key did nothing. Control
// thread.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define MESSAGES_HELD 128u // older ones are forgotten
#define MESSAGE_BYTES 512u

typedef struct {
  char   text[MESSAGE_BYTES]; // longer ones are cut
  double time_s;
  bool   refusal; // of something that a key asked for; else a log line
} Message;

typedef struct {
  Message  held[MESSAGES_HELD];
  uint64_t count; // of all so far
} Messages;

// Control characters, which a file's name could carry, become '?'.
Message* messages_add(Messages*   messages,
                      double      now_s,
                      bool        refusal,
                      const char* text);

// `age` lines ago (0: the newest); NULL: there is none, or it is forgotten.
const Message* messages_get(const Messages* messages, uint64_t age);
