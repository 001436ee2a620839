#!/usr/bin/env python3
"""A diffusion model in the instrument, end to end on the null backend: every
mode plays what render makes, the presets that show it, bad input, and the
deadline: a model ten times too slow, one that stalls for 10 s, and the end of
the program meanwhile (with meander-slow, which differs in nothing else)."""
import itertools
import os
import re
import signal
import struct
import time

import live
from live import (Workplace, at_once, check_invariants, check_recording,
                  counter, expect, finish, read_bytes, read_events, read_recording, render,
                  run_meander, run_tests, start_meander)
from midi_file import notes_of, parse

SLOW_PROGRAM = os.environ["MEANDER_SLOW_PROGRAM"]
PRESETS = ("dream", "mutate", "bridge")
FALLBACKS = ("windows of fewer steps", "windows of the fallback model",
             "windows repeated")
NUMBERS = itertools.count()
# What the notes of a random model explain: the longest step (2 s).
REST_S = 2.05


def refused(code, *arguments, says, model=None):
    live.refused(code, None, "--model", model or WORK.model, *arguments,
                 says=says)


def text_of(path):
    """What the recording says of itself."""
    return re.search(rb"meander [ -~]*", read_bytes(path))[0].decode()


def note_ons(path):
    return [e for e in read_events(path) if e[1] & 0xF0 == 0x90]


def note_ons_of(recording):
    return [e for e in read_recording(recording) if e[1] & 0xF0 == 0x90]


def fresh(name):
    """A path that nobody else has."""
    return WORK.path(f"{next(NUMBERS)}-{name}")


def play(*arguments, seconds, slow=None, program=live.MEANDER):
    """(log, note-ons, recording) of a session that must go well."""
    recording, trace = fresh("play.mid"), fresh("trace")
    code, out, err = run_meander(
        WORK, "--backend", "null", "--seconds", seconds, "--seed", 5, "--record",
        recording, "--trace", trace, *arguments, program=program,
        timeout=seconds + 30,
        env={**os.environ, **({"MEANDER_SLOW": slow} if slow else {})})
    expect(code == 0, f"exit code {code}: {out}{err}")
    check_invariants(read_events(trace), "trace")
    check_recording(recording)
    return out, note_ons(trace), recording


def test_play_equals_render():
    for mode in ("prior", "walk", "interpolate", "continue", "mutate", "bridge"):
        arguments = ("--mode", mode, "--leg-windows", 3, "--steps", 5)
        out, _, recording = play(*arguments, seconds=2)
        expect(not any(counter(out, name) for name in FALLBACKS),
               f"mode {mode} fell back: {out}")
        expect(read_bytes(recording) ==
               render(WORK, 5, 2, "r.mid", *arguments),
               f"mode {mode}: play is not what render makes")
        check_recording(WORK.path("r.mid"))


def test_options_are_heard():
    """Each changes the notes, and none of them the others' meaning."""
    seen = {}
    for name, arguments in (
            ("walk", ["--mode", "walk"]), ("continue", ["--mode", "continue"]),
            ("context", ["--mode", "continue", "--context", 3]),
            ("none", ["--mode", "continue", "--context", 0]),
            ("steps", ["--steps", 7]), ("eta", ["--eta", 0.7]),
            ("ddpm", ["--sampler", "ddpm"]), ("ddim", ["--sampler", "ddim"]),
            ("mutate", ["--mode", "mutate"]),
            ("more", ["--mode", "mutate", "--mutate-strength", 0.9]),
            ("bridge", ["--mode", "bridge"])):
        data = render(WORK, 5, 20, "o.mid", *arguments)
        notes = notes_of(parse(data)[0])
        expect(notes not in seen.values(), f"{name} has no effect: {seen.keys()}")
        seen[name] = notes
    plain = render(WORK, 5, 20, "o.mid")
    expect(plain == render(WORK, 5, 20, "o.mid", "--steps", "auto", "--mode",
                           "auto"), "auto is not the standard")
    expect(notes_of(parse(plain)[0]) == seen["continue"],
           "a diffusion model does not continue on its own")


def test_scale():
    d_minor = {2, 4, 5, 7, 9, 10, 0}
    for model in (WORK.diffusion, WORK.vae):
        for transpose in (0, 5, -13):
            path = WORK.path("s.mid")
            code, out, err = run_meander(
                None, "render", "--model", model, "--seconds", 60, "--seed", 5,
                "-o", path, "--key", "D", "--scale", "minor", "--transpose",
                transpose)
            expect(code == 0, f"{out}{err}")
            heard = {e[2] % 12 for e in read_recording(path)}
            expect(heard <= d_minor and len(heard) > 2,
                   f"{heard} in D minor, transposed by {transpose}")


