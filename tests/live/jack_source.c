// A test tool: two JACK clients. "source" plays a script of raw bytes at exact
// frames, is the timebase master and moves the transport; "listener" writes
// down what comes back. Usage: jack_source SERVER SCRIPT LOG
//
// Lines of SCRIPT, in time; FRAME counts from when all is connected:
//   timebase BPM BEATS_PER_BAR BEAT_TYPE TICKS_PER_BEAT
//     first, or not at all
//   FRAME send TOKEN...
//     one event; TOKEN is HEX, or HEX*COUNT
//   FRAME start, FRAME stop, FRAME locate POSITION
//     of the transport
// It says "ready" when its clients are open, and ends half a second after the
// last line. Lines of LOG, frames absolute:
//   sent FRAME NUMBER OK
//     the NUMBERth event of the script
//   notes FRAME HEX, feedback FRAME HEX
//     heard there
//   cycle FRAME ROLLING POSITION VALID BAR BEAT TICK
#include <jack/jack.h>
#include <jack/midiport.h>
#include <jack/transport.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STEPS_MAX 65536u
#define BYTES_MAX (16u << 20)
#define HEARD_MAX 262144u
#define CYCLES_MAX 65536u
#define WAIT_S_MAX 10

typedef enum { STEP_SEND, STEP_START, STEP_STOP, STEP_LOCATE } StepKind;

typedef struct {
  StepKind kind;
  uint32_t frame;
  uint32_t position; // of the transport, or of the bytes
  uint32_t size;
  uint32_t sent_frame;
  bool     sent;
} Step;

typedef struct {
  uint32_t frame;
  uint8_t  message[3];
  uint8_t  size;
  bool     feedback;
} Heard;

typedef struct {
  uint32_t        frame;
  bool            rolling;
  jack_position_t position;
} Cycle;

static jack_client_t* source;
static jack_client_t* listener;
static uint32_t       rate_hz;
static jack_port_t*   out;
static jack_port_t*   heard_ports[2]; // notes, feedback

static uint8_t  bytes[BYTES_MAX];
static uint32_t byte_count;
static Step     steps[STEPS_MAX];
static uint32_t step_count;
static double   timebase[4]; // bpm, beats per bar, beat type, ticks per beat

static Heard            heard[HEARD_MAX];
static _Atomic uint32_t heard_count;
static Cycle            cycles[CYCLES_MAX];
static _Atomic uint32_t cycle_count;
static uint32_t         step_next;
static _Atomic uint32_t base;  // frame at which the script begins; 0: not yet
static atomic_bool      ended; // all steps are done

static void
send(Step* step, void* buffer, uint32_t start, uint32_t offset)
{
  step->sent_frame = start + offset;
  step->sent =
    !jack_midi_event_write(buffer, offset, bytes + step->position, step->size);
}

static void
take_step(Step* step, void* buffer, uint32_t start, uint32_t offset)
{
  switch (step->kind) {
    case STEP_SEND:
      send(step, buffer, start, offset);
      break;
    case STEP_START:
      jack_transport_start(source);
      break;
    case STEP_STOP:
      jack_transport_stop(source);
      break;
    case STEP_LOCATE:
      jack_transport_locate(source, step->position);
      break;
  }
}

static int
on_source(jack_nframes_t frame_count, void* context)
{
  (void)context;
  void* const    buffer = jack_port_get_buffer(out, frame_count);
  const uint32_t start  = jack_last_frame_time(source);
  const uint32_t zero   = atomic_load(&base);
  const uint32_t index  = atomic_load(&cycle_count);
  jack_midi_clear_buffer(buffer);
  if (index < CYCLES_MAX) {
    Cycle* const cycle = &cycles[index];
    cycle->frame       = start;
    cycle->rolling =
      jack_transport_query(source, &cycle->position) == JackTransportRolling;
    atomic_store(&cycle_count, index + 1);
  }
  while (zero && step_next < step_count) {
    Step* const   step   = &steps[step_next];
    const int32_t offset = (int32_t)(zero + step->frame - start);
    if (offset >= (int32_t)frame_count) {
      return 0;
    }
    take_step(step, buffer, start, offset > 0 ? (uint32_t)offset : 0);
    ++step_next;
  }
  atomic_store(&ended, zero && step_next == step_count);
  return 0;
}

