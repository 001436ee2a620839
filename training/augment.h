// Small changes to training notes that leave them music: transposition, tempo,
// loudness, as a recipe bounds them. Pure; any thread.
#pragma once

#include "music/note.h"
#include "recipe.h"
#include "rng.h"

// One draw of each for all `count` notes; chords stay chords, and a
// transposition that would leave the piano is not made.
void augment_notes(Rng*             rng,
                   const RunRecipe* recipe,
                   NoteEvent*       notes,
                   uint32_t         count);
