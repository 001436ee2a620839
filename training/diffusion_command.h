// `meander-train diffusion`: trains a diffusion model into a run directory
// (training_run.h). Main thread; uses a Pool for the lanes.
#pragma once

// argv[0] is "diffusion". Exit codes: 0 done or stopped by a signal with all
// saved, 1 failure, 2 usage.
int diffusion_command_main(int argc, char** argv);
