// A test tool: a JACK client that plays what it is told as it is told. Port
// "out" is for meander:control, "feedback" hears what comes back. Usage:
// jack_player SERVER LOG [master]
// "master": it is the timebase master, of 4/4.
//
// Lines of standard input, done in their order, one after the other:
//   send TOKEN...   one event now; TOKEN is HEX, or HEX*COUNT
//   wait MS         before the next line
//   clock BPM       MIDI clock from here on, 0: none
//   start, stop, locate FRAME
//                   of the transport
//   tempo BPM       of the master, 120 at first; the beat goes on from where it
//                   is
//   mark NAME       only for the log
// It says "ready" when it plays, and NAME of each mark that was reached; ends
// half a second after the end of its input. Lines of LOG, frames absolute:
//   FRAME LINE      when it was done, in the order of lines; "refused" where
//                   the port had no room
//   FRAME feedback HEX
//   FRAME beat BEAT BPM
//                   of each cycle that the transport rolls, from the master
//   FRAME xrun      as the server told of it
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

#define LINES_MAX 65536u
#define BYTES_MAX (8u << 20)
#define HEARD_MAX 65536u
#define TEXT_BYTES 64u
#define CYCLES_MAX 65536u
#define XRUNS_MAX 1024u
#define BEATS_PER_BAR 4
// Fine enough to tell a frame's beat.
#define TICKS_PER_BEAT 9600000.0

typedef enum { SEND, WAIT, CLOCK, START, STOP, LOCATE, TEMPO, MARK } Kind;

static const char* const kinds[] = { "send", "wait",   "clock", "start",
                                     "stop", "locate", "tempo", "mark" };

typedef struct {
  Kind     kind;
  double   number;
  uint32_t position; // of the bytes
  uint32_t size;
  char     text[TEXT_BYTES]; // as it came, cut short
  uint32_t frame;            // when it was done
  bool     refused;
} Line;

typedef struct {
  uint32_t frame;
  uint8_t  message[3];
  uint32_t size;
} Heard;

typedef struct {
  uint32_t frame;
  double   beat;
  double   bpm;
} Cycle;

static Line             lines[LINES_MAX];
static _Atomic uint32_t line_count; // read so far
static _Atomic uint32_t lines_done;
static uint8_t          bytes[BYTES_MAX];
static uint32_t         byte_count;
static Heard            heard[HEARD_MAX];
static _Atomic uint32_t heard_count;

static uint32_t         xruns[XRUNS_MAX];
static _Atomic uint32_t xrun_count;

static jack_client_t* client;
static jack_port_t*   out;
static jack_port_t*   feedback;
static double         rate_hz;

// The process thread's.
static Cycle    cycles[CYCLES_MAX];
static uint32_t cycle_count;
static double   bpm        = 120; // as asked for
static double   master_bpm = 120; // since master_frame, that was master_beat
static double   master_frame;
static double   master_beat;
static uint32_t wait_frames;
static double   pulse_frames; // 0: no clock
static double   next_pulse;   // from this cycle's start

static bool
write_at(void* buffer, uint32_t offset, const uint8_t* message, uint32_t size)
{
  return !jack_midi_event_write(buffer, offset, message, size);
}

// The clock's pulses before `end`.
static void
send_pulses(void* buffer, double end)
{
  static const uint8_t pulse = 0xf8;
  while (pulse_frames > 0 && next_pulse < end) {
    write_at(buffer, (uint32_t)next_pulse, &pulse, 1);
    next_pulse += pulse_frames;
  }
}

static void
do_line(Line* line, void* buffer, uint32_t offset)
{
  switch (line->kind) {
    case SEND:
      line->refused =
        !write_at(buffer, offset, bytes + line->position, line->size);
      break;
    case WAIT:
      wait_frames = (uint32_t)(line->number / 1000 * rate_hz);
      break;
    case CLOCK:
      pulse_frames = line->number > 0 ? rate_hz * 60 / line->number / 24 : 0;
      next_pulse   = offset;
      break;
    case START:
      jack_transport_start(client);
      break;
    case STOP:
      jack_transport_stop(client);
      break;
    case LOCATE:
      jack_transport_locate(client, (jack_nframes_t)line->number);
      break;
    case TEMPO:
      bpm = line->number;
      break;
    case MARK:
      break;
  }
}

