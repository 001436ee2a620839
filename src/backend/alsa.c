// The ALSA sequencer backend: client, port, queue, and the choice of a timing
// mode. Control thread; alsa_thread.c is the process thread, alsa_ports.c the
// connections.
#include "backend/alsa_client.h"
#include "backend/alsa_ports.h"
#include "backend/alsa_thread.h"
#include "backend/alsa_time.h"
#include "thread.h"

#include <errno.h>
#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

// Its number; below 0: ALSA's error.
static int
open_queue(snd_seq_t* seq)
{
  const int queue = snd_seq_alloc_named_queue(seq, "meander");
  if (queue < 0) {
    return queue;
  }
  snd_timer_id_t*        id;
  snd_seq_queue_timer_t* timer;
  snd_timer_id_alloca(&id);
  snd_seq_queue_timer_alloca(&timer);
  if (snd_seq_get_queue_timer(seq, queue, timer) >= 0) {
    snd_timer_id_set_class(id, SND_TIMER_CLASS_GLOBAL);
    snd_timer_id_set_device(id, SND_TIMER_GLOBAL_HRTIMER);
    snd_seq_queue_timer_set_id(timer, id);
    // Refused or not there: the kernel keeps a timer that works.
    snd_seq_set_queue_timer(seq, queue, timer);
  }
  snd_seq_start_queue(seq, queue, NULL);
  snd_seq_drain_output(seq);
  return queue;
}

// A queue is there in both modes: it also stamps what comes in. Direct timing
// can do without.
static Status
choose_timing(AlsaBackend* alsa, AlsaTiming timing, Error* error)
{
  AlsaThread* const thread = &alsa->thread;
  alsa->realtime           = realtime_is_granted();
  thread->queued           = timing == ALSA_TIMING_QUEUE ||
                   (timing == ALSA_TIMING_AUTO && !alsa->realtime);
  thread->lead_ns = thread->queued ? ALSA_QUEUE_LEAD_NS : ALSA_DIRECT_LEAD_NS;
  const int queue = open_queue(alsa->seq);
  if (thread->queued && queue < 0) {
    return error_set(error,
                     STATUS_UNAVAILABLE,
                     "ALSA: cannot make a queue: %s",
                     snd_strerror(queue));
  }
  thread->queue = queue < 0 ? -1 : queue;
  if (thread->queued) {
    snd_seq_set_client_pool_output(alsa->seq, OUTPUT_POOL_EVENTS);
  }
  return STATUS_OK;
}

static void
describe(AlsaBackend* alsa)
{
  const AlsaThread* const thread    = &alsa->thread;
  char                    timer[64] = "";
  const char* const       priority =
    alsa->realtime ? "real-time priority" : "no real-time priority";
  if (thread->queued) {
    read_queue_timer(thread->queue, timer, sizeof timer);
  }
  snprintf(alsa->text,
           sizeof alsa->text,
           "ALSA client %d, %u Hz, period %u, %s timing (%s%s%s)",
           snd_seq_client_id(alsa->seq),
           thread->sample_rate_hz,
           thread->period_frames,
           thread->queued ? "queue" : "direct",
           timer,
           thread->queued ? ", " : "",
           priority);
}

// SCHED_FIFO may be refused to the new thread even where we have just held it;
// then it runs at the normal priority.
static int
create_thread(AlsaBackend* alsa)
{
  const struct sched_param realtime = { .sched_priority = PROCESS_PRIORITY };
  pthread_attr_t           attributes;
  pthread_attr_init(&attributes);
  int result = EPERM;
  if (alsa->realtime) {
    pthread_attr_setinheritsched(&attributes, PTHREAD_EXPLICIT_SCHED);
    pthread_attr_setschedpolicy(&attributes, SCHED_FIFO);
    pthread_attr_setschedparam(&attributes, &realtime);
    result = thread_start(
      &alsa->thread_id, &attributes, alsa_thread_run, &alsa->thread);
  }
  if (result == EPERM) {
    result =
      thread_start(&alsa->thread_id, NULL, alsa_thread_run, &alsa->thread);
  }
  pthread_attr_destroy(&attributes);
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
  if (alsa->thread.input.decoder) {
    snd_midi_event_free(alsa->thread.input.decoder);
  }
  if (alsa->seq) {
    snd_seq_close(alsa->seq);
  }
  snd_config_update_free_global();
  free(alsa);
}

// A span is processed so long before its end is heard.
static double
settle_s(const AlsaThread* thread)
{
  return (double)thread->lead_ns / NS_PER_S +
         (double)thread->period_frames / thread->sample_rate_hz;
}

