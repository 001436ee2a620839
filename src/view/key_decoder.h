// From the bytes that a terminal sends to keys. It never waits: a lone Esc is
// told from the beginning of a longer sequence by what follows within 50 ms.
// Control thread.
#pragma once

#include <stddef.h>
#include <stdint.h>

// Keys that are no character; characters come as their bytes (UTF-8).
enum {
  VIEW_KEY_NONE = 256,
  VIEW_KEY_UP,
  VIEW_KEY_DOWN,
  VIEW_KEY_LEFT,
  VIEW_KEY_RIGHT,
  VIEW_KEY_FAR_LEFT, // with shift or control
  VIEW_KEY_FAR_RIGHT,
  VIEW_KEY_HOME,
  VIEW_KEY_END,
  VIEW_KEY_PAGE_UP,
  VIEW_KEY_PAGE_DOWN,
  VIEW_KEY_BACK_TAB,
  VIEW_KEY_BACKSPACE,
  VIEW_KEY_ENTER,
  VIEW_KEY_ESCAPE,
  VIEW_KEY_PASTE_BEGIN, // what comes until PASTE_END was not typed
  VIEW_KEY_PASTE_END,
};

#define KEY_SEQUENCE_BYTES 32u

typedef struct {
  char   held[KEY_SEQUENCE_BYTES]; // a sequence that has begun
  size_t used;
  double since_s; // when its last byte came
} KeyDecoder;

// Takes one byte; up to 2 keys come of it. Returns how many.
size_t key_decoder_take(KeyDecoder* decoder,
                        double      now_s,
                        char        byte,
                        int         keys[2]);

// What time decides: VIEW_KEY_ESCAPE or VIEW_KEY_NONE.
int key_decoder_wait(KeyDecoder* decoder, double now_s);