// As JACK asks of a master: the figures of the next cycle, in the process
// thread.
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
  const double beat =
    master_beat + (position->frame - master_frame) * master_bpm / 60 / rate_hz;
  if (bpm != master_bpm) {
    master_frame = position->frame;
    master_beat  = beat;
    master_bpm   = bpm;
  }
  const double whole         = (double)(int64_t)beat;
  const double bars          = (double)((int64_t)beat / BEATS_PER_BAR);
  position->valid            = JackPositionBBT;
  position->bar              = (int32_t)bars + 1;
  position->beat             = (int32_t)(whole - bars * BEATS_PER_BAR) + 1;
  position->tick             = (int32_t)((beat - whole) * TICKS_PER_BEAT);
  position->bar_start_tick   = bars * BEATS_PER_BAR * TICKS_PER_BEAT;
  position->beats_per_minute = bpm;
  position->beats_per_bar    = BEATS_PER_BAR;
  position->beat_type        = 4;
  position->ticks_per_beat   = TICKS_PER_BEAT;
}

// What every client is told of this cycle.
static void
note_beat(uint32_t start)
{
  jack_position_t position;
  if (jack_transport_query(client, &position) == JackTransportRolling &&
      position.valid & JackPositionBBT && cycle_count < CYCLES_MAX) {
    cycles[cycle_count++] =
      (Cycle){ .frame = start,
               .beat  = (position.bar - 1) * BEATS_PER_BAR + position.beat - 1 +
                       position.tick / TICKS_PER_BEAT,
               .bpm = position.beats_per_minute };
  }
}

static void
hear(uint32_t frame_count, uint32_t start)
{
  void* const    buffer = jack_port_get_buffer(feedback, frame_count);
  const uint32_t count  = jack_midi_get_event_count(buffer);
  for (uint32_t i = 0; i < count; ++i) {
    jack_midi_event_t event;
    const uint32_t    index = atomic_load(&heard_count);
    if (index < HEARD_MAX && !jack_midi_event_get(&event, buffer, i) &&
        event.size <= 3) {
      heard[index] =
        (Heard){ .frame = start + event.time, .size = (uint32_t)event.size };
      memcpy(heard[index].message, event.buffer, event.size);
      atomic_store(&heard_count, index + 1);
    }
  }
}

static int
on_process(jack_nframes_t frame_count, void* context)
{
  (void)context;
  void* const    buffer = jack_port_get_buffer(out, frame_count);
  const uint32_t start  = jack_last_frame_time(client);
  uint32_t       offset = 0;
  jack_midi_clear_buffer(buffer);
  hear(frame_count, start);
  note_beat(start);
  while (atomic_load(&lines_done) < atomic_load(&line_count)) {
    if (wait_frames >= frame_count - offset) {
      break;
    }
    offset += wait_frames;
    wait_frames = 0;
    send_pulses(buffer, offset);
    Line* const line = &lines[atomic_load(&lines_done)];
    line->frame      = start + offset;
    do_line(line, buffer, offset);
    atomic_fetch_add(&lines_done, 1);
  }
  const uint32_t rest = frame_count - offset;
  wait_frames         = wait_frames > rest ? wait_frames - rest : 0;
  send_pulses(buffer, frame_count);
  next_pulse -= frame_count;
  return 0;
}

static bool
add_bytes(Line* line, const char* tokens)
{
  unsigned value;
  unsigned count;
  int      length;
  line->position = byte_count;
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
  line->size = byte_count - line->position;
  return line->size > 0;
}