static int
on_listener(jack_nframes_t frame_count, void* context)
{
  (void)context;
  const uint32_t start = jack_last_frame_time(listener);
  for (int port = 0; port < 2; ++port) {
    void* const buffer   = jack_port_get_buffer(heard_ports[port], frame_count);
    const uint32_t count = jack_midi_get_event_count(buffer);
    for (uint32_t i = 0; i < count; ++i) {
      jack_midi_event_t event;
      const uint32_t    index = atomic_load(&heard_count);
      if (jack_midi_event_get(&event, buffer, i) || event.size > 3 ||
          index == HEARD_MAX) {
        continue;
      }
      heard[index] = (Heard){ .frame    = start + event.time,
                              .size     = (uint8_t)event.size,
                              .feedback = port == 1 };
      memcpy(heard[index].message, event.buffer, event.size);
      atomic_store(&heard_count, index + 1);
    }
  }
  return 0;
}

// As JACK asks of a master: the figures of the next cycle, from its frame.
static void
on_timebase(jack_transport_state_t state,
            jack_nframes_t         frame_count,
            jack_position_t*       position,
            int                    is_new,
            void*                  context)
{
  (void)state;
  (void)frame_count;
  (void)is_new;
  (void)context;
  // After a relocation position->frame_rate is 0.
  const double beats  = (double)position->frame / rate_hz * timebase[0] / 60;
  const double bars   = (double)(int64_t)(beats / timebase[1]);
  const double in_bar = beats - bars * timebase[1];
  position->valid     = JackPositionBBT;
  position->bar       = (int32_t)bars + 1;
  position->beat      = (int32_t)in_bar + 1;
  position->tick      = (int32_t)((in_bar - (int32_t)in_bar) * timebase[3]);
  position->bar_start_tick   = bars * timebase[1] * timebase[3];
  position->beats_per_minute = timebase[0];
  position->beats_per_bar    = (float)timebase[1];
  position->beat_type        = (float)timebase[2];
  position->ticks_per_beat   = timebase[3];
}

static bool
add_bytes(Step* step, const char* tokens)
{
  unsigned value;
  unsigned count;
  int      length;
  step->position = byte_count;
  for (; sscanf(tokens, " %2x%n", &value, &length) == 1;) {
    tokens += length;
    count = 1;
    if (*tokens == '*' && sscanf(tokens, "*%u%n", &count, &length) == 1) {
      tokens += length;
    }
    if (count > BYTES_MAX - byte_count) {
      return false;
    }
    memset(bytes + byte_count, (int)value, count);
    byte_count += count;
  }
  step->size = byte_count - step->position;
  return step->size > 0;
}

static bool
read_line(const char* line)
{
  Step step = { 0 };
  char word[16];
  int  length = 0;
  if (sscanf(line,
             "timebase %lf %lf %lf %lf",
             &timebase[0],
             &timebase[1],
             &timebase[2],
             &timebase[3]) == 4) {
    return true;
  }
  if (step_count == STEPS_MAX ||
      sscanf(line, "%u %15s%n", &step.frame, word, &length) != 2) {
    return false;
  }
  if (!strcmp(word, "send") && !add_bytes(&step, line + length)) {
    return false;
  }
  step.kind = !strcmp(word, "start")    ? STEP_START
              : !strcmp(word, "stop")   ? STEP_STOP
              : !strcmp(word, "locate") ? STEP_LOCATE
                                        : STEP_SEND;
  if (step.kind == STEP_LOCATE) {
    step.position = (uint32_t)strtoul(line + length, NULL, 10);
  }
  steps[step_count++] = step;
  return true;
}

static bool
read_script(const char* path)
{
  static char line[65536];
  FILE* const file = fopen(path, "r");
  bool        good = file;
  while (good && fgets(line, sizeof line, file)) {
    good = read_line(line);
  }
  if (file) {
    fclose(file);
  }
  return good;
}

