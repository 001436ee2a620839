// What this machine has to hear us with.
#include "backend/probe.h"

#include "backend/alsa_client.h"
#include "backend/audio_out.h"
#include "backend/jack_client.h"

#include <alsa/asoundlib.h>
#include <errno.h>
#include <jack/midiport.h>
#include <stdio.h>
#include <string.h>

// The client is "meander", "meander-01" or a session manager's "meander.nABC".
static bool
is_ours(const char* name)
{
  return !strncmp(name, "meander", 7) && strchr(":-.", name[7]);
}

static bool
is_notes(const char* name)
{
  const char* const port = strrchr(name, ':');
  return is_ours(name) && port && !strcmp(port, ":notes");
}

static void
add_input(ProbedInputs* inputs, const char* name, const char* address)
{
  if (strstr(name, "Midi Through") || is_ours(name)) {
    return; // it sounds nothing by itself
  }
  const size_t length = strlen(inputs->names);
  snprintf(inputs->names + length,
           sizeof inputs->names - length,
           "%s%s",
           length ? ", " : "",
           name);
  if (!inputs->count++) {
    snprintf(inputs->first, sizeof inputs->first, "%s", name);
    snprintf(
      inputs->first_address, sizeof inputs->first_address, "%s", address);
  }
}

// One that nobody hears comes before one that is heard.
static void
add_player(ProbedPlayer* player,
           const char*   name,
           const char*   address,
           bool          silent)
{
  if (player->silent) {
    return;
  }
  *player = (ProbedPlayer){ .runs = true, .silent = silent };
  snprintf(player->name, sizeof player->name, "%s", name);
  snprintf(player->address, sizeof player->address, "%s", address);
}

static void
find_jack_player(jack_client_t* client, ProbedPlayer* player)
{
  const char** const names =
    jack_get_ports(client, NULL, JACK_DEFAULT_MIDI_TYPE, JackPortIsOutput);
  for (size_t i = 0; names && names[i]; ++i) {
    if (is_notes(names[i])) {
      const char** const heard_by = jack_port_get_all_connections(
        client, jack_port_by_name(client, names[i]));
      add_player(player, names[i], "", !heard_by);
      jack_free(heard_by);
    }
  }
  jack_free(names);
}

void
probe_jack(const char* server, JackProbe* jack)
{
  jack_client_t* client;
  Error          error;
  *jack = (JackProbe){ .runs = false };
  if (jack_client_begin("meander-doctor", server, &client, &error)) {
    if (error.status != STATUS_NOT_FOUND) {
      snprintf(jack->trouble, sizeof jack->trouble, "%.250s", error.text);
    }
    return;
  }
  jack->runs          = true;
  jack->rate_hz       = jack_get_sample_rate(client);
  jack->period_frames = jack_get_buffer_size(client);
  const char** const names =
    jack_get_ports(client, NULL, JACK_DEFAULT_MIDI_TYPE, JackPortIsInput);
  for (size_t i = 0; names && names[i]; ++i) {
    add_input(&jack->inputs, names[i], "");
  }
  jack_free(names);
  find_jack_player(client, &jack->player);
  jack_client_end(client);
}

static bool
is_heard(snd_seq_t* seq, const snd_seq_port_info_t* port)
{
  snd_seq_query_subscribe_t* query;
  snd_seq_query_subscribe_alloca(&query);
  snd_seq_query_subscribe_set_root(query, snd_seq_port_info_get_addr(port));
  snd_seq_query_subscribe_set_type(query, SND_SEQ_QUERY_SUBS_READ);
  snd_seq_query_subscribe_set_index(query, 0);
  return snd_seq_query_port_subscribers(seq, query) >= 0;
}

static void
list_client(snd_seq_t*             seq,
            snd_seq_client_info_t* client,
            SequencerProbe*        sequencer)
{
  const unsigned in  = SND_SEQ_PORT_CAP_WRITE | SND_SEQ_PORT_CAP_SUBS_WRITE;
  const unsigned out = SND_SEQ_PORT_CAP_READ | SND_SEQ_PORT_CAP_SUBS_READ;
  snd_seq_port_info_t* port;
  snd_seq_port_info_alloca(&port);
  snd_seq_port_info_set_client(port, snd_seq_client_info_get_client(client));
  snd_seq_port_info_set_port(port, -1);
  while (snd_seq_query_next_port(seq, port) >= 0) {
    const unsigned caps = snd_seq_port_info_get_capability(port);
    char           name[160];
    char           address[16];
    snprintf(name,
             sizeof name,
             "%s:%s",
             snd_seq_client_info_get_name(client),
             snd_seq_port_info_get_name(port));
    snprintf(address,
             sizeof address,
             "%d:%d",
             snd_seq_port_info_get_client(port),
             snd_seq_port_info_get_port(port));
    if (caps & SND_SEQ_PORT_CAP_NO_EXPORT) {
      continue;
    }
    if ((caps & in) == in) {
      add_input(&sequencer->inputs, name, address);
    }
    if ((caps & out) == out && is_notes(name)) {
      add_player(&sequencer->player, name, address, !is_heard(seq, port));
    }
  }
}

void
probe_sequencer(SequencerProbe* sequencer)
{
  *sequencer     = (SequencerProbe){ .state = SEQUENCER_MISSING };
  snd_seq_t* seq = NULL;
  alsa_hush();
  const int result = snd_seq_open(&seq, "default", SND_SEQ_OPEN_OUTPUT, 0);
  alsa_speak();
  if (result < 0) {
    if (result == -EACCES || result == -EPERM) {
      sequencer->state = SEQUENCER_DENIED;
    }
    snd_config_update_free_global();
    return;
  }
  sequencer->state = SEQUENCER_ANSWERS;
  snd_seq_client_info_t* client;
  snd_seq_client_info_alloca(&client);
  snd_seq_client_info_set_client(client, -1);
  while (snd_seq_query_next_client(seq, client) >= 0) {
    const int id = snd_seq_client_info_get_client(client);
    if (id != SND_SEQ_CLIENT_SYSTEM && id != snd_seq_client_id(seq)) {
      ++sequencer->client_count;
      list_client(seq, client, sequencer);
    }
  }
  snd_seq_close(seq);
  snd_config_update_free_global();
}

static void
render_silence(void* context, uint32_t frame_count, float* left, float* right)
{
  (void)context;
  memset(left, 0, frame_count * sizeof *left);
  memset(right, 0, frame_count * sizeof *right);
}

Status
probe_audio(const char* driver, char used[32], Error* error)
{
  const AudioConfig config = { .driver         = driver,
                               .file_path      = "/dev/null",
                               .sample_rate_hz = 48000,
                               .period_frames  = 256,
                               .render         = render_silence };
  AudioOut*         audio;
  const Status      status = audio_out_open(&config, &audio, error);
  if (!status) {
    snprintf(used, 32, "%s", audio_out_driver(audio));
    audio_out_close(audio);
  }
  return status;
}
