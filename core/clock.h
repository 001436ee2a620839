// The monotonic clock: time since some point in the past, never set back. Any
// thread but process (reading it may be a system call).
#pragma once

#include <stdint.h>

int64_t clock_now_ns(void);
double  clock_now_s(void);

// A signal ends it early.
void clock_sleep_ns(int64_t duration_ns);
void clock_sleep_until_ns(int64_t time_ns);
