// A small cache of recordings.
#include "replay.h"

#include <string.h>

void
replay_open(Replay*   replay,
            Device*   device,
            uint32_t  slots,
            ReplayOps ops,
            void*     owner)
{
  *replay = (Replay){
    .device = device, .ops = ops, .owner = owner, .slot_count = slots
  };
}

void
replay_close(Replay* replay)
{
  for (uint32_t i = 0; i < replay->slot_count; ++i) {
    if (replay->slots[i].recording) {
      recording_free(replay->device, replay->slots[i].recording);
      replay->slots[i].recording = NULL;
    }
  }
}

static void
run_slot(void* context)
{
  ReplaySlot* const slot = context;
  slot->ops(slot->owner, slot->key);
}

// The slot of that key, or the one to make it in.
static ReplaySlot*
find_slot(Replay* replay, const unsigned char key[REPLAY_KEY_BYTES])
{
  ReplaySlot* oldest = &replay->slots[0];
  for (uint32_t i = 0; i < replay->slot_count; ++i) {
    ReplaySlot* const slot = &replay->slots[i];
    if (slot->recording && !memcmp(slot->key, key, REPLAY_KEY_BYTES)) {
      return slot;
    }
    if (slot->used < oldest->used) {
      oldest = slot;
    }
  }
  if (oldest->recording) {
    recording_free(replay->device, oldest->recording);
  }
  *oldest = (ReplaySlot){ .owner = replay->owner, .ops = replay->ops };
  memcpy(oldest->key, key, REPLAY_KEY_BYTES);
  return oldest;
}

// *made: it was not there.
static ReplaySlot*
make_slot(Replay* replay, const void* key, size_t size, bool* made)
{
  unsigned char whole[REPLAY_KEY_BYTES] = { 0 };
  memcpy(whole, key, size);
  ReplaySlot* const slot = find_slot(replay, whole);
  slot->used             = ++replay->clock;
  *made                  = false;
  if (!slot->recording) {
    device_record(replay->device, run_slot, slot, &slot->recording, NULL);
    *made = slot->recording != NULL;
  }
  return slot;
}

bool
replay_prepare(Replay* replay, const void* key, size_t size)
{
  bool made;
  make_slot(replay, key, size, &made);
  return made;
}

void
replay_run(Replay* replay, const void* key, size_t size)
{
  bool              made;
  ReplaySlot* const slot = make_slot(replay, key, size, &made);
  if (slot->recording) {
    device_replay(replay->device, slot->recording);
  }
}
