// Recordings (kernels.h) by what they were made for, made at first use: a few
// kinds of request come again and again. The thread of the Device. After
// replay_open() only the first run of a key takes memory.
#pragma once

#include "kernels.h"

#define REPLAY_SLOTS_MAX 64u
#define REPLAY_KEY_BYTES 64u

// The ops for one key; they read nothing else that changes between runs.
typedef void (*ReplayOps)(void* owner, const void* key);

typedef struct {
  void*         owner;
  ReplayOps     ops;
  unsigned char key[REPLAY_KEY_BYTES];
  Recording*    recording; // NULL: free
  uint64_t      used;
} ReplaySlot;

typedef struct {
  Device*    device;
  ReplayOps  ops;
  void*      owner;
  ReplaySlot slots[REPLAY_SLOTS_MAX];
  uint32_t   slot_count;
  uint64_t   clock;
} Replay;

// Keeps `slots` recordings, at most REPLAY_SLOTS_MAX; then the one that was not
// used for longest makes room.
void replay_open(Replay*   replay,
                 Device*   device,
                 uint32_t  slots,
                 ReplayOps ops,
                 void*     owner);
void replay_close(Replay* replay);
// Makes the recording of a key, so that its first run takes no longer than the
// others. False: it is there already, or cannot be made.
bool replay_prepare(Replay* replay, const void* key, size_t size);
// Runs the ops for a key of `size` bytes (at most REPLAY_KEY_BYTES; padding
// counts, so make keys of fields without it). A recording that cannot be made
// is the device's error.
void replay_run(Replay* replay, const void* key, size_t size);
