// A fixed set of threads that runs a job on numbered lanes. What a lane
// computes does not depend on which thread runs it, so results are the same for
// any number of threads. Owned by the thread that creates it.
#pragma once

#include "status.h"

#include <stdint.h>

typedef struct Pool Pool;
typedef void (*PoolJob)(void* context, uint32_t lane);

// thread_count 0: one for each online core.
Status pool_create(uint32_t thread_count, Pool** out, Error* error);
void   pool_free(Pool* pool);
// Runs job(context, lane) for every lane below lane_count; returns when all are
// done. The caller's thread takes its share.
void     pool_run(Pool* pool, PoolJob job, void* context, uint32_t lane_count);
uint32_t pool_thread_count(const Pool* pool);
