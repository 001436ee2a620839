#!/usr/bin/env python3
"""The instrument's command line, end to end: that one seed gives the same notes
in render and play, that signals end every note, and that bad input ends in one
clear line. On the null backend: needs no MIDI system."""
import os
import pty
import re
import resource
import signal
import subprocess
import time

import live
from live import (MEANDER, Failure, Workplace, await_first_note,
                  check_invariants, check_recording, check_stops, expect, finish, read_bytes,
                  read_events, read_recording, render, run_meander, run_tests,
                  start_meander)

PRESETS = ("calm", "glass", "toccata")
NO_SERVER = {**os.environ, "JACK_DEFAULT_SERVER": "meander-test-none"}


def refused(code, *arguments, work=True, **settings):
    live.refused(code, WORK if work else None, *arguments, **settings)


def write(name, text):
    path = WORK.path(name)
    with open(path, "w") as file:
        file.write(text)
    return path


def play_null(*arguments, **settings):
    return run_meander(WORK, "--backend", "null", *arguments, **settings)


def test_render_repeats():
    first = render(WORK, 5, 120, "a.mid")
    expect(first == render(WORK, 5, 120, "b.mid"), "two renders differ")
    expect(first != render(WORK, 6, 120, "c.mid"), "the seed has no effect")
    notes = check_recording(WORK.path("a.mid"))
    expect(notes > 100, f"only {notes} notes")
    last = read_recording(WORK.path("a.mid"))[-1][0]
    expect(last <= 120 * 1920, "notes beyond the end")
    return f"{notes} notes"


def test_play_equals_render():
    for period, mode in ((16, "walk"), (8192, "interpolate"), (256, "prior")):
        recording, trace = WORK.path("play.mid"), WORK.path("trace")
        code, out, err = play_null(
            "--seconds", 3, "--seed", 5, "--record", recording, "--trace",
            trace, "--period", period, "--mode", mode)
        expect(code == 0, f"exit code {code}: {out}{err}")
        check_invariants(read_events(trace), f"trace at {period}")
        expect(read_bytes(recording) == render(WORK, 5, 3, "r.mid", "--mode",
                                               mode),
               f"play at period {period}, mode {mode} is not what render makes")
        check_recording(recording)


def test_first_note_is_told():
    code, out, _ = play_null("--seconds", 1)
    found = re.search(r"first note (\d+) ms", out)
    expect(code == 0 and found, f"no first note: {out}")
    return f"{found[1]} ms"


def test_signals():
    for signals in ([signal.SIGINT], [signal.SIGTERM], [signal.SIGHUP],
                    [signal.SIGTERM, signal.SIGINT]):
        recording, trace = WORK.path("signal.mid"), WORK.path("trace")
        process = start_meander(WORK, "--backend", "null", "--record",
                                recording, "--trace", trace)
        await_first_note(process)
        time.sleep(1.5)
        for number in signals:
            process.send_signal(number)
        code, out, err = finish(process, 10)
        expect(code == 0, f"exit code {code}: {out}{err}")
        expect(check_recording(recording) > 2, "hardly any notes")
        check_invariants(read_events(trace), "trace")


def state_of(process):
    with open(f"/proc/{process.pid}/stat") as file:
        return file.read().rsplit(")", 1)[1].split()[0]


def test_stopped():
    """A player that is stopped as by Ctrl-Z, dense and without a terminal, leaves
    no note sounding; then it goes on."""
    trace, recording = WORK.path("stopped"), WORK.path("stopped.mid")
    # In a group of its own: the system does not stop one that nobody could
    # continue.
    process = start_meander(WORK, "--backend", "null", "--density", 4, "--tempo",
                            2, "--trace", trace, "--record", recording,
                            "--osc-port", 0, preexec_fn=os.setpgrp)
    await_first_note(process)
    for _ in range(3):
        time.sleep(0.5)
        process.send_signal(signal.SIGTSTP)
        end = time.monotonic() + 10
        while state_of(process) != "T":
            expect(time.monotonic() < end, "it does not stop")
            time.sleep(0.01)
        time.sleep(3)
        process.send_signal(signal.SIGCONT)
    time.sleep(2)
    process.send_signal(signal.SIGTERM)
    code, out, err = finish(process, 10)
    expect(code == 0, f"exit code {code}: {out}{err}")
    check_stops(trace, 3)
    again = WORK.path("stopped again.mid")
    code, out, err = run_meander(None, "render", "--from", recording, "--model",
                                 WORK.model, "-o", again)
    expect(code == 0, f"render --from: {out}{err}")
    return f"{check_recording(recording)} notes"


def said_until(text, *arguments):
    """(what it says to the end, its exit code); it is ended once it says it."""
    process = start_meander(WORK, "--backend", "null", "--osc-port", 0, *arguments)
    said = ""
    while text not in said:
        line = process.stdout.readline()
        expect(line, f"it never says {text!r}: {said}")
        said += line
    time.sleep(0.5)
    process.send_signal(signal.SIGTERM)
    code, out, err = finish(process, 10)
    return said + out + err, code


