// log.csv and the progress line.
#include "run_log.h"

#include "clock.h"
#include "file.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// Copies the lines up to `step` of the log that an earlier part of the run
// left.
static void
keep_lines(const char* path, uint32_t step, FILE* to)
{
  FILE* const from = fopen(path, "re");
  if (!from) {
    return;
  }
  char line[512];
  while (fgets(line, sizeof line, from)) {
    char*               end;
    const unsigned long at = strtoul(line, &end, 10);
    if (end != line && *end == ',' && at <= step && strchr(line, '\n')) {
      fputs(line, to);
    }
  }
  fclose(from);
}

Status
run_log_open(RunLog*          log,
             const char*      directory,
             const RunColumn* columns,
             size_t           column_count,
             uint32_t         step,
             Error*           error)
{
  char path[1024];
  snprintf(path, sizeof path, "%s/log.csv", directory);
  FileWriter   writer;
  const Status status = file_writer_open(&writer, path, error);
  if (status != STATUS_OK) {
    return status;
  }
  fputs("step", writer.stream);
  for (size_t i = 0; i < column_count; ++i) {
    fprintf(writer.stream, ",%s", columns[i].name);
  }
  fputc('\n', writer.stream);
  if (step > 0) {
    keep_lines(path, step, writer.stream);
  }
  const Status committed = file_writer_commit(&writer, error);
  if (committed != STATUS_OK) {
    return committed;
  }
  *log = (RunLog){ .csv          = fopen(path, "ae"),
                   .columns      = columns,
                   .column_count = column_count,
                   .terminal     = isatty(STDERR_FILENO) };
  return log->csv
           ? STATUS_OK
           : error_set(
               error, STATUS_IO, "%s: cannot write: %s", path, strerror(errno));
}

void
run_log_close(RunLog* log)
{
  if (log->csv) {
    fclose(log->csv);
  }
  if (log->terminal) {
    fputc('\n', stderr);
  }
}

static void
print_progress(const RunLog* log,
               uint32_t      step,
               uint32_t      step_count,
               double        steps_per_s,
               const double* values)
{
  enum { WIDTH = 8 };
  char           bar[WIDTH + 1];
  const uint32_t filled = (uint32_t)((uint64_t)step * WIDTH / step_count);
  for (uint32_t i = 0; i < WIDTH; ++i) {
    bar[i] = i < filled ? '#' : '.';
  }
  bar[WIDTH]          = '\0';
  const double left_s = steps_per_s > 0 ? (step_count - step) / steps_per_s : 0;
  const unsigned minutes = (unsigned)(left_s / 60.0);
  fprintf(stderr,
          "%s[%s] %u/%u",
          log->terminal ? "\r\033[K" : "",
          bar,
          step,
          step_count);
  for (size_t i = 0; i < log->column_count; ++i) {
    if (log->columns[i].label && !isnan(values[i])) {
      fprintf(stderr,
              " %s %.*f",
              log->columns[i].label,
              log->columns[i].decimals,
              values[i]);
    }
  }
  fprintf(stderr,
          " %u:%02u%s",
          minutes,
          (unsigned)(left_s - minutes * 60.0),
          log->terminal ? "" : "\n");
}

void
run_log_write(RunLog*       log,
              uint32_t      step,
              uint32_t      step_count,
              double        steps_per_s,
              const double* values)
{
  fprintf(log->csv, "%u", step);
  for (size_t i = 0; i < log->column_count; ++i) {
    if (isnan(values[i])) {
      fputc(',', log->csv);
    } else {
      fprintf(log->csv, ",%.7g", values[i]);
    }
  }
  fputc('\n', log->csv);
  fflush(log->csv);
  // A terminal is redrawn at each report; a file gets a line every 10 s.
  if (log->terminal || clock_now_s() >= log->next_line_s ||
      step == step_count) {
    print_progress(log, step, step_count, steps_per_s, values);
    log->next_line_s = clock_now_s() + 10.0;
  }
}
