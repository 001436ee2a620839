// The emulator's streams, events and captures. Work is a closure; it
// runs at once, waits in its stream (lazy), or is kept in a capture.
#include "emulator_internal.h"

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <memory>
#include <set>
#include <thread>
#include <vector>

using Clock = std::chrono::steady_clock;

namespace {

struct Capture {
  std::vector<Work>     work;
  cudaStream_t          origin;
  cudaStreamCaptureMode mode;
  std::thread::id       thread;
  bool                  invalid = false;
};

struct EventState {
  bool              done = false;
  Clock::time_point time;
};

} // namespace

struct EmulatedStream {
  unsigned                 flags = 0;
  std::deque<Work>         queue;
  std::shared_ptr<Capture> capture;
};

struct EmulatedEvent {
  unsigned                    flags  = 0;
  cudaStream_t                stream = nullptr;
  std::shared_ptr<EventState> state; // NULL: never recorded
  std::shared_ptr<Capture>    capture;
};

namespace {

struct Streams {
  EmulatedStream               null; // the legacy default stream
  std::vector<EmulatedStream*> all{ &null };
  std::set<EmulatedEvent*>     events;
  bool                         lazy;

  Streams()
  {
    const char* const value = getenv("EMULATOR_LAZY");
    lazy                    = value && strcmp(value, "0");
  }
};

Streams&
streams()
{
  static Streams* const state = new Streams;
  return *state;
}

// NULL: there is no such stream.
EmulatedStream*
find(cudaStream_t stream)
{
  Streams& s = streams();
  if (!stream) {
    return &s.null;
  }
  for (EmulatedStream* const each : s.all) {
    if (each == stream) {
      return each;
    }
  }
  return nullptr;
}

void
flush(EmulatedStream* stream)
{
  while (!stream->queue.empty()) {
    const Work work = std::move(stream->queue.front());
    stream->queue.pop_front();
    if (lost() == cudaSuccess) {
      work();
    }
  }
}

bool
blocking(const EmulatedStream* stream)
{
  return !(stream->flags & cudaStreamNonBlocking);
}

cudaError_t
invalidate(EmulatedStream* stream, cudaError_t error)
{
  stream->capture->invalid = true;
  return error;
}

// No stream is of this capture any more.
void
drop(const std::shared_ptr<Capture>& capture)
{
  for (EmulatedStream* const each : streams().all) {
    if (capture && each->capture == capture) {
      each->capture.reset();
    }
  }
}

// The legacy stream and the blocking ones wait for each other.
cudaError_t
meet_legacy(EmulatedStream* stream)
{
  Streams& s = streams();
  if (stream == &s.null) {
    for (EmulatedStream* const each : s.all) {
      if (each != stream && blocking(each)) {
        if (each->capture) {
          return invalidate(each, cudaErrorStreamCaptureImplicit);
        }
        flush(each);
      }
    }
  } else if (blocking(stream)) {
    flush(&s.null);
  }
  return cudaSuccess;
}

} // namespace

cudaError_t
submit(cudaStream_t handle, Asked asked, Work work, bool pageable)
{
  EmulatedStream* const stream = find(handle);
  if (!stream) {
    return cudaErrorInvalidResourceHandle;
  }
  if (stream->capture) {
    if (stream->capture->invalid) {
      return cudaErrorStreamCaptureInvalidated;
    }
    if (pageable) {
      return invalidate(stream, cudaErrorStreamCaptureUnsupported);
    }
    stream->capture->work.push_back(std::move(work));
    return cudaSuccess;
  }
  const cudaError_t error = meet_legacy(stream);
  if (error != cudaSuccess) {
    return error;
  }
  count_asked(asked);
  stream->queue.push_back(std::move(work));
  if (pageable) {
    count_wait();
  }
  if (pageable || !streams().lazy) {
    flush(stream);
  }
  return cudaSuccess;
}

void
flush_all()
{
  for (EmulatedStream* const stream : streams().all) {
    flush(stream);
  }
}

cudaError_t
forbidden_in_capture()
{
  for (EmulatedStream* const stream : streams().all) {
    const Capture* const c = stream->capture.get();
    if (c && (c->mode == cudaStreamCaptureModeGlobal ||
              (c->mode == cudaStreamCaptureModeThreadLocal &&
               c->thread == std::this_thread::get_id()))) {
      return invalidate(stream, cudaErrorStreamCaptureUnsupported);
    }
  }
  return cudaSuccess;
}

void
set_lazy(bool lazy)
{
  flush_all();
  streams().lazy = lazy;
}

// --- Streams --------------------------------------------------------------

cudaError_t
cudaStreamCreateWithPriority(cudaStream_t* stream, unsigned int flags, int)
{
  Gate gate;
  *stream = nullptr;
  if (!gate) {
    return gate.error();
  }
  if (flags > cudaStreamNonBlocking) {
    return gate.end(cudaErrorInvalidValue);
  }
  *stream          = new EmulatedStream;
  (*stream)->flags = flags;
  streams().all.push_back(*stream);
  count_handle(1);
  return gate.end(cudaSuccess);
}

