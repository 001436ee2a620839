// Real-time brackets: found once by dlsym, so that the product does not link
// the test guard.
#include "rt.h"

#include <dlfcn.h>
#include <stddef.h>
#include <string.h>

typedef void (*GuardFunction)(void);

static GuardFunction guard_enter;
static GuardFunction guard_leave;

static GuardFunction
find(const char* name)
{
  void* const   symbol = dlsym(RTLD_DEFAULT, name);
  GuardFunction function;
  memcpy(&function, &symbol, sizeof function); // ISO C forbids the cast
  return function;
}

void
rt_init(void)
{
  guard_enter = find("rt_guard_enter");
  guard_leave = find("rt_guard_leave");
}

void
rt_enter(void)
{
  if (guard_enter) {
    guard_enter();
  }
}

void
rt_leave(void)
{
  if (guard_leave) {
    guard_leave();
  }
}
