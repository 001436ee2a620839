// Collects what comes in at meander:control. Process thread.
#include "backend/span_inputs.h"

#include <string.h>

void
span_inputs_begin(SpanInputs* inputs, uint32_t frame_count)
{
  inputs->count       = 0;
  inputs->frame_count = frame_count;
  inputs->bytes_left  = SPAN_INPUT_BYTES_MAX;
}

static void
add(SpanInputs*   inputs,
    uint32_t      offset_frames,
    const uint8_t message[3],
    uint32_t      size_bytes) REALTIME
{
  if (inputs->count == SPAN_INPUTS_MAX) {
    span_inputs_lose(inputs, 1);
    return;
  }
  MidiInput* const input = &inputs->inputs[inputs->count++];
  input->offset_frames   = offset_frames;
  input->size_bytes      = (uint8_t)size_bytes;
  memcpy(input->message, message, sizeof input->message);
}

void
span_inputs_take(SpanInputs*    inputs,
                 uint32_t       offset_frames,
                 const uint8_t* bytes,
                 size_t         size_bytes)
{
  if (size_bytes > inputs->bytes_left) {
    span_inputs_lose(inputs, 1);
    midi_parser_break(&inputs->parser);
    return;
  }
  inputs->bytes_left -= (uint32_t)size_bytes;
  const uint32_t first =
    inputs->count ? inputs->inputs[inputs->count - 1].offset_frames : 0;
  const uint32_t last =
    inputs->frame_count > first ? inputs->frame_count - 1 : first;
  const uint32_t offset = offset_frames < first  ? first
                          : offset_frames > last ? last
                                                 : offset_frames;
  for (size_t i = 0; i < size_bytes; ++i) {
    uint8_t        message[MIDI_MESSAGE_BYTES_MAX];
    const uint32_t size = midi_parser_take(&inputs->parser, bytes[i], message);
    if (size) {
      add(inputs, offset, message, size);
    }
  }
  atomic_store_explicit(
    &inputs->stray_count, inputs->parser.stray_count, memory_order_relaxed);
}

void
span_inputs_lose(SpanInputs* inputs, uint32_t count)
{
  // One writer: no read-modify-write needed.
  const uint32_t before =
    atomic_load_explicit(&inputs->lost_count, memory_order_relaxed);
  atomic_store_explicit(
    &inputs->lost_count, before + count, memory_order_relaxed);
}

void
span_inputs_give(const SpanInputs* inputs, BackendSpan* span)
{
  span->inputs      = inputs->inputs;
  span->input_count = inputs->count;
}
