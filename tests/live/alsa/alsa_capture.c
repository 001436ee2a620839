// An ALSA sequencer client "capture" that writes each note it receives with two
// times, both by CLOCK_MONOTONIC: "delivered_ns read_ns kind pitch velocity".
// delivered_ns is the kernel's stamp when the event reached our port (by a
// timestamping queue), read_ns is when this program had it in its hands.
// Ends at SIGTERM. Runs in the guest of run_vm.py, above the player's priority.
#include <alsa/asoundlib.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

#define NOTES_MAX 16384
#define INPUT_POOL_EVENTS 2000

typedef struct {
  int64_t delivered_ns;
  int64_t read_ns;
  uint8_t on;
  uint8_t pitch;
  uint8_t velocity;
} Note;

static Note                  notes[NOTES_MAX];
static int                   note_count;
static volatile sig_atomic_t ended;

static void
end(int signal_number)
{
  (void)signal_number;
  ended = 1;
}

static int64_t
now_ns(void)
{
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int64_t
to_ns(const snd_seq_real_time_t* time)
{
  return (int64_t)time->tv_sec * 1000000000 + time->tv_nsec;
}

// CLOCK_MONOTONIC at the queue's time 0, read anew for each note.
static int64_t
queue_zero_ns(snd_seq_t* seq, int queue)
{
  snd_seq_queue_status_t* status;
  snd_seq_queue_status_alloca(&status);
  const int64_t before_ns = now_ns();
  snd_seq_get_queue_status(seq, queue, status);
  const int64_t middle_ns = before_ns + (now_ns() - before_ns) / 2;
  return middle_ns - to_ns(snd_seq_queue_status_get_real_time(status));
}

static int
open_port(snd_seq_t* seq, int queue)
{
  snd_seq_port_info_t* port;
  snd_seq_port_info_alloca(&port);
  snd_seq_port_info_set_name(port, "in");
  snd_seq_port_info_set_capability(
    port, SND_SEQ_PORT_CAP_WRITE | SND_SEQ_PORT_CAP_SUBS_WRITE);
  snd_seq_port_info_set_type(
    port, SND_SEQ_PORT_TYPE_MIDI_GENERIC | SND_SEQ_PORT_TYPE_APPLICATION);
  snd_seq_port_info_set_timestamping(port, 1);
  snd_seq_port_info_set_timestamp_real(port, 1);
  snd_seq_port_info_set_timestamp_queue(port, queue);
  return snd_seq_create_port(seq, port);
}

static void
take(snd_seq_t* seq, int queue, const snd_seq_event_t* event)
{
  const int64_t read_ns = now_ns();
  if ((event->type != SND_SEQ_EVENT_NOTEON &&
       event->type != SND_SEQ_EVENT_NOTEOFF) ||
      note_count == NOTES_MAX) {
    return;
  }
  notes[note_count++] = (Note){
    .delivered_ns = queue_zero_ns(seq, queue) + to_ns(&event->time.time),
    .read_ns      = read_ns,
    .on           = event->type == SND_SEQ_EVENT_NOTEON,
    .pitch        = event->data.note.note,
    .velocity     = event->data.note.velocity,
  };
}

int
main(void)
{
  snd_seq_t* seq;
  if (snd_seq_open(&seq, "default", SND_SEQ_OPEN_DUPLEX, SND_SEQ_NONBLOCK) <
      0) {
    return 1;
  }
  snd_seq_set_client_name(seq, "capture");
  snd_seq_set_client_pool_input(seq, INPUT_POOL_EVENTS);
  const int queue = snd_seq_alloc_queue(seq);
  snd_seq_start_queue(seq, queue, NULL);
  snd_seq_drain_output(seq);
  if (queue < 0 || open_port(seq, queue) < 0) {
    return 1;
  }
  signal(SIGTERM, end);
  const struct sched_param priority = { .sched_priority = 80 };
  sched_setscheduler(0, SCHED_FIFO, &priority);
  struct pollfd descriptor;
  snd_seq_poll_descriptors(seq, &descriptor, 1, POLLIN);
  while (!ended) {
    snd_seq_event_t* event  = NULL;
    const int        result = snd_seq_event_input(seq, &event);
    if (result >= 0 && event) {
      take(seq, queue, event);
    } else if (result == -ENOSPC) {
      printf("overflow\n");
    } else {
      poll(&descriptor, 1, 100);
    }
  }
  for (int i = 0; i < note_count; ++i) {
    printf("%lld %lld %s %u %u\n",
           (long long)notes[i].delivered_ns,
           (long long)notes[i].read_ns,
           notes[i].on ? "on" : "off",
           notes[i].pitch,
           notes[i].velocity);
  }
  snd_seq_close(seq);
  return 0;
}
