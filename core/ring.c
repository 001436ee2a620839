// Single-producer single-consumer ring.
#include "ring.h"

#include <stdlib.h>
#include <string.h>

Status
ring_init(Ring*    ring,
          size_t   record_size_bytes,
          uint32_t capacity_records,
          Error*   error)
{
  memset(ring, 0, sizeof *ring);
  if (!record_size_bytes || !capacity_records ||
      (capacity_records & (capacity_records - 1))) {
    return error_set(
      error,
      STATUS_BAD_ARGUMENT,
      "ring of %u records of %zu bytes: the count must be a power of two",
      capacity_records,
      record_size_bytes);
  }
  // Whole pages, touched now: the threads shall not meet page faults later.
  const size_t size_bytes =
    (capacity_records * record_size_bytes + 4095) / 4096 * 4096;
  ring->records = aligned_alloc(4096, size_bytes);
  if (!ring->records) {
    return error_set(error,
                     STATUS_NO_MEMORY,
                     "no memory for a ring of %u records",
                     capacity_records);
  }
  memset(ring->records, 0, size_bytes);
  ring->record_size_bytes = record_size_bytes;
  ring->capacity_records  = capacity_records;
  return STATUS_OK;
}

void
ring_free(Ring* ring)
{
  free(ring->records);
  ring->records = NULL;
}

static uint8_t*
record_at(const Ring* ring, uint32_t index)
{
  const size_t slot = index & (ring->capacity_records - 1);
  return ring->records + slot * ring->record_size_bytes;
}

uint32_t
ring_write_space(const Ring* ring)
{
  const uint32_t read =
    atomic_load_explicit(&ring->read_index, memory_order_acquire);
  return ring->capacity_records - (ring->pending_index - read);
}

bool
ring_push(Ring* ring, const void* record)
{
  if (!ring_write_space(ring)) {
    return false;
  }
  memcpy(record_at(ring, ring->pending_index), record, ring->record_size_bytes);
  ++ring->pending_index;
  return true;
}

void
ring_commit(Ring* ring)
{
  atomic_store_explicit(
    &ring->write_index, ring->pending_index, memory_order_release);
}

uint32_t
ring_read_space(const Ring* ring)
{
  const uint32_t write =
    atomic_load_explicit(&ring->write_index, memory_order_acquire);
  const uint32_t read =
    atomic_load_explicit(&ring->read_index, memory_order_relaxed);
  return write - read;
}

const void*
ring_peek(const Ring* ring)
{
  if (!ring_read_space(ring)) {
    return NULL;
  }
  const uint32_t read =
    atomic_load_explicit(&ring->read_index, memory_order_relaxed);
  return record_at(ring, read);
}

void
ring_pop(Ring* ring)
{
  const uint32_t read =
    atomic_load_explicit(&ring->read_index, memory_order_relaxed);
  atomic_store_explicit(&ring->read_index, read + 1, memory_order_release);
}
