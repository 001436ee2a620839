#!/usr/bin/env python3
"""What ships can be heard: with the shipped weights and each shipped preset, a
rendered file is read by FluidSynth without a complaint and makes sound, softer
for the soft preset than for the loud one.

usage: test_shipped_sounds.py MEANDER
Needs FluidSynth and a General MIDI soundfont; exits 77 without.
"""
import array
import glob
import math
import os
import shutil
import subprocess
import sys
import tempfile
import wave

MEANDER = sys.argv[1]
SOUNDFONTS = ["/usr/share/sounds/sf2/TimGM6mb.sf2", *sorted(glob.glob("/usr/share/sounds/sf2/*.sf2"))]


def render(path, *options):
    result = subprocess.run([MEANDER, "render", "-o", path, "--seconds", "6", "--seed", "5", *options,
                             "--sync", "free"],  # nobody here sends a clock
                            capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr


def loudness(midi, soundfont, work):
    """Root mean square of the sound, 0 to 1."""
    audio = os.path.join(work, "out.wav")
    result = subprocess.run(["fluidsynth", "-q", "-n", "-i", "-R", "0", "-C", "0", "-g", "1", "-F", audio, soundfont, midi],
                            capture_output=True, text=True, timeout=120)
    complaints = [line for line in result.stderr.splitlines() if "error" in line.lower() or "not a" in line.lower()]
    assert result.returncode == 0 and not complaints, result.stderr
    with wave.open(audio) as file:
        samples = array.array("h", file.readframes(file.getnframes()))
        assert 5 < file.getnframes() / file.getframerate() < 30, file.getnframes()
    return math.sqrt(sum(s * s for s in samples[::7]) / len(samples[::7])) / 32768


def main():
    soundfonts = [path for path in SOUNDFONTS if os.path.exists(path)]
    if not shutil.which("fluidsynth") or not soundfonts:
        print("skipped: no FluidSynth or no soundfont here")
        sys.exit(77)
    os.environ["XDG_CONFIG_HOME"] = "/nowhere"  # shipped ones only
    presets = [line.split()[0] for line in
               subprocess.run([MEANDER, "presets"], capture_output=True, text=True, check=True).stdout.splitlines()]
    assert len(presets) >= 3, presets
    heard = {}
    with tempfile.TemporaryDirectory() as work:
        midi = os.path.join(work, "out.mid")
        render(midi)
        heard["(none)"] = loudness(midi, soundfonts[0], work)
        for preset in presets:
            render(midi, "--preset", preset)
            heard[preset] = loudness(midi, soundfonts[0], work)
    print(", ".join(f"{name} {value:.4f}" for name, value in heard.items()))
    assert all(value > 0.001 for value in heard.values()), heard
    assert heard["toccata"] > 2 * heard["calm"], heard


main()
