// Single-producer single-consumer ring of fixed-size records, lock-free and
// wait-free on both sides. Records become visible to the reader only when the
// writer commits them, so a multi-record write is one transaction.
#pragma once

#include "rt.h"
#include "status.h"

#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
  uint8_t* records;
  size_t   record_size_bytes;
  uint32_t capacity_records; // a power of two
  // Each index is alone on its cache line: the two threads do not share one.
  alignas(64) _Atomic uint32_t write_index; // committed by the writer
  uint32_t pending_index;                   // writer's own: not yet committed
  alignas(64) _Atomic uint32_t read_index;
} Ring;

// Set-up, before the threads start / after they ended.
Status ring_init(Ring*    ring,
                 size_t   record_size_bytes,
                 uint32_t capacity_records,
                 Error*   error);
void   ring_free(Ring* ring);

// Writer thread.
uint32_t ring_write_space(const Ring* ring) REALTIME;
// Copies one record in; false (and nothing written) when the ring is full.
bool ring_push(Ring* ring, const void* record) REALTIME;
// Publishes all pushed records at once.
void ring_commit(Ring* ring) REALTIME;

// Reader thread.
uint32_t ring_read_space(const Ring* ring) REALTIME;
// The oldest record, in place, or NULL when the ring is empty. It stays valid
// until ring_pop().
const void* ring_peek(const Ring* ring) REALTIME;
void        ring_pop(Ring* ring) REALTIME;
