// A test tool: drives a backend without an instrument. It writes down every
// span that it gets, and sends each message that came in on, at the same
// offset, to both of its outputs; a note-on of channel 16 only to feedback.
// Ends on SIGTERM.
//
// backend_probe jack SERVER CONNECT CONTROL LOG
// backend_probe alsa queue|direct CONNECT CONTROL LOG
// backend_probe list SERVER
//
// Says "ready" when it plays, and "control N" when N outputs play to it, where
// it was 0 before that. Lines of LOG, frames absolute on the backend's clock:
//   span FRAME COUNT DELAY EXISTS ROLLING POSITION HAS_TEMPO BPM BEAT BAR_BEATS
//   in FRAME HEX
//   status NAME VALUE
#include "backend/backend.h"
#include "ports.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define SPANS_MAX 65536u
#define INPUTS_MAX 262144u

typedef struct {
  BackendSpan span;
  uint32_t    first_input;
} LoggedSpan;

typedef struct {
  LoggedSpan spans[SPANS_MAX];
  uint32_t   span_count;
  MidiInput  inputs[INPUTS_MAX];
  uint32_t   input_count;
  uint32_t   refused_count; // of what was to be sent on
} Probe;

static Probe                 probe;
static volatile sig_atomic_t ended;

static void
end(int number)
{
  (void)number;
  ended = 1;
}

static void
process(void* context, const BackendSpan* span)
{
  (void)context;
  if (probe.span_count == SPANS_MAX ||
      probe.input_count + span->input_count > INPUTS_MAX) {
    return;
  }
  probe.spans[probe.span_count++] = (LoggedSpan){ *span, probe.input_count };
  for (uint32_t i = 0; i < span->input_count; ++i) {
    const MidiInput* const input      = &span->inputs[i];
    probe.inputs[probe.input_count++] = *input;
    const MidiOut first =
      input->message[0] == 0x9f ? MIDI_OUT_FEEDBACK : MIDI_OUT_NOTES;
    for (MidiOut port = first; port <= MIDI_OUT_FEEDBACK; ++port) {
      probe.refused_count += !span->sink->write(span->sink->handle,
                                                port,
                                                input->offset_frames,
                                                input->message,
                                                input->size_bytes);
    }
  }
}

static void
write_span(FILE* file, const LoggedSpan* logged)
{
  const BackendSpan* const span = &logged->span;
  const Transport* const   t    = &span->transport;
  fprintf(file,
          "span %llu %u %u %d %d %u %d %.17g %.17g %.17g\n",
          (unsigned long long)span->frame,
          span->frame_count,
          span->input_delay_frames,
          t->exists,
          t->rolling,
          t->frame,
          t->has_tempo,
          t->bpm,
          t->beat,
          t->beats_per_bar);
  for (uint32_t i = 0; i < span->input_count; ++i) {
    const MidiInput* const input = &probe.inputs[logged->first_input + i];
    fprintf(
      file, "in %llu ", (unsigned long long)span->frame + input->offset_frames);
    for (uint32_t k = 0; k < input->size_bytes; ++k) {
      fprintf(file, "%02x", input->message[k]);
    }
    // An offset beyond its span breaks the promise of backend.h.
    fputs(input->offset_frames < span->frame_count ? "\n" : " beyond\n", file);
  }
}

static int
write_log(const char* path, const BackendStatus* status)
{
  FILE* const file = fopen(path, "w");
  if (!file) {
    return 1;
  }
  for (uint32_t i = 0; i < probe.span_count; ++i) {
    write_span(file, &probe.spans[i]);
  }
  fprintf(file,
          "status lost %u\nstatus stray %u\nstatus dropped %u\n"
          "status refused %u\nstatus xruns %u\nstatus connections %u\n"
          "status gone %u\n",
          status->input_lost_count,
          status->input_stray_count,
          status->dropped_count,
          probe.refused_count,
          status->xrun_count,
          status->connection_count,
          status->control_gone_count);
  return fclose(file) ? 1 : 0;
}

static int
run(Backend* backend, const char* log_path)
{
  const struct timespec tick   = { .tv_nsec = 5000000 };
  uint32_t              before = 0;
  BackendStatus         status;
  Error                 error;
  backend->poll(backend, &status);
  if (backend->start(backend, &error)) {
    fprintf(stderr, "%s\n", error.text);
    backend->close(backend);
    return 1;
  }
  puts("ready");
  while (!ended) {
    backend->poll(backend, &status);
    if (status.control_count != before) {
      before = status.control_count;
      printf("control %u\n", before);
    }
    fflush(stdout);
    nanosleep(&tick, NULL);
  }
  backend->stop(backend);
  backend->poll(backend, &status);
  backend->close(backend);
  return write_log(log_path, &status);
}

int
main(int argc, char** argv)
{
  Error error;
  if (argc == 3 && !strcmp(argv[1], "list")) {
    const Status status = ports_print(argv[2], &error);
    if (status) {
      fprintf(stderr, "%s\n", error.text);
    }
    return (int)status;
  }
  if (argc != 6) {
    return 2;
  }
  const bool          jack   = !strcmp(argv[1], "jack");
  const BackendConfig config = { .client_name     = "meander",
                                 .server_name     = argv[2],
                                 .connect_pattern = argv[3],
                                 .control_pattern = argv[4],
                                 .sample_rate_hz  = 48000,
                                 .period_frames   = 256,
                                 .alsa_timing     = strcmp(argv[2], "queue")
                                                      ? ALSA_TIMING_DIRECT
                                                      : ALSA_TIMING_QUEUE,
                                 .process         = process };
  Backend*            backend;
  rt_init();
  signal(SIGTERM, end);
  if ((jack ? backend_open_jack
            : backend_open_alsa)(&config, &backend, &error)) {
    fprintf(stderr, "%s\n", error.text);
    return 1;
  }
  return run(backend, argv[5]);
}
