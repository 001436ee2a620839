// Runs a launch: block after block on the calling thread, each thread of a
// block on a fiber, so that it can wait at a barrier or for its warp.
//
// Threads run one at a time, in sweeps over the block in a scrambled order and
// back again; a thread runs until it waits or ends. A fiber whose thread ends
// takes the next one itself, so that a kernel without barriers is a loop.
// All state here belongs to the launch that runs, under the runtime's lock.
#include "emulator_device.h"
#include "emulator_internal.h"
#include "fiber.h"

#include <csetjmp>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <numeric>
#include <sys/mman.h>
#include <unistd.h>
#include <vector>

uint3 threadIdx;
uint3 blockIdx;
dim3  blockDim;
dim3  gridDim;

// All __shared__ variables outside of templates lie between these.
extern "C" char __start_emulated_shared[] __attribute__((weak));
extern "C" char __stop_emulated_shared[] __attribute__((weak));

namespace {

const unsigned THREADS_MAX  = 1024;
const size_t   SHARED_BYTES = 228u << 10;

enum class State : uint8_t { fresh, ready, barrier, warp, exited };

struct Thread {
  Fiber*       fiber; // while it waits
  EmulatedSite site;
  EmulatedWarp kind;
  unsigned     mask;
  unsigned     source;
  uint64_t     value;
  uint64_t     result;
};

struct Block {
  const EmulatedLaunch* launch;
  unsigned              count;
  unsigned              live;
  unsigned              waiting; // at the barrier
  int                   passed;  // of those, with a true predicate
  int                   barrier_result;
  unsigned              current;
  unsigned              position; // in the sweep
  bool                  backward;
  unsigned              warp_waits[THREADS_MAX / 32]; // in warp functions
  Fiber*                running;                      // NULL: the scheduler
  char*                 shared;
  State                 state[THREADS_MAX];
  Thread                threads[THREADS_MAX];
  unsigned              order[THREADS_MAX];
  uint3                 index[THREADS_MAX];
};

Block               block;
std::vector<Fiber*> idle;
uint64_t            scramble_seed = 1;
bool                seeded        = false;

// --- Threads --------------------------------------------------------------

void
become(unsigned thread)
{
  block.current = thread;
  threadIdx     = block.index[thread];
}

// Gives up the fiber until the scheduler makes this thread ready and resumes.
void
suspend()
{
  Fiber* const self                  = block.running;
  block.threads[block.current].fiber = self;
  fiber_leave(self);
}

[[noreturn]] void
abandon()
{
  for (;;) {
    suspend(); // never resumed: the device is lost
  }
}

bool
same_site(const EmulatedSite& a, const EmulatedSite& b)
{
  return a.line == b.line && (a.file == b.file || !strcmp(a.file, b.file));
}

const char*
place()
{
  static char text[160];
  const uint3 t = threadIdx;
  const uint3 b = blockIdx;
  snprintf(text,
           sizeof text,
           "%s, block (%u,%u,%u), thread (%u,%u,%u)",
           block.launch->name,
           b.x,
           b.y,
           b.z,
           t.x,
           t.y,
           t.z);
  return text;
}

void
open_barrier()
{
  const EmulatedSite* first = nullptr;
  for (unsigned i = 0; i < block.count; i++) {
    if (block.state[i] != State::barrier) {
      continue;
    }
    const EmulatedSite& site = block.threads[i].site;
    if (first && !same_site(*first, site)) {
      fault(cudaErrorLaunchFailure,
            "%s: divergent barrier: some threads wait at %s:%d, others at "
            "%s:%d",
            place(),
            first->file,
            first->line,
            site.file,
            site.line);
      return;
    }
    first          = &site;
    block.state[i] = State::ready;
  }
  block.barrier_result = block.passed;
  block.waiting        = 0;
  block.passed         = 0;
}

// Lets the lanes of the mask go on if all of them wait. False: a fault.
bool
meet_warp(unsigned first, unsigned mask, EmulatedWarp kind)
{
  for (unsigned lane = 0; lane < 32; lane++) {
    const unsigned i = first + lane;
    if (!(mask >> lane & 1u)) {
      continue;
    }
    if (i >= block.count || block.state[i] == State::exited) {
      if (kind == EmulatedWarp::shuffle) {
        fault(cudaErrorLaunchFailure,
              "%s: a shuffle's mask %08x names lane %u, which %s",
              place(),
              mask,
              lane,
              i >= block.count ? "the block does not have" : "has exited");
        return false;
      }
    } else if (block.state[i] != State::warp || block.threads[i].mask != mask) {
      return true;
    } else if (block.threads[i].kind != kind) {
      fault(cudaErrorLaunchFailure,
            "%s: lanes of the mask %08x call different warp functions (%s:%d)",
            place(),
            mask,
            block.threads[i].site.file,
            block.threads[i].site.line);
      return false;
    }
  }
  uint64_t ballot = 0;
  for (unsigned lane = 0; lane < 32; lane++) {
    const unsigned i = first + lane;
    if ((mask >> lane & 1u) && i < block.count &&
        block.state[i] == State::warp && block.threads[i].value) {
      ballot |= 1u << lane;
    }
  }
  for (unsigned lane = 0; lane < 32; lane++) {
    const unsigned i = first + lane;
    if (!(mask >> lane & 1u) || i >= block.count ||
        block.state[i] != State::warp) {
      continue;
    }
    Thread& thread = block.threads[i];
    thread.result  = ballot;
    if (kind == EmulatedWarp::shuffle) {
      if (thread.source > 31 || !(mask >> thread.source & 1u)) {
        fault(cudaErrorLaunchFailure,
              "%s: lane %u reads from lane %u, outside its mask %08x (%s:%d)",
              place(),
              lane,
              thread.source,
              mask,
              thread.site.file,
              thread.site.line);
        return false;
      }
      thread.result = block.threads[first + thread.source].value;
    }
  }
  for (unsigned lane = 0; lane < 32; lane++) {
    if ((mask >> lane & 1u) && first + lane < block.count &&
        block.state[first + lane] == State::warp) {
      block.state[first + lane] = State::ready;
      block.warp_waits[first / 32]--;
    }
  }
  return true;
}

// The current thread has returned from the kernel.
void
exit_thread()
{
  const unsigned self = block.current;
  block.state[self]   = State::exited;
  block.live--;
  if (block.waiting && block.waiting == block.live) {
    open_barrier();
  }
  const unsigned first = self & ~31u;
  for (unsigned i = first;
       block.warp_waits[first / 32] && i < first + 32 && i < block.count;
       i++) {
    const Thread& thread = block.threads[i];
    if (block.state[i] == State::warp &&
        !meet_warp(first, thread.mask, thread.kind)) {
      return;
    }
  }
}

unsigned
at(unsigned position)
{
  return block.order[block.backward ? block.count - 1 - position : position];
}

// The sweep's next thread, if it has not begun.
bool
take_next()
{
  const unsigned next = block.position + 1;
  if (next >= block.count || block.state[at(next)] != State::fresh ||
      lost() != cudaSuccess) {
    return false;
  }
  block.position = next;
  become(at(next));
  return true;
}

// What a fiber does each time it is given a fresh thread.
void
run_threads()
{
  Fiber* const self = block.running;
  do {
    block.launch->thread();
    exit_thread();
  } while (take_next());
  idle.push_back(self);
}

// --- Blocks ---------------------------------------------------------------

void
resume(unsigned thread)
{
  become(thread);
  if (block.state[thread] != State::fresh) {
    block.running = block.threads[thread].fiber;
  } else if (idle.empty()) {
    block.running = fiber_new(run_threads);
  } else {
    block.running = idle.back();
    idle.pop_back();
  }
  fiber_enter(block.running);
  block.running = nullptr;
}

void
report_deadlock()
{
  unsigned            at_barrier = 0;
  unsigned            at_warp    = 0;
  const EmulatedSite* barrier    = nullptr;
  const EmulatedSite* warp       = nullptr;
  for (unsigned i = 0; i < block.count; i++) {
    const EmulatedSite* const site = &block.threads[i].site;
    if (block.state[i] == State::barrier) {
      at_barrier++;
      barrier = barrier ? barrier : site;
    } else if (block.state[i] == State::warp) {
      at_warp++;
      warp = warp ? warp : site;
    }
  }
  fault(cudaErrorLaunchTimeout,
        "%s, block (%u,%u,%u): deadlock: %u threads at a barrier (%s:%d), %u "
        "in a warp function whose mask does not meet (%s:%d), %u exited",
        block.launch->name,
        blockIdx.x,
        blockIdx.y,
        blockIdx.z,
        at_barrier,
        barrier ? barrier->file : "-",
        barrier ? barrier->line : 0,
        at_warp,
        warp ? warp->file : "-",
        warp ? warp->line : 0,
        block.count - block.live);
}

void
run_block()
{
  memset(block.state, 0, block.count);
  memset(block.warp_waits, 0, sizeof block.warp_waits);
  memset(block.shared, 0xff, block.launch->shared_bytes);
  const ptrdiff_t bytes = __stop_emulated_shared - __start_emulated_shared;
  if (bytes > 0) {
    memset(__start_emulated_shared, 0xff, (size_t)bytes);
  }
  block.live     = block.count;
  block.waiting  = 0;
  block.passed   = 0;
  block.backward = false;
  while (block.live && lost() == cudaSuccess) {
    bool moved = false;
    for (block.position = 0;
         block.position < block.count && lost() == cudaSuccess;
         block.position++) {
      const unsigned thread = at(block.position);
      if (block.state[thread] <= State::ready) {
        moved = true;
        resume(thread);
      }
    }
    if (!moved) {
      report_deadlock();
    }
    block.backward = !block.backward;
  }
}

// --- Launches -------------------------------------------------------------

uint64_t
mix(uint64_t x)
{
  x += 0x9e3779b97f4a7c15u;
  x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
  x = (x ^ x >> 27) * 0x94d049bb133111ebu;
  return x ^ x >> 31;
}

void
prepare(const EmulatedLaunch& launch)
{
  static char*    shared_end  = nullptr;
  static dim3     last_shape  = dim3(0, 0, 0);
  static uint64_t last_seed   = 0;
  const dim3      b           = launch.block;
  const char*     environment = getenv("EMULATOR_SEED");
  const size_t    page        = (size_t)sysconf(_SC_PAGESIZE);
  if (!seeded && environment) {
    scramble_seed = strtoull(environment, nullptr, 0);
  }
  seeded = true;
  if (!shared_end) {
    void* const region = mmap(nullptr,
                              SHARED_BYTES + page,
                              PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS,
                              -1,
                              0);
    if (region == MAP_FAILED) {
      fprintf(stderr, "emulator: no shared memory\n");
      abort();
    }
    shared_end = static_cast<char*>(region) + SHARED_BYTES;
    mprotect(shared_end, page, PROT_NONE);
  }
  block.shared = shared_end - (launch.shared_bytes + 15) / 16 * 16;
  block.launch = &launch;
  block.count  = b.x * b.y * b.z;
  blockDim     = b;
  gridDim      = launch.grid;
  if (b.x == last_shape.x && b.y == last_shape.y && b.z == last_shape.z &&
      scramble_seed == last_seed) {
    return;
  }
  last_shape = b;
  last_seed  = scramble_seed;
  for (unsigned i = 0; i < block.count; i++) {
    block.index[i] = { i % b.x, i / b.x % b.y, i / b.x / b.y };
    block.order[i] = i;
  }
  uint64_t random = scramble_seed;
  for (unsigned i = block.count; scramble_seed && i > 1; i--) {
    random = mix(random);
    std::swap(block.order[i - 1], block.order[random % i]);
  }
}

void
run_grid()
{
  const dim3     g     = gridDim;
  const uint64_t total = (uint64_t)g.x * g.y * g.z;
  uint64_t       step  = scramble_seed ? mix(scramble_seed) % total | 1u : 1;
  while (std::gcd(step, total) != 1) {
    step += 2;
  }
  uint64_t b = scramble_seed ? mix(step) % total : 0;
  for (uint64_t i = 0; i < total && lost() == cudaSuccess; i++) {
    blockIdx = { (unsigned)(b % g.x),
                 (unsigned)(b / g.x % g.y),
                 (unsigned)(b / g.x / g.y) };
    run_block();
    b = (b + step) % total;
  }
}

#ifndef __SANITIZE_ADDRESS__
struct sigaction  old_actions[NSIG];
sigjmp_buf        escape;
volatile int      fault_signal;
thread_local bool executing = false; // a launch, on this thread

void
on_signal(int number, siginfo_t*, void*)
{
  if (executing) {
    fault_signal = number;
    siglongjmp(escape, 1);
  }
  sigaction(number, &old_actions[number], nullptr); // and it happens again
}

void
catch_signals()
{
  static thread_local char* stack  = nullptr;
  const size_t              bytes  = 64u << 10;
  struct sigaction          action = {};
  if (!stack) {
    stack_t alternative = {};
    stack               = static_cast<char*>(malloc(bytes));
    alternative.ss_sp   = stack;
    alternative.ss_size = bytes;
    sigaltstack(&alternative, nullptr);
  }
  // Others, such as cmocka, may have put theirs in place since.
  sigaction(SIGSEGV, nullptr, &action);
  if ((action.sa_flags & SA_SIGINFO) && action.sa_sigaction == on_signal) {
    return;
  }
  action              = {};
  action.sa_sigaction = on_signal;
  action.sa_flags     = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
  for (const int number : { SIGSEGV, SIGBUS, SIGFPE }) {
    sigaction(number, &action, &old_actions[number]);
  }
}
#endif

} // namespace

