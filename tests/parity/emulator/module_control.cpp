// What a test that loads the emulated module may ask of its emulator.
#include "emulator_control.h"

extern "C" {
EmulatorCounts emulated_module_counts(void);
void           emulated_module_fail_after(int calls, int error);
void           emulated_module_heal(void);
}

EmulatorCounts
emulated_module_counts(void)
{
  return emulator_counts();
}

void
emulated_module_fail_after(int calls, int error)
{
  emulator_fail_after(calls, error);
}

void
emulated_module_heal(void)
{
  emulator_heal();
}