def test_presets():
    files = {}
    for name in PRESETS:
        files[name] = render(WORK, 5, 60, f"{name}.mid", "--preset", name)
        check_recording(WORK.path(f"{name}.mid"))
        out, ons, recording = play("--preset", name, seconds=2)
        expect(len(ons) > 2, f"hardly a note: {out}")
        expect(read_bytes(recording) ==
               render(WORK, 5, 2, "p.mid", "--preset", name),
               f"{name}: play is not what render makes")
        refused(1, "render", "--seconds", 1, "-o", WORK.path("x.mid"),
                "--preset", name, model=WORK.vae, says=[name, "diffusion", "vae"])
    expect(len(set(files.values())) == len(PRESETS), "presets sound alike")


def test_preset_names_its_model():
    """Without --model the shipped one that the preset means is taken."""
    preset = WORK.path("own.cfg")
    with open(preset, "w") as file:
        file.write('model = "nosuch"\n')
    live.refused(1, None, "--preset", preset,
                 says=["models/weights/nosuch.safetensors", "--model"])
    data = os.path.join(WORK.path("data"), "models", "weights")
    os.makedirs(data)
    os.link(WORK.diffusion, os.path.join(data, "mine.safetensors"))
    with open(preset, "w") as file:
        file.write('model = "mine"\nmode = "continue"\n')
    path = WORK.path("own.mid")
    code, out, err = run_meander(
        None, "render", "--preset", preset, "--seconds", 5, "-o", path,
        env={**os.environ, "MEANDER_DATA": WORK.path("data")})
    expect(code == 0 and "model=diffusion:" in text_of(path), f"{out}{err}")
    # Where it ships the default is the diffusion model, but not for all.
    os.link(WORK.diffusion, os.path.join(data, "diffusion.safetensors"))
    for arguments, kind in (([], "diffusion"), (["--preset", "dream"], "diffusion"),
                            (["--preset", "calm"], "vae"),
                            (["--preset", "glass"], "vae"),
                            (["--preset", "toccata"], "vae")):
        code, out, err = run_meander(
            None, "render", *arguments, "--seconds", 5, "-o", path,
            env={**os.environ, "MEANDER_DATA": WORK.path("data")})
        expect(code == 0 and f"model={kind}:" in text_of(path),
               f"{arguments}: not the {kind}: {out}{err}")


def write_notes(name, wait_ticks):
    """Nine notes of 0.25 s; the first begins after `wait_ticks` of 1/192 s."""
    track = b""
    for i in range(9):
        wait = 0 if i else wait_ticks
        track += bytes((wait >> 7 | 0x80, wait & 127, 0x90, 60 + i, 80,
                        48, 0x80, 60 + i, 0))
    track += b"\0\xff\x2f\0"
    with open(WORK.path(name), "wb") as file:
        file.write(b"MThd" + struct.pack(">IHHH", 6, 0, 1, 96) +
                   b"MTrk" + struct.pack(">I", len(track)) + track)
    return WORK.path(name)


def test_phrase():
    phrase = WORK.path("phrase.mid")
    render(WORK, 9, 20, "phrase.mid")
    for mode in ("continue", "mutate", "bridge"):
        first = render(WORK, 5, 8, "a.mid", "--mode", mode, "--phrase", phrase)
        expect(first == render(WORK, 5, 8, "b.mid", "--mode", mode, "--phrase",
                               phrase), f"{mode} does not repeat")
        expect(first != render(WORK, 5, 8, "c.mid", "--mode", mode),
               f"{mode}: --phrase has no effect")
        expect(re.search(r"phrase=phrase\.mid:[0-9a-f]{16}", text_of(WORK.path("a.mid"))),
               "no source")

    # The first eight notes are where a bridge begins.
    render(WORK, 5, 20, "a.mid", "--mode", "bridge", "--phrase", phrase)
    keys = [[e[2] for e in note_ons_of(WORK.path(name))[:8]]
            for name in ("phrase.mid", "a.mid")]
    expect(keys[0] == keys[1], f"not the phrase: {keys}")

    # How long the file waits before them is no part of them.
    for mode in ("continue", "mutate", "bridge"):
        ons = []
        for wait in (0, 300):
            render(WORK, 5, 20, "a.mid", "--mode", mode, "--phrase",
                   write_notes("wait.mid", wait))
            ons.append(note_ons_of(WORK.path("a.mid")))
        expect(ons[0] == ons[1], f"{mode}: the wait is heard")

    # What a bridge begins from is in the scale too.
    render(WORK, 5, 20, "a.mid", "--mode", "bridge", "--scale", "major",
           "--phrase", write_notes("wait.mid", 0))
    heard = {e[2] % 12 for e in note_ons_of(WORK.path("a.mid"))}
    expect(heard <= {0, 2, 4, 5, 7, 9, 11}, f"{heard} in C major")

    short = WORK.path("short.mid")
    render(WORK, 9, 0.01, "short.mid")
    for arguments, says in (
            (["--mode", "mutate", "--phrase", short], [short, "8 notes"]),
            (["--mode", "walk", "--phrase", phrase], ["--phrase", "continue"]),
            (["--mode", "mutate", "--phrase", WORK.path("none")], "none"),
            (["--mode", "mutate", "--phrase", WORK.model], WORK.model)):
        refused(1, "--backend", "null", *arguments, says=says)
    refused(1, "render", "--seconds", 1, "-o", WORK.path("x.mid"), "--phrase",
            phrase, model=WORK.vae, says=["--phrase", "--mode"])