void
run_launch(const EmulatedLaunch& launch)
{
  const DeviceMemory touch;
  prepare(launch);
#ifdef __SANITIZE_ADDRESS__
  run_grid(); // ASan itself tells of bad addresses
#else
  catch_signals();
  executing = true;
  if (!sigsetjmp(escape, 0)) {
    run_grid();
  } else if (fault_signal == SIGFPE) {
    fault(cudaErrorLaunchFailure, "%s: integer division by zero", place());
  } else {
    fault(cudaErrorIllegalAddress, "%s: illegal address", place());
  }
  executing = false;
#endif
  if (lost() != cudaSuccess) {
    // Some threads are left where they were: begin with clean fibers.
    idle = fiber_reset_all();
  }
  check_canaries(launch.name);
}

void
set_seed(uint64_t seed)
{
  scramble_seed = seed;
  seeded        = true;
}

// --- What kernels call ----------------------------------------------------

void*
emulated_dynamic_shared_bytes()
{
  return block.shared;
}

int
emulated_barrier(bool predicate, EmulatedSite site)
{
  const unsigned self      = block.current;
  block.threads[self].site = site;
  block.state[self]        = State::barrier;
  block.passed += predicate;
  if (++block.waiting == block.live) {
    open_barrier();
  } else {
    suspend();
  }
  if (lost() != cudaSuccess) {
    abandon();
  }
  return block.barrier_result;
}

