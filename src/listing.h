// `meander models` and `meander presets`: what ships with the program, and
// presets of the player's own. Control thread.
#pragma once

void listing_print_models(void);
// A line each: name, the number that a Program Change chooses, whose it is
// where it is the player's, description; or why it cannot be used.
void listing_print_presets(void);
