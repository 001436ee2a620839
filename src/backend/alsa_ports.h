// Who listens to our port: connects inputs that match a pattern as they appear,
// and counts the connections. Control thread.
#pragma once

#include "status.h"

#include <alsa/asoundlib.h>
#include <regex.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct {
  snd_seq_t* seq;
  int        port;          // ours, that others listen to
  int        announce_port; // hears of new ports; -1: no pattern
  bool       rescan;        // look at all ports at the next poll
  regex_t    pattern;
} AlsaPorts;

// `connect_pattern` NULL: connects nothing. STATUS_BAD_ARGUMENT: not a regular
// expression. `seq` stays the caller's and outlives `ports`.
Status alsa_ports_open(AlsaPorts*  ports,
                       snd_seq_t*  seq,
                       int         port,
                       const char* connect_pattern,
                       Error*      error);
void   alsa_ports_close(AlsaPorts* ports);

// Connects what matches and is new; returns how many inputs listen now.
uint32_t alsa_ports_poll(AlsaPorts* ports);

// Names all inputs, ", " between; cut at `size_bytes` (at least 1).
void alsa_ports_list(AlsaPorts* ports, char* text, size_t size_bytes);
