// A test tool: an ALSA sequencer client that plays known messages, and writes
// down what comes back. Runs in the guest of run_vm.py, above the backend's
// priority.
//
// alsa_source play NAME LOG   each kind of message, a clock, long SysEx; then
//                             listens until SIGTERM. Two notes never end.
// alsa_source beat NAME LOG   a note every 100 ms for 3 s, whoever listens
// alsa_source hands NAME LOG  does each line of standard input as it comes: HEX
//                             bytes of a message; "clock BPM MS"; "mark WORD"
// alsa_source flood CLIENT    5000 messages to port 1 of CLIENT, at once
//
// "play" waits until somebody listens. Says "ready" when all is played. Lines
// of LOG:
//   sent NS HEX, mark NS WORD   at CLOCK_MONOTONIC
//   notes HEX, feedback HEX     what came to the port of that name
#include <alsa/asoundlib.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define POOL_EVENTS 2000
#define FLOOD_MESSAGES 5000
#define SYSEX_BYTES 40000
#define CLOCK_NS 20833333 // 120 beats a minute
#define CLOCK_COUNT 96

static snd_seq_t*            seq;
static snd_midi_event_t*     coder;
static int                   out;
static int                   notes;
static int                   feedback;
static FILE*                 log_file;
static volatile sig_atomic_t ended;

static void
end(int number)
{
  (void)number;
  ended = 1;
}