void
emulated_trap(EmulatedSite site)
{
  fault(
    cudaErrorLaunchFailure, "%s: trap at %s:%d", place(), site.file, site.line);
  abandon();
}

unsigned
emulated_lane()
{
  return block.current & 31u;
}

unsigned
__activemask()
{
  const unsigned first = block.current & ~31u;
  unsigned       mask  = 0;
  for (unsigned lane = 0; lane < 32 && first + lane < block.count; lane++) {
    mask |= (unsigned)(block.state[first + lane] != State::exited) << lane;
  }
  return mask;
}

uint64_t
emulated_warp(EmulatedWarp kind,
              unsigned     mask,
              uint64_t     value,
              unsigned     source,
              EmulatedSite site)
{
  const unsigned self   = block.current;
  Thread&        thread = block.threads[self];
  if (!(mask >> (self & 31u) & 1u)) {
    fault(cudaErrorLaunchFailure,
          "%s: a warp function's mask %08x leaves its caller out (%s:%d)",
          place(),
          mask,
          site.file,
          site.line);
    abandon();
  }
  thread            = { thread.fiber, site, kind, mask, source, value, 0 };
  block.state[self] = State::warp;
  block.warp_waits[self / 32]++;
  if (!meet_warp(self & ~31u, mask, kind)) {
    abandon();
  }
  if (block.state[self] == State::warp) {
    suspend();
  }
  return thread.result;
}
