// The OSC server: from messages to actions, and answers.
#include "control/osc.h"

#include "control/action_text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROOT "/meander/"
#define PATH_BYTES (sizeof ROOT + 16 + PARAM_NAME_BYTES)

// A message that is being done.
typedef struct {
  Osc*           osc;
  const Params*  params;
  const OscPeer* from;
  const char*    name; // its path after ROOT
  lo_message     message;
  const char*    types;
  lo_arg**       arguments;
  int            count;
} Request;

Status
osc_init(Osc* osc, const OscConfig* config, Error* error)
{
  memset(osc, 0, sizeof *osc);
  osc->config    = *config;
  osc->packet    = aligned_alloc(8, OSC_PACKET_BYTES_MAX);
  osc->socket.fd = -1;
  if (!osc->packet) {
    return error_set(error, STATUS_NO_MEMORY, "no memory for OSC");
  }
  const Status status =
    osc_socket_open(&osc->socket,
                    config->address ? config->address : OSC_ADDRESS_STANDARD,
                    config->port,
                    error);
  if (status) {
    osc_free(osc);
  }
  return status;
}

void
osc_free(Osc* osc)
{
  osc_socket_close(&osc->socket);
  free(osc->packet);
  osc->packet = NULL;
}

unsigned
osc_port(const Osc* osc)
{
  return osc->packet ? osc_peer_port(&osc->socket.own) : 0;
}

// Both ends of a quarrel could be us: errors are told seldom, and never in
// answer to what is an answer itself.
static void
tell_error(Osc* osc, const OscPeer* to, const char* text)
{
  if (osc->now_s - osc->errors_s >= 1) {
    osc->errors_s     = osc->now_s;
    osc->errors_count = 0;
  }
  if (osc->errors_count == OSC_ERRORS_A_SECOND_MAX) {
    ++osc->counters.unanswered;
    return;
  }
  ++osc->errors_count;
  // What it quotes may be any bytes; OSC's text is ASCII.
  char clean[sizeof((Error*)0)->text];
  snprintf(clean, sizeof clean, "%s", text);
  for (char* c = clean; *c; ++c) {
    *c = *c < ' ' || *c > '~' ? '?' : *c;
  }
  lo_message message = lo_message_new();
  if (message) {
    lo_message_add_string(message, clean);
  }
  osc_socket_send(&osc->socket, to, ROOT "error", message);
}

static void
refuse(const Request* request, const char* why)
{
  char text[sizeof((Error*)0)->text + OSC_PATH_BYTES_MAX + sizeof ROOT + 2];
  ++request->osc->counters.refused;
  snprintf(text, sizeof text, ROOT "%s: %s", request->name, why);
  tell_error(request->osc, request->from, text);
}

static bool
is_number(const Request* request, int i)
{
  return i < request->count && strchr("ifhdTF", request->types[i]);
}

// liblo lays arguments out as they were packed: not as a lo_arg is aligned.
static double
number_of(const Request* request, int i)
{
  const char type  = request->types[i];
  lo_arg     value = { .h = 0 };
  if (type != 'T' && type != 'F') {
    memcpy(&value, request->arguments[i], type == 'h' || type == 'd' ? 8 : 4);
  }
  switch (type) {
    case 'i':
      return value.i;
    case 'f':
      return (double)value.f;
    case 'h':
      return (double)value.h;
    case 'd':
      return value.d;
    default:
      return type == 'T';
  }
}

// NULL: it is not text.
static const char*
text_of(const Request* request, int i)
{
  return i < request->count &&
             (request->types[i] == 's' || request->types[i] == 'S')
           ? (const char*)request->arguments[i]
           : NULL;
}

static bool
has_control_characters(const char* text)
{
  for (; *text; ++text) {
    if ((unsigned char)*text < ' ' || *text == 0x7f) {
      return true;
    }
  }
  return false;
}

static bool
copy_text(const Request* request, int i, Action* action)
{
  const char* const text = text_of(request, i);
  const char* const why =
    !text                                 ? "wrong arguments, use text here"
    : strlen(text) >= sizeof action->text ? "the text is too long"
    : has_control_characters(text)        ? "the text has control characters"
                                          : NULL;
  if (why) {
    refuse(request, why);
    return false;
  }
  snprintf(action->text, sizeof action->text, "%s", text);
  return true;
}

