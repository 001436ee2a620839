// The file that grows beside a recording (recorder_grow(), recorder_turn()).
#pragma once

#include "record.h"

// Is there a file that grew, for all that is known? NULL has none.
bool growth_has_file(const RecorderGrowth* growth);
// Waits for the write under way, if any.
void growth_wait(RecorderGrowth* growth);
// The same. NULL is none.
void growth_free(RecorderGrowth* growth);
