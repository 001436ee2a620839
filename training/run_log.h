// What a training run tells: log.csv in the run directory (for a spreadsheet or
// gnuplot) and a progress line on the terminal. Main thread.
#pragma once

#include "vae.h"

#include <stdbool.h>
#include <stdio.h>

// Averages over the steps since the last line.
typedef struct {
  uint32_t step;
  uint32_t step_count;
  double   epoch;
  uint64_t windows; // seen since the run began
  float    learning_rate;
  float    beta;
  float    forcing;
  float    gradient_norm;
  double   pitch_nats;                   // a note
  double   squared_error[CHANNEL_COUNT]; // a note, standardised
  double   kl_nats;                      // a window
  double   windows_per_s;
} RunReport;

typedef struct {
  FILE*  csv;
  bool   terminal; // stderr is one: the progress line is redrawn in place
  double next_line_s;
} RunLog;

// Opens DIRECTORY/log.csv. Lines of steps beyond `step` are dropped first (they
// belong to work that a kill undid), so that the file has each step once.
Status run_log_open(RunLog*     log,
                    const char* directory,
                    uint32_t    step,
                    Error*      error);
void   run_log_close(RunLog* log);
void   run_log_write(RunLog* log, const RunReport* report);