// What a sender has just set need not be told to it.
static void
note_known(const Request* request, ParamId id)
{
  for (size_t i = 0; i < request->osc->subscriber_count; ++i) {
    OscSubscriber* const subscriber = &request->osc->subscribers[i];
    if (osc_peer_equal(&subscriber->peer, request->from)) {
      subscriber->known[id] = request->params->value[id];
    }
  }
}

static bool
do_action(const Request* request, const Action* action)
{
  Error                  error  = { .status = STATUS_OK };
  const OscConfig* const config = &request->osc->config;
  Status                 status = action_check(action, &error);
  if (!status) {
    status = config->do_action(config->context, action, &error);
  }
  if (status) {
    refuse(request, error.text);
  }
  return !status;
}

static void
add_value(lo_message message, const Params* params, ParamId id)
{
  char text[64];
  if (params_is_auto(params, id) || param_table[id].type == PARAM_CHOICE) {
    params_format(params, id, text, sizeof text);
    lo_message_add_string(message, text);
  } else {
    lo_message_add_float(message, (float)params->value[id]);
  }
}

static void
send_param(Osc*           osc,
           const OscPeer* to,
           const Params*  params,
           ParamId        id,
           bool           as_share)
{
  char path[PATH_BYTES];
  snprintf(path,
           sizeof path,
           ROOT "%s/%s",
           as_share ? "share" : "param",
           param_table[id].name);
  lo_message message = lo_message_new();
  if (message && as_share) {
    lo_message_add_float(message, (float)params_share(params, id));
  } else if (message) {
    add_value(message, params, id);
  }
  osc_socket_send(&osc->socket, to, path, message);
}

static void
send_status(Osc* osc, const OscPeer* to)
{
  OscStatus    lines[OSC_STATUS_MAX] = { { .name = NULL } };
  const size_t count                 = osc->config.fill_status
                                         ? osc->config.fill_status(osc->config.context, lines)
                                         : 0;
  lo_message   message               = lo_message_new();
  // Never without arguments, which would be a question.
  if (message) {
    lo_message_add_string(message, "version");
    lo_message_add_string(message, MEANDER_VERSION);
  }
  for (size_t i = 0; message && i < count && i < OSC_STATUS_MAX; ++i) {
    lo_message_add_string(message, lines[i].name);
    if (*lines[i].text) {
      lo_message_add_string(message, lines[i].text);
    } else {
      lo_message_add_float(message, (float)lines[i].number);
    }
  }
  osc_socket_send(&osc->socket, to, ROOT "status", message);
}

// A name by its place; switches also by T and F.
static bool
choose(const Request* request, ParamId id, Action* action)
{
  const ParamInfo* const info  = &param_table[id];
  const double           place = number_of(request, 0);
  if (!(place >= info->low && place <= info->high) || place != floor(place)) {
    char why[128];
    snprintf(why,
             sizeof why,
             "%g is the place of no name, use %g to %g or a name",
             place,
             info->low,
             info->high);
    refuse(request, why);
    return false;
  }
  action->kind = ACTION_SET_TEXT;
  snprintf(action->text, sizeof action->text, "%s", info->choices[(int)place]);
  return true;
}

static void
set_param(const Request* request, ParamId id)
{
  Action action = { .kind = ACTION_SET, .param = id };
  if (request->count == 1 && is_number(request, 0)) {
    action.number = number_of(request, 0);
    if (param_table[id].type == PARAM_CHOICE && !choose(request, id, &action)) {
      return;
    }
  } else if (request->count == 1 && text_of(request, 0)) {
    action.kind = ACTION_SET_TEXT;
    if (!copy_text(request, 0, &action)) {
      return;
    }
  } else {
    refuse(request, "wrong arguments, use one number or text, or none");
    return;
  }
  if (do_action(request, &action)) {
    note_known(request, id);
  }
}

static void
set_share(const Request* request, ParamId id)
{
  if (request->count != 1 || !is_number(request, 0)) {
    refuse(request, "wrong arguments, use one number from 0 to 1, or none");
    return;
  }
  const Action action = { .kind   = ACTION_SET_SHARE,
                          .param  = id,
                          .number = number_of(request, 0) };
  if (do_action(request, &action)) {
    note_known(request, id);
  }
}