static void
alsa_poll(Backend* backend, BackendStatus* status)
{
  AlsaBackend* const      alsa   = (AlsaBackend*)backend;
  const SpanInputs* const inputs = &alsa->thread.input.inputs;
  *status                        = (BackendStatus){
                           .sample_rate_hz    = alsa->thread.sample_rate_hz,
                           .period_frames     = alsa->thread.period_frames,
                           .xrun_count        = atomic_load(&alsa->thread.xrun_count),
                           .dropped_count     = atomic_load(&alsa->thread.dropped_count),
                           .input_lost_count  = atomic_load(&inputs->lost_count),
                           .input_stray_count = atomic_load(&inputs->stray_count),
                           .settle_s          = settle_s(&alsa->thread),
  };
  alsa_ports_poll(&alsa->ports, status);
  memcpy(status->text, alsa->text, sizeof status->text);
}

typedef struct {
  char*  text;
  size_t size_bytes;
  size_t length;
} InputList;

static void
list_input(void* context, const char* name, bool is_input)
{
  InputList* const list = context;
  if (is_input && list->length < list->size_bytes) {
    const int added = snprintf(list->text + list->length,
                               list->size_bytes - list->length,
                               "%s%s",
                               list->length ? ", " : "",
                               name);
    list->length += added > 0 ? (size_t)added : 0;
  }
}

static void
alsa_list_inputs(Backend* backend, char* text, size_t size_bytes)
{
  InputList list = { .text = text, .size_bytes = size_bytes };
  *text          = '\0';
  alsa_ports_visit(((AlsaBackend*)backend)->seq, list_input, &list);
}

// What the thread needs of what was opened.
static void
set_up_thread(AlsaBackend* alsa)
{
  AlsaThread* const thread         = &alsa->thread;
  AlsaInput* const  input          = &thread->input;
  thread->seq                      = alsa->seq;
  thread->ports[MIDI_OUT_NOTES]    = alsa->ports.out[MIDI_OUT_NOTES];
  thread->ports[MIDI_OUT_FEEDBACK] = alsa->ports.out[MIDI_OUT_FEEDBACK];
  input->seq                       = alsa->seq;
  input->ports                     = &alsa->ports;
  input->queue                     = thread->queue;
  input->sample_rate_hz            = thread->sample_rate_hz;
  // Processed ahead by the lead, a span takes what came in the period before.
  input->delay_frames =
    thread->period_frames +
    (uint32_t)ns_to_frame(thread->lead_ns, thread->sample_rate_hz);
}

static Status
open_coders(AlsaThread* thread, Error* error)
{
  if (snd_midi_event_new(3, &thread->encoder) < 0 ||
      snd_midi_event_new(3, &thread->input.decoder) < 0) {
    return error_set(error, STATUS_NO_MEMORY, "ALSA: no memory");
  }
  snd_midi_event_no_status(thread->input.decoder, 1); // each message whole
  return STATUS_OK;
}

static Status
set_up(AlsaBackend* alsa, const BackendConfig* config, Error* error)
{
  AlsaThread* const thread = &alsa->thread;
  thread->sample_rate_hz   = config->sample_rate_hz;
  thread->period_frames    = config->period_frames;
  thread->process          = config->process;
  thread->process_context  = config->process_context;
  Status status = alsa_client_open(&alsa->seq, config->client_name, error);
  if (status == STATUS_OK) {
    snd_seq_set_client_pool_input(alsa->seq, ALSA_INPUT_POOL_EVENTS);
    snd_seq_set_input_buffer_size(alsa->seq, ALSA_INPUT_BUFFER_BYTES);
    status = open_coders(thread, error);
  }
  if (status == STATUS_OK) {
    status = choose_timing(alsa, config->alsa_timing, error);
  }
  if (status == STATUS_OK) {
    status =
      alsa_ports_open(&alsa->ports, alsa->seq, thread->queue, config, error);
  }
  if (status == STATUS_OK) {
    set_up_thread(alsa);
    describe(alsa);
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
  // Rings in it stand on cache lines.
  AlsaBackend* const alsa = aligned_alloc(alignof(AlsaBackend), sizeof *alsa);
  if (!alsa) {
    return error_set(error, STATUS_NO_MEMORY, "ALSA: no memory");
  }
  memset(alsa, 0, sizeof *alsa);
  alsa->base          = (Backend){ .name        = "alsa",
                                   .start       = alsa_start,
                                   .stop        = alsa_stop,
                                   .close       = alsa_close,
                                   .poll        = alsa_poll,
                                   .list_inputs = alsa_list_inputs };
  const Status status = set_up(alsa, config, error);
  if (status != STATUS_OK) {
    alsa_close(&alsa->base);
    return status;
  }
  *out = &alsa->base;
  return STATUS_OK;
}

Status
backend_visit_alsa_ports(BackendPortVisit visit, void* context, Error* error)
{
  snd_seq_t*   seq    = NULL;
  const Status status = alsa_client_open(&seq, "meander-ports", error);
  if (status == STATUS_OK) {
    alsa_ports_visit(seq, visit, context);
    snd_seq_close(seq);
  }
  snd_config_update_free_global();
  return status;
}