def test_waits():
    """A silence that is meant is told, once."""
    for sync, text in (("midi", "waits for MIDI clock at meander:control"),
                       ("jack", "waits for JACK's transport")):
        out, code = said_until(text, "--sync", sync)
        expect(code == 0 and out.count(text) == 1 and "played 0 notes\n" in out,
               f"{code}: {out}")
    out, code = said_until("first note")
    expect(code == 0 and "waits for" not in out, f"{code}: {out}")


def test_closed_output():
    recording = WORK.path("closed.mid")
    process = start_meander(WORK, "--backend", "null", "--seconds", 2,
                            "--record", recording)
    process.stdout.readline()
    process.stdout.close()
    expect(process.wait(10) == 0, f"exit code {process.returncode}")
    process.stderr.close()
    check_recording(recording)


def test_terminal():
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ["TERM"] = "xterm"
        os.execv(MEANDER, [MEANDER, "--backend", "null", "--model", WORK.model,
                           "--seconds", "2"])
    shown = b""
    try:
        while chunk := os.read(terminal, 4096):
            shown += chunk
    except OSError:
        pass  # its end is closed
    expect(os.waitpid(pid, 0)[1] == 0, "exit code")
    expect(b"C4" in shown, "no piano roll")
    expect(b"buffer" in shown and b"late" in shown, "no status line")
    expect(shown.rindex(b"\x1b[?25h") > shown.rindex(b"\x1b[?25l"),
           "the cursor stays hidden")


def test_presets():
    files = {name: render(WORK, 5, 60, f"{name}.mid", "--preset", name)
             for name in PRESETS}
    expect(len(set(files.values())) == len(PRESETS), "presets sound alike")
    code, out, _ = run_meander(None, "presets")
    for name in PRESETS:
        expect(code == 0 and name in out, f"{name} is not listed")
        check_recording(WORK.path(f"{name}.mid"))

    def mean(name, field):
        ons = [e for e in read_recording(WORK.path(f"{name}.mid"))
               if e[1] & 0xF0 == 0x90]
        return sum(e[field] for e in ons) / len(ons), len(ons)

    facts = {name: (mean(name, 2)[0], mean(name, 3)[0], mean(name, 3)[1])
             for name in PRESETS}
    expect(facts["toccata"][2] > 2 * facts["calm"][2], "toccata is not faster")
    expect(facts["toccata"][1] > facts["calm"][1] + 10, "toccata is not louder")
    expect(facts["glass"][0] > facts["calm"][0] + 10, "glass is not higher")
    return ", ".join(f"{name}: key {key:.0f}, velocity {velocity:.0f}, {count} "
                     "notes a minute"
                     for name, (key, velocity, count) in facts.items())


def test_option_beats_preset():
    preset = write("p.cfg", "tempo = 2.0\ntranspose = 12\n")
    expect(render(WORK, 5, 9, "a.mid", "--tempo", 1, "--preset", preset,
                  "--transpose", 0) == render(WORK, 5, 9, "b.mid"),
           "the command line does not win")


def test_bad_options():
    for arguments, says in (
            (["--backend", "oss"], "--backend"),
            (["--seconds", "-1"], "--seconds"),
            (["--seconds", "nan"], "--seconds"),
            (["--seed", "12x"], "--seed"),
            (["--seed", "-1"], "--seed"),
            (["--rate", "1"], "--rate"),
            (["--period", "8193"], "--period"),
            (["--period", "15"], "--period"),
            (["--tempo", "5"], "tempo"),
            (["--tempo", "fast"], "tempo"),
            (["--mode", "dance"], "walk"),
            (["--transpose", "1.5"], "transpose"),
            (["--register-low", "60", "--register-high", "65"], "octave"),
            (["--alsa-timing", "late"], "--alsa-timing"),
            (["--connect", "synth["], "--connect"),
            (["--colour", "red"], "--colour"),
            (["--seed"], "--seed"),
            (["dance"], "dance"),
            (["play", "twice"], "twice"),
            (["render", "--seconds", "1"], "-o")):
        refused(2, *arguments, says=says)


def test_bad_presets():
    for text, says in (
            ('tempo = 1.0\nvolume = 3\n', [":2:", "volume"]),
            ('\n\ntempo = 9.0\n', [":3:", "tempo", "0.25 to 4"]),
            ('mode = "dance"\n', [":1:", "mode", "walk"]),
            ('tempo = "fast"\n', [":1:", "tempo"]),
            ('tempo = true\n', [":1:", "tempo"]),
            ('channel = 17\n', [":1:", "channel"]),
            ('tempo = [1.0]\n', [":1:", "tempo"]),
            ('tempo = \n', ["bad.cfg:"]),
            ('@include "/etc/passwd"\n', ["@include"]),
            ('velocity_low = 90\nvelocity_high = 10\n', ["bad.cfg"]),
            ('#' * 70000, ["larger"])):
        path = write("bad.cfg", text)
        refused(1, "--backend", "null", "--preset", path, says=says)
    refused(1, "--preset", "nosuch", says=["nosuch", "presets"])
    refused(1, "--preset", WORK.path("nosuch.cfg"), says="nosuch.cfg")


