#!/usr/bin/env python3
"""From a program's start to its first note, on the null backend, each model that
ships in turn; against 500 ms, what a player was promised. By hand, on an idle
machine:

    tests/bench/bench_start.py BUILD [STARTS]
"""
import os
import re
import subprocess
import sys
import tempfile

MEANDER = os.path.join(os.path.abspath(sys.argv[1]), "meander")
STARTS = int(sys.argv[2]) if len(sys.argv) > 2 else 20
PROMISED_MS = 500


def start_ms(model, home):
    result = subprocess.run(
        [MEANDER, "play", "--backend", "null", "--seconds", "0.3", "--no-osc",
         "--model", model], capture_output=True, text=True, check=True, timeout=60,
        env={**os.environ, "XDG_CONFIG_HOME": home, "XDG_STATE_HOME": home})
    return int(re.search(r"first note (\d+) ms", result.stdout)[1])


print(f"{STARTS} starts: first note after p50, max ms; of {PROMISED_MS} ms")
for name in ("vae", "diffusion", "student"):
    with tempfile.TemporaryDirectory() as folder:
        took = sorted(start_ms(name, folder) for _ in range(STARTS))
    print(f"{name:10} {took[len(took) // 2]:4} {took[-1]:4}   {took[-1] / PROMISED_MS:.2f}")