static void
write_hex(FILE* file, const uint8_t* message, uint32_t size)
{
  for (uint32_t i = 0; i < size; ++i) {
    fprintf(file, "%02x", message[i]);
  }
  fputc('\n', file);
}

static bool
write_log(const char* path)
{
  FILE* const file = fopen(path, "w");
  if (!file) {
    return false;
  }
  for (uint32_t i = 0, number = 0; i < step_count; ++i) {
    if (steps[i].kind == STEP_SEND) {
      fprintf(
        file, "sent %u %u %d\n", steps[i].sent_frame, number++, steps[i].sent);
    }
  }
  for (uint32_t i = 0; i < atomic_load(&heard_count); ++i) {
    fprintf(
      file, "%s %u ", heard[i].feedback ? "feedback" : "notes", heard[i].frame);
    write_hex(file, heard[i].message, heard[i].size);
  }
  for (uint32_t i = 0; i < atomic_load(&cycle_count); ++i) {
    const jack_position_t position = cycles[i].position;
    fprintf(file,
            "cycle %u %d %u %d %d %d %d\n",
            cycles[i].frame,
            cycles[i].rolling,
            position.frame,
            (position.valid & JackPositionBBT) != 0,
            position.bar,
            position.beat,
            position.tick);
  }
  return fclose(file) == 0;
}

static jack_client_t*
open_client(const char* name, const char* server, JackProcessCallback process)
{
  jack_client_t* const client =
    jack_client_open(name, JackNoStartServer | JackServerName, NULL, server);
  if (client) {
    jack_set_process_callback(client, process, NULL);
  }
  return client;
}

static bool
open_clients(const char* server)
{
  const char* const type = JACK_DEFAULT_MIDI_TYPE;
  source                 = open_client("source", server, on_source);
  listener               = open_client("listener", server, on_listener);
  if (!source || !listener) {
    return false;
  }
  rate_hz = jack_get_sample_rate(source);
  out     = jack_port_register(source, "out", type, JackPortIsOutput, 0);
  heard_ports[0] =
    jack_port_register(listener, "notes", type, JackPortIsInput, 0);
  heard_ports[1] =
    jack_port_register(listener, "feedback", type, JackPortIsInput, 0);
  if (!out || !heard_ports[0] || !heard_ports[1] || jack_activate(listener)) {
    return false;
  }
  if (timebase[0] > 0 &&
      jack_set_timebase_callback(source, 0, on_timebase, NULL)) {
    return false;
  }
  return !jack_activate(source);
}

static bool
wait_for(bool (*reached)(void))
{
  for (int i = 0; i < 100 * WAIT_S_MAX; ++i) {
    if (reached()) {
      return true;
    }
    usleep(10000);
  }
  return false;
}

static bool
is_connected(void)
{
  return jack_port_connected(out) && jack_port_connected(heard_ports[0]) &&
         jack_port_connected(heard_ports[1]);
}

static bool
is_ended(void)
{
  return atomic_load(&ended);
}

int
main(int argc, char** argv)
{
  if (argc != 4 || !read_script(argv[2])) {
    fprintf(stderr, "jack_source: no usable script\n");
    return 2;
  }
  if (!open_clients(argv[1])) {
    fprintf(stderr, "jack_source: no server, or it refuses us\n");
    return 1;
  }
  puts("ready");
  fflush(stdout);
  if (!wait_for(is_connected)) {
    fprintf(stderr, "jack_source: nobody connects to it\n");
    return 1;
  }
  atomic_store(&base, jack_frame_time(source) + rate_hz / 4);
  const uint32_t last = step_count ? steps[step_count - 1].frame : 0;
  sleep(last / rate_hz);
  if (!wait_for(is_ended)) {
    fprintf(stderr,
            "jack_source: the script does not end: step %u of %u, %u cycles, "
            "frame %d of it\n",
            step_next,
            step_count,
            atomic_load(&cycle_count),
            (int)(jack_frame_time(source) - atomic_load(&base)));
    return 1;
  }
  usleep(500000);
  jack_deactivate(source);
  jack_deactivate(listener);
  const bool written = write_log(argv[3]);
  jack_client_close(source);
  jack_client_close(listener);
  return written ? 0 : 1;
}