static void
unknown(const Request* request, const char* why)
{
  char text[256];
  ++request->osc->counters.unknown;
  snprintf(text, sizeof text, ROOT "%.*s: %s", 128, request->name, why);
  tell_error(request->osc, request->from, text);
}

static void
do_param(const Request* request, const char* name, bool as_share)
{
  const ParamId id = params_find(name);
  if (id == PARAM_COUNT) {
    unknown(request,
            "there is no such parameter ('meander --help-params' lists them)");
  } else if (!request->count) {
    send_param(request->osc, request->from, request->params, id, as_share);
  } else if (as_share) {
    set_share(request, id);
  } else {
    set_param(request, id);
  }
}

static bool
read_param(const Request* request, Action* action)
{
  const char* const name = text_of(request, 0);
  action->param          = name ? params_find(name) : PARAM_COUNT;
  if (action->param == PARAM_COUNT) {
    refuse(request,
           name ? "there is no such parameter"
                : "wrong arguments, a parameter's name comes first");
    return false;
  }
  return true;
}

static bool
read_number(const Request* request, int i, Action* action)
{
  if (!is_number(request, i)) {
    refuse(request, "wrong arguments, use a number here");
    return false;
  }
  action->number = number_of(request, i);
  return true;
}

// False: it was refused, or is a button that was let go.
static bool
read_action(const Request* request, Action* action)
{
  static const int counts[] = {
    [ACTION_TAKES_NOTHING] = 0,    [ACTION_TAKES_PARAM] = 2,
    [ACTION_TAKES_PARAM_TEXT] = 2, [ACTION_TAKES_PARAM_ALONE] = 1,
    [ACTION_TAKES_NUMBER] = 1,     [ACTION_TAKES_TEXT] = 1,
  };
  const ActionTakes takes = action_table[action->kind].takes;
  if (takes == ACTION_TAKES_NOTHING && request->count == 1 &&
      is_number(request, 0)) {
    return number_of(request, 0) != 0;
  }
  if (request->count != counts[takes]) {
    char why[64];
    snprintf(why, sizeof why, "wrong arguments, use %d", counts[takes]);
    refuse(request, why);
    return false;
  }
  switch (takes) {
    case ACTION_TAKES_PARAM:
      return read_param(request, action) && read_number(request, 1, action);
    case ACTION_TAKES_PARAM_TEXT:
      return read_param(request, action) && copy_text(request, 1, action);
    case ACTION_TAKES_PARAM_ALONE:
      return read_param(request, action);
    case ACTION_TAKES_NUMBER:
      return read_number(request, 0, action);
    case ACTION_TAKES_TEXT:
      return copy_text(request, 0, action);
    default:
      return true;
  }
}

// Who asks, or a port on the same host. False: it was refused.
static bool
read_subscriber(const Request* request, OscPeer* peer)
{
  *peer = *request->from;
  if (!request->count) {
    return true;
  }
  const double port =
    request->count == 1 && is_number(request, 0) ? number_of(request, 0) : 0;
  if (!(port >= 1 && port <= 65535)) {
    refuse(request, "wrong arguments, use a port from 1 to 65535, or none");
    return false;
  }
  osc_peer_set_port(peer, (unsigned)port);
  return true;
}

static void
subscribe(const Request* request, bool on)
{
  Osc* const osc = request->osc;
  OscPeer    peer;
  if (!read_subscriber(request, &peer)) {
    return;
  }
  size_t i = 0;
  while (i < osc->subscriber_count &&
         !osc_peer_equal(&osc->subscribers[i].peer, &peer)) {
    ++i;
  }
  if (!on) {
    if (i < osc->subscriber_count) {
      osc->subscribers[i] = osc->subscribers[--osc->subscriber_count];
    }
    return;
  }
  if (i == OSC_SUBSCRIBERS_MAX) {
    refuse(request, "there are eight subscribers already");
    return;
  }
  OscSubscriber* const subscriber = &osc->subscribers[i];
  subscriber->peer                = peer;
  osc->subscriber_count += i == osc->subscriber_count;
  for (int id = 0; id < PARAM_COUNT; ++id) {
    subscriber->known[id] = NAN; // all is told, for some may have been lost
  }
  subscriber->until_s = osc->now_s + OSC_SUBSCRIPTION_S;
}

