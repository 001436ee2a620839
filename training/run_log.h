// What a training run tells: log.csv in the run directory (for a spreadsheet or
// gnuplot) and a progress line on the terminal. Main thread.
#pragma once

#include "status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define RUN_LOG_COLUMNS_MAX 24u

// A column of log.csv after the first, which is the step.
typedef struct {
  const char* name;
  const char* label;    // on the progress line; NULL: not there
  int         decimals; // there
} RunColumn;

typedef struct {
  FILE*            csv;
  const RunColumn* columns;
  size_t           column_count;
  bool   terminal; // stderr is one: the progress line is redrawn in place
  double next_line_s;
} RunLog;

// Opens DIRECTORY/log.csv. Lines of steps beyond `step` are dropped first (they
// belong to work that a kill undid), so that the file has each step once.
Status run_log_open(RunLog*          log,
                    const char*      directory,
                    const RunColumn* columns,
                    size_t           column_count,
                    uint32_t         step,
                    Error*           error);
void   run_log_close(RunLog* log);
// values[column_count]; a NaN is an empty field. `steps_per_s` tells how long
// the rest of `step_count` will take.
void run_log_write(RunLog*       log,
                   uint32_t      step,
                   uint32_t      step_count,
                   double        steps_per_s,
                   const double* values);
