#!/usr/bin/env python3
"""What comes in from a real jackd (dummy driver), and what goes back: a second
client plays raw bytes at known frames, is the timebase master and moves the
transport; backend_probe, the JACK backend without an instrument, writes down
what each span brought and sends it on to both outputs. Frames must be exact.
Where the real-time guard is built, it watches."""
import os
import shutil
import signal
import subprocess
import threading

from live import (SKIP, Capture, Failure, Jackd, Workplace, at_once, expect, finish,
                  run_tests)

PROBE, SOURCE = os.environ["BACKEND_PROBE"], os.environ["JACK_SOURCE"]
GUARD = os.environ.get("RT_GUARD", "")
PERIODS = (64, 256, 1024)
RATE = 48000
SPAN_INPUTS_MAX = 1024
# Beats are eighths: what comes out is in quarters.
BPM, BEATS_PER_BAR, BEAT_TYPE, TICKS = 90, 6, 8, 1920
PLACE, LAST_PLACE = 1000000, 7


class Script:
    """What jack_source plays, and the messages that must come of it."""

    def __init__(self, period):
        self.period = period
        self.lines = [f"timebase {BPM} {BEATS_PER_BAR} {BEAT_TYPE} {TICKS}"]
        self.expected = []  # of each event, the messages it makes whole
        self.frame = 0

    def send(self, tokens, *messages):
        self.lines.append(f"{self.frame} send {tokens}")
        self.expected.append([m.replace(" ", "") for m in messages])

    def whole(self, message):
        self.send(message, message)

    def step(self, action):
        self.lines.append(f"{self.frame} {action}")

    def wait(self, frames):
        self.frame += frames

    def next_cycle(self):
        self.frame += 2 * self.period


def play_everything(script):
    """One message of each kind, frames that fall anywhere in a cycle."""
    for message in ("90 3c 40", "80 3c 00", "a1 3c 10", "b2 07 7f", "c3 05",
                    "d4 22", "e5 00 40", "f1 12", "f2 01 02", "f3 05", "f6",
                    "f8", "fa", "fb", "fc", "fe", "ff"):
        script.whole(message)
        script.wait(97)
    # A chord at one frame, and a velocity of 0.
    for message in ("90 3c 40", "90 40 40", "90 43 00"):
        script.whole(message)
    script.wait(311)


def play_raw_bytes(script):
    """Running status within an event, over events and over cycles; real time
    in the middle of a message; SysEx in pieces; bytes of no message."""
    script.send("90 3c 40 3e 41", "90 3c 40", "90 3e 41")
    script.next_cycle()
    script.send("40")
    script.next_cycle()
    script.send("f8", "f8")
    script.wait(5)
    script.send("42", "90 40 42")
    script.wait(5)
    script.send("f0 01 02")
    script.wait(5)
    script.send("f8", "f8")
    script.next_cycle()
    script.send("03*300 fa 04 f7", "fa")
    script.wait(5)
    script.send("3c 40")  # 2 strays: SysEx ended the running status
    script.send("f4 fd")  # 2 more
    script.send("b0 40 7f c0 01", "b0 40 7f", "c0 01")
    script.next_cycle()


STRAYS = 4


