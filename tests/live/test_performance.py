#!/usr/bin/env python3
"""A performance, as a player has it: controllers, OSC, clocks, transports,
played phrases, checkpoints, panic, files, against a real jackd (dummy driver)
with real clients. What the capture client heard keeps the invariants of
DESIGN.md, and every recording is made again byte for byte. Then how soon a knob
is obeyed, a thousand swaps, and bad input while it plays."""
import glob
import os
import random
import re
import shutil
import signal
import socket
import statistics
import subprocess
import threading
import time

from live import (MAKE_MODEL, SKIP, Capture, Failure, Jackd, Workplace,
                  check_invariants, counter, expect, read_bytes, read_events,
                  read_recording, run_meander, run_tests, start_meander)
from midi_file import parse
from osc import Client, encode

PLAYER = os.environ.get("JACK_PLAYER", "jack_player")
RATE, PERIOD, SEED = 48000, 256, 11
ROOT = "/meander/"
CHECKPOINTS = ["one", "two", "three"]
# From a change to what was committed before it, and a window.
SETTLE_FRAMES = int(0.25 * RATE)


def make_home():
    """Checkpoints that differ, presets, and a home of its own."""
    weights = WORK.path("data/models/weights")
    presets = WORK.path("config/meander/presets")
    for folder in (weights, presets, WORK.path("home"), WORK.path("state")):
        os.makedirs(folder)
    for number, name in enumerate(CHECKPOINTS, 1):
        subprocess.run([MAKE_MODEL, "vae", f"{weights}/{name}.safetensors",
                        str(number)], check=True)
    for name, text in {
            "aa": 'description = "first"\nprogram = 0\ntempo = 1.5\nbindings = ['
                  '"cc14 16 = density", "cc 21 ch 3 = panic", '
                  '"cc 24 ch 3 = ab", "cc 25 ch 3 = next", '
                  '"cc 26 ch 3 = accept", "note 9 ch 3 = previous", '
                  '"note 96 = hold"]\n',
            "ab": 'description = "second"\ninherits = "aa"\n'
                  'program = 1\nmodel = "two"\ndensity = 2.0\n',
            "round": 'inherits = "trip"\n', "trip": 'inherits = "round"\n',
    }.items():
        with open(f"{presets}/{name}.cfg", "w") as file:
            file.write(text)
    WORK.model = f"{weights}/one.safetensors"
    return {**os.environ, "HOME": WORK.path("home"),
            "XDG_CONFIG_HOME": WORK.path("config"),
            "XDG_STATE_HOME": WORK.path("state"),
            "MEANDER_DATA": WORK.path("data")}


