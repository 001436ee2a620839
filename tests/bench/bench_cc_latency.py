#!/usr/bin/env python3
"""From a CC to the music that obeys it, against a real jackd (dummy driver) at
period 256, with one core loaded: a busy loop runs where meander does. For a
parameter that stamps notes anew (channel) and one that has them sampled anew
(key of a scale; each of two has keys the other lacks). By hand:

    tests/bench/bench_cc_latency.py BUILD [CHANGES [idle]]
"""
import os
import subprocess
import sys
import tempfile
import time

BUILD = os.path.abspath(sys.argv[1])
CHANGES = int(sys.argv[2]) if len(sys.argv) > 2 else 500
IDLE = "idle" in sys.argv[3:]
ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")
sys.path.insert(0, os.path.join(ROOT, "tests/live"))
os.environ["MEANDER"] = os.path.join(BUILD, "meander")
os.environ["JACK_CAPTURE"] = os.path.join(BUILD, "tests/live/jack_capture")
PLAYER = os.path.join(BUILD, "tests/live/jack_player")

from live import Capture, Jackd, expect, finish, start_meander  # noqa: E402

RATE, PERIOD, CORE = 48000, 256, 0
BOUND_MS = (PERIOD + 0.02 * RATE + PERIOD) / RATE * 1e3
# Uneven: changes fall anywhere between two notes and two periods.
GAPS_MS = [211, 247, 283, 229, 301, 263]
# Pentatonic scales of C and of F#: no key is in both.
SCALES = [{0, 2, 4, 7, 9}, {6, 8, 10, 1, 3}]


def percentile(values, share):
    return sorted(values)[min(int(share * len(values)), len(values) - 1)]


def play(folder, binding, values, model, *arguments):
    """([(frame, value)] of the changes, the messages heard, what it said)"""
    config = os.path.join(folder, "config/meander/presets")
    os.makedirs(config, exist_ok=True)
    with open(os.path.join(config, "bench.cfg"), "w") as file:
        file.write(f'description = "for a benchmark"\nbindings = ["{binding}"]\n')
    server = Jackd(PERIOD)
    capture = Capture(server, os.path.join(folder, "heard"))
    log = os.path.join(folder, "hands")
    player = subprocess.Popen([PLAYER, server.name, log], text=True,
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    busy = None if IDLE else subprocess.Popen(
        ["taskset", "-c", str(CORE), "sh", "-c", "while :; do :; done"])
    meander = start_meander(
        None, "play", "--backend", "jack", "--jack-server", server.name,
        "--connect", "^capture(-[0-9]+)?:in$", "--control",
        "^player(-[0-9]+)?:out$", "--no-osc", "--preset", "bench", "--model",
        model, "--seed", 3, "--tempo", 4, "--density", 4, "--bpm", 300, *arguments,
        preexec_fn=lambda: os.sched_setaffinity(0, {CORE}),
        env={**os.environ, "HOME": folder,
             "XDG_CONFIG_HOME": os.path.join(folder, "config")})
    try:
        time.sleep(3)
        for change in range(CHANGES):
            player.stdin.write(f"send b0 14 {values[change % 2]:02x}\n"
                               f"wait {GAPS_MS[change % len(GAPS_MS)]}\n")
        player.stdin.write("mark done\n")
        player.stdin.flush()
        player.stdout.readline()  # "ready"
        expect(player.stdout.readline() == "done\n", "it was not played")
        meander.terminate()
        code, out, err = finish(meander)
        expect(code == 0, f"exit code {code}: {out}{err}")
        player.communicate(timeout=30)
        heard = capture.finish()
        with open(log) as file:
            sent = [int(line.split()[0]) for line in file if "send b0 14" in line]
        return sent, heard, out
    finally:
        for one in (busy, meander, player, capture.process):
            if one and one.poll() is None:
                one.kill()
                one.wait()
        server.stop()


def measure(what, obeys, sent, heard, log):
    """obeys(message, n): whether a note-on is as change n wants it."""
    ons = [e for e in heard if e[1] & 0xF0 == 0x90]
    first, last, gaps, at = [], [], [], 0
    for n, frame in enumerate(sent):
        until = sent[n + 1] if n + 1 < len(sent) else frame + RATE // 5
        while at < len(ons) and ons[at][0] < frame:
            at += 1
        obeyed, disobeyed, k = None, frame, at
        while k < len(ons) and ons[k][0] < until:
            if obeys(ons[k], n):
                obeyed = ons[k][0] if obeyed is None else obeyed
            else:
                disobeyed = ons[k][0]
            k += 1
        if obeyed is not None:
            first.append((obeyed - frame) / RATE * 1e3)
        last.append((disobeyed - frame) / RATE * 1e3)
    gaps = [(b[0] - a[0]) / RATE * 1e3 for a, b in zip(ons, ons[1:])]
    print(f"{what}: {len(sent)} changes, {len(sent) - len(first)} not obeyed "
          f"before the next, {len(ons)} notes, {percentile(gaps, 0.5):.0f} ms "
          f"apart (p99 {percentile(gaps, 0.99):.0f})")
    print(f"  CC to the first note that obeys: p50 {percentile(first, 0.5):.1f} "
          f"p99 {percentile(first, 0.99):.1f} max {max(first):.1f} ms")
    print(f"  CC to the last that does not:    p50 {percentile(last, 0.5):.1f} "
          f"p99 {percentile(last, 0.99):.1f} max {max(last):.1f} ms")
    summary = [line for line in log.splitlines() if "played" in line]
    print(f"  {summary[-1] if summary else log}", flush=True)


def main():
    weights = os.path.join(ROOT, "models/weights/vae.safetensors")
    print(f"bound: period + 20 ms + period = {BOUND_MS:.1f} ms, and one sample "
          f"time; {'idle' if IDLE else 'its core is loaded'}")
    with tempfile.TemporaryDirectory() as folder:
        # Channels 1 and 16.
        result = play(folder, "cc 20 = channel", [127, 0], weights)
        measure("stamping (channel)",
                lambda e, n: e[1] & 15 == (0 if n % 2 else 15), *result)
        # Keys C and F# (5 and 9 of 17 names): shares of the table.
        result = play(folder, "cc 20 = key", [66, 0], weights, "--scale",
                      "pentatonic", "--scale-strength", 1)
        measure("sampling (key of a scale)",
                lambda e, n: e[2] % 12 in SCALES[0 if n % 2 else 1], *result)


main()
