// What a test that loads the emulated module may ask its emulator.
#include "emulator_control.h"

extern "C" EmulatorCounts emulated_module_counts(void);

EmulatorCounts
emulated_module_counts(void)
{
  return emulator_counts();
}
