// `meander-train sample`: windows from a model's prior as a CSV file. Main
// thread.
#pragma once

// argv[0] is "sample". Exit codes: 0, 1 failure, 2 usage.
int sample_main(int argc, char** argv);
