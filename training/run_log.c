// log.csv and the progress line.
#include "run_log.h"

#include "clock.h"
#include "file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char header[] =
  "step,epoch,windows,learning_rate,beta,forcing,pitch_nats,velocity_mse,"
  "step_mse,duration_mse,kl_nats,gradient_norm,windows_per_s\n";

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
run_log_open(RunLog* log, const char* directory, uint32_t step, Error* error)
{
  char path[1024];
  snprintf(path, sizeof path, "%s/log.csv", directory);
  FileWriter   writer;
  const Status status = file_writer_open(&writer, path, error);
  if (status != STATUS_OK) {
    return status;
  }
  fputs(header, writer.stream);
  if (step > 0) {
    keep_lines(path, step, writer.stream);
  }
  const Status committed = file_writer_commit(&writer, error);
  if (committed != STATUS_OK) {
    return committed;
  }
  *log =
    (RunLog){ .csv = fopen(path, "ae"), .terminal = isatty(STDERR_FILENO) };
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
print_progress(RunLog* log, const RunReport* r)
{
  enum { WIDTH = 8 };
  char           bar[WIDTH + 1];
  const uint32_t filled = (uint32_t)((uint64_t)r->step * WIDTH / r->step_count);
  for (uint32_t i = 0; i < WIDTH; ++i) {
    bar[i] = i < filled ? '#' : '.';
  }
  bar[WIDTH]             = '\0';
  const double   steps_s = r->windows_per_s * r->step / (double)r->windows;
  const double   left_s = steps_s > 0 ? (r->step_count - r->step) / steps_s : 0;
  const unsigned minutes = (unsigned)(left_s / 60.0);
  fprintf(stderr,
          "%s[%s] %u/%u pitch %.2f vel %.2f step %.2f dur %.2f KL %.1f "
          "%.0f windows/s %u:%02u%s",
          log->terminal ? "\r\033[K" : "",
          bar,
          r->step,
          r->step_count,
          r->pitch_nats,
          r->squared_error[CHANNEL_VELOCITY],
          r->squared_error[CHANNEL_STEP],
          r->squared_error[CHANNEL_DURATION],
          r->kl_nats,
          r->windows_per_s,
          minutes,
          (unsigned)(left_s - minutes * 60.0),
          log->terminal ? "" : "\n");
}

void
run_log_write(RunLog* log, const RunReport* r)
{
  fprintf(log->csv,
          "%u,%.4f,%llu,%.6g,%.6g,%.4f,%.5f,%.5f,%.5f,%.5f,%.4f,%.5g,%.1f\n",
          r->step,
          r->epoch,
          (unsigned long long)r->windows,
          (double)r->learning_rate,
          (double)r->beta,
          (double)r->forcing,
          r->pitch_nats,
          r->squared_error[CHANNEL_VELOCITY],
          r->squared_error[CHANNEL_STEP],
          r->squared_error[CHANNEL_DURATION],
          r->kl_nats,
          (double)r->gradient_norm,
          r->windows_per_s);
  fflush(log->csv);
  // A terminal is redrawn at each report; a file gets a line every 10 s.
  if (log->terminal || clock_now_s() >= log->next_line_s ||
      r->step == r->step_count) {
    print_progress(log, r);
    log->next_line_s = clock_now_s() + 10.0;
  }
}