cudaError_t
cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned int flags)
{
  return cudaStreamCreateWithPriority(stream, flags, 0);
}

cudaError_t
cudaStreamCreate(cudaStream_t* stream)
{
  return cudaStreamCreateWithPriority(stream, cudaStreamDefault, 0);
}

cudaError_t
cudaStreamDestroy(cudaStream_t handle)
{
  Release               release;
  EmulatedStream* const stream = handle ? find(handle) : nullptr;
  if (!stream) {
    return release.end(cudaErrorInvalidResourceHandle);
  }
  flush(stream);
  if (stream->capture && stream->capture->origin == handle) {
    drop(std::shared_ptr<Capture>(stream->capture));
  }
  auto& all = streams().all;
  for (size_t i = 0; i < all.size(); i++) {
    if (all[i] == stream) {
      all.erase(all.begin() + (ptrdiff_t)i);
      break;
    }
  }
  for (EmulatedEvent* const event : streams().events) {
    if (event->stream == handle) {
      event->stream = nullptr;
    }
  }
  delete stream;
  count_handle(-1);
  return release.end(cudaSuccess);
}

cudaError_t
cudaStreamSynchronize(cudaStream_t handle)
{
  Gate gate;
  if (!gate) {
    return gate.error();
  }
  EmulatedStream* const stream = find(handle);
  if (!stream) {
    return gate.end(cudaErrorInvalidResourceHandle);
  }
  if (stream->capture) {
    return gate.end(invalidate(stream, cudaErrorStreamCaptureUnsupported));
  }
  count_wait();
  const cudaError_t error = meet_legacy(stream);
  flush(stream);
  return gate.end(error);
}

cudaError_t
cudaStreamQuery(cudaStream_t handle)
{
  Gate gate;
  if (!gate) {
    return gate.error();
  }
  EmulatedStream* const stream = find(handle);
  if (!stream) {
    return gate.end(cudaErrorInvalidResourceHandle);
  }
  if (stream->capture) {
    return gate.end(invalidate(stream, cudaErrorStreamCaptureUnsupported));
  }
  // Not done the first time that it is asked, done the next.
  const bool ready = stream->queue.empty();
  flush(stream);
  return gate.end(ready ? cudaSuccess : cudaErrorNotReady);
}

cudaError_t
cudaDeviceSynchronize(void)
{
  Gate gate;
  if (!gate) {
    return gate.error();
  }
  for (EmulatedStream* const stream : streams().all) {
    if (stream->capture) {
      return gate.end(invalidate(stream, cudaErrorStreamCaptureUnsupported));
    }
  }
  count_wait();
  flush_all();
  return gate.end(cudaSuccess);
}

// --- Events ---------------------------------------------------------------

cudaError_t
cudaEventCreateWithFlags(cudaEvent_t* event, unsigned int flags)
{
  Gate gate;
  *event = nullptr;
  if (!gate) {
    return gate.error();
  }
  *event          = new EmulatedEvent;
  (*event)->flags = flags;
  streams().events.insert(*event);
  count_handle(1);
  return gate.end(cudaSuccess);
}

cudaError_t
cudaEventCreate(cudaEvent_t* event)
{
  return cudaEventCreateWithFlags(event, cudaEventDefault);
}

cudaError_t
cudaEventDestroy(cudaEvent_t event)
{
  Release release;
  if (!streams().events.erase(event)) {
    return release.end(cudaErrorInvalidResourceHandle);
  }
  delete event;
  count_handle(-1);
  return release.end(cudaSuccess);
}

cudaError_t
cudaEventRecord(cudaEvent_t event, cudaStream_t handle)
{
  Gate gate;
  if (!gate) {
    return gate.error();
  }
  EmulatedStream* const stream = find(handle);
  if (!stream || !streams().events.count(event)) {
    return gate.end(cudaErrorInvalidResourceHandle);
  }
  const auto state = std::make_shared<EventState>();
  event->stream    = handle;
  event->capture   = stream->capture;
  event->state     = state;
  return gate.end(submit(handle, Asked::event, [state] {
    state->done = true;
    state->time = Clock::now();
  }));
}

// What forbids the host to look at the event, or cudaSuccess.
static cudaError_t
look_at(cudaEvent_t event)
{
  if (!streams().events.count(event)) {
    return cudaErrorInvalidResourceHandle;
  }
  if (event->capture) {
    event->capture->invalid = true;
    return cudaErrorCapturedEvent;
  }
  return cudaSuccess;
}

