// Writes the soundfont that the synth test hears: make_click_font FILE.
#include "tone_font.h"

int
main(int argc, char** argv)
{
  return argc == 2 && tone_font_write(argv[1], 0, true) ? 0 : 1;
}
