// `meander doctor`: looks at all that must be there for a note to be heard, and
// names the first link that keeps silent and the command that mends it. Control
// thread, while nothing plays.
#pragma once

#include "backend/probe.h"
#include "status.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

// Prints to standard output, a line a check and one at the end. `heard`: music
// can be heard or sent to something (the program's exit code tells). Takes less
// than 5 s. STATUS_IO: standard output takes no more.
// `jack_server` NULL: the usual one.
Status doctor_run(const char* jack_server, bool* heard, Error* error);

// What it looks at, so that a test can plant what is missing. Models and
// presets are where data_path.h says.
typedef struct {
  void (*probe_jack)(const char* server, JackProbe* jack);
  void (*probe_sequencer)(SequencerProbe* sequencer);
  Status (*probe_audio)(const char* driver, char used[32], Error* error);
  const char*        jack_server;  // NULL: the usual one
  const char*        audio_driver; // NULL: the first that answers
  const char*        soundfont;    // $MEANDER_SOUNDFONT or NULL
  const char* const* soundfont_places;
  const char*        proc_asound;     // "/proc/asound"
  const char*        cpu_folder;      // "/sys/devices/system/cpu"
  const char*        pci_folder;      // "/sys/bus/pci/devices"
  const char*        nvidia_driver;   // the file that says which is loaded
  const char*        pipewire_socket; // "" when there is no place for it
  const char*        rtkit_service;   // the file that says rtkit is installed
  const char*        path;            // $PATH
  const char*        device; // of the models, as device_open() takes it
  char               config_folder[1024]; // "": there is none
  bool               realtime_granted;    // SCHED_FIFO, by trying
  uint64_t           realtime_limit;      // RLIMIT_RTPRIO
  uint64_t           memlock_bytes; // RLIMIT_MEMLOCK, UINT64_MAX: no limit
} DoctorWorld;

// This machine. Its texts are the environment's.
void doctor_world(DoctorWorld* world, char pipewire_socket[1024]);

Status doctor_examine(const DoctorWorld* world,
                      FILE*              out,
                      bool*              heard,
                      Error*             error);