cudaError_t
cudaEventSynchronize(cudaEvent_t event)
{
  Gate gate;
  if (!gate) {
    return gate.error();
  }
  count_wait();
  const cudaError_t error = look_at(event);
  if (error == cudaSuccess && event->state && !event->state->done) {
    flush(find(event->stream));
  }
  return gate.end(error);
}

cudaError_t
cudaEventQuery(cudaEvent_t event)
{
  Gate gate;
  if (!gate) {
    return gate.error();
  }
  const cudaError_t error = look_at(event);
  if (error == cudaSuccess && event->state && !event->state->done) {
    flush(find(event->stream));
    return gate.end(cudaErrorNotReady);
  }
  return gate.end(error);
}

cudaError_t
cudaEventElapsedTime(float* ms, cudaEvent_t start, cudaEvent_t end)
{
  Gate gate;
  if (!gate) {
    return gate.error();
  }
  for (const cudaEvent_t event : { start, end }) {
    const cudaError_t error = look_at(event);
    if (error != cudaSuccess) {
      return gate.end(error);
    }
    if (!event->state || (event->flags & cudaEventDisableTiming)) {
      return gate.end(cudaErrorInvalidResourceHandle);
    }
    if (!event->state->done) {
      return gate.end(cudaErrorNotReady);
    }
  }
  const std::chrono::duration<float, std::milli> elapsed =
    end->state->time - start->state->time;
  *ms = elapsed.count();
  return gate.end(cudaSuccess);
}

cudaError_t
cudaStreamWaitEvent(cudaStream_t handle, cudaEvent_t event, unsigned int)
{
  Gate gate;
  if (!gate) {
    return gate.error();
  }
  EmulatedStream* const stream = find(handle);
  if (!stream || !streams().events.count(event)) {
    return gate.end(cudaErrorInvalidResourceHandle);
  }
  if (!stream->capture && !event->capture) {
    if (event->state && !event->state->done) {
      flush(find(event->stream));
    }
    return gate.end(cudaSuccess);
  }
  if (!event->capture) {
    return gate.end(invalidate(stream, cudaErrorStreamCaptureIsolation));
  }
  if (!stream->capture) {
    stream->capture = event->capture; // it joins; work is kept in call order
  } else if (stream->capture != event->capture) {
    event->capture->invalid = true;
    return gate.end(invalidate(stream, cudaErrorStreamCaptureMerge));
  }
  return gate.end(cudaSuccess);
}

// --- Captures -------------------------------------------------------------

cudaError_t
cudaStreamBeginCapture(cudaStream_t handle, cudaStreamCaptureMode mode)
{
  Gate gate;
  if (!gate) {
    return gate.error();
  }
  EmulatedStream* const stream = find(handle);
  if (!stream) {
    return gate.end(cudaErrorInvalidResourceHandle);
  }
  if (stream == &streams().null) {
    return gate.end(cudaErrorStreamCaptureUnsupported);
  }
  if (stream->capture) {
    return gate.end(cudaErrorIllegalState);
  }
  stream->capture         = std::make_shared<Capture>();
  stream->capture->origin = handle;
  stream->capture->mode   = mode;
  stream->capture->thread = std::this_thread::get_id();
  return gate.end(cudaSuccess);
}

cudaError_t
cudaStreamEndCapture(cudaStream_t handle, cudaGraph_t* graph)
{
  Gate                           gate;
  EmulatedStream* const          stream = find(handle);
  const std::shared_ptr<Capture> capture =
    stream ? stream->capture : std::shared_ptr<Capture>();
  *graph = nullptr;
  if (!gate) {
    drop(capture); // it ends also where it fails
    return gate.error();
  }
  if (!stream) {
    return gate.end(cudaErrorInvalidResourceHandle);
  }
  if (!capture) {
    return gate.end(cudaErrorIllegalState);
  }
  if (capture->origin != handle) {
    return gate.end(invalidate(stream, cudaErrorStreamCaptureUnmatched));
  }
  if (capture->mode != cudaStreamCaptureModeRelaxed &&
      capture->thread != std::this_thread::get_id()) {
    return gate.end(invalidate(stream, cudaErrorStreamCaptureWrongThread));
  }
  drop(capture);
  if (capture->invalid) {
    return gate.end(cudaErrorStreamCaptureInvalidated);
  }
  *graph = new_graph(std::move(capture->work));
  return gate.end(cudaSuccess);
}

cudaError_t
cudaStreamIsCapturing(cudaStream_t handle, cudaStreamCaptureStatus* status)
{
  Gate gate;
  if (!gate) {
    return gate.error();
  }
  const EmulatedStream* const stream = find(handle);
  if (!stream) {
    return gate.end(cudaErrorInvalidResourceHandle);
  }
  *status = !stream->capture           ? cudaStreamCaptureStatusNone
            : stream->capture->invalid ? cudaStreamCaptureStatusInvalidated
                                       : cudaStreamCaptureStatusActive;
  return gate.end(cudaSuccess);
}