def test_bad_models():
    missing = WORK.path("missing.safetensors")
    refused(1, "--backend", "null", "--model", missing, says=missing)
    data = bytearray(read_bytes(WORK.model))
    broken = WORK.path("broken.safetensors")
    for name, content in (("cut", data[:-5]), ("empty", b""),
                          ("not one", b"x" * 1000)):
        with open(broken, "wb") as file:
            file.write(content)
        refused(1, "--backend", "null", "--model", broken, says=broken)
        refused(1, "render", "--model", broken, "--seconds", 1, "-o",
                WORK.path("x.mid"), says=broken)


def test_shipped_models_by_name():
    """A name is a shipped model, unless a file is called so."""
    path = os.path.join(os.path.dirname(__file__), "../../models/weights/vae.safetensors")
    notes = []
    for model in ("vae", path):
        target = WORK.path("by-name.mid")
        code, _, err = run_meander(WORK, "render", "--model", model, "--seconds", 3, "--seed", 5, "-o", target)
        expect(code == 0, err)
        notes.append(read_bytes(target))
    expect(notes[0] == notes[1], "--model vae is not the shipped one")
    refused(1, "--backend", "null", "--model", "nosuch", says="nosuch")
    with open(WORK.path("vae"), "wb") as file:
        file.write(b"no model")
    code, _, err = run_meander(WORK, "--backend", "null", "--model", "vae", cwd=WORK.folder.name)
    expect(code == 1 and "vae:" in err, f"the file is not taken: {code} {err}")


def test_no_server():
    refused(1, "--backend", "jack", "--seconds", 1, env=NO_SERVER,
            says=["no JACK server", "meander-test-none"])
    refused(1, "--backend", "jack", "--jack-server", "meander-test-none",
            says=["no JACK server", "meander-test-none"])
    if not os.path.exists("/dev/snd/seq"):
        refused(1, "--backend", "alsa", says="/dev/snd/seq")
        code, out, _ = run_meander(
            WORK, "--seconds", 1,
            env={**NO_SERVER, "MEANDER_AUDIO_DRIVER": "none"})
        expect(code == 0 and "backend null" in out and "no JACK server" in out
               and "/dev/snd/seq" in out, f"auto does not say why: {out}")
        return None
    return "not tried: --backend alsa without a sequencer: this machine has one"


def test_bad_targets():
    for path in ("/nonexistent/x.mid", "/dev/null", "/"):
        refused(1, "--backend", "null", "--seconds", 1, "--record", path,
                says=path)
        refused(1, "render", "--seconds", 1, "-o", path, says=path)
    expect(not os.path.isfile("/dev/null"), "/dev/null was replaced")
    refused(1, "--backend", "null", "--trace", "/nonexistent/t", says="/none")


def limit_file_size():
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, 64))


def test_file_size_limit():
    old = write("old.mid", "what was there")
    refused(1, "--backend", "null", "--seconds", 1, "--record", old,
            says=[old, "the recording is lost"], preexec_fn=limit_file_size)
    expect(read_bytes(old) == b"what was there", "the old file is gone")


def test_full_disk():
    disk, spare = WORK.path("disk"), WORK.path("spare")
    os.mkdir(disk)
    os.mkdir(spare)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "none", disk],
                      stderr=subprocess.DEVNULL).returncode:
        return "not tried: mounting is not allowed here"
    try:
        process = start_meander(
            WORK, "--backend", "null", "--seconds", 2, "--record",
            f"{disk}/full.mid", env={**os.environ, "TMPDIR": spare})
        await_first_note(process)
        time.sleep(0.9)
        with open(f"{disk}/filler", "wb", buffering=0) as filler:
            try:
                while filler.write(b"x" * 4096):
                    pass
            except OSError:
                pass
        code, out, err = finish(process, 10)
        expect(code == 1, f"exit code {code}: {out}{err}")
        found = re.search(r"saved as (\S+) instead", err)
        expect(found and found[1].startswith(spare), f"no rescue: {err}")
        expect(check_recording(found[1]) > 1, "hardly any notes were saved")
        return None
    finally:
        subprocess.run(["umount", disk], check=True)


def test_information():
    for arguments, says in ((["--help"], "--connect"), (["--version"], "."),
                            (["--help-params"], "walk_step"), (["-h"], "play"),
                            (["play", "--help-params"], "temperature"),
                            (["models"], "")):
        code, out, err = run_meander(None, *arguments)
        expect(code == 0 and says in out and not err,
               f"{arguments}: {code} {out}{err}")


WORK = Workplace()
run_tests([(name[5:], test) for name, test in list(globals().items())
           if name.startswith("test_")])