def free_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Player:
    """The player's hands: jack_player.c."""

    def __init__(self, server):
        self.path = WORK.path("hands")
        self.marks = 0
        self.process = subprocess.Popen(
            [PLAYER, server.name, self.path], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        expect(self.process.stdout.readline() == "ready\n",
               "the player does not start")

    def do(self, *lines):
        self.process.stdin.write("".join(line + "\n" for line in lines))
        self.process.stdin.flush()

    def send(self, *messages):
        self.do(*[f"send {message}" for message in messages])

    def mark(self, name):
        """When all before is done."""
        self.do(f"mark {name}")
        said = self.process.stdout.readline().strip()
        expect(said == name, f"the player says {said!r} at {name}")

    def finish(self):
        """{mark: frame}"""
        self.process.communicate(timeout=20)
        with open(self.path) as file:
            done = [line.split() for line in file]
        expect(not [line for line in done if "refused" in line],
               "the player's port was full")
        return {line[2]: int(line[0]) for line in done if line[1] == "mark"}


class Stage:
    """jackd, capture, player and meander, and OSC to it."""

    def __init__(self, name, *arguments, jack=True, command="play", model=True,
                 **environment):
        self.server = self.capture = self.player = self.meander = None
        self.name = name
        self.trace, self.keep = WORK.path(name + ".trace"), WORK.path(name + ".d")
        backend = ["--backend", "null", "--period", PERIOD]
        try:
            if jack:
                self.server = Jackd(PERIOD)
                self.capture = Capture(self.server, WORK.path(name + ".heard"))
                self.player = Player(self.server)
                backend = ["--backend", "jack", "--jack-server",
                           self.server.name, "--connect",
                           "^capture(-[0-9]+)?:in$", "--control",
                           "^player(-[0-9]+)?:out$"]
            port = free_port()
            self.meander = start_meander(
                None, command, *(["--model", WORK.model] if model else []),
                *backend, "--osc-port", port, "--keep-dir", self.keep, "--trace",
                self.trace, "--seed", SEED, "--pickup", "off", *arguments,
                env={**ENVIRONMENT, **environment})
            # Read as it comes: nothing of it is lost in a full pipe.
            self.said = []
            self.reader = threading.Thread(
                target=lambda: self.said.extend(self.meander.stdout), daemon=True)
            self.reader.start()
            self.osc = Client(port)
            self.listen(port)
        except BaseException:
            self.clean_up()
            raise

    def listen(self, port):
        """Until it plays."""
        until = time.monotonic() + 10
        while time.monotonic() < until:
            if self.meander.poll() is not None:
                raise Failure(f"it ended: {self.log()}")
            try:
                self.osc.socket.connect(("127.0.0.1", port))
                self.osc.send(ROOT + "status")
                answer = self.osc.receive(0.2)
                if answer and self.notes_of(answer) > 3:
                    self.osc.ping()  # takes answers that came too late
                    return
            except OSError:
                pass
            time.sleep(0.05)
        raise Failure("it does not play")

    @staticmethod
    def notes_of(answer):
        words = answer[1]
        return dict(zip(words[::2], words[1::2])).get("notes", 0)

    def tell(self, path, *arguments):
        """An action or a parameter, done when this returns; refusals fail."""
        self.osc.send(ROOT + path, *arguments)
        errors = [a for a in self.osc.ping() if a[0] == ROOT + "error"]
        expect(not errors, f"{path} {arguments}: {errors}")

    def refused(self, path, *arguments, says):
        self.osc.send(ROOT + path, *arguments)
        errors = [a[1][0] for a in self.osc.ping() if a[0] == ROOT + "error"]
        expect(len(errors) == 1 and says in errors[0],
               f"{path} {arguments}: {errors}, not {says!r}")

    def value(self, name):
        path, (value,) = self.osc.ask(f"{ROOT}param/{name}")
        expect(path == f"{ROOT}param/{name}", f"{path} {value}")
        return value

    def status(self):
        path, words = self.osc.ask(ROOT + "status")
        expect(path == ROOT + "status", f"{path}")
        return dict(zip(words[::2], words[1::2]))

    def soon(self, what, condition, seconds=5):
        until = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > until:
                raise Failure(f"not within {seconds} s: {what}: {self.status()}")
            time.sleep(0.01)

    def becomes(self, name, value, near=0.01):
        def arrived():
            now = self.value(name)
            return (abs(now - value) <= near if isinstance(now, float) and
                    not isinstance(value, str) else now == value)
        self.soon(f"{name} is {value}", arrived)

    def plays_on(self, notes=4, seconds=5):
        before = self.status()["notes"]
        self.soon(f"{notes} more notes",
                  lambda: self.status()["notes"] >= before + notes, seconds)

    def end(self):
        """(events heard, {mark: frame}, log) after SIGTERM."""
        self.meander.send_signal(signal.SIGTERM)
        try:
            code = self.meander.wait(30)
        except subprocess.TimeoutExpired:
            raise Failure(f"it does not end: {self.said[-5:]}") from None
        out = self.log()
        expect(code == 0, f"exit code {code}: {out}")
        marks = self.player.finish() if self.player else {}
        heard = self.capture.finish() if self.capture else read_events(self.trace)
        if self.server:
            self.server.stop()
        return heard, marks, out

    def log(self):
        """All that it said, when it has ended; nothing of that are errors."""
        self.reader.join(10)
        err = self.meander.stderr.read()
        expect(not err, f"errors: {err}")
        return "".join(self.said)

    def clean_up(self):
        if self.meander and self.meander.poll() is None:  # the test failed
            self.meander.terminate()
            time.sleep(1)
            print(*self.said[-40:], sep="", flush=True)
        for one in (self.meander, self.player and self.player.process,
                    self.capture and self.capture.process):
            if one and one.poll() is None:
                one.kill()
                one.wait()
        if self.server:
            self.server.stop()


def notes_only(events):
    return [event for event in events if event[1] & 0xE0 == 0x80]


def ons(events, begin, end):
    return [e for e in events if e[1] & 0xF0 == 0x90 and begin <= e[0] < end]


# What a server that overran, on a machine that is too busy, may bring about.
ALLOWED = ("late", "jumps of the clock", "periods without a plan")
NEVER = ("dropped", "missing in view and")
STAND_INS = ("windows of fewer steps", "windows of the fallback", "windows repeated")


def check_heard(stage, heard, log):
    """Invariants 1 and 2 hold, all that was written was heard at its frame,
    nothing was lost, and nothing late; unless the server was: that is told."""
    count = check_invariants(notes_only(heard), stage.name)
    last = 0
    for event in heard:
        expect(event[0] >= last, f"time goes back at {event[0]}")
        last = event[0]
    stamped = read_events(stage.trace)
    expect(heard == stamped, f"{len(set(heard) ^ set(stamped))} of "
           f"{len(stamped)} messages were not heard as they were written")
    faults = {name: counter(log, name) for name in (
        "xruns", "note-offs written late", *ALLOWED, *NEVER, *STAND_INS)}
    faults = {name: number for name, number in faults.items() if number}
    told = f"{count} notes, {faults}: {log}"
    expect(counter(log, "notes") == count, f"not what it counts: {told}")
    expect(not any(name in faults for name in NEVER), told)
    expect("note-offs written late" not in faults or "late" in faults, told)
    late = {name for name in faults if name not in STAND_INS}
    expect("xruns" in faults or not late, told)
    return f"{count} notes" + (f" (ALLOWED: {faults})" if faults else "")


def check_again(path):
    """The recording parses and is made again, byte for byte."""
    count = check_invariants(read_recording(path), os.path.basename(path), False)
    again = path + ".again"
    code, out, err = run_meander(None, "render", "--from", path, "-o", again,
                                 env=ENVIRONMENT)
    expect(code == 0, f"{path}: {out}{err}")
    one, two = read_bytes(path), read_bytes(again)
    if one != two:
        a, b = read_recording(path), read_recording(again)
        at = next((i for i, (x, y) in enumerate(zip(a, b)) if x != y),
                  min(len(a), len(b)))
        raise Failure(f"{path} of {len(a)} messages is made again otherwise, "
                      f"from message {at}: {a[at:at + 3]}, {b[at:at + 3]}")
    return count


# --- The performance ----------------------------------------------------------

def play_controllers(stage, hands):
    params = param_names()
    hands.send("b0 4c 7f", "b0 40 7f")  # CC 76 tempo, CC 64 freeze
    stage.becomes("tempo", 4)
    stage.becomes("freeze", "on")
    stage.plays_on(8)
    hands.send("b0 40 00", "b0 4c 40")
    stage.becomes("freeze", "off")
    # Its NRPN is its place in the table.
    number = params.index("transpose")
    hands.send("b0 63 00", f"b0 62 {number:02x}", "b0 06 7f", "b0 26 7f")
    stage.becomes("transpose", 48)
    hands.send("b0 06 40", "b0 26 00")
    stage.becomes("transpose", 0)
    # Program Change 0 is the first preset; its binding is a pair.
    hands.send("c0 00")
    stage.soon("the preset", lambda: stage.status()["preset"] == "aa")
    stage.becomes("tempo", 1.5)
    hands.send("b0 10 7f", "b0 30 7f")
    stage.becomes("density", 4)
    hands.send("b0 10 20", "b0 30 40")
    # Below the middle, 1, by powers of the least.
    stage.becomes("density", 0.25 ** (1 - 2 * (0x20 * 128 + 0x40) / 16383), 1e-4)
    # A knob that has not met the value does not move it.
    stage.tell("param/pickup", True)
    hands.send("b0 01 7f")
    hands.mark("not_met")
    stage.plays_on()
    expect(abs(stage.value("temperature") - 0.5) < 0.01, "it jumps to the knob")
    hands.send("b0 01 10")
    stage.becomes("temperature", 2 * 0x10 / 127)
    stage.tell("param/pickup", False)
    stage.tell("param/temperature", 0.5)
    # Learnt, then used.
    stage.tell("learn", "swing")
    hands.send("b1 16 00", "b1 16 20", "b1 16 40", "b1 16 60")
    hands.send("b1 16 7f")
    stage.becomes("swing", 1)
    hands.send("b1 16 00")
    stage.becomes("swing", 0)


def play_checkpoints(stage, hands):
    digest = {}

    def sounds(*names):
        stage.soon(f"{names} sounds", lambda: stage.status()["name"] in names)
        digest[stage.status()["digest"]] = stage.status()["name"]
        stage.plays_on(4)

    stage.tell("next")
    sounds("two")
    stage.tell("previous")
    sounds("one")
    stage.tell("ab")  # the other side is empty: a neighbour comes to it
    sounds("two", "three")
    stage.tell("ab")
    sounds("one")
    stage.tell("load", WORK.path("data/models/weights/three.safetensors"))
    sounds("three")
    stage.tell("param/program_change", "checkpoint")
    hands.send("c0 01")
    sounds("two")
    stage.tell("param/program_change", "preset")
    hands.send("c0 00")
    stage.soon("the preset", lambda: stage.status()["preset"] == "aa")
    stage.tell("load", "three")
    sounds("three")
    # The same from a controller, as the preset binds it.
    hands.send("b2 18 7f", "b2 18 00")
    stage.soon("the other side", lambda: stage.status()["name"] != "three")
    hands.send("b2 18 7f", "b2 18 00")
    sounds("three")
    hands.send("b2 19 7f", "b2 19 00")
    stage.soon("the next one", lambda: stage.status()["name"] != "three")
    hands.send("92 09 50", "82 09 40")
    sounds("three")
    hands.send("b2 1a 7f", "b2 1a 00")
    stage.soon("a rating", lambda: stage.status()["rating"] == "keep")
    hands.send("c0 01")  # its checkpoint is not taken: --model named another
    stage.soon("the preset", lambda: stage.status()["preset"] == "ab")
    sounds("three")
    stage.tell("load", "one")
    sounds("one")
    expect(len(digest) == 3, f"{digest}")


def play_points(stage):
    stage.tell("store", 3)
    stage.tell("param/walk_step", 1.0)
    stage.plays_on(12)
    stage.tell("recall", 3)
    stage.tell("param/hold", True)
    stage.plays_on(8)
    stage.tell("param/hold", False)
    stage.refused("recall", 4, says="empty")


def play_clock(stage, hands):
    stage.tell("param/sync", "midi")
    hands.mark("midi_waits")
    hands.do("wait 600", "mark midi_waited")
    hands.process.stdout.readline()
    hands.do("clock 160", "send fa", "wait 3500")
    hands.mark("midi_plays")
    status = stage.status()
    expect(abs(status["bpm"] - 160) < 0.8, f"the clock is 160: {status}")
    expect(status["sync"] == "midi, running", f"{status}")
    stage.tell("keep_bars", 1)
    hands.send("fc")
    hands.mark("midi_stopped")
    hands.do("wait 600", "mark midi_over", "clock 0")
    hands.process.stdout.readline()


def play_transport(stage, hands):
    hands.do("stop", "locate 480000")
    stage.tell("param/sync", "jack")
    hands.mark("jack_waits")
    hands.do("wait 600", "mark jack_waited", "start", "wait 1200", "locate 96000")
    hands.process.stdout.readline()
    hands.mark("jack_moved")
    hands.do("wait 1200", "stop")
    hands.mark("jack_stopped")
    hands.do("wait 600", "mark jack_over")
    hands.process.stdout.readline()
    stage.tell("param/sync", "free")
    stage.plays_on()


def play_phrase(hands, channel, keys=(60, 64, 67, 72, 71, 67)):
    for key in keys:
        hands.do(f"send {0x90 + channel:x} {key:02x} 50", "wait 90",
                 f"send {0x80 + channel:x} {key:02x} 40", "wait 30")


def play_phrases(stage, hands):
    for listen in ("respond", "follow", "seed"):
        stage.tell("param/listen", listen)
        hands.mark(listen + "_begins")
        play_phrase(hands, 2)
        hands.mark(listen + "_ends")
        hands.do("wait 2000")
        hands.mark(listen + "_over")
    stage.tell("param/listen", "off")


def play_echo(stage, hands):
    """The player's own notes are in no recording that can be made again."""
    stage.tell("record", 0)
    stage.tell("param/echo", True)
    hands.send(*2 * ["94 60 50", "84 60 40"])  # bound: not heard
    hands.mark("echo_begins")
    play_phrase(hands, 4)
    hands.send("94 30 50")  # held as the echo ends
    hands.do("wait 50")
    hands.mark("echo_ends")
    stage.tell("param/echo", False)
    hands.do("wait 100", "send 84 30 40")
    stage.tell("record", 1)


def is_quiet(events, marks, begin, end):
    """No note begins, and none sounds on."""
    begin, end = marks[begin] + SETTLE_FRAMES, marks[end]
    began = ons(events, begin, end)
    expect(not began, f"{len(began)} notes begin where it is silent")


def check_panics(heard, count):
    sounding, panics = set(), []
    for frame, status, one, two in heard:
        if status & 0xF0 == 0xB0:
            expect(not sounding, f"{len(sounding)} notes sound as panic comes")
            panics.append((frame, status, one, two))
        elif status & 0xF0 == 0x90:
            sounding.add((status & 15, one))
        else:
            sounding.discard((status & 15, one))
    wanted = [(0xB0 + c, number, 0) for c in range(16) for number in (123, 120)]
    expect([p[1:] for p in panics] == wanted * count,
           f"{len(panics)} messages of panic: {panics[:4]}")
    for at in range(0, len(panics), 32):
        expect(len({p[0] for p in panics[at:at + 32]}) == 1, "panic takes time")


def check_phases(heard, marks):
    for begin, end in (("midi_waits", "midi_waited"),
                       ("midi_stopped", "midi_over"),
                       ("jack_waits", "jack_waited"),
                       ("jack_stopped", "jack_over"),
                       ("respond_begins", "respond_ends")):
        try:
            is_quiet(heard, marks, begin, end)
        except Failure as failure:
            raise Failure(f"{begin}: {failure}") from failure
    for begin, end in (("midi_waited", "midi_stopped"),
                       ("jack_waited", "jack_moved"),
                       ("jack_moved", "jack_stopped"),
                       ("respond_ends", "respond_over"),
                       ("follow_begins", "follow_ends"),
                       ("follow_ends", "follow_over"),
                       ("seed_begins", "seed_ends"),
                       ("seed_ends", "seed_over")):
        expect(len(ons(heard, marks[begin], marks[end])) > 1,
               f"hardly a note between {begin} and {end}")
    # Notes end where time breaks off.
    for mark in ("midi_stopped", "jack_moved", "jack_stopped"):
        sounding, at = set(), marks[mark] + 3 * PERIOD
        before = [e for e in notes_only(heard) if e[0] < at]
        for _, status, pitch, _ in before:
            key = status & 15, pitch
            (sounding.add if status & 0xF0 == 0x90 else sounding.discard)(key)
        began = {(e[1] & 15, e[2]) for e in ons(heard, marks[mark], at)}
        expect(not sounding - began, f"{sounding} sound on after {mark}")
    echoed = [e[2] for e in heard if e[1] == 0x94]
    expect(echoed == [60, 64, 67, 72, 71, 67, 48], f"echoed: {echoed}")
    strange = [e for e in notes_only(heard) if e[1] & 15 not in (0, 4)]
    expect(not strange, f"on another channel: {strange[:5]}")


def check_bar_of_clock(path):
    """A bar, and what there was of the next, at the tempo of the MIDI clock."""
    events = parse(read_bytes(path))[0]
    tempo = next(int.from_bytes(d, "big") for _, kind, d in events if kind == 0x51)
    expect(abs(60e6 / tempo - 160) < 0.8, f"{path}: {tempo} us a quarter")
    meter = next(d for _, kind, d in events if kind == 0x58)
    expect(meter[:2] == b"\4\2", f"{path}: {meter}")
    bars = events[-1][0] / 960 / 4
    expect(1 <= bars <= 2, f"{path} has {bars} bars")


def param_names():
    code, out, _ = run_meander(None, "--help-params")
    names = re.findall(r"^ *(?:\d+ )?--(\w+)", out, re.MULTILINE)
    expect(code == 0 and len(names) > 30, f"hardly a parameter: {out}")
    return names


def test_performance():
    recording = WORK.path("rec.mid")
    stage = Stage("performance", "--record", recording)
    hands = stage.player
    try:
        play_controllers(stage, hands)
        play_points(stage)
        play_checkpoints(stage, hands)
        stage.tell("panic")
        stage.plays_on()
        play_clock(stage, hands)
        play_transport(stage, hands)
        play_phrases(stage, hands)
        stage.tell("keep", 10)
        stage.soon("files are kept",
                   lambda: len(glob.glob(stage.keep + "/*.mid")) == 2)
        time.sleep(0.2)
        stage.tell("keep_bars", 4)
        play_echo(stage, hands)
        stage.plays_on(12)
        hands.send("b2 15 7f")  # panic, as the preset has it
        stage.plays_on(12)
        stage.tell("save", "mine")
        stage.plays_on(4)
        heard, marks, log = stage.end()
    finally:
        stage.clean_up()
    note = check_heard(stage, heard, log)
    check_panics(heard, 2)
    check_phases(heard, marks)
    with open(WORK.path("config/meander/presets/mine.cfg")) as file:
        mine = file.read()
    expect("cc 22 ch 2 = swing" in mine, f"what was learnt is not saved: {mine}")
    kept = sorted(glob.glob(stage.keep + "/*.mid"))
    expect(len(kept) == 4, f"{len(kept)} files were kept: {log}")
    check_bar_of_clock(kept[0])
    expect("cannot be made again" not in log, log)
    notes = {os.path.basename(path): check_again(path)
             for path in [recording, *kept]}
    return f"{note}, made again: {notes}"


# --- Takes at any moment ------------------------------------------------------

TAKES = 12


def test_takes():
    """Recordings that begin and end, and takes that are kept, between any two
    notes of dense music, as a controller asks for it."""
    with open(WORK.path("config/meander/presets/takes.cfg"), "w") as file:
        file.write('description = "takes"\nbindings = ["cc 20 = record 1", '
                   '"cc 21 = record 0", "cc 27 = keep 1"]\n')
    stage = Stage("takes", "--preset", "takes", "--tempo", 4, "--density", 4,
                  "--bpm", 300)
    hands = stage.player  # whose controller 22 was learnt before
    try:
        for take in range(TAKES):
            hands.do("send b0 14 7f", f"wait {211 + 7 * take}", "send b0 1b 7f",
                     f"wait {53 + 11 * take}", "send b0 15 7f", "wait 97",
                     "send b0 14 00", "send b0 15 00", "send b0 1b 00")
        hands.mark("over")
        heard, _, log = stage.end()
    finally:
        stage.clean_up()
    note = check_heard(stage, heard, log)
    takes = glob.glob(stage.keep + "/*.mid")
    expect(len(takes) == 2 * TAKES, f"{len(takes)} takes: {log}")
    for path in takes:
        # None lasts longer than it was played.
        seconds = max(e[0] for e in read_recording(path)) / (960 * 300 / 60)
        expect(seconds < 3, f"{path} lasts {seconds:.1f} s")
        check_again(path)
    return f"{note}, {len(takes)} takes made again"


# --- How soon a knob is obeyed ------------------------------------------------

# The worker plans so far ahead of what is committed (CHANGE_LEAD_S).
LEAD_S = 0.02
CHANGES = 48
# Uneven: changes fall anywhere between two notes and two periods.
GAPS_MS = (131, 167, 153, 149, 181)
# Pentatonic scales of C and of F#: no key is in both.
SCALES = ({0, 2, 4, 7, 9}, {6, 8, 10, 1, 3})


def disobeyed_s(heard, sent, obeys):
    """Of each change the seconds until the last note that is still as before."""
    took = []
    for n, frame in enumerate(sent):
        end = sent[n + 1] if n + 1 < len(sent) else frame + RATE // 8
        took.append(max([e[0] for e in ons(heard, frame, end)
                         if not obeys(e, n)], default=frame) - frame)
    return [frames / RATE for frames in took]


def test_knobs():
    """From a CC of a real client to the last note that does not obey it: the
    committed period, the lead, one more period and, where notes are sampled
    anew, a window's time as this run measured it. A bound on the middle of many
    changes, so that a busy machine's worst is no failure; no benchmark."""
    with open(WORK.path("config/meander/presets/knobs.cfg"), "w") as file:
        file.write('description = "knobs"\nbindings = ["cc 20 = channel", '
                   '"cc 21 = key"]\n')
    stage = Stage("knobs", "--preset", "knobs", "--tempo", 4, "--density", 4,
                  "--bpm", 300, "--scale", "pentatonic", "--scale-strength", 1)
    hands = stage.player
    # Channels 16 and 1; keys F# and C, as shares of their ranges.
    knobs = {"channel": ("14", "7f", "00"), "key": ("15", "42", "00")}
    try:
        for cc, *values in knobs.values():
            for change in range(CHANGES):
                hands.do(f"send b0 {cc} {values[change % 2]}",
                         f"wait {GAPS_MS[change % len(GAPS_MS)]}")
        hands.mark("over")
        sample_s = 1e-3 * stage.status()["p99_ms"]
        heard, _, log = stage.end()
    finally:
        stage.clean_up()
    note = check_heard(stage, heard, log)
    with open(hands.path) as file:
        lines = [line.split() for line in file]
    bound_s = LEAD_S + 2 * PERIOD / RATE
    for name, obeys, limit_s in (
            ("channel", lambda e, n: e[1] & 15 == (0 if n % 2 else 15), bound_s),
            ("key", lambda e, n: e[2] % 12 in SCALES[0 if n % 2 else 1],
             bound_s + sample_s)):
        sent = [int(line[0]) for line in lines
                if line[1:4] == ["send", "b0", knobs[name][0]]]
        expect(len(sent) == CHANGES, f"{len(sent)} changes of {name}")
        took = disobeyed_s(heard, sent, obeys)
        middle = statistics.median(took)
        note += (f", {name}: {1e3 * middle:.1f} ms in the middle, "
                 f"{1e3 * max(took):.1f} at most, bound {1e3 * limit_s:.1f}")
        # Changes that no note met say nothing of how soon it is.
        expect(sum(1 for s in took if s > 0) > CHANGES / 2, f"hardly a note: {note}")
        expect(middle <= limit_s, note)
    return note


# --- A thousand swaps ---------------------------------------------------------

SWAPS = 1000
# Of memory, over 2000 swaps and more; a model that is not freed is 200 kB.
GROWTH_KB_MAX = 2000


# All that is allocated is written to at once, by one allocator: what fills up
# only as the minutes pass (the ring above all) is in use from the start.
WARM = {"MALLOC_PERTURB_": "165", "MALLOC_ARENA_MAX": "1"}


def memory_kb(process):
    with open(f"/proc/{process.pid}/status") as file:
        return int(re.search(r"RssAnon:\s+(\d+)", file.read())[1])


def swap_and_hear(stage, action):
    """The digest of the model whose note is heard; the worker took it before."""
    before = stage.status()["heard"]
    stage.osc.send(ROOT + action)
    until = time.monotonic() + 10
    while (now := stage.status())["heard"] == before or \
            now["heard"] != now["digest"]:
        expect(time.monotonic() < until, f"after {action} still {before}: {now}")
        time.sleep(0.001)
    return now["heard"]


def test_swaps():
    """A note of each is heard before the next is asked for. Then as many again
    as fast as they can be sent."""
    stage = Stage("swaps", "--tempo", 4, "--density", 4, jack=False, **WARM)
    try:
        began = time.monotonic()
        digests, memory = set(), []
        for swap in range(SWAPS):
            digests.add(swap_and_hear(stage, ("ab", "ab", "next")[swap % 3]))
            if swap % 100 == 99:
                memory.append(memory_kb(stage.meander))
        took = time.monotonic() - began
        for swap in range(SWAPS):
            stage.osc.send(ROOT + "ab")
            if swap % 50 == 49:
                stage.osc.ping()
        stage.plays_on(20)
        memory.append(memory_kb(stage.meander))
        heard, _, log = stage.end()
    finally:
        stage.clean_up()
    expect(len(digests) == 3, f"{digests} sounded")
    grown = memory[-1] - memory[1]
    expect(grown < GROWTH_KB_MAX, f"memory grows: {memory} kB")
    note = check_heard(stage, heard, log)
    return f"{SWAPS} swaps heard in {took:.1f} s, {note}, {grown} kB more in use"


DIFFUSION_SWAPS = 60


def test_swaps_of_kinds():
    """A diffusion model among VAEs; the recording of all swaps is made again."""
    weights = WORK.path("data/models/weights")
    other, recording = f"{weights}/other.safetensors", WORK.path("kinds.mid")
    subprocess.run([MAKE_MODEL, "diffusion", other, "9"], check=True)
    stage = Stage("kinds", f"{weights}/one.safetensors", other,
                  f"{weights}/two.safetensors", "--tempo", 4, "--record",
                  recording, jack=False, command="audition", model=False)
    try:
        digests = {swap_and_hear(stage, ("ab", "ab", "next")[swap % 3])
                   for swap in range(DIFFUSION_SWAPS)}
        heard, _, log = stage.end()
    finally:
        stage.clean_up()
    expect(len(digests) == 3, f"{digests} sounded")
    note = check_heard(stage, heard, log)
    check_again(recording)
    os.remove(other)
    return f"{DIFFUSION_SWAPS} swaps heard, {note}, made again"


# --- Bad input ----------------------------------------------------------------

def garbage(numbers):
    kind = numbers.randrange(4)
    if kind == 0:
        return numbers.randbytes(numbers.randrange(0, 300))
    if kind == 1:
        return b"/meander/" + numbers.randbytes(numbers.randrange(3, 60))
    if kind == 2:
        return b"#bundle\0" + numbers.randbytes(numbers.randrange(8, 200))
    data = bytearray(encode(ROOT + "param/" + "abcd" * numbers.randrange(4),
                            numbers.random(), "text"))
    data[numbers.randrange(len(data))] ^= 1 << numbers.randrange(8)
    return bytes(data)


def test_bad_input():
    stage = Stage("bad", "--density", 3)
    hands = stage.player
    try:
        numbers = random.Random(7)
        for i in range(10000):
            stage.osc.raw(garbage(numbers))
            if i % 60 == 59:
                stage.osc.ping()
        stage.osc.ping()
        time.sleep(1.1)  # errors are told 20 times a second at most
        stage.plays_on()
        # A flood of SysEx, in one event and in pieces over periods, with a
        # clock between.
        for _ in range(200):
            hands.do("send f0 11*2000 f7", "send f8", "wait 3")
        for _ in range(200):
            hands.do("send f0 22*300", "wait 7", "send f8", "send 33*300 f7")
        # Running status over periods: the last one counts.
        hands.do("send b0 4c 20")
        for value in range(0x20, 0x7f):
            hands.do(f"send 4c {value:02x}", "wait 6")
        hands.do("send 4c", "wait 20", "send 7f")
        hands.mark("flooded")
        stage.becomes("tempo", 4)
        hands.send("b0 4c 00", "4c 30")
        stage.soon("the tempo is taken back", lambda: stage.value("tempo") < 4)
        stage.plays_on()
        stage.refused("preset", "round", says="circle")
        stage.refused("preset", "no such", says="cannot name a preset")
        stage.refused("load", "/no/such.safetensors", says="/no/such")
        stage.tell("learn", "pull")
        for value in (0, 40, 80, 127):
            hands.send(f"b4 7b {value:02x}")
        hands.send("b4 62 05", "b4 63 00")
        hands.mark("reserved")
        time.sleep(0.3)
        before = stage.value("pull")
        hands.send("b4 15 00", "b4 15 20", "b4 15 40", "b4 15 7f")
        stage.becomes("pull", 1)
        expect(before != 1, f"learnt a reserved controller")
        stage.plays_on(10)
        heard, _, log = stage.end()
    finally:
        stage.clean_up()
    expect("learnt: cc 21 ch 5 = pull" in log, f"not learnt: {log}")
    told = log.count("cannot be learnt, it is reserved")
    expect(told == 1, f"told {told} times that it is reserved: {log}")
    return check_heard(stage, heard, log)


if not shutil.which("jackd"):
    print("jackd is not installed: skipped")
    raise SystemExit(SKIP)
WORK = Workplace()
ENVIRONMENT = make_home()
run_tests([
    ("performance", test_performance),
    ("takes", test_takes),
    ("knobs", test_knobs),
    ("swaps", test_swaps),
    ("swaps_of_kinds", test_swaps_of_kinds),
    ("bad_input", test_bad_input),
])