def test_bad_options():
    for arguments, says in (
            (["--steps", "0"], ["--steps", "1 to 4000"]),
            (["--steps", "-3"], "--steps"), (["--steps", "2.5"], "--steps"),
            (["--steps", "many"], "--steps"),
            (["--eta", "1.01"], ["--eta", "0 to 1"]),
            (["--eta", "-0.1"], "--eta"), (["--eta", "nan"], "--eta"),
            (["--eta", "0.5", "--sampler", "ddpm"], ["eta", "ddim"]),
            (["--sampler", "euler"], ["--sampler", "dpm++"]),
            (["--context", "25"], ["--context", "0 to 24"]),
            (["--context", "-1"], "--context"),
            (["--mutate-strength", "0"], "mutate_strength"),
            (["--key", "H"], ["--key", "Bb"]),
            (["--scale", "moll"], ["--scale", "minor"])):
        refused(2, "--backend", "null", *arguments, says=says)
    for arguments, says in (
            (["--steps", "1001"], ["1001", "1000"]),
            (["--mode", "bridge", "--context", "17"], ["17", "16"]),
            (["--fallback", WORK.diffusion], ["--fallback", WORK.diffusion,
                                              "vae"]),
            (["--fallback", WORK.path("nosuch")], "nosuch")):
        refused(1, "--backend", "null", *arguments, says=says)
    refused(1, "render", "--seconds", 1, "-o", WORK.path("x.mid"), "--fallback",
            WORK.path("nosuch"), says="nosuch")


def test_options_on_a_vae():
    for option, value in (("--steps", "8"), ("--steps", "auto"), ("--eta", "0"),
                          ("--sampler", "ddim"), ("--context", "0"),
                          ("--mutate-strength", "0.4")):
        refused(1, "--backend", "null", option, value, model=WORK.vae,
                says=[option, WORK.vae, "is a vae"])
    for mode in ("continue", "mutate", "bridge"):
        refused(1, "--backend", "null", "--mode", mode, model=WORK.vae,
                says=[mode, WORK.vae, "vae"])


def longest_rest_s(ons, seconds):
    frames = [e[0] for e in ons]
    last = frames[0] + seconds * 48000
    return max(b - a for a, b in zip(frames, frames[1:] + [last])) / 48000


def play_slowly(slow, seconds, *arguments):
    """Plays on meander-slow; nothing may be late or silent. Returns the three
    fallback counts."""
    out, ons, recording = play(*arguments, seconds=seconds, slow=slow,
                               program=SLOW_PROGRAM)
    for name in ("late", "dropped", "periods without a plan"):
        expect(counter(out, name) == 0, f"{name}: {out}")
    rest = longest_rest_s(ons, seconds)
    expect(rest < REST_S, f"{rest:.2f} s without a note: {out}")
    counts = [counter(out, name) for name in FALLBACKS]
    told = text_of(recording)
    for name, count in zip(("fewer_steps", "fallback_model", "repeated"),
                           counts):
        expect(f"{name}={count}" in told, f"{name} is not told: {told!r}")
    shown = re.search(r"buffer [\d.]+/([\d.]+) s cpu .* fewer \d+ fallback \d+ "
                      r"repeat \d+", out)
    expect(shown, f"the readout does not show it: {out}")
    return counts, rest


# What is to stand in, which of the counts then grows, and which must not.
STAND_INS = ((lambda: WORK.vae, 1, 2), (lambda: "none", 2, 1))


