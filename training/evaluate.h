// `meander-train evaluate`: a model against held-out pieces, as key=value
// lines. Main thread.
#pragma once

// argv[0] is "evaluate". Exit codes: 0, 1 failure, 2 usage.
int evaluate_main(int argc, char** argv);
