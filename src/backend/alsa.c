// The ALSA sequencer backend: client, port, queue, and the choice of a timing
// mode. Control thread; alsa_thread.c is the process thread, alsa_ports.c the
// connections.
#include "backend/alsa_ports.h"
#include "backend/alsa_thread.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEVICE "/dev/snd/seq"

// Above interrupt threads (50), below what keeps a kernel alive.
#define PROCESS_PRIORITY 60

// Events queued in the kernel at most (its own cap is 2000).
#define OUTPUT_POOL_EVENTS 2000u

typedef struct {
  Backend    base; // first: a Backend* is an AlsaBackend*
  snd_seq_t* seq;
  AlsaPorts  ports;
  AlsaThread thread;
  pthread_t  thread_id;
  bool       running;
  bool       realtime; // SCHED_FIFO is granted
  char       text[160];
} AlsaBackend;

// Our error line says what ALSA's own would say, and what to do.
__attribute__((format(printf, 5, 6))) static void
stay_silent(const char* file,
            int         line,
            const char* function,
            int         result,
            const char* format,
            ...)
{
  (void)file;
  (void)line;
  (void)function;
  (void)result;
  (void)format;
}

static Status
open_sequencer(AlsaBackend* alsa, const char* client_name, Error* error)
{
  snd_lib_error_set_handler(stay_silent);
  const int result =
    snd_seq_open(&alsa->seq, "default", SND_SEQ_OPEN_DUPLEX, SND_SEQ_NONBLOCK);
  snd_lib_error_set_handler(NULL);
  if (result == -EACCES || result == -EPERM) {
    return error_set(error,
                     STATUS_UNAVAILABLE,
                     "ALSA: " DEVICE ": permission denied; add your user to "
                     "the group 'audio' and log in again");
  }
  if (result < 0 && access(DEVICE, F_OK) == 0 && result != -ENODEV &&
      result != -ENXIO) {
    return error_set(error,
                     STATUS_UNAVAILABLE,
                     "ALSA: cannot open the sequencer: %s",
                     snd_strerror(result));
  }
  if (result < 0) {
    return error_set(error,
                     STATUS_NOT_FOUND,
                     "ALSA: " DEVICE " is not there; load the sequencer with "
                     "'modprobe snd-seq' as root");
  }
  alsa->thread.seq = alsa->seq;
  snd_seq_set_client_name(alsa->seq, client_name);
  return STATUS_OK;
}

static Status
open_port(AlsaBackend* alsa, Error* error)
{
  const int port = snd_seq_create_simple_port(
    alsa->seq,
    "notes",
    SND_SEQ_PORT_CAP_READ | SND_SEQ_PORT_CAP_SUBS_READ,
    SND_SEQ_PORT_TYPE_MIDI_GENERIC | SND_SEQ_PORT_TYPE_APPLICATION);
  if (port < 0) {
    return error_set(error,
                     STATUS_UNAVAILABLE,
                     "ALSA: cannot make the port 'notes': %s",
                     snd_strerror(port));
  }
  alsa->thread.port = port;
  return STATUS_OK;
}

// The only sure way to know is to ask.
static bool
realtime_is_granted(void)
{
  const struct sched_param realtime = { .sched_priority = PROCESS_PRIORITY };
  struct sched_param       before;
  int                      policy;
  pthread_getschedparam(pthread_self(), &policy, &before);
  if (pthread_setschedparam(pthread_self(), SCHED_FIFO, &realtime) != 0) {
    return false;
  }
  pthread_setschedparam(pthread_self(), policy, &before);
  return true;
}

// The timer that drives the queue, by the kernel's own word: without
// snd-hrtimer it takes the system timer and tells no one.
static void
read_queue_timer(int queue, char* text, size_t size_bytes)
{
  char  line[128];
  bool  found = false;
  FILE* file  = fopen("/proc/asound/seq/timer", "re");
  snprintf(text, size_bytes, "unknown timer");
  while (file && !found && fgets(line, sizeof line, file)) {
    int  number = -1;
    char name[64];
    if (sscanf(line, "Timer for queue %d : %63[^\n]", &number, name) == 2 &&
        number == queue) {
      snprintf(text, size_bytes, "%s", name);
      found = true;
    }
  }
  if (file) {
    fclose(file);
  }
}