static bool
read_line(const char* text)
{
  const uint32_t index = atomic_load(&line_count);
  char           word[16];
  int            length = 0;
  size_t         kind   = 0;
  if (index == LINES_MAX || sscanf(text, "%15s%n", word, &length) != 1) {
    return false;
  }
  while (kind < sizeof kinds / sizeof *kinds && strcmp(kinds[kind], word)) {
    ++kind;
  }
  Line* const line = &lines[index];
  *line = (Line){ .kind = (Kind)kind, .number = strtod(text + length, NULL) };
  snprintf(line->text, sizeof line->text, "%.*s", TEXT_BYTES - 1, text);
  line->text[strcspn(line->text, "\n")] = '\0';
  if (kind == sizeof kinds / sizeof *kinds ||
      (line->kind == SEND && !add_bytes(line, text + length))) {
    return false;
  }
  atomic_store(&line_count, index + 1);
  if (line->kind == MARK) {
    while (atomic_load(&lines_done) <= index) {
      usleep(1000);
    }
    printf("%s\n", line->text + strlen("mark "));
    fflush(stdout);
  }
  return true;
}

static int
on_xrun(void* context)
{
  (void)context;
  const uint32_t count = atomic_load(&xrun_count);
  if (count < XRUNS_MAX) {
    xruns[count] = jack_frame_time(client);
    atomic_store(&xrun_count, count + 1);
  }
  return 0;
}

static bool
write_log(const char* path)
{
  FILE* const file = fopen(path, "w");
  if (!file) {
    return false;
  }
  for (uint32_t i = 0; i < atomic_load(&lines_done); ++i) {
    fprintf(file,
            "%u %s%s\n",
            lines[i].frame,
            lines[i].refused ? "refused " : "",
            lines[i].text);
  }
  for (uint32_t i = 0; i < atomic_load(&heard_count); ++i) {
    fprintf(file, "%u feedback ", heard[i].frame);
    for (uint32_t k = 0; k < heard[i].size; ++k) {
      fprintf(file, "%02x", heard[i].message[k]);
    }
    fputc('\n', file);
  }
  for (uint32_t i = 0; i < cycle_count; ++i) {
    fprintf(file,
            "%u beat %.9f %.9f\n",
            cycles[i].frame,
            cycles[i].beat,
            cycles[i].bpm);
  }
  for (uint32_t i = 0; i < atomic_load(&xrun_count); ++i) {
    fprintf(file, "%u xrun\n", xruns[i]);
  }
  return !fclose(file);
}

static bool
open_client(const char* server, bool is_master)
{
  client = jack_client_open(
    "player", JackNoStartServer | JackServerName, NULL, server);
  if (!client) {
    return false;
  }
  rate_hz = jack_get_sample_rate(client);
  out     = jack_port_register(
    client, "out", JACK_DEFAULT_MIDI_TYPE, JackPortIsOutput, 0);
  feedback = jack_port_register(
    client, "feedback", JACK_DEFAULT_MIDI_TYPE, JackPortIsInput, 0);
  jack_set_process_callback(client, on_process, NULL);
  jack_set_xrun_callback(client, on_xrun, NULL);
  if (is_master && jack_set_timebase_callback(client, 0, on_timebase, NULL)) {
    return false;
  }
  return out && feedback && !jack_activate(client);
}

int
main(int argc, char** argv)
{
  static char text[65536];
  const bool  is_master = argc == 4 && !strcmp(argv[3], "master");
  if (argc != 3 + is_master || !open_client(argv[1], is_master)) {
    fprintf(stderr, "jack_player: no server, or it refuses us\n");
    return 1;
  }
  puts("ready");
  fflush(stdout);
  while (fgets(text, sizeof text, stdin)) {
    if (!read_line(text)) {
      fprintf(stderr, "jack_player: what is this? %s\n", text);
      return 2;
    }
  }
  // A server that died does nothing any more.
  for (int i = 0;
       i < 1000 && atomic_load(&lines_done) < atomic_load(&line_count);
       ++i) {
    usleep(10000);
  }
  usleep(500000);
  return write_log(argv[2]) ? 0 : 1;
}
