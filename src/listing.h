// `meander models` and `meander presets`: what ships with the program. Control
// thread.
#pragma once

void listing_print_models(void);
void listing_print_presets(void);
