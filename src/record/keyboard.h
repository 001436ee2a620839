// Which keys sound in a recording, so that each note-on in it has exactly one
// later note-off, whatever reports were lost. One thread at a time.
#pragma once

#include <stdbool.h>
#include <stdint.h>

typedef struct {
  uint8_t  sounding[16][128]; // 1: its off is still to come
  uint32_t count;             // of those
} Keyboard;

// What a recording does with a message.
typedef enum {
  KEYBOARD_LEAVE_OUT, // an off that ends nothing, a channel mode message, ...
  KEYBOARD_TAKE,
  KEYBOARD_END_FIRST, // then take: the off of the same key was lost
} KeyboardAnswer;

// The message happened; the answer says what to write.
KeyboardAnswer keyboard_hear(Keyboard* keyboard, const uint8_t message[3]);

// A message that ends a key.
void keyboard_off(uint8_t channel, uint8_t pitch, uint8_t message[3]);

// The offs of all that sounds, which `write` gets; nothing sounds afterwards.
void keyboard_end_all(Keyboard* keyboard,
                      void (*write)(void* context, const uint8_t message[3]),
                      void* context);

static inline bool
is_note_on(const uint8_t message[3])
{
  return (message[0] & 0xf0) == 0x90 && message[2] > 0;
}
