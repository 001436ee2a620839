// meander-train prepare: MIDI files to one data set file (dataset.h). Owns the
// command line and the search for files. Runs in the main thread.
#pragma once

// argv[0] is "prepare". Returns the exit code: 0 done, 1 failure (one line on
// stderr says what and where), 2 usage.
int prepare_main(int argc, char** argv);