static void
do_request(const Request* request)
{
  const char* const name   = request->name;
  const ActionKind  kind   = action_find(name);
  Action            action = { .kind = kind, .param = PARAM_COUNT };
  if (!strncmp(name, "param/", 6)) {
    do_param(request, name + 6, false);
  } else if (!strncmp(name, "share/", 6)) {
    do_param(request, name + 6, true);
  } else if (kind != ACTION_COUNT) {
    if (read_action(request, &action)) {
      do_action(request, &action);
    }
  } else if (!strcmp(name, "subscribe") || !strcmp(name, "unsubscribe")) {
    subscribe(request, *name == 's');
  } else if (!strcmp(name, "status") && !request->count) {
    send_status(request->osc, request->from);
  } else if (!strcmp(name, "ping")) {
    osc_socket_send(
      &request->osc->socket, request->from, ROOT "pong", lo_message_new());
  } else if (!strcmp(name, "error") || !strcmp(name, "pong") ||
             !strcmp(name, "status")) {
    ++request->osc->counters.unknown; // an answer, which gets none
  } else {
    unknown(request, "there is no such path");
  }
}

static void
do_message(Osc*              osc,
           const Params*     params,
           const OscPeer*    from,
           const OscMessage* message)
{
  Request request = { .osc = osc, .params = params, .from = from };
  ++osc->counters.messages;
  if (strncmp(message->path, ROOT, strlen(ROOT))) {
    ++osc->counters.unknown;
    tell_error(osc, from, "all paths begin with " ROOT);
    return;
  }
  request.name    = message->path + strlen(ROOT);
  request.message = osc_message_read(message);
  if (!request.message) {
    refuse(&request, "the arguments could not be read");
    return;
  }
  request.types     = lo_message_get_types(request.message);
  request.arguments = lo_message_get_argv(request.message);
  request.count     = lo_message_get_argc(request.message);
  do_request(&request);
  lo_message_free(request.message);
}

static void
push(Osc* osc, const Params* params)
{
  for (size_t i = 0; i < osc->subscriber_count; ++i) {
    OscSubscriber* const subscriber = &osc->subscribers[i];
    for (int id = 0; id < PARAM_COUNT; ++id) {
      if (subscriber->known[id] != params->value[id]) {
        subscriber->known[id] = params->value[id];
        send_param(osc, &subscriber->peer, params, (ParamId)id, false);
        send_param(osc, &subscriber->peer, params, (ParamId)id, true);
      }
    }
    send_status(osc, &subscriber->peer);
  }
}

static void
forget_expired(Osc* osc)
{
  for (size_t i = osc->subscriber_count; i-- > 0;) {
    if (osc->subscribers[i].until_s <= osc->now_s) {
      osc->subscribers[i] = osc->subscribers[--osc->subscriber_count];
    }
  }
}

void
osc_poll(Osc* osc, const Params* params, double now_s)
{
  OscMessage messages[OSC_MESSAGES_MAX];
  OscPeer    from;
  size_t     size, done = 0;
  if (!osc->packet) {
    return;
  }
  osc->now_s = now_s;
  for (unsigned i = 0;
       i < OSC_TURN_PACKETS_MAX && done < OSC_TURN_MESSAGES_MAX &&
       osc_socket_receive(&osc->socket, osc->packet, &size, &from);
       ++i) {
    Error  error;
    size_t count;
    ++osc->counters.packets;
    const bool is_own = osc_peer_port(&from) == osc_port(osc) &&
                        (osc_peer_is_loopback(&from) ||
                         osc_peer_same_host(&from, &osc->socket.own));
    if (osc_packet_split(osc->packet, size, messages, &count, &error)) {
      ++osc->counters.malformed;
      if (!is_own) {
        tell_error(osc, &from, error.text);
      }
    }
    // A forged sender could have us talk to ourselves for ever.
    for (size_t k = 0; k < count && !is_own; ++k) {
      do_message(osc, params, &from, &messages[k]);
    }
    done += count;
  }
  forget_expired(osc);
  if (osc->subscriber_count && now_s >= osc->push_s) {
    osc->push_s = now_s + OSC_PUSH_S;
    push(osc, params);
  }
}
