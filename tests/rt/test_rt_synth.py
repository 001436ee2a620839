#!/usr/bin/env python3
"""The real-time rule for the synth backend: under the guard, process and all of
the audio thread but FluidSynth's own rendering keep it."""
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "live"))
from live import Workplace, expect, run_meander, run_tests


def test_synth():
    code, out, err = run_meander(
        WORK, "--backend", "synth", "--seconds", 4, "--period", 64, "--tempo", 3,
        env={**os.environ, "LD_PRELOAD": os.environ["RT_GUARD"],
             "MEANDER_AUDIO_DRIVER": "file",
             "MEANDER_AUDIO_FILE": WORK.path("audio.wav")})
    expect(code == 0, f"exit code {code}: {out}{err}")
    found = re.search(r"watched (\d+) callbacks", err)
    expect(found and int(found[1]) >= 2000, f"hardly a callback: {err}")
    return f"{found[1]} callbacks"


WORK = Workplace()
run_tests([("synth", test_synth)])
