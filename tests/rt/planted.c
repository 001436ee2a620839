// A test tool: does in a real-time callback what it is told to, for the guard
// to see. Usage: planted nothing|malloc|free|printf|lock|sleep|write|syscall
#include "rt.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static void* volatile memory;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

static void
plant(const char* what)
{
  if (!strcmp(what, "malloc")) {
    memory = malloc(16);
  } else if (!strcmp(what, "free")) {
    free(memory);
  } else if (!strcmp(what, "printf")) {
    printf("a number: %d\n", (int)getppid());
  } else if (!strcmp(what, "lock")) {
    pthread_mutex_lock(&mutex);
  } else if (!strcmp(what, "sleep")) {
    nanosleep(&(struct timespec){ .tv_nsec = 1 }, NULL);
  } else if (!strcmp(what, "write")) {
    if (write(STDOUT_FILENO, "", 0)) {
      return;
    }
  } else if (!strcmp(what, "syscall")) {
    syscall(SYS_gettid);
  }
}

int
main(int argc, char** argv)
{
  if (argc != 2) {
    return 2;
  }
  rt_init();
  memory = malloc(16); // outside the callback all is allowed
  rt_enter();
  plant(argv[1]);
  rt_leave();
  return 0;
}
