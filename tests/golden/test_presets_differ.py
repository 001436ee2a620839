#!/usr/bin/env python3
"""Shipped presets can be told apart by ear: each is rendered with several seeds,
and a listener who knows all renderings but one must name the preset of that
one. What is heard is what a musician would name first: notes a second, how even
they come, how much they keep to a beat, loudness and its spread, register and
its spread, length of the notes, how many of the pitch classes sound, notes at
once.

usage: test_presets_differ.py MEANDER
Prints for each preset the one it is most like and how far that is: the distance
between their means, in standard deviations from one seed to the next.
"""
import concurrent.futures
import math
import os
import statistics
import struct
import subprocess
import sys
import tempfile

MEANDER = sys.argv[1]
SEEDS = range(1, 6)
SECONDS = 60
NEAREST = 3.0
NAMED_RIGHT = 0.8  # by guessing: one in the number of presets
FEATURES = ["notes a second", "evenness", "loudness", "its spread", "register",
            "its spread", "length", "classes", "at once", "eighths", "sixteenths",
            "triplets"]
BEAT_S = 0.5


def notes_of(path):
    """[(onset, duration in seconds, key, velocity)] of a recording of ours."""
    with open(path, "rb") as file:
        data = file.read()
    length, = struct.unpack(">I", data[18:22])
    assert data[:4] == b"MThd" and 22 + length == len(data), path
    notes, sounding, at, tick, status = [], {}, 22, 0, 0

    def variable(at):
        value = 0
        while True:
            byte, at = data[at], at + 1
            value = value << 7 | byte & 0x7F
            if byte < 0x80:
                return value, at

    while at < len(data):
        delta, at = variable(at)
        tick += delta
        if data[at] == 0xFF:
            size, at = variable(at + 2)
            at += size
            continue
        if data[at] >= 0x80:
            status, at = data[at], at + 1
        key, velocity = data[at], data[at + 1]
        at += 2
        if status & 0xF0 == 0x90:
            sounding[key] = (tick, velocity)
        else:
            onset, loudness = sounding.pop(key)
            notes.append((onset / 1920, (tick - onset) / 1920, key, loudness))
    return sorted(notes)


def on_grid(onsets, place_s):
    """1: all onsets lie equally far from the places of a grid; 0: anywhere."""
    turns = [2 * math.pi * onset / place_s for onset in onsets]
    return math.hypot(statistics.mean(map(math.cos, turns)),
                      statistics.mean(map(math.sin, turns)))


def heard(path):
    notes = notes_of(path)
    assert len(notes) > 20, f"{path}: hardly a note"
    onsets, lengths, keys, loud = zip(*notes)
    gaps = [b - a for a, b in zip(onsets, onsets[1:]) if b - a > 0.02]
    counts = [sum(key % 12 == c for key in keys) for c in range(12)]
    entropy = -sum(n / len(keys) * math.log2(n / len(keys)) for n in counts if n)
    return [math.log2(len(notes) / SECONDS),
            statistics.stdev(gaps) / statistics.mean(gaps),
            statistics.mean(loud), statistics.stdev(loud),
            statistics.mean(keys), statistics.stdev(keys),
            math.log2(statistics.mean(lengths)), entropy,
            len(notes) / (len(gaps) + 1),
            *(on_grid(onsets, BEAT_S / places) for places in (2, 4, 3))]


def render(work, preset, seed):
    path = os.path.join(work, f"{preset}-{seed}.mid")
    # The clock that a preset may wait for is not there.
    result = subprocess.run(
        [MEANDER, "render", "-o", path, "--seconds", str(SECONDS), "--seed",
         str(seed), "--preset", preset, "--sync", "free", "--device", "cpu"],
        capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    return preset, heard(path)


def distance(a, b, spread):
    return math.sqrt(sum(((x - y) / s) ** 2 for x, y, s in zip(a, b, spread)))


def mean(rows):
    return [statistics.mean(column) for column in zip(*rows)]


def spread_within(samples):
    """How far a feature moves from seed to seed, over all presets."""
    return [math.sqrt(statistics.mean(statistics.variance(column) for column in columns))
            for columns in zip(*[list(zip(*rows)) for rows in samples.values()])]


def named_right(samples, spread):
    """Which share of renderings is nearest to the others of its preset."""
    right, wrong = 0, []
    for preset, rows in samples.items():
        for i, row in enumerate(rows):
            centres = {other: mean(r[:i] + r[i + 1:] if other == preset else r)
                       for other, r in samples.items()}
            named = min(centres, key=lambda other: distance(row, centres[other], spread))
            right += named == preset
            if named != preset:
                wrong.append(f"{preset} for {named}")
    return right / sum(map(len, samples.values())), wrong


def main():
    samples = {}
    with tempfile.TemporaryDirectory() as work:
        environment = os.path.join(work, "none")
        os.environ["XDG_CONFIG_HOME"] = environment  # shipped ones only
        presets = [line.split()[0] for line in
                   subprocess.run([MEANDER, "presets"], capture_output=True, text=True,
                                  check=True).stdout.splitlines()]
        assert len(presets) >= 10, presets
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            for preset, row in pool.map(lambda job: render(work, *job),
                                        [(p, s) for p in presets for s in SEEDS]):
                samples.setdefault(preset, []).append(row)
    spread = spread_within(samples)
    centres = {preset: mean(rows) for preset, rows in samples.items()}
    print("               " + " ".join(f"{f[:9]:>9}" for f in FEATURES))
    print("seed to seed   " + " ".join(f"{s:9.2f}" for s in spread))
    nearest = {}
    for preset, centre in centres.items():
        nearest[preset] = min((distance(centre, centres[o], spread), o)
                              for o in presets if o != preset)
        print(f"{preset:14} " + " ".join(f"{c:9.2f}" for c in centre) +
              f"  {nearest[preset][0]:5.1f} from {nearest[preset][1]}")
    share, wrong = named_right(samples, spread)
    print(f"named right: {share:.3f} {wrong}")
    assert min(nearest.values())[0] > NEAREST, min(nearest.values())
    assert share >= NAMED_RIGHT, wrong


main()
