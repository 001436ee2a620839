#!/usr/bin/env python3
"""The instrument on a GPU, an emulated one: it plays what the CPU plays, and
when the GPU is lost, has no memory or is not there, it says so and plays on.
EMULATED_MODULE is the module that stands in for CUDA's."""
import os

from live import (Workplace, at_once, check_invariants, check_recording, expect, read_bytes,
                  read_events, read_recording, run_meander, run_tests)

MODULE = os.environ["EMULATED_MODULE"]
SECONDS = 3
# An emulated GPU is slow.
QUICK = {"vae": (), "diffusion": ("--steps", 2, "--context", 8)}


def on_gpu(**settings):
    return {**os.environ, "MEANDER_CUDA_MODULE": MODULE, **settings}


def note_ons(recording):
    """(time, pitch): velocities and times may differ by rounding."""
    return [(e[0], e[2]) for e in read_recording(recording) if e[1] & 0xF0 == 0x90]


def play(name, *arguments, env, code=0):
    """(log, recording) of a session in which every note is right and on time."""
    recording, trace = WORK.path(name + ".mid"), WORK.path(name + ".trace")
    got, out, err = run_meander(
        WORK, "--backend", "null", "--seconds", SECONDS, "--seed", 5,
        "--record", recording, "--trace", trace, *arguments, env=env, timeout=60)
    expect(got == code, f"exit code {got}: {out}{err}")
    events = read_events(trace)
    check_invariants(events, "trace")
    check_recording(recording)
    expect("late" not in out.split("played ")[-1], f"something came late: {out}")
    return out, recording


def same_notes(a, b):
    a, b = note_ons(a), note_ons(b)
    expect(len(a) == len(b), f"{len(a)} notes, not {len(b)}")
    same = sum(x[1] == y[1] and abs(x[0] - y[0]) < 20 for x, y in zip(a, b))
    expect(same >= 0.9 * len(a), f"only {same} of {len(a)} notes are the same")


def test_plays_what_the_cpu_plays():
    for name in ("vae", "diffusion"):
        WORK.model = getattr(WORK, name)
        out, gpu = play(name + "-gpu", "--device", "cuda", *QUICK[name], env=on_gpu())
        expect("on cuda:0 emulated" in out, out)
        expect(b"device=cuda:0 emulated" in read_bytes(gpu), "no device in the recording")
        out, cpu = play(name + "-cpu", "--device", "cpu", *QUICK[name], env=on_gpu())
        expect("on cpu" in out, out)
        same_notes(gpu, cpu)


def test_auto_takes_the_gpu():
    WORK.model = WORK.vae
    out, _ = play("auto", env=on_gpu())
    expect("on cuda:0 emulated" in out, out)


def test_lost_while_priming_and_in_play():
    """Nothing is heard of it but a line of the log."""
    def lose(graph):
        return play(f"{name}-lost-{graph}", "--device", "cuda", *QUICK[name],
                    env=on_gpu(EMULATOR_LOST_AT_GRAPH=str(graph)))

    for name in ("vae", "diffusion"):
        WORK.model = getattr(WORK, name)
        _, cpu = play("cpu", "--device", "cpu", *QUICK[name], env=on_gpu())
        for out, recording in at_once(lose, (1, 2)):
            expect(out.count("the GPU failed, playing on with cpu") == 1, out)
            expect("IllegalAddress" in out, f"the reason is missing: {out}")
            expect(b"the GPU failed" in read_bytes(recording),
                   "the recording does not tell")
            same_notes(recording, cpu)


def test_no_memory():
    WORK.model = WORK.vae
    small = on_gpu(EMULATOR_MEMORY="20000000")
    out, _ = play("auto-small", env=small)
    expect("on cpu" in out and "Memory" in out, f"no reason: {out}")
    code, out, err = run_meander(WORK, "--backend", "null", "--seconds", 1,
                                 "--device", "cuda", env=small)
    expect(code == 1 and err.count("\n") == 1 and "Memory" in err, f"{code} {out}{err}")


def test_no_gpu():
    WORK.model = WORK.vae
    for devices, reason in (("0", "no"), ("none", "driver")):
        env = on_gpu(EMULATOR_DEVICES=devices)
        out, _ = play("none-" + devices, env=env)
        expect("on cpu" in out, out)
        code, out, err = run_meander(WORK, "--backend", "null", "--seconds", 1,
                                     "--device", "cuda", env=env)
        expect(code == 1 and reason in err and err.count("\n") == 1, f"{code} {out}{err}")


def test_bad_names():
    for device in ("gpu", "cuda:9", "cuda:", "", "cuda:-1"):
        code, out, err = run_meander(WORK, "--backend", "null", "--seconds", 1,
                                     "--device", device, env=on_gpu())
        expect(code in (1, 2) and err.count("\n") == 1, f"{device}: {code} {out}{err}")


WORK = Workplace()
run_tests([(name[5:], test) for name, test in list(globals().items())
           if name.startswith("test_")])
