// Stacks that a launch's threads run on, and the switch between them and the
// scheduler. One host thread at a time, under the runtime's lock.
#pragma once

#include <vector>

struct Fiber;

// Calls `body` each time that it is entered anew.
Fiber* fiber_new(void (*body)());
// Runs the fiber until it leaves or its body returns.
void fiber_enter(Fiber* fiber);
// Back to where the fiber was entered; from within it only.
void fiber_leave(Fiber* fiber);
// All fibers, from the beginning, whatever they did before.
std::vector<Fiber*> fiber_reset_all();
