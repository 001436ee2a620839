// A launch: dim3, the LAUNCH macro, and how a kernel and its arguments, taken
// by value, become work in a stream.
#pragma once

#include "emulator_runtime.h"

#include <functional>
#include <tuple>
#include <type_traits>
#include <utility>

struct uint3 {
  unsigned int x, y, z;
};

struct dim3 {
  unsigned int x, y, z;
  constexpr dim3(unsigned int x_ = 1, unsigned int y_ = 1, unsigned int z_ = 1)
    : x(x_)
    , y(y_)
    , z(z_)
  {
  }
};

// One launch: everything but the stream.
struct EmulatedLaunch {
  const char*           name;
  const void*           function;
  dim3                  grid;
  dim3                  block;
  size_t                shared_bytes;
  std::function<void()> thread; // runs the kernel once, as the current thread
};

// What the arguments of a kernel take, each at its own alignment.
template<typename... P>
constexpr size_t
emulated_parameter_bytes()
{
  size_t bytes = 0;
  ((bytes = (bytes + alignof(P) - 1) / alignof(P) * alignof(P) + sizeof(P)),
   ...);
  return bytes;
}

// Checks the shape, then runs the launch or records it.
void emulated_launch(cudaStream_t stream, EmulatedLaunch launch);

// What stands before the argument list of a launch.
template<typename... P>
struct EmulatedCall {
  void (*kernel)(P...);
  const char*  name;
  dim3         grid;
  dim3         block;
  size_t       shared_bytes;
  cudaStream_t stream;

  // Arguments convert here, once, as they do in a real launch.
  void
  operator()(P... arguments) const
  {
    static_assert(emulated_parameter_bytes<P...>() <= 4096,
                  "more parameters than every GPU takes");
    static_assert((std::is_trivially_copyable_v<P> && ...),
                  "a GPU gets its parameters as bytes");
    void (*const function)(P...) = kernel;
    emulated_launch(
      stream,
      { name,
        reinterpret_cast<const void*>(kernel),
        grid,
        block,
        shared_bytes,
        [function, stored = std::tuple<P...>(std::move(arguments)...)] {
          std::apply(function, stored);
        } });
  }
};

template<typename... P>
EmulatedCall<P...>
emulated_call(void (*kernel)(P...),
              const char*  name,
              dim3         grid,
              dim3         block,
              size_t       shared_bytes = 0,
              cudaStream_t stream       = nullptr)
{
  return { kernel, name, grid, block, shared_bytes, stream };
}

#define LAUNCH(kernel, grid, block, shared_bytes, stream, ...)                 \
  emulated_call(kernel, #kernel, grid, block, shared_bytes, stream)(__VA_ARGS__)
