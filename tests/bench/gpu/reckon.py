"""What a figure must compute and move at least, reckoned from the shapes of the
weights: multiply-adds of the products with weights (two FLOP each, attention and
element by element work left out), and bytes where each weight is read once a
step and each activation is written once and read once by what comes next. A
kernel that does more reads more, one that joins ops less, and at batch 1 the
weights lie in the second cache: these are no measurements."""
import json
import math
import struct

FLOAT = 4
NOTES = 8  # of a window
SLOT = 32  # notes of a training sequence at most
LEVELS = 32  # that are made known at once (DENOISER_LEVELS_MAX)
BATCH = 2048  # windows of a pass (MODEL_BATCH_GPU)
# A training step's accesses to each weight's numbers: read forward and backward;
# its gradient cleared, written, squared, read; moments, weight and average read
# and written. LAMB writes its update, reads it for the norm and again.
ADAMW = 2 + 4 + 8
LAMB = ADAMW + 4
# Activations in training: written, read, read again by the backward pass; their
# gradient written and read.
TRAINED = 5
WRITTEN_AND_READ = 2
# Half of the diffusion model's passes have a first pass forward.
FIRST_PASSES = 0.5


def shapes(path):
    """{name: (rows, columns)} of a safetensors file."""
    with open(path, "rb") as file:
        size, = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(size))
    return {name: tensor["shape"] for name, tensor in header.items()
            if name != "__metadata__"}


def floats(table, *parts):
    """Numbers in the tensors with one of `parts` in their names."""
    return sum(math.prod(shape) for name, shape in table.items()
               if any(part in name for part in parts))


def work(flop, nbytes):
    return {"flop": flop, "bytes": nbytes}


def vae_work(path, batch):
    """Of a window."""
    t = shapes(path)
    once = floats(t, "decoder.state", "decoder.overwrite", "decoder.latent")
    step = floats(t, "decoder.input", "decoder.recurrent", "decoder.pitch",
                  "decoder.channels", "decoder.head")
    gates, fed = t["decoder.input"]
    hidden = gates // 4
    # Gates, state, what the cell gave, what it was fed, the heads.
    decoder = NOTES * (2 * gates + 4 * hidden + fed + t["decoder.head.bias"][1])
    decoder += t["decoder.overwrite.weight"][0] + 6 * hidden
    reads = once + NOTES * step
    encoder = NOTES * floats(t, ".input", ".recurrent") - \
        NOTES * floats(t, "decoder.input", "decoder.recurrent")
    latent = floats(t, "encoder.latent")
    width = t["encoder.forward.recurrent"][0]
    seen = decoder + NOTES * (2 * (width + width // 2) + fed) + 2 * t["encoder.latent.bias"][1]
    return {
        "vae_1": work(2 * reads, FLOAT * (reads + WRITTEN_AND_READ * decoder)),
        "vae_many": work(2 * reads, FLOAT * (reads / BATCH + WRITTEN_AND_READ * decoder)),
        "vae_train": work(6 * (reads + encoder + latent),
                          FLOAT * (LAMB * floats(t, "") / batch + TRAINED * seen)),
    }


def diffusion_work(path, batch):
    """Sampling: of a window. Training: of a note."""
    t = shapes(path)
    level = floats(t, "modulation", "time.", "final.")
    note = floats(t, "") - level - floats(t, "position")
    layers = sum(name.endswith("qkv.weight") for name in t)
    width, columns = t["token.weight"]
    ends = columns + 5 * width + t["head.weight"][0]
    # Both norms, queries, keys and values, attention, both sums, the wide middle.
    sampled = layers * 12 * width + ends
    # Also the norms' insides, the branches before the sums, the middle before
    # GELU, and a note's share of the probabilities (five heads).
    learnt = layers * (20 * width + 5 * SLOT) + ends
    found = {}
    for steps in (50, 20, 10, 4):
        flop = 2 * steps * (NOTES * note + level)
        moved = steps * NOTES * WRITTEN_AND_READ * sampled
        weights = steps * note + math.ceil(steps / LEVELS) * level
        found[f"ddim{steps}_1"] = work(flop, FLOAT * (weights + moved))
        found[f"ddim{steps}_many"] = work(flop, FLOAT * (weights / BATCH + moved))
    found["diffusion_train"] = work(
        2 * (3 + FIRST_PASSES) * note,
        FLOAT * (ADAMW * floats(t, "") / (batch * SLOT) +
                 (TRAINED + FIRST_PASSES * WRITTEN_AND_READ) * learnt))
    return found
