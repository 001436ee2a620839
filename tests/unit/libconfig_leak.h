// libconfig 1.5 forgets the string that it was reading where a syntax error
// follows: at most as long as the file. LeakSanitizer need not tell us.
#pragma once

const char* __lsan_default_suppressions(void)
  __attribute__((visibility("default")));

const char*
__lsan_default_suppressions(void)
{
  return "leak:libconfig";
}
