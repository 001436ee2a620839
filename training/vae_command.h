// `meander-train vae`: trains a VAE into a run directory (training_run.h). Main
// thread; uses a Pool for the lanes.
#pragma once

// argv[0] is "vae". Exit codes: 0 done or stopped by a signal with all saved, 1
// failure, 2 usage.
int vae_command_main(int argc, char** argv);
