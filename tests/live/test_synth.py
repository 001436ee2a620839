#!/usr/bin/python3
"""--backend synth, heard: each note of the trace sounds at its frame and no other
does, with a soundfont of clicks; a piano sounds and falls silent; through a real
JACK server, which dies; what auto takes."""
import os
import shutil
import signal
import subprocess
import time
import wave

import numpy

from live import (Jackd, Workplace, expect, finish, read_events, refused,
                  run_meander, run_tests, start_meander)

# A multiple of any: the recording begins some periods before the clock does.
PERIOD = 1024
RATE = 48000
LOUD, QUIET = 0.02, 0.004
EARLY, LATE = 33, 144  # frames: half a block, and 3 ms
CLICK = 1000           # frames: 11 ms, its release and echo
SILENT = {**os.environ, "JACK_DEFAULT_SERVER": "meander-test-none",
          "PULSE_SERVER": "/nonexistent/pulse", "ALSA_CONFIG_PATH": "/dev/null"}
SILENT.pop("MEANDER_AUDIO_DRIVER", None)


def to_file(name, **more):
    return {**SILENT, "MEANDER_AUDIO_DRIVER": "file",
            "MEANDER_AUDIO_FILE": WORK.path(name), **more}


def read_sound(path):
    with wave.open(path) as file:
        expect(file.getframerate() == RATE and file.getnchannels() == 2,
               f"{path} is {file.getparams()}")
        data = numpy.frombuffer(file.readframes(file.getnframes()), "<i2")
    return numpy.abs(data.reshape(-1, 2).astype(float)).max(axis=1) / 32768


def test_each_note_at_its_frame():
    font = WORK.path("click.sf2")
    subprocess.run([os.environ["MAKE_CLICK_FONT"], font], check=True)
    trace = WORK.path("trace")
    code, out, err = run_meander(
        WORK, "--backend", "synth", "--seconds", 6, "--seed", 7, "--period",
        PERIOD, "--velocity-low", 60, "--trace", trace,
        env=to_file("clicks.wav", MEANDER_SOUNDFONT=font))
    expect(code == 0 and "all on time" in out, f"{code}: {out}{err}")
    sound = read_sound(WORK.path("clicks.wav"))
    ons = [e[0] for e in read_events(trace) if e[1] & 0xF0 == 0x90]
    expect(len(ons) >= 10, f"hardly a note: {ons}")
    loud = numpy.flatnonzero(sound > LOUD)
    expect(len(loud), "nothing is heard")
    origin = (loud[0] + PERIOD // 2 - ons[0]) // PERIOD * PERIOD
    worst, alone = 0, 0
    allowed = numpy.zeros(len(sound), bool)
    for i, frame in enumerate(ons):
        at = origin + frame
        allowed[at - EARLY:at + CLICK] = True
        expect((sound[at:at + LATE] > LOUD).any(), f"note {i} is not heard")
        if i and frame - ons[i - 1] < CLICK + EARLY:
            continue  # within the one before
        begin = at - EARLY - 1
        late = begin + numpy.argmax(sound[begin:] > LOUD) - at
        expect(-EARLY <= late <= LATE, f"note {i} is {late} frames late")
        worst, alone = max(worst, abs(late)), alone + 1
    expect(alone >= 5, f"only {alone} notes stand alone")
    stray = numpy.flatnonzero((sound > QUIET) & ~allowed)
    expect(not len(stray), f"heard at {stray[:5] - origin}, played at {ons}")
    return f"{len(ons)} notes, {alone} alone, at most {worst} frames off"


def test_a_piano():
    code, out, err = run_meander(
        WORK, "--backend", "synth", "--seconds", 3, "--seed", 1,
        env=to_file("piano.wav"))
    if code and "no soundfont" in err:
        return "not tried: no soundfont is installed"
    expect(code == 0 and "FluidSynth with" in out, f"{code}: {out}{err}")
    sound = read_sound(WORK.path("piano.wav"))
    rms = numpy.sqrt((sound ** 2).mean())
    expect(rms > 0.001, f"RMS {rms}")
    expect(sound.max() < 1, "it clips")
    expect(not sound[-RATE // 100:].any(), "it does not fall silent")
    seconds = len(sound) / RATE
    expect(3 < seconds < 5.5, f"{seconds} s of 3 and a tail")
    return f"RMS {rms:.3f}, peak {sound.max():.2f}"


def test_what_is_missing():
    missing = WORK.path("none.sf2")
    refused(1, WORK, "--backend", "synth", "--seconds", 1, says=missing,
            env=to_file("a.wav", MEANDER_SOUNDFONT=missing))
    refused(1, WORK, "--backend", "synth", "--seconds", 1,
            says="no audio device answers", env=SILENT)
    began = time.monotonic()
    refused(2, WORK, "--backend", "synthesiser", says="synth, null", env=SILENT)
    expect(time.monotonic() - began < 5, "a wrong name takes long")


def test_auto():
    if os.path.exists("/dev/snd/seq"):
        return "not tried: this machine has an ALSA sequencer"
    for env, backend, why in (
            (to_file("a.wav"), "synth", "no JACK server runs"),
            (to_file("a.wav", MEANDER_SOUNDFONT="/none"), "null", "/none"),
            (SILENT, "null", "no audio device answers")):
        code, out, err = run_meander(WORK, "--seconds", 0.5, env=env)
        expect(code == 0 and f"backend {backend} (" in out and why in out,
               f"{backend}: {code}: {out}{err}")
        expect(not err, f"on stderr: {err}")
    return None


def test_through_jack():
    if not shutil.which("jackd"):
        return "not tried: jackd is not installed"
    server = Jackd(256)
    env = {**SILENT, "JACK_DEFAULT_SERVER": server.name}
    try:
        code, out, err = run_meander(WORK, "--seconds", 0.5, env=env)
        expect("backend jack (a JACK server runs)" in out, f"auto: {out}{err}")
        code, out, err = run_meander(WORK, "--backend", "synth", "--seconds", 2,
                                     "--rate", 44100, env=env)
        expect(code == 0 and f"to jack, {server.rate} Hz" in out, f"{out}{err}")
        expect("played" in out and not err, f"{out}{err}")
        player = start_meander(WORK, "--backend", "synth", env=env)
        time.sleep(3)
        server.kill()
        time.sleep(6)
        player.send_signal(signal.SIGTERM)
        code, out, err = finish(player)
        expect(code == 0 and "synth: the server is gone" in out,
               f"{code}: {out}{err}")
    finally:
        server.stop()
    return None


WORK = Workplace()
run_tests([("each_note_at_its_frame", test_each_note_at_its_frame),
           ("a_piano", test_a_piano),
           ("what_is_missing", test_what_is_missing), ("auto", test_auto),
           ("through_jack", test_through_jack)])
