#!/usr/bin/env python3
"""meander by a JACK timebase master (jack_player): onsets fall on its beats,
frame by frame, its tempo is in the status, and a change of it is followed; the
MIDI clock that it sends on keeps to them, too."""
import os
import shutil
import signal
import socket
import subprocess
import time
from bisect import bisect_right

from live import (SKIP, Capture, Failure, Jackd, Workplace, check_invariants,
                  expect, finish, run_tests, start_meander)
from osc import Client

PLAYER = os.environ.get("JACK_PLAYER", "jack_player")
RATE, PERIOD = 48000, 256
# What a stamp and the master's tick are rounded to.
OFF_FRAMES_MAX = 1.5
# After a change of tempo: what was committed, and the plan that knows of it.
SETTLE_S = 0.5
CLOCK, START, STOP, TICKS_A_BEAT = 0xF8, 0xFA, 0xFC, 24


def free_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Master:
    def __init__(self, server):
        self.path = WORK.path("master")
        self.process = subprocess.Popen(
            [PLAYER, server.name, self.path, "master"], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        expect(self.process.stdout.readline() == "ready\n",
               "the master does not start")

    def do(self, *lines):
        self.process.stdin.write("".join(line + "\n" for line in lines))
        self.process.stdin.flush()

    def mark(self, name):
        self.do(f"mark {name}")
        expect(self.process.stdout.readline().strip() == name, f"no {name}")

    def finish(self):
        """({mark: frame}, [(frame, beat, bpm)])"""
        self.process.communicate(timeout=20)
        with open(self.path) as file:
            rows = [line.split() for line in file]
        marks = {row[2]: int(row[0]) for row in rows if row[1] == "mark"}
        beats = [(int(row[0]), float(row[2]), float(row[3]))
                 for row in rows if row[1] == "beat"]
        return marks, beats


def wait_bpm(client, bpm):
    """Until the status says that it follows."""
    until = time.monotonic() + 5
    while True:
        answer = client.ask("/meander/status")
        status = dict(zip(answer[1][::2], answer[1][1::2]))
        if (abs(status.get("bpm", 0) - bpm) < 0.01 and  # not a ping's answer
                status["sync"] == "jack, rolling"):
            return
        expect(time.monotonic() < until, f"the master has {bpm} bpm: {status}")
        time.sleep(0.05)


def open_osc(port):
    client = Client(port)
    until = time.monotonic() + 10
    while time.monotonic() < until:
        try:
            client.socket.connect(("127.0.0.1", port))
            client.send("/meander/ping")
            if client.receive(0.2):
                return client
        except OSError:
            pass
        time.sleep(0.05)
    raise Failure("it does not answer")


def play():
    """(events, marks, beats, what it said)"""
    server = Jackd(PERIOD)
    meander = master = capture = None
    try:
        capture = Capture(server, WORK.path("heard"))
        master = Master(server)
        master.do("tempo 100", "locate 0")
        port = free_port()
        meander = start_meander(
            WORK, "play", "--backend", "jack", "--jack-server", server.name,
            "--connect", "^capture(-[0-9]+)?:in$", "--sync", "jack",
            "--clock-out", "on", "--quantise", 1, "--grid", "1/4", "--tempo", 4, "--seed", 5,
            "--osc-port", port, env={**os.environ, "HOME": WORK.path("home")})
        client = open_osc(port)
        master.do("start")
        master.mark("slow")
        wait_bpm(client, 100)
        master.do("wait 6000")
        master.mark("changes")
        master.do("tempo 137")
        wait_bpm(client, 137)
        master.do("wait 4000")
        master.mark("over")
        meander.send_signal(signal.SIGTERM)
        code, out, err = finish(meander)
        expect(code == 0 and not err, f"exit code {code}: {out}{err}")
        return (capture.finish(), *master.finish(), out)
    finally:
        for one in (meander, master and master.process,
                    capture and capture.process):
            if one and one.poll() is None:
                one.kill()
                one.wait()
        server.stop()


def frames_off(onset, beats):
    """From the nearest beat, by what the master said of the onset's cycle."""
    frame, beat, bpm = beats[bisect_right(beats, (onset, float("inf"), 0)) - 1]
    at = beat + (onset - frame) * bpm / 60 / RATE
    return abs(at - round(at)) * 60 / bpm * RATE


def breaks_in(beats):
    """Frames at which a server that is too busy left out a cycle: time goes on
    elsewhere than was planned."""
    return [b[0] for a, b in zip(beats, beats[1:]) if b[0] - a[0] != PERIOD]


def check_beats(events, beats, bpm, begin, end):
    begins = [begin, *breaks_in(beats)]
    onsets = [e[0] for e in events if e[1] & 0xF0 == 0x90 and
              begin <= e[0] < end and
              not any(0 <= e[0] - at < SETTLE_S * RATE for at in begins)]
    if len(set(onsets)) < 3:
        return f"not tried: {bpm:g} bpm, the server cannot keep up"
    expect({row[2] for row in beats if begin + RATE / 2 < row[0] < end} == {bpm},
           "the master has another tempo")
    off = [frames_off(onset, beats) for onset in onsets]
    expect(max(off) <= OFF_FRAMES_MAX,
           f"{bpm} bpm: off the beat by {sorted(off)[-5:]} frames")
    return (f"{bpm:g} bpm: {len(onsets)} onsets on {len(set(onsets))} beats, "
            f"{max(off):.2f} frames off")


def check_clock(clock, beats, bpm, begin, end):
    """24 ticks to each beat of the master's, evenly."""
    breaks = breaks_in(beats)
    ticks = [e[0] for e in clock if e[1] == CLOCK and
             begin + SETTLE_S * RATE <= e[0] < end and
             not any(0 <= e[0] - at < SETTLE_S * RATE for at in breaks)]
    if len(ticks) < 2 * TICKS_A_BEAT:
        return f"not tried: clock at {bpm:g} bpm, the server cannot keep up"
    tick_frames = RATE * 60 / bpm / TICKS_A_BEAT
    steps = [b - a for a, b in zip(ticks, ticks[1:])]
    wrong = [s for s in steps if abs(s - tick_frames) > 2 * OFF_FRAMES_MAX]
    expect(len(wrong) <= len(breaks),
           f"{bpm} bpm: ticks {wrong} frames apart, not {tick_frames:.1f}")
    on_beats = sum(frames_off(tick, beats) <= OFF_FRAMES_MAX for tick in ticks)
    expect(abs(on_beats - len(ticks) / TICKS_A_BEAT) <= 1 + len(breaks),
           f"{bpm} bpm: {on_beats} of {len(ticks)} ticks are on a beat")
    return f"{len(ticks)} ticks, {on_beats} on beats"


def test_timebase():
    heard, marks, beats, _ = play()
    events = [e for e in heard if e[1] < 0xF0]
    clock = [e for e in heard if e[1] >= 0xF0]
    check_invariants(events, "timebase")
    expect(next((e[1] for e in clock), 0) == START and {e[1] for e in clock} <=
           {CLOCK, START, STOP}, f"clock begins with {clock[:3]}")
    began = beats[0][0]
    expect(all(e[0] >= began for e in events if e[1] & 0xF0 == 0x90),
           "it plays before the transport rolls")
    notes = [check_beats(events, beats, 100.0, marks["slow"], marks["changes"]),
             check_beats(events, beats, 137.0, marks["changes"], marks["over"]),
             check_clock(clock, beats, 100.0, marks["slow"], marks["changes"]),
             check_clock(clock, beats, 137.0, marks["changes"], marks["over"])]
    left_out = len(breaks_in(beats))
    return "; ".join(notes) + (f"; {left_out} overruns" if left_out else "")


if not shutil.which("jackd"):
    print("SKIP: jackd is not installed")
    raise SystemExit(SKIP)
WORK = Workplace()
run_tests([("timebase", test_timebase)])
