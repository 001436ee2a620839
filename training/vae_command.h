// `meander-train vae`: trains a VAE into a run directory. Main thread; uses a
// Pool for the lanes.
//
// The run directory:
//   checkpoint.safetensors  the averaged weights, ready to play
//   state.safetensors       all that --resume needs, written at the same steps
//   log.csv                 run_log.h
// Each is replaced whole, so a kill at any moment loses at most the steps since
// the last save, and a resumed run ends with the same bytes as an unbroken one.
#pragma once

// argv[0] is "vae". Exit codes: 0 done or stopped by a signal with all saved, 1
// failure, 2 usage.
int vae_command_main(int argc, char** argv);