static int64_t
now_ns(void)
{
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void
sleep_until(int64_t time_ns)
{
  const struct timespec until = { .tv_sec  = time_ns / 1000000000,
                                  .tv_nsec = time_ns % 1000000000 };
  while (now_ns() < time_ns && !ended) {
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
  }
}

static void
write_line(const char* word, const uint8_t* bytes, long size)
{
  fputs(word, log_file);
  for (long i = 0; i < size; ++i) {
    fprintf(log_file, "%02x", bytes[i]);
  }
  fputc('\n', log_file);
}

// To all that listen to `out`, now.
static int
output(snd_seq_event_t* event)
{
  snd_seq_ev_set_source(event, out);
  snd_seq_ev_set_subs(event);
  snd_seq_ev_set_direct(event);
  return snd_seq_event_output_direct(seq, event);
}

static void
send(const uint8_t* bytes, long size)
{
  char            word[40];
  snd_seq_event_t event;
  snd_seq_ev_clear(&event);
  snd_midi_event_reset_encode(coder);
  snd_midi_event_encode(coder, bytes, size, &event);
  snprintf(word, sizeof word, "sent %lld ", (long long)now_ns());
  output(&event);
  write_line(word, bytes, size);
}

// One event that is four messages: what hardware sends as NRPN.
static void
send_parameter(void)
{
  static const uint8_t messages[4][3] = { { 0xb2, 0x63, 0x12 },
                                          { 0xb2, 0x62, 0x34 },
                                          { 0xb2, 0x06, 0x05 },
                                          { 0xb2, 0x26, 0x67 } };
  char                 word[40];
  snd_seq_event_t      event;
  snd_seq_ev_clear(&event);
  event.type                 = SND_SEQ_EVENT_NONREGPARAM;
  event.data.control.channel = 2;
  event.data.control.param   = 0x12 << 7 | 0x34;
  event.data.control.value   = 0x05 << 7 | 0x67;
  snprintf(word, sizeof word, "sent %lld ", (long long)now_ns());
  output(&event);
  for (int i = 0; i < 4; ++i) {
    write_line(word, messages[i], 3);
  }
}

static void
send_sysex(void)
{
  static uint8_t  bytes[SYSEX_BYTES];
  snd_seq_event_t event;
  memset(bytes, 0x11, sizeof bytes);
  bytes[0]               = 0xf0;
  bytes[SYSEX_BYTES - 1] = 0xf7;
  snd_seq_ev_clear(&event);
  snd_seq_ev_set_sysex(&event, sizeof bytes, bytes);
  const int result = output(&event);
  printf("sysex %d\n", result >= 0);
}

static void
play_messages(int64_t start_ns)
{
  static const struct {
    long    size;
    uint8_t bytes[3];
  } messages[] = {
    { 3, { 0x90, 0x3c, 0x40 } }, { 3, { 0x80, 0x3c, 0x05 } },
    { 3, { 0x91, 0x40, 0x7f } }, { 3, { 0x91, 0x40, 0x00 } },
    { 3, { 0xa1, 0x3c, 0x10 } }, { 3, { 0xb2, 0x07, 0x7f } },
    { 3, { 0xb0, 0x7b, 0x00 } }, { 2, { 0xc3, 0x05, 0 } },
    { 2, { 0xd4, 0x22, 0 } },    { 3, { 0xe5, 0x01, 0x40 } },
    { 2, { 0xf1, 0x12, 0 } },    { 3, { 0xf2, 0x01, 0x02 } },
    { 2, { 0xf3, 0x05, 0 } },    { 1, { 0xf6, 0, 0 } },
    { 1, { 0xfa, 0, 0 } },       { 1, { 0xfb, 0, 0 } },
    { 1, { 0xfc, 0, 0 } },       { 1, { 0xfe, 0, 0 } },
    { 1, { 0xff, 0, 0 } },       { 3, { 0x95, 0x48, 0x40 } },
    { 3, { 0x9f, 0x50, 0x40 } },
  };
  const int count = sizeof messages / sizeof *messages;
  for (int i = 0; i < count; ++i) {
    sleep_until(start_ns + i * 7300000ll);
    send(messages[i].bytes, messages[i].size);
  }
  send_parameter();
}

static void
play_clock(int64_t start_ns)
{
  for (int i = 0; i < CLOCK_COUNT; ++i) {
    sleep_until(start_ns + (int64_t)i * CLOCK_NS);
    send((const uint8_t[]){ 0xf8 }, 1);
  }
}

static void
play_beat(int64_t start_ns)
{
  for (uint8_t i = 0; i < 30 && !ended; ++i) {
    const uint8_t on[3]  = { 0x99, 30 + i, 100 };
    const uint8_t off[3] = { 0x89, 30 + i, 0 };
    sleep_until(start_ns + i * 100000000ll);
    send(on, 3);
    sleep_until(start_ns + i * 100000000ll + 50000000);
    send(off, 3);
  }
}

// What is there.
static void
hear(void)
{
  snd_seq_event_t* event = NULL;
  uint8_t          bytes[16];
  while (snd_seq_event_input(seq, &event) >= 0) {
    const long size = snd_midi_event_decode(coder, bytes, sizeof bytes, event);
    if (size > 0) {
      write_line(
        event->dest.port == notes ? "notes " : "feedback ", bytes, size);
    }
  }
}

static void
listen(void)
{
  while (!ended) {
    hear();
    sleep_until(now_ns() + 10000000);
  }
}

static void
obey(const char* line)
{
  char     word[32];
  double   bpm;
  double   ms;
  unsigned bytes[3];
  if (sscanf(line, "mark %31s", word) == 1) {
    fprintf(log_file, "mark %lld %s\n", (long long)now_ns(), word);
  } else if (sscanf(line, "clock %lf %lf", &bpm, &ms) == 2) {
    const int64_t start_ns = now_ns();
    const double  tick_ns  = 60e9 / 24 / bpm;
    for (int i = 0; i * tick_ns < ms * 1e6; ++i) {
      sleep_until(start_ns + (int64_t)(i * tick_ns));
      send((const uint8_t[]){ 0xf8 }, 1);
    }
  } else {
    const int size = sscanf(line, "%x %x %x", &bytes[0], &bytes[1], &bytes[2]);
    const uint8_t message[3] = { (uint8_t)bytes[0],
                                 (uint8_t)(size > 1 ? bytes[1] : 0),
                                 (uint8_t)(size > 2 ? bytes[2] : 0) };
    send(message, size);
  }
}

static void
be_hands(void)
{
  char line[80];
  while (fgets(line, sizeof line, stdin)) {
    obey(line);
    hear();
  }
}

static bool
is_listened_to(void)
{
  const snd_seq_addr_t own = { .client = (unsigned char)snd_seq_client_id(seq),
                               .port   = (unsigned char)out };
  snd_seq_query_subscribe_t* query;
  snd_seq_query_subscribe_alloca(&query);
  snd_seq_query_subscribe_set_root(query, &own);
  snd_seq_query_subscribe_set_type(query, SND_SEQ_QUERY_SUBS_READ);
  return snd_seq_query_port_subscribers(seq, query) >= 0;
}

static void
flood(const char* client)
{
  char           address[80];
  snd_seq_addr_t to;
  snprintf(address, sizeof address, "%s:1", client);
  if (snd_seq_parse_address(seq, &to, address) < 0) {
    printf("nobody is called %s\n", client);
    return;
  }
  for (int i = 0; i < FLOOD_MESSAGES; ++i) {
    snd_seq_event_t event;
    snd_seq_ev_clear(&event);
    snd_seq_ev_set_controller(&event, 0, 1, i % 128);
    snd_seq_ev_set_source(&event, out);
    snd_seq_ev_set_dest(&event, to.client, to.port);
    snd_seq_ev_set_direct(&event);
    snd_seq_event_output_direct(seq, &event);
  }
}

static bool
open_client(const char* name)
{
  const unsigned readable = SND_SEQ_PORT_CAP_READ | SND_SEQ_PORT_CAP_SUBS_READ;
  const unsigned writable =
    SND_SEQ_PORT_CAP_WRITE | SND_SEQ_PORT_CAP_SUBS_WRITE;
  const unsigned type = SND_SEQ_PORT_TYPE_MIDI_GENERIC;
  if (snd_seq_open(&seq, "default", SND_SEQ_OPEN_DUPLEX, SND_SEQ_NONBLOCK) <
        0 ||
      snd_midi_event_new(16, &coder) < 0) {
    return false;
  }
  snd_midi_event_no_status(coder, 1);
  snd_seq_set_client_name(seq, name);
  snd_seq_set_client_pool_output(seq, POOL_EVENTS);
  snd_seq_set_client_pool_input(seq, POOL_EVENTS);
  notes    = snd_seq_create_simple_port(seq, "notes", writable, type);
  feedback = snd_seq_create_simple_port(seq, "feedback", writable, type);
  out      = snd_seq_create_simple_port(seq, "out", readable, type);
  return notes >= 0 && feedback >= 0 && out >= 0;
}

int
main(int argc, char** argv)
{
  const struct sched_param priority = { .sched_priority = 80 };
  signal(SIGTERM, end);
  const bool floods = argc == 3 && !strcmp(argv[1], "flood");
  if (argc < 3 || !open_client(floods ? "flooder" : argv[2])) {
    return 1;
  }
  if (floods) {
    flood(argv[2]);
    return 0;
  }
  log_file = argc == 4 ? fopen(argv[3], "w") : NULL;
  if (!log_file) {
    return 1;
  }
  sched_setscheduler(0, SCHED_FIFO, &priority);
  if (!strcmp(argv[1], "play")) {
    while (!is_listened_to() && !ended) {
      sleep_until(now_ns() + 10000000);
    }
    const int64_t start_ns = now_ns() + 200000000;
    play_messages(start_ns);
    sleep_until(start_ns + 200000000);
    send_sysex();
    play_clock(start_ns + 300000000);
    puts("ready");
    fflush(stdout);
    listen();
  } else if (!strcmp(argv[1], "hands")) {
    be_hands();
  } else {
    play_beat(now_ns() + 10000000);
  }
  fclose(log_file);
  snd_seq_close(seq);
  return 0;
}
