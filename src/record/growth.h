// The file that grows beside a recording (recorder_grow(), recorder_turn()).
#pragma once

#include "record.h"

// Waits for a write under way. NULL is none.
void growth_free(RecorderGrowth* growth);