static Status
open_queue(AlsaBackend* alsa, Error* error)
{
  const int queue = snd_seq_alloc_named_queue(alsa->seq, "meander");
  if (queue < 0) {
    return error_set(error,
                     STATUS_UNAVAILABLE,
                     "ALSA: cannot make a queue: %s",
                     snd_strerror(queue));
  }
  alsa->thread.queue   = queue;
  alsa->thread.lead_ns = ALSA_QUEUE_LEAD_NS;
  snd_seq_set_client_pool_output(alsa->seq, OUTPUT_POOL_EVENTS);
  snd_timer_id_t*        id;
  snd_seq_queue_timer_t* timer;
  snd_timer_id_alloca(&id);
  snd_seq_queue_timer_alloca(&timer);
  if (snd_seq_get_queue_timer(alsa->seq, queue, timer) >= 0) {
    snd_timer_id_set_class(id, SND_TIMER_CLASS_GLOBAL);
    snd_timer_id_set_device(id, SND_TIMER_GLOBAL_HRTIMER);
    snd_seq_queue_timer_set_id(timer, id);
    // Refused or not there: the kernel keeps a timer that works.
    snd_seq_set_queue_timer(alsa->seq, queue, timer);
  }
  snd_seq_start_queue(alsa->seq, queue, NULL);
  snd_seq_drain_output(alsa->seq);
  return STATUS_OK;
}

static Status
choose_timing(AlsaBackend* alsa, AlsaTiming timing, Error* error)
{
  alsa->realtime = realtime_is_granted();
  const char* const priority =
    alsa->realtime ? "real-time priority" : "no real-time priority";
  const int client = snd_seq_client_id(alsa->seq);
  if (timing == ALSA_TIMING_DIRECT ||
      (timing == ALSA_TIMING_AUTO && alsa->realtime)) {
    alsa->thread.queue   = -1;
    alsa->thread.lead_ns = ALSA_DIRECT_LEAD_NS;
    snprintf(alsa->text,
             sizeof alsa->text,
             "ALSA client %d, %u Hz, period %u, direct timing (%s)",
             client,
             alsa->thread.sample_rate_hz,
             alsa->thread.period_frames,
             priority);
    return STATUS_OK;
  }
  const Status status = open_queue(alsa, error);
  if (status == STATUS_OK) {
    char timer[64];
    read_queue_timer(alsa->thread.queue, timer, sizeof timer);
    snprintf(alsa->text,
             sizeof alsa->text,
             "ALSA client %d, %u Hz, period %u, queue timing (%s, %s)",
             client,
             alsa->thread.sample_rate_hz,
             alsa->thread.period_frames,
             timer,
             priority);
  }
  return status;
}

// SCHED_FIFO may be refused to the new thread even where we have just held it;
// then it runs at the normal priority. Signals are the control thread's.
static int
create_thread(AlsaBackend* alsa)
{
  const struct sched_param realtime = { .sched_priority = PROCESS_PRIORITY };
  sigset_t                 all;
  sigset_t                 before;
  pthread_attr_t           attributes;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pthread_attr_init(&attributes);
  int result = EPERM;
  if (alsa->realtime) {
    pthread_attr_setinheritsched(&attributes, PTHREAD_EXPLICIT_SCHED);
    pthread_attr_setschedpolicy(&attributes, SCHED_FIFO);
    pthread_attr_setschedparam(&attributes, &realtime);
    result = pthread_create(
      &alsa->thread_id, &attributes, alsa_thread_run, &alsa->thread);
  }
  if (result == EPERM) {
    result =
      pthread_create(&alsa->thread_id, NULL, alsa_thread_run, &alsa->thread);
  }
  pthread_attr_destroy(&attributes);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return result;
}

