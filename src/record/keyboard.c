// The table of sounding keys.
#include "record/keyboard.h"

#include <string.h>

// Controllers from here on are channel mode messages (all sound off, and such):
// they are for the synth of that moment, not for a recording.
#define CONTROLLER_MODE_FIRST 120u

KeyboardAnswer
keyboard_hear(Keyboard* keyboard, const uint8_t message[3])
{
  const uint8_t kind = message[0] & 0xf0;
  if ((message[1] | message[2]) & 0x80) {
    return KEYBOARD_LEAVE_OUT;
  }
  uint8_t* const sounding = &keyboard->sounding[message[0] & 15][message[1]];
  const uint8_t  before   = *sounding;
  if (is_note_on(message)) {
    *sounding = 1;
    keyboard->count += !before;
    return before ? KEYBOARD_END_FIRST : KEYBOARD_TAKE;
  }
  if (kind == 0x80 || kind == 0x90) {
    *sounding = 0;
    keyboard->count -= before;
    return before ? KEYBOARD_TAKE : KEYBOARD_LEAVE_OUT;
  }
  const bool is_kept = kind == 0xa0 || kind == 0xe0 ||
                       (kind == 0xb0 && message[1] < CONTROLLER_MODE_FIRST);
  return is_kept ? KEYBOARD_TAKE : KEYBOARD_LEAVE_OUT;
}

void
keyboard_off(uint8_t channel, uint8_t pitch, uint8_t message[3])
{
  message[0] = (uint8_t)(0x80 | channel);
  message[1] = pitch;
  message[2] = 64;
}

void
keyboard_end_all(Keyboard* keyboard,
                 void (*write)(void* context, const uint8_t message[3]),
                 void* context)
{
  for (uint8_t channel = 0; channel < 16 && keyboard->count; ++channel) {
    for (uint8_t pitch = 0; pitch < 128; ++pitch) {
      if (keyboard->sounding[channel][pitch]) {
        uint8_t message[3];
        keyboard_off(channel, pitch, message);
        write(context, message);
      }
    }
  }
  memset(keyboard, 0, sizeof *keyboard);
}
