// The real-time guard: preloaded (LD_PRELOAD), it stands before libc's
// functions that allocate, lock, wait, log or call the system, and aborts with
// a backtrace when one is called between rt_enter() and rt_leave() (core/rt.h).
// At the program's end it says how many callbacks it watched. Any thread.
#include <dlfcn.h>
#include <execinfo.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

// glibc's own names: dlsym() itself allocates.
void* __libc_malloc(size_t size);
void* __libc_calloc(size_t count, size_t size);
void* __libc_realloc(void* old, size_t size);
void  __libc_free(void* old);

static _Thread_local int     depth __attribute__((tls_model("initial-exec")));
static _Atomic unsigned long callback_count;

EXPORT void rt_guard_enter(void);
EXPORT void rt_guard_leave(void);

void
rt_guard_enter(void)
{
  ++depth;
  atomic_fetch_add_explicit(&callback_count, 1, memory_order_relaxed);
}

void
rt_guard_leave(void)
{
  --depth;
}

__attribute__((destructor)) static void
report(void)
{
  char      text[64];
  const int length = snprintf(text,
                              sizeof text,
                              "rt guard: watched %lu callbacks\n",
                              atomic_load(&callback_count));
  if (write(STDERR_FILENO, text, (size_t)length) < 0) {
    return;
  }
}

static void
check(const char* name)
{
  if (!depth) {
    return;
  }
  depth = 0;
  void*     frames[32];
  char      text[96];
  const int length = snprintf(
    text, sizeof text, "rt guard: %s() in a real-time callback\n", name);
  if (write(STDERR_FILENO, text, (size_t)length) == length) {
    backtrace_symbols_fd(frames, backtrace(frames, 32), STDERR_FILENO);
  }
  abort();
}

static void*
next(const char* name)
{
  void* const found = dlsym(RTLD_NEXT, name);
  if (!found) {
    abort();
  }
  return found;
}

// One function that is passed on as it is. Looking it up each time is slow,
// which does no harm here.
#define PASS(result, name, parameters, arguments)                              \
  EXPORT result name parameters;                                               \
  result name        parameters                                                \
  {                                                                            \
    check(#name);                                                              \
    result(*function) parameters;                                              \
    void* const found = next(#name);                                           \
    memcpy(&function, &found, sizeof function);                                \
    return function arguments;                                                 \
  }

EXPORT void*
malloc(size_t size)
{
  check("malloc");
  return __libc_malloc(size);
}

EXPORT void*
calloc(size_t count, size_t size)
{
  check("calloc");
  return __libc_calloc(count, size);
}

EXPORT void*
realloc(void* old, size_t size)
{
  check("realloc");
  return __libc_realloc(old, size);
}

EXPORT void
free(void* old)
{
  check("free");
  __libc_free(old);
}

// clang-format off
PASS(void*, aligned_alloc, (size_t alignment, size_t size), (alignment, size))
PASS(int, posix_memalign, (void** out, size_t alignment, size_t size),
     (out, alignment, size))
PASS(int, pthread_mutex_lock, (pthread_mutex_t* mutex), (mutex))
PASS(int, pthread_mutex_trylock, (pthread_mutex_t* mutex), (mutex))
PASS(int, pthread_cond_signal, (pthread_cond_t* condition), (condition))
PASS(int, pthread_cond_broadcast, (pthread_cond_t* condition), (condition))
PASS(int, pthread_cond_wait,
     (pthread_cond_t* condition, pthread_mutex_t* mutex), (condition, mutex))
PASS(int, pthread_cond_timedwait,
     (pthread_cond_t* condition, pthread_mutex_t* mutex,
      const struct timespec* until), (condition, mutex, until))
PASS(int, sem_wait, (sem_t* semaphore), (semaphore))
PASS(int, sem_post, (sem_t* semaphore), (semaphore))
PASS(ssize_t, write, (int file, const void* data, size_t size),
     (file, data, size))
PASS(ssize_t, writev, (int file, const struct iovec* parts, int count),
     (file, parts, count))
PASS(ssize_t, read, (int file, void* data, size_t size), (file, data, size))
PASS(FILE*, fopen, (const char* path, const char* mode), (path, mode))
PASS(int, nanosleep, (const struct timespec* time, struct timespec* left),
     (time, left))
PASS(int, clock_nanosleep,
     (clockid_t clock, int flags, const struct timespec* time,
      struct timespec* left), (clock, flags, time, left))
PASS(int, usleep, (useconds_t time), (time))
PASS(int, poll, (struct pollfd* files, nfds_t count, int timeout),
     (files, count, timeout))
PASS(int, puts, (const char* text), (text))
PASS(int, fputs, (const char* text, FILE* stream), (text, stream))
PASS(int, putchar, (int character), (character))
PASS(size_t, fwrite,
     (const void* data, size_t size, size_t count, FILE* stream),
     (data, size, count, stream))
PASS(int, vprintf, (const char* format, va_list arguments),
     (format, arguments))
PASS(int, vfprintf, (FILE* stream, const char* format, va_list arguments),
     (stream, format, arguments))
// clang-format on

EXPORT int
printf(const char* format, ...)
{
  check("printf");
  va_list arguments;
  va_start(arguments, format);
  const int result = vprintf(format, arguments);
  va_end(arguments);
  return result;
}

EXPORT int
fprintf(FILE* stream, const char* format, ...)
{
  check("fprintf");
  va_list arguments;
  va_start(arguments, format);
  const int result = vfprintf(stream, format, arguments);
  va_end(arguments);
  return result;
}

EXPORT int open(const char* path, int flags, ...);

int
open(const char* path, int flags, ...)
{
  check("open");
  va_list arguments;
  va_start(arguments, flags);
  const int mode = va_arg(arguments, int);
  va_end(arguments);
  int (*function)(const char*, int, ...);
  void* const found = next("open");
  memcpy(&function, &found, sizeof function);
  return function(path, flags, mode);
}

// Futexes, among others.
EXPORT long
syscall(long number, ...)
{
  check("syscall");
  va_list arguments;
  long    values[6];
  va_start(arguments, number);
  for (int i = 0; i < 6; ++i) {
    values[i] = va_arg(arguments, long);
  }
  va_end(arguments);
  long (*function)(long, ...);
  void* const found = next("syscall");
  memcpy(&function, &found, sizeof function);
  return function(
    number, values[0], values[1], values[2], values[3], values[4], values[5]);
}
