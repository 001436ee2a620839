// Fibers: a switch by hand on x86-64, ucontext elsewhere or with
// -DEMULATOR_UCONTEXT; ASan is told of each.
#include "fiber.h"

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <sys/mman.h>
#include <unistd.h>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#if !defined(__x86_64__) && !defined(EMULATOR_UCONTEXT)
#define EMULATOR_UCONTEXT
#endif
#ifdef EMULATOR_UCONTEXT
#include <ucontext.h>
#endif

#ifndef EMULATOR_UCONTEXT
// Saves the registers that a callee must keep, and swaps stacks.
extern "C" void emulator_switch(void** save, void* load);
asm(R"(
.text
.p2align 4
.type emulator_switch,@function
.globl emulator_switch
emulator_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size emulator_switch,.-emulator_switch
)");
#endif

namespace {

const size_t STACK_BYTES = 256u << 10; // address space; touched as needed

struct Context {
#ifdef EMULATOR_UCONTEXT
  ucontext_t registers;
#else
  void* registers;
#endif
  const void* stack; // for ASan
  size_t      stack_bytes;
  void*       fake_stack;
};

} // namespace

struct Fiber {
  Context context;
  char*   stack;
  size_t  bytes;
  void (*body)();
};

namespace {

Context scheduler;
Fiber*  entered = nullptr; // last

std::vector<Fiber*>&
fibers()
{
  static auto* const all = new std::vector<Fiber*>; // outlives all destructors
  return *all;
}

void
switch_context(Context* from, Context* to)
{
#ifdef __SANITIZE_ADDRESS__
  __sanitizer_start_switch_fiber(&from->fake_stack, to->stack, to->stack_bytes);
#endif
#ifdef EMULATOR_UCONTEXT
  swapcontext(&from->registers, &to->registers);
#else
  emulator_switch(&from->registers, to->registers);
#endif
#ifdef __SANITIZE_ADDRESS__
  const void* stack = nullptr;
  size_t      bytes = 0;
  __sanitizer_finish_switch_fiber(from->fake_stack, &stack, &bytes);
  if (from != &scheduler) {
    scheduler.stack       = stack;
    scheduler.stack_bytes = bytes;
  }
#endif
}

void
main_loop()
{
#ifdef __SANITIZE_ADDRESS__
  __sanitizer_finish_switch_fiber(
    nullptr, &scheduler.stack, &scheduler.stack_bytes);
#endif
  Fiber* const self = entered;
  for (;;) {
    self->body();
    fiber_leave(self);
  }
}

// From the beginning, whatever it did before.
void
reset_fiber(Fiber* fiber)
{
#ifdef __SANITIZE_ADDRESS__
  ASAN_UNPOISON_MEMORY_REGION(fiber->stack, STACK_BYTES);
#endif
  fiber->context.stack       = fiber->stack;
  fiber->context.stack_bytes = fiber->bytes;
  fiber->context.fake_stack  = nullptr;
#ifdef EMULATOR_UCONTEXT
  getcontext(&fiber->context.registers);
  fiber->context.registers.uc_stack.ss_sp   = fiber->stack;
  fiber->context.registers.uc_stack.ss_size = fiber->bytes;
  fiber->context.registers.uc_link          = nullptr;
  makecontext(&fiber->context.registers, main_loop, 0);
#else
  // As a call of main_loop would leave it: six registers, where to return.
  void** const top = reinterpret_cast<void**>(fiber->stack + fiber->bytes);
  top[-1]          = nullptr;
  top[-2]          = reinterpret_cast<void*>(main_loop);
  for (int i = 3; i <= 8; i++) {
    top[-i] = nullptr;
  }
  fiber->context.registers = top - 8;
#endif
}

} // namespace

Fiber*
fiber_new(void (*body)())
{
  const size_t page   = (size_t)sysconf(_SC_PAGESIZE);
  void* const  region = mmap(nullptr,
                            STACK_BYTES + page,
                            PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                            -1,
                            0);
  if (region == MAP_FAILED || mprotect(region, page, PROT_NONE)) {
    fprintf(stderr, "emulator: no memory for a fiber\n");
    abort();
  }
  Fiber* const fiber = new Fiber;
  fiber->stack       = static_cast<char*>(region) + page;
  fiber->body        = body;
  // Tops at different places in their pages, or all would share a few cache
  // lines.
  fiber->bytes = STACK_BYTES - fibers().size() % 61 * 64;
  reset_fiber(fiber);
  fibers().push_back(fiber);
  return fiber;
}

void
fiber_enter(Fiber* fiber)
{
  entered = fiber;
  switch_context(&scheduler, &fiber->context);
}

void
fiber_leave(Fiber* fiber)
{
  switch_context(&fiber->context, &scheduler);
}

std::vector<Fiber*>
fiber_reset_all()
{
  for (Fiber* const fiber : fibers()) {
    reset_fiber(fiber);
  }
  return fibers();
}