static Status
alsa_start(Backend* backend, Error* error)
{
  AlsaBackend* const alsa = (AlsaBackend*)backend;
  atomic_store(&alsa->thread.stopping, false);
  const int result = create_thread(alsa);
  if (result != 0) {
    return error_set(error,
                     STATUS_UNAVAILABLE,
                     "ALSA: cannot start the process thread: %s",
                     strerror(result));
  }
  alsa->running = true;
  return STATUS_OK;
}

static void
alsa_stop(Backend* backend)
{
  AlsaBackend* const alsa = (AlsaBackend*)backend;
  if (alsa->running) {
    atomic_store(&alsa->thread.stopping, true);
    pthread_join(alsa->thread_id, NULL);
    alsa->running = false;
  }
}

static void
alsa_close(Backend* backend)
{
  AlsaBackend* const alsa = (AlsaBackend*)backend;
  alsa_stop(backend); // the kernel forgets queued events when we close
  alsa_ports_close(&alsa->ports);
  if (alsa->thread.encoder) {
    snd_midi_event_free(alsa->thread.encoder);
  }
  if (alsa->seq) {
    snd_seq_close(alsa->seq);
  }
  snd_config_update_free_global();
  free(alsa);
}

static void
alsa_poll(Backend* backend, BackendStatus* status)
{
  AlsaBackend* const alsa = (AlsaBackend*)backend;
  *status                 = (BackendStatus){
                    .sample_rate_hz   = alsa->thread.sample_rate_hz,
                    .period_frames    = alsa->thread.period_frames,
                    .xrun_count       = atomic_load(&alsa->thread.xrun_count),
                    .dropped_count    = atomic_load(&alsa->thread.dropped_count),
                    .connection_count = alsa_ports_poll(&alsa->ports),
  };
  memcpy(status->text, alsa->text, sizeof status->text);
}

static void
alsa_list_inputs(Backend* backend, char* text, size_t size_bytes)
{
  alsa_ports_list(&((AlsaBackend*)backend)->ports, text, size_bytes);
}

static Status
set_up(AlsaBackend* alsa, const BackendConfig* config, Error* error)
{
  alsa->thread.sample_rate_hz  = config->sample_rate_hz;
  alsa->thread.period_frames   = config->period_frames;
  alsa->thread.process         = config->process;
  alsa->thread.process_context = config->process_context;
  Status status = open_sequencer(alsa, config->client_name, error);
  if (status == STATUS_OK) {
    status = open_port(alsa, error);
  }
  if (status == STATUS_OK && snd_midi_event_new(3, &alsa->thread.encoder) < 0) {
    status = error_set(error, STATUS_NO_MEMORY, "ALSA: no memory");
  }
  if (status == STATUS_OK) {
    status = alsa_ports_open(&alsa->ports,
                             alsa->seq,
                             alsa->thread.port,
                             config->connect_pattern,
                             error);
  }
  if (status == STATUS_OK) {
    status = choose_timing(alsa, config->alsa_timing, error);
  }
  return status;
}

Status
backend_open_alsa(const BackendConfig* config, Backend** out, Error* error)
{
  *out = NULL;
  if (config->sample_rate_hz == 0 ||
      config->period_frames < PERIOD_FRAMES_MIN ||
      config->period_frames > PERIOD_FRAMES_MAX) {
    return error_set(error,
                     STATUS_BAD_ARGUMENT,
                     "ALSA: a rate of %u Hz with spans of %u frames",
                     config->sample_rate_hz,
                     config->period_frames);
  }
  AlsaBackend* const alsa = calloc(1, sizeof *alsa);
  if (!alsa) {
    return error_set(error, STATUS_NO_MEMORY, "ALSA: no memory");
  }
  alsa->base                = (Backend){ .name        = "alsa",
                                         .start       = alsa_start,
                                         .stop        = alsa_stop,
                                         .close       = alsa_close,
                                         .poll        = alsa_poll,
                                         .list_inputs = alsa_list_inputs };
  alsa->ports.announce_port = -1;
  const Status status       = set_up(alsa, config, error);
  if (status != STATUS_OK) {
    alsa_close(&alsa->base);
    return status;
  }
  *out = &alsa->base;
  return STATUS_OK;
}
