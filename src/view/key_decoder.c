// Escape sequences. ECMA-48 says how long one is, so that one that is unknown
// is passed over whole; the known ones are those of xterm, of the Linux console
// and of their relatives, which all of terminfo's current terminals send.
#include "view/key_decoder.h"

#include <string.h>

#define WAIT_S 0.05

static const struct {
  const char* text; // after the Esc
  int         key;
} sequences[] = {
  { "[A", VIEW_KEY_UP },
  { "OA", VIEW_KEY_UP },
  { "[B", VIEW_KEY_DOWN },
  { "OB", VIEW_KEY_DOWN },
  { "[C", VIEW_KEY_RIGHT },
  { "OC", VIEW_KEY_RIGHT },
  { "[D", VIEW_KEY_LEFT },
  { "OD", VIEW_KEY_LEFT },
  { "[1;2C", VIEW_KEY_FAR_RIGHT },
  { "[1;2D", VIEW_KEY_FAR_LEFT },
  { "[1;5C", VIEW_KEY_FAR_RIGHT },
  { "[1;5D", VIEW_KEY_FAR_LEFT },
  { "[c", VIEW_KEY_FAR_RIGHT },
  { "[d", VIEW_KEY_FAR_LEFT }, // rxvt
  { "[H", VIEW_KEY_HOME },
  { "OH", VIEW_KEY_HOME },
  { "[1~", VIEW_KEY_HOME },
  { "[7~", VIEW_KEY_HOME },
  { "[F", VIEW_KEY_END },
  { "OF", VIEW_KEY_END },
  { "[4~", VIEW_KEY_END },
  { "[8~", VIEW_KEY_END },
  { "[5~", VIEW_KEY_PAGE_UP },
  { "[6~", VIEW_KEY_PAGE_DOWN },
  { "[Z", VIEW_KEY_BACK_TAB },
  { "OM", VIEW_KEY_ENTER },
  { "[200~", VIEW_KEY_PASTE_BEGIN },
  { "[201~", VIEW_KEY_PASTE_END },
};

static int
plain_key(char byte)
{
  return byte == '\r' || byte == '\n'     ? VIEW_KEY_ENTER
         : byte == '\b' || byte == '\x7f' ? VIEW_KEY_BACKSPACE
                                          : (unsigned char)byte;
}

// Whether the held sequence is whole: Esc O and a letter, or Esc [ and what
// ends with a byte from '@' on ("[[" and a letter on the Linux console).
static int
is_whole(const KeyDecoder* decoder)
{
  const char last = decoder->held[decoder->used - 1];
  return decoder->used == KEY_SEQUENCE_BYTES ||
         (decoder->used >= 3 && last >= '@' &&
          !(decoder->used == 3 && last == '['));
}

static int
known_key(const KeyDecoder* decoder)
{
  for (size_t i = 0; i < sizeof sequences / sizeof *sequences; ++i) {
    if (strlen(sequences[i].text) == decoder->used - 1 &&
        !memcmp(sequences[i].text, decoder->held + 1, decoder->used - 1)) {
      return sequences[i].key;
    }
  }
  return VIEW_KEY_NONE;
}

size_t
key_decoder_take(KeyDecoder* decoder, double now_s, char byte, int keys[2])
{
  if (!decoder->used && byte != '\x1b') {
    keys[0] = plain_key(byte);
    return 1;
  }
  decoder->since_s = now_s;
  if (decoder->used == 1 && byte != '[' && byte != 'O') {
    // A lone Esc after all, and a key; another Esc may begin a sequence.
    keys[0]       = VIEW_KEY_ESCAPE;
    decoder->used = byte == '\x1b';
    keys[1]       = plain_key(byte);
    return byte == '\x1b' ? 1 : 2;
  }
  if (byte == '\x1b') {
    decoder->used = 0; // what had begun was cut off
  }
  decoder->held[decoder->used++] = byte;
  if (!is_whole(decoder)) {
    return 0;
  }
  keys[0]       = known_key(decoder);
  decoder->used = 0;
  return keys[0] != VIEW_KEY_NONE;
}

int
key_decoder_wait(KeyDecoder* decoder, double now_s)
{
  if (!decoder->used || now_s - decoder->since_s < WAIT_S) {
    return VIEW_KEY_NONE;
  }
  const size_t used = decoder->used;
  decoder->used     = 0;
  return used == 1 ? VIEW_KEY_ESCAPE : VIEW_KEY_NONE;
}