def play_clock(script):
    """Two seconds at 131 beats a minute: no two intervals need be the same."""
    start = script.frame
    for tick in range(2 * 131 * 24 // 60):
        script.frame = start + round(tick * 60 * RATE / (131 * 24))
        script.whole("f8")
    script.next_cycle()


def play_flood(script):
    """SysEx that fills most of each cycle's buffer, ended only at last; clock
    and notes go through it."""
    for cycle in range(60):
        for _ in range(6):
            script.send(("f0 " if cycle == 0 else "") + "11*4000")
        script.whole("f8")
        script.wait(script.period)
    script.send("f7")
    script.whole("90 3c 40")
    script.wait(script.period)


def play_too_much(script):
    """More than a port holds, and more messages than a span takes."""
    script.next_cycle()
    for _ in range(10):
        script.send("f0 11*3998 f7")
    script.next_cycle()
    for _ in range(SPAN_INPUTS_MAX + 476):
        script.whole("b0 07 10")
    script.next_cycle()
    script.whole("80 3c 40")
    script.next_cycle()


def move_transport(script):
    script.step("start")
    script.wait(RATE // 2)
    script.step(f"locate {PLACE}")
    script.wait(RATE // 2)
    script.step("stop")
    script.wait(RATE // 5)
    script.step(f"locate {LAST_PLACE}")
    script.wait(RATE // 5)
    script.whole("fe")


def make_script(period):
    script = Script(period)
    play_everything(script)
    play_raw_bytes(script)
    play_clock(script)
    play_flood(script)
    play_too_much(script)
    move_transport(script)
    return script


class Log:
    """Lines of a tool's log by their first word."""

    def __init__(self, path):
        self.lines = {}
        with open(path) as file:
            for line in file:
                word, *rest = line.split()
                self.lines.setdefault(word, []).append(rest)

    def messages(self, word):
        for row in self.lines.get(word, []):
            expect(len(row) == 2, f"an offset beyond its span: {row}")
        return [(int(frame) % 2**32, message)
                for frame, message in self.lines.get(word, [])]

    def status(self, name):
        return next(int(value) for key, value in self.lines["status"]
                    if key == name)


# JACK 2 names a client's socket by the client alone: two of one name that open
# at one moment, be it on two servers, get each other's.
OPENING = threading.Lock()


def start(command, **settings):
    """Once its clients are open: it says so."""
    with OPENING:
        process = subprocess.Popen(command, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True, **settings)
        if process.stdout.readline() != "ready\n":
            raise Failure(f"{command[0]} does not start: {finish(process)}")
        return process


def start_probe(server, log, connect="^listener:notes$",
                control="^(source:out|listener:feedback)$"):
    guard = {"LD_PRELOAD": GUARD} if os.path.exists(GUARD) else {}
    return start([PROBE, "jack", server.name, connect, control, log],
                 env={**os.environ, **guard})


def end_probe(probe):
    """What it said."""
    probe.send_signal(signal.SIGTERM)
    code, out, err = finish(probe)
    expect(code == 0 and "in a real-time" not in err, f"probe: {code}: {err}")
    return out, err


def play(server):
    """(script, source's log, probe's log, what the probe said)"""
    script = make_script(server.period)
    paths = [WORK.path(f"{name}{server.period}")
             for name in ("script", "source", "probe")]
    with open(paths[0], "w") as file:
        file.write("\n".join(script.lines) + "\n")
    probe = start_probe(server, paths[2])
    try:
        code, _, err = finish(start([SOURCE, server.name, *paths[:2]]), 60)
        expect(code == 0, f"source: {err}")
        said = end_probe(probe)
    finally:
        if probe.poll() is None:
            probe.kill()
            probe.wait()
    return script, Log(paths[1]), Log(paths[2]), said


def is_unbroken(period, source):
    """No cycle was missed: else the source may have come late."""
    starts = [int(row[0]) for row in source.lines["cycle"]]
    return all(after - before == period
               for before, after in zip(starts, starts[1:]))


def play_unbroken(server):
    """play() on a server that kept up with its clock; on a machine that is too
    busy for that, after three tries, as it came."""
    for _ in range(3):
        result = play(server)
        if is_unbroken(server.period, result[1]):
            break
    return result


def played(period):
    """All periods play at once, the first time. Servers start one by one: they
    share a registry."""
    if not PLAYED:
        servers = []
        try:
            for slot, each in enumerate(PERIODS):
                servers.append(Jackd(each, slot))
            PLAYED.update(zip(PERIODS, at_once(play_unbroken, servers)))
        finally:
            for server in servers:
                server.stop()
    return PLAYED[period]


def expected_inputs(script, source):
    """[(frame, message)] of what was sent, but what no span has room for; and
    how many those are."""
    inputs, lost, in_cycle, cycle = [], 0, 0, None
    starts = sorted(int(row[0]) for row in source.lines["cycle"])
    at = 0
    for frame, number, sent in source.lines["sent"]:
        frame = int(frame)
        while at + 1 < len(starts) and starts[at + 1] <= frame:
            at += 1
        if starts[at] != cycle:
            cycle, in_cycle = starts[at], 0
        messages = script.expected[int(number)]
        if sent != "1":  # jackd had no room, and tells
            expect(not messages, "jackd refused what the source sent")
            lost += 1
        for message in messages:
            in_cycle += 1
            if in_cycle <= SPAN_INPUTS_MAX:
                inputs.append((frame, message))
            else:
                lost += 1
    return inputs, lost


def compare(what, expected, got):
    for index, pair in enumerate(zip(expected, got)):
        expect(pair[0] == pair[1], f"{what}: message {index} of "
               f"{len(expected)}: expected {pair[0]}, got {pair[1]}")
    expect(len(expected) == len(got),
           f"{what}: {len(got)} messages of {len(expected)}")


def test_inputs():
    """Every message at its frame; what is too much or none is counted."""
    notes = []
    for period in PERIODS:
        script, source, probe, _ = played(period)
        expected, lost = expected_inputs(script, source)
        compare(f"period {period}", expected, probe.messages("in"))
        expect(lost == 476 + 2, f"period {period}: only {lost} were too much")
        expect(probe.status("lost") == lost, f"period {period}: "
               f"{probe.status('lost')} counted, {lost} lost")
        expect(probe.status("stray") == STRAYS,
               f"period {period}: {probe.status('stray')} strays")
        expect(all(row[2] == "0" for row in probe.lines["span"]),
               "inputs that came late")
        notes.append(f"period {period}: {len(expected)} messages, 0 mismatches,"
                     f" {lost} counted as lost")
    return "; ".join(notes)


def test_outputs():
    """What was sent on reached both outputs' listeners, at the same frames."""
    for period in PERIODS:
        _, source, probe, _ = played(period)
        expect(probe.status("refused") == 0, "the sink refused messages")
        inputs = probe.messages("in")
        for port in ("notes", "feedback"):
            compare(f"period {period}, {port}", inputs, source.messages(port))


def beats_at(position):
    return position / RATE * BPM / 60 * 4 / BEAT_TYPE


def read_spans(probe):
    """{frame: (length, rolling, position, has_tempo, bpm, beat, beats_per_bar)}"""
    spans = {}
    for row in probe.lines["span"]:
        expect(row[3] == "1", "JACK always has a transport")
        spans[int(row[0]) % 2**32] = (
            int(row[1]), int(row[4]), int(row[5]), int(row[6]),
            *map(float, row[7:]))
    return spans


def check_span(span, cycle):
    """What the source saw in the same cycle, in quarters."""
    _, rolling, position, has_tempo, bpm, beat, beats_per_bar = span
    expect((rolling, position, has_tempo) == tuple(map(int, cycle[:3])),
           f"the span has {span}, the source saw {cycle}")
    if not has_tempo:
        return
    bar, beat_, tick = map(int, cycle[3:])
    eighths = (bar - 1) * BEATS_PER_BAR + beat_ - 1 + tick / TICKS
    expect(abs(beat - eighths / 2) < 1e-9 and bpm == BPM / 2 and
           beats_per_bar == BEATS_PER_BAR / 2, f"{span} of {cycle}")
    # The master's own figures are of this very cycle.
    expect(-1e-9 <= beats_at(position) - beat <= 0.5 / TICKS + 1e-9,
           f"{span}: not the beat of its frame, {beats_at(position)}")


def test_transport():
    """Each span has the transport of its own cycle."""
    for period in PERIODS:
        _, source, probe, _ = played(period)
        spans, seen, without = read_spans(probe), [], 0
        cycles = [(int(row[0]), row[1:]) for row in source.lines["cycle"]]
        for frame, cycle in cycles:
            if frame in spans:
                check_span(spans[frame], cycle)
                seen.append((frame, *spans[frame]))
        expect(len(seen) > 0.95 * len(cycles), "the two saw different cycles")
        moves = []
        for before, after in zip(seen, seen[1:]):
            # From the first rolling span on the position goes with the clock.
            advance = after[0] - before[0] if before[2] else 0
            if after[3] != before[3] + advance:
                moves.append(after[3])
            without += not after[4]
        expect(moves == [PLACE, LAST_PLACE], f"moved to {moves}")
        rolled = [frame for frame, _, rolling, *_ in seen if rolling]
        took = (rolled[-1] - rolled[0]) / RATE
        expect(abs(took - 1) < 6 * period / RATE, f"rolled for {took} s")
        expect(without <= 4, f"{without} spans without the master's figures")


def test_connections():
    for period in PERIODS:
        _, _, probe, (out, err) = played(period)
        words = out.split()
        expect(words == ["control", "1", "control", "0"],
               f"outputs that play to it: {out}")
        expect(probe.status("connections") == 0, "the listener is gone")
        expect(probe.status("gone") == 1, "the player's end is counted once")
        expect(not os.path.exists(GUARD) or "rt guard: watched" in err,
               f"the guard did not watch: {err}")
    if not os.path.exists(GUARD):
        return "not tried: the real-time guard, which is not built here"


def test_list():
    """What --list-ports says, with a server and without."""
    server = Jackd(256)
    capture = Capture(server, WORK.path("capture"))
    try:
        probe = start_probe(server, WORK.path("listed"), "nobody", "nobody")
        listed = subprocess.run([PROBE, "list", server.name],
                                capture_output=True, text=True, timeout=20)
        end_probe(probe)
    finally:
        capture.process.kill()
        server.stop()
    expect(listed.returncode == 0 and not listed.stderr, f"{listed}")
    jack = listed.stdout[:listed.stdout.index("ALSA")].splitlines()
    outputs = jack.index("  outputs, for --control:")
    expect(jack[:2] == ["JACK", "  inputs, for --connect:"], f"{jack}")
    expect({"    capture:in", "    meander:control"} == set(jack[2:outputs]),
           f"inputs: {jack}")
    expect({"    meander:notes", "    meander:feedback"} ==
           set(line for line in jack[outputs + 1:] if line[:1] == " "),
           f"outputs: {jack}")
    none = subprocess.run([PROBE, "list", server.name],
                          capture_output=True, text=True, timeout=20)
    expect(none.stdout.startswith(f"no JACK server '{server.name}' answers"),
           f"{none}")
    if not os.path.exists("/dev/snd/seq"):
        expect(none.returncode != 0 and len(none.stdout.splitlines()) == 2 and
               len(none.stderr.splitlines()) == 1, f"{none}")


def test_bad_pattern():
    for patterns, option in (("(", "x"), "--connect"), (("x", "("), "--control"):
        refused = subprocess.run([PROBE, "jack", "nowhere", *patterns, "/dev/null"],
                                 capture_output=True, text=True, timeout=20)
        expect(refused.returncode == 1 and
               f"{option} '(' is not a regular expression" in refused.stderr,
               f"{refused}")


if not shutil.which("jackd"):
    print("SKIP: jackd is not installed")
    raise SystemExit(SKIP)
WORK = Workplace()
PLAYED = {}
run_tests([("inputs", test_inputs), ("outputs", test_outputs),
           ("transport", test_transport), ("connections", test_connections),
           ("list", test_list), ("bad_pattern", test_bad_pattern)])
