// A client of the New Session Manager (protocol 1.1, UDP): announces itself,
// opens the session's state and saves it when asked. Polled in the control
// thread; owns a socket and no thread.
//
// It tells the server of unsaved changes (":dirty:"). It does not switch
// sessions while it runs (no ":switch:"): the server ends it with SIGTERM and
// starts it anew. It has no optional GUI.
#pragma once

#include "control/osc_socket.h"
#include "status.h"

#include <stdatomic.h>
#include <stdbool.h>

// One turn does no more packets.
#define NSM_TURN_PACKETS_MAX 16u
#define NSM_TEXT_BYTES 128u

// `path` has no extension: the state is to be kept under that name, with any
// extension or as a folder. `client_id` is to be the name of the JACK client.
// On an error nothing is changed, and the server tells the user its text.
typedef Status (*NsmOpen)(void*       context,
                          const char* path,
                          const char* display_name,
                          const char* client_id,
                          Error*      error);
typedef Status (*NsmSave)(void* context, Error* error);

typedef struct {
  const char* url;        // NSM_URL of the environment
  const char* executable; // as the server can start it again: "meander"
  NsmOpen     open;
  NsmSave     save;
  void*       context;
} NsmConfig;

typedef enum {
  NSM_NONE,      // not under a session manager
  NSM_ANNOUNCED, // no answer yet
  NSM_MANAGED,   // it said welcome
  NSM_OPEN,      // open() was done
  NSM_REFUSED    // it does not want us: `text` says why
} NsmState;

typedef struct {
  OscSocket socket;
  OscPeer   server;
  NsmConfig config;
  NsmState  state;
  bool      is_dirty;             // as last told
  char      text[NSM_TEXT_BYTES]; // the server's name, or its refusal
  uint64_t  malformed_count;
  uint64_t  stranger_count; // packets that were not from the server
  uint8_t*  packet;         // [OSC_PACKET_BYTES_MAX]
} Nsm;

// Announces. STATUS_BAD_ARGUMENT: the URL is none that we can talk to. After an
// error there is nothing to free, and nsm_poll() does nothing.
Status nsm_init(Nsm* nsm, const NsmConfig* config, Error* error);
void   nsm_free(Nsm* nsm);

void nsm_poll(Nsm* nsm);

// Polls until open() was done, for the name has to be known before the JACK
// client is made: at most `seconds`, and no longer than `stop` is 0 (it may be
// NULL). STATUS_UNAVAILABLE: nobody answered, it was refused, or given up.
Status nsm_wait_open(Nsm*              nsm,
                     double            seconds,
                     const atomic_int* stop,
                     Error*            error);

// Tells the server whether there is something to save, where that has changed.
// Saving makes it clean by itself.
void nsm_set_dirty(Nsm* nsm, bool is_dirty);
