#!/usr/bin/env python3
"""`meander audition` as a listener has it, on the null backend, told by OSC: one
checkpoint after another, two in turn at the same point, ratings; and a watched
folder into which checkpoints are copied, renamed, half written and broken while
it plays. What is heard and when is what the status says of the notes that
sound ("heard"), and the recording of each window."""
import json
import os
import re
import shutil
import statistics
import struct
import subprocess
import time

from live import (MAKE_MODEL, Failure, Workplace, check_invariants,
                  check_recording, counter, expect, read_bytes, read_events,
                  run_meander, run_tests)
from osc import Client

ROOT = "/meander/"
SECONDS_MAX = 20.0
# A new checkpoint is heard within this, in the middle of several.
HEARD_S = 1.0
COMPARISONS = 10


def write_model(path, seed, step=None, kind="vae"):
    """A checkpoint as meander-train saves it: it says at which step."""
    subprocess.run([MAKE_MODEL, kind, path, str(seed)], check=True)
    if step is None:
        return
    data = read_bytes(path)
    size, = struct.unpack("<Q", data[:8])
    header = json.loads(data[8:8 + size])
    header["__metadata__"]["step"] = str(step)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data[8 + size:])


class Listener:
    """meander, and OSC to it."""

    def __init__(self, name, *arguments):
        self.trace, self.log = WORK.path(name + ".trace"), WORK.path(name + ".log")
        self.recording = WORK.path(name + ".mid")
        with open(self.log, "w") as log:
            self.process = subprocess.Popen(
                [os.environ["MEANDER"], "audition", *map(str, arguments),
                 "--backend", "null", "--osc-port", "0", "--trace", self.trace,
                 "--record", self.recording, "--seed", "11"],
                stdout=log, stderr=subprocess.STDOUT, env=ENVIRONMENT)
        try:
            self.soon("OSC is open", lambda: re.search(r"OSC at \S+:(\d+)", self.said()))
            self.osc = Client(int(re.search(r"OSC at \S+:(\d+)", self.said())[1]))
            self.soon("it plays", lambda: self.status()["notes"] > 3)
        except BaseException:
            self.clean_up()
            raise

    def said(self):
        with open(self.log) as file:
            return file.read()

    def soon(self, what, condition):
        until = time.monotonic() + SECONDS_MAX
        while not condition():
            if self.process.poll() is not None or time.monotonic() > until:
                raise Failure(f"in vain: {what}: {self.said()}")
            time.sleep(0.005)

    def status(self):
        path, words = self.osc.ask(ROOT + "status")
        expect(path == ROOT + "status", f"{path}")
        return dict(zip(words[::2], words[1::2]))

    def tell(self, path, *arguments):
        self.osc.send(ROOT + path, *arguments)
        errors = [a for a in self.osc.ping() if a[0] == ROOT + "error"]
        expect(not errors, f"{path} {arguments}: {errors}")

    def heard(self, name):
        """Waits for a note of it; its digest."""
        def sounds():
            now = self.status()
            return now["name"] == name and now["heard"] == now["digest"] and now
        self.soon(f"{name} is heard", sounds)
        return self.status()["digest"]

    def says(self, text):
        self.soon(f"it says {text!r}", lambda: text in self.said())

    def plays_on(self, notes=4):
        before = self.status()["notes"]
        self.soon("notes go on", lambda: self.status()["notes"] >= before + notes)

    def end(self, again=True):
        """After SIGTERM: each note has ended, nothing was lost, and what was
        recorded is made again, where its checkpoints are still there."""
        self.process.terminate()
        expect(self.process.wait(30) == 0, f"exit code: {self.said()}")
        log = self.said()
        count = check_invariants(read_events(self.trace), self.trace)
        expect(counter(log, "notes") == count, f"{count} notes: {log}")
        for fault in ("dropped", "missing in view and", "note-offs written late"):
            expect(not counter(log, fault), f"{fault}: {log}")
        check_recording(self.recording)
        if again:
            self.make_again()
        return log, count

    def make_again(self):
        again = self.recording + ".again"
        code, out, err = run_meander(None, "render", "--from", self.recording,
                                     "-o", again, env=ENVIRONMENT)
        expect(code == 0, f"render: {out}{err}")
        expect(read_bytes(again) == read_bytes(self.recording),
               "the recording is made again otherwise")

    def clean_up(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


# --- Checkpoints that are named -----------------------------------------------

def windows_of(path):
    """[(model, seed, window, z)] as they were heard, from the recording."""
    found = re.findall(rb"meander: from \d+(?: anew)?: window model=(\w+) "
                       rb"fallback=0 seed=(\d+) w=(\d+) .*?z=([\w:.]+)",
                       read_bytes(path))
    return [(m.decode(), int(s), int(w), z.decode()) for m, s, w, z in found]


def check_comparisons(windows, count):
    """Both sides of each `ab` made the same window from the same point. (Where
    the plan went on by a window while the other side made it, the one before
    the last comes again.)"""
    swaps = [i for i in range(1, len(windows))
             if windows[i][0] != windows[i - 1][0]][-count:]
    expect(len(swaps) == count, f"{len(swaps)} swaps: {windows}")
    same, points = 0, 0
    for i in swaps:
        (_, seed, window, z), before = windows[i], windows[i - 1]
        expect(seed == before[1], f"another seed: {windows[i - 1:i + 1]}")
        expect(window in (before[2], before[2] - 1),
               f"another window: {windows[i - 1:i + 1]}")
        same += window == before[2]
        if window == before[2] and ":" not in z + before[3]:  # both in full
            expect(z == before[3], f"another point: {windows[i - 1:i + 1]}")
            points += 1
    expect(same >= count - 2, f"{same} of {count} windows are the same: {windows}")
    expect(points > 1, f"no point was told in full twice: {windows}")
    return f"{same} of {count} comparisons at the same window, {points} points read"


def test_two_in_turn():
    """Slow, in a walk: each comparison falls within the window that sounds."""
    one, two = (f"{SHIPPED}/{name}.safetensors" for name in ("one", "two"))
    play = Listener("named", one, two, "--mode", "walk", "--tempo", 0.25)
    try:
        digest = {"one": play.heard("one")}
        play.says("plays one, step 100")
        play.tell("next")
        digest["two"] = play.heard("two")
        play.says("plays two, step 200")
        expect(play.status()["step"] == 200, f"{play.status()}")
        play.tell("previous")
        play.heard("one")
        expect(play.status()["side"] == "-", f"{play.status()}")
        play.tell("ab")  # the empty side gets the neighbour
        play.heard("two")
        for i in range(1, COMPARISONS):
            play.tell("ab")
            play.heard(("two", "one")[i % 2])
        expect(play.status()["side"] in "AB", f"{play.status()}")
        log, count = play.end()
    finally:
        play.clean_up()
    windows = windows_of(play.recording)
    expect({w[0] for w in windows} == set(digest.values()), f"{windows}")
    return f"{count} notes, {check_comparisons(windows, COMPARISONS)}"


def test_ratings_and_waiting():
    """Ratings are written beside, and are there the next time; what is chosen
    while the music is frozen says that it waits."""
    play = Listener("rated", SHIPPED, "--tempo", 4)
    try:
        first = play.status()["name"]
        digest = play.heard(first)
        play.tell("accept")
        play.soon("the rating shows", lambda: play.status()["rating"] == "keep")
        play.tell("reject")  # the last word counts; and it goes on
        play.soon("another one", lambda: play.status()["name"] != first)
        second = play.status()["name"]
        play.heard(second)
        expect(play.status()["rating"] == "-", f"{play.status()}")
        play.tell("param/freeze", True)
        play.plays_on(16)
        play.tell("ab")
        play.soon("it waits", lambda: play.status()["waits_for"] ==
                  "the music is frozen")
        coming = play.status()["coming"]
        play.says(f"{coming} waits: the music is frozen")
        play.plays_on(8)
        expect(play.status()["name"] == second, "it swapped while it is frozen")
        play.tell("param/freeze", False)
        play.heard(coming)
        expect(play.status()["waits_for"] == "-", f"{play.status()}")
        log, count = play.end()
    finally:
        play.clean_up()
    with open(f"{SHIPPED}/meander-ratings.txt") as file:
        lines = [line.rstrip("\n").split("\t") for line in file]
    step = {"one": "100", "two": "200", "three": "300"}[first]
    expect([line[1:] for line in lines] ==
           [[digest, rating, first + ".safetensors", step, "11"]
            for rating in ("keep", "reject")], f"{lines}")
    expect(log.count("waits: ") == 1, f"told more than once: {log}")
    play = Listener("rated_again", f"{SHIPPED}/{first}.safetensors")
    try:
        expect(play.status()["rating"] == "reject", f"{play.status()}")
        play.says(f"plays {first}, step {step}, rated reject")
        play.end()
    finally:
        play.clean_up()
    return f"{count} notes"


# --- A watched folder ---------------------------------------------------------

def await_heard(play, path, step):
    """Seconds from now until a note of it is heard, which its file waits for."""
    began = time.monotonic()

    def sounds():
        now = play.status()
        return now["step"] == step and now["heard"] == now["digest"]
    play.soon(f"{path} is heard", sounds)
    return time.monotonic() - began


def copy_slowly(source, path):
    """As from another machine, piece by piece."""
    data = read_bytes(source)
    with open(path, "wb", buffering=0) as file:
        for at in range(0, len(data), len(data) // 8):
            file.write(data[at:at + len(data) // 8])
            time.sleep(0.02)


def play_new_ones(play, runs):
    """Of two runs whose files have the same names, copied and renamed in turn."""
    times = []
    for number in range(1, 7):
        name = ("one", "two")[number % 2]
        path, step = f"{runs}/{name}/best.safetensors", 1000 * number
        whole = WORK.path("whole.safetensors")
        write_model(whole, 40 + number, step)
        if number % 3 == 0:
            copy_slowly(whole, path)
        else:
            shutil.copyfile(whole, path + ".part")
            os.rename(path + ".part", path)
        times.append(await_heard(play, path, step))
        play.says(f"plays {name + '/best' if number > 1 else 'best'}, step {step}")
        play.plays_on()
    return times


def broken_ones(whole):
    """{name: its bytes}"""
    data = read_bytes(whole)
    size, = struct.unpack("<Q", data[:8])
    return {"empty": b"", "rubbish": b"no checkpoint at all " * 20,
            "short": data[:-100], "long": data + b"\0" * 8,
            "head": data[:100], "nan": data[:-4] + struct.pack("<f", float("nan")),
            "shape": data[:8] + data[8:8 + size].replace(
                b"[64,19]", b"[19,64]") + data[8 + size:]}


def refuse_broken(play, runs):
    """Each is one line; what plays goes on."""
    before = play.status()["digest"]
    for name, data in broken_ones(WORK.path("whole.safetensors")).items():
        path = f"{runs}/{name}.safetensors"
        with open(path + ".part", "wb") as file:
            file.write(data)
        os.rename(path + ".part", path)
        play.says(f"not played: {path}")
        play.plays_on()
        told = [line for line in play.said().splitlines() if name + ".saf" in line]
        expect(len(told) == 1, f"{name}: {told}")
        expect(play.status()["digest"] == before, f"{name} plays")
    # What meander-train resumes from is none.
    shutil.copyfile(WORK.path("whole.safetensors"), f"{runs}/state.safetensors")
    play.plays_on()


def play_half_written(play, runs):
    """Closed when half of it is there: refused, once; whole: heard."""
    whole = WORK.path("half.safetensors")
    write_model(whole, 60, 9000)
    data, path = read_bytes(whole), f"{runs}/half.safetensors"
    with open(path, "wb") as file:
        file.write(data[:len(data) // 2])
    play.says(f"not played: {path}")
    play.plays_on()
    with open(path, "ab") as file:
        file.write(data[len(data) // 2:])
    return await_heard(play, path, 9000)


def test_watch():
    runs = WORK.path("runs")
    for name in ("one", "two"):
        os.makedirs(f"{runs}/{name}")
    play = Listener("watch", f"{SHIPPED}/one.safetensors", "--watch", runs,
                    "--tempo", 4, "--density", 2)
    try:
        expect(play.status()["following"] == 1, f"{play.status()}")
        times = play_new_ones(play, runs)
        refuse_broken(play, runs)
        times.append(play_half_written(play, runs))
        newest = play.status()["digest"]
        play.tell("ab")  # what was named stays, to compare with
        play.heard("one")
        expect(play.status()["following"] == 0, f"{play.status()}")
        play.tell("ab")
        play.soon("the newest again", lambda: play.status()["heard"] == newest)
        log, count = play.end(again=False)
    finally:
        play.clean_up()
    told = log.count("not played: ")
    expect(told == len(broken_ones(WORK.path("half.safetensors"))) + 1,
           f"{told} refusals: {log}")
    expect("state.safetensors" not in log, log)
    expect(statistics.median(times) < HEARD_S, f"heard after {times} s")
    return (f"{count} notes, {len(times)} checkpoints heard within "
            f"{statistics.median(times):.2f} s (median) and {max(times):.2f} s")


WORK = Workplace()
ENVIRONMENT = {**os.environ, "HOME": WORK.path("home"),
               "XDG_CONFIG_HOME": WORK.path("config"),
               "XDG_STATE_HOME": WORK.path("state"),
               "MEANDER_DATA": WORK.path("data")}
SHIPPED = WORK.path("data/models/weights")  # where a recording finds them again
os.makedirs(WORK.path("home"))
os.makedirs(SHIPPED)
for seed, name in enumerate(("one", "two", "three"), 1):
    write_model(f"{SHIPPED}/{name}.safetensors", seed, 100 * seed)
run_tests([
    ("two_in_turn", test_two_in_turn),
    ("ratings_and_waiting", test_ratings_and_waiting),
    ("watch", test_watch),
])
