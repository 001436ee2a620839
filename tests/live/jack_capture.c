// A test tool: a second JACK client that writes down what it hears. Each line
// of its file is "frame status data1 data2", the frame absolute on the server's
// clock; what has no data, as MIDI clock, shows 0. Prints "ready" when it
// listens; ends on SIGTERM, or when the server does. Usage: jack_capture SERVER
// FILE
#include <jack/jack.h>
#include <jack/midiport.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define EVENTS_MAX (1u << 20)

typedef struct {
  uint32_t frame;
  uint8_t  message[3];
} Event;

static Event            events[EVENTS_MAX];
static _Atomic uint32_t event_count;
static atomic_int       ended;
static atomic_int       xruns;
static jack_client_t*   client;
static jack_port_t*     port;

static int
on_process(jack_nframes_t frame_count, void* context)
{
  (void)context;
  void* const          buffer = jack_port_get_buffer(port, frame_count);
  const jack_nframes_t start  = jack_last_frame_time(client);
  const uint32_t       heard  = jack_midi_get_event_count(buffer);
  for (uint32_t i = 0; i < heard; ++i) {
    jack_midi_event_t event;
    const uint32_t    index = atomic_load(&event_count);
    if (!jack_midi_event_get(&event, buffer, i) && event.size <= 3 &&
        index < EVENTS_MAX) {
      events[index].frame = start + event.time;
      memcpy(events[index].message, event.buffer, event.size);
      atomic_store(&event_count, index + 1);
    }
  }
  return 0;
}

static int
on_xrun(void* context)
{
  (void)context;
  atomic_fetch_add(&xruns, 1);
  return 0;
}

static void
on_shutdown(void* context)
{
  (void)context;
  atomic_store(&ended, 1);
}

static void
on_signal(int number)
{
  (void)number;
  atomic_store(&ended, 1);
}

int
main(int argc, char** argv)
{
  if (argc != 3) {
    return 2;
  }
  FILE* const file = fopen(argv[2], "w");
  client           = jack_client_open(
    "capture", JackNoStartServer | JackServerName, NULL, argv[1]);
  if (!file || !client) {
    fprintf(stderr, "jack_capture: no file or no server\n");
    return 1;
  }
  port = jack_port_register(
    client, "in", JACK_DEFAULT_MIDI_TYPE, JackPortIsInput, 0);
  jack_set_process_callback(client, on_process, NULL);
  jack_set_xrun_callback(client, on_xrun, NULL);
  jack_on_shutdown(client, on_shutdown, NULL);
  signal(SIGTERM, on_signal);
  signal(SIGINT, on_signal);
  if (!port || jack_activate(client)) {
    fprintf(stderr, "jack_capture: cannot start\n");
    return 1;
  }
  puts("ready");
  fflush(stdout);
  while (!atomic_load(&ended)) {
    usleep(10000);
  }
  for (uint32_t i = 0; i < atomic_load(&event_count); ++i) {
    fprintf(file,
            "%u %u %u %u\n",
            events[i].frame,
            events[i].message[0],
            events[i].message[1],
            events[i].message[2]);
  }
  fclose(file);
  printf("xruns %d\n", atomic_load(&xruns));
  fflush(stdout);
  // A dead server may hold jack_client_close() for ever.
  _exit(0);
}