def play_with(stand_in, slow, seconds, *arguments):
    """A slow session with each fallback; only its count may grow."""
    fallback, grows, stays = stand_in
    counts, rest = play_slowly(slow, seconds, *arguments, "--fallback", fallback())
    expect(counts[grows] > 1 and counts[stays] == 0, f"fell back {counts}")
    return counts, f"{counts}, longest rest {rest:.2f} s"


def test_ten_times_too_slow():
    render(WORK, 5, 60, "r.mid", "--tempo", 4)
    window_s = 60 / (check_recording(WORK.path("r.mid")) / 8)
    step_ms = 10 * window_s / 20 * 1000
    played = at_once(
        lambda stand_in: play_with(stand_in, f"{step_ms} 0 0", 11, "--mode",
                                   "continue", "--tempo", 4), STAND_INS)
    expect(all(counts[0] > 1 for counts, _ in played), f"no fewer steps: {played}")
    return f"windows of {window_s:.2f} s: " + "; ".join(note for _, note in played)


def test_stall():
    played = at_once(
        lambda stand_in: play_with(stand_in, "0 2 10", 14, "--mode", "walk",
                                   "--tempo", 2), STAND_INS)
    return "; ".join(note for _, note in played)


def stop_while_stalled(slow):
    recording, trace = fresh("stalled.mid"), fresh("trace")
    process = start_meander(
        WORK, "--backend", "null", "--record", recording, "--trace", trace,
        "--tempo", 2, "--fallback", WORK.vae, program=SLOW_PROGRAM,
        env={**os.environ, "MEANDER_SLOW": slow})
    time.sleep(4)
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    code, out, err = finish(process, 20)
    took = time.monotonic() - began
    expect(code == 0, f"exit code {code}: {out}{err}")
    expect(took < 4, f"it took {took:.1f} s")
    check_invariants(read_events(trace), "trace")
    expect(check_recording(recording) > 10, "hardly any notes")
    expect("recorded in" in out, f"not told: {out}")
    return f"{took:.2f} s"


def test_signal_while_stalled():
    """The end does not wait for the model, nor for what stands in, and loses
    nothing."""
    return ", ".join(at_once(stop_while_stalled, ("0 1 60", "0 1 60 60")))


def play_failing(stand_in):
    fallback, grows, _ = stand_in
    recording = fresh("fails.mid")
    code, out, err = run_meander(
        WORK, "--backend", "null", "--seconds", 5, "--seed", 5, "--tempo", 2,
        "--record", recording, "--fallback", fallback(), program=SLOW_PROGRAM,
        env={**os.environ, "MEANDER_SLOW": "0 0 0 0 0.5"})
    expect(code == 1 and "as it was told to" in err, f"{code}: {out}{err}")
    expect(out.count("failed, playing on without it") == 1, f"not told once: {out}")
    expect(counter(out, FALLBACKS[grows]) > 0, f"no fallback: {out}")
    rest = longest_rest_s([(round(e[0] * 25), *e[1:])
                           for e in note_ons_of(recording)], 5)
    expect(rest < REST_S, f"{rest:.2f} s without a note: {out}")
    return f"longest rest {rest:.2f} s"


def test_model_fails():
    """Told once; what stands in plays to the end, and the end says so."""
    return ", ".join(at_once(play_failing, STAND_INS))


def stop_before_the_first_note(wait):
    recording = fresh("old.mid")
    render(WORK, 5, 5, os.path.basename(recording))
    before = read_bytes(recording)
    process = start_meander(
        WORK, "--backend", "null", "--record", recording, "--fallback",
        "none", program=SLOW_PROGRAM,
        env={**os.environ, "MEANDER_SLOW": "0 0 60"})
    time.sleep(wait)
    process.send_signal(signal.SIGINT)
    code, out, err = finish(process, 20)
    expect(code == 0, f"exit code {code}: {out}{err}")
    expect(read_bytes(recording) == before, "the old recording is gone")
    expect("is left as it was" in out, f"not told: {out}")
    expect(("backend null" in out) == (wait > 3), f"the port: {out}")
    expect(("no notes yet" in out) == (wait > 3), f"not told: {out}")


def test_nothing_comes():
    """No fallback, and a model whose first call hangs: that is told, and what
    was recorded before stays."""
    at_once(stop_before_the_first_note, (1, 5))


WORK = Workplace()
WORK.model = WORK.diffusion
run_tests([(name[5:], test) for name, test in list(globals().items())
           if name.startswith("test_")])
