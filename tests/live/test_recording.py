#!/usr/bin/env python3
"""Recordings on the null backend: killed, or the file taken away, or with no
room left; kept; made again."""
import glob
import os
import random
import re
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from live import (MAKE_MODEL, Failure, Workplace, at_once, await_first_note,
                  check_recording, expect, finish, read_bytes, render,
                  run_meander, run_tests, start_meander)
from midi_file import NotMidi, notes_of, parse
from osc import Client

SECONDS = 8
TICKS_PER_SECOND = 1920


def start_recording(name, **settings):
    """A player whose first note was heard, and its file."""
    path = WORK.path(name)
    player = start_meander(WORK, "--backend", "null", "--seconds", SECONDS,
                           "--seed", 5, "--record", path, **settings)
    await_first_note(player)
    return player, path


def rendered():
    return parse(render(WORK, 5, SECONDS, "rendered.mid"))[0]


def test_killed():
    expected = notes_of(rendered())
    numbers = random.Random(1)

    def play(case):
        number, seconds = case
        player, path = start_recording(f"killed{number}.mid")
        began = time.monotonic()
        time.sleep(seconds)
        player.kill()
        lived = time.monotonic() - began
        player.wait()
        player.stdout.close()
        player.stderr.close()
        try:
            events, more = parse(read_bytes(path))
        except (NotMidi, IndexError) as error:
            raise Failure(f"{path}, after {lived:.3f} s: {error}") from error
        notes = notes_of(events)
        cut = max(note[3] for note in notes)
        for note, want in zip(notes, expected):
            expect(note == want or note == want[:3] + (cut,) and cut < want[3],
                   f"{note} is not {want}, in a file of {cut} ticks")
        # Since the first note was heard, less a second.
        until = expected[0][0] + (lived - 1) * TICKS_PER_SECOND
        missing = [n for n in expected[len(notes):] if n[0] <= until]
        expect(not missing, f"after {lived:.3f} s {len(notes)} notes are there, "
               f"{len(missing)} of those until tick {until:.0f} are not")
        texts = [data for _, kind, data in events if kind == 0x01]
        expect(texts[0].startswith(b"meander ") and b"seed=5" in texts[0],
               f"not where it came from: {texts}")
        return len(notes), more

    kills = 6 if "SLOW" in os.environ else 30
    cases = [(number, numbers.uniform(1.05, 4)) for number in range(kills)]
    results = [r for at in range(0, kills, 6) for r in at_once(play, cases[at:at + 6])]
    return (f"{kills} killed, {min(notes for notes, _ in results)} to "
            f"{max(notes for notes, _ in results)} notes, "
            f"{sum(more for _, more in results)} between two writes")


def test_deleted():
    player, path = start_recording("deleted.mid")
    time.sleep(1.5)
    os.unlink(path)
    code, out, err = finish(player)
    expect(code == 0, f"exit code {code}: {out}{err}")
    expect(out.count("moved or deleted") == 1 and path in out,
           f"not told once: {out}")
    expect(read_bytes(path) == render(WORK, 5, SECONDS, "r.mid"),
           "the recording is not what render makes")


def limit_file_size():
    resource.setrlimit(resource.RLIMIT_FSIZE, (2200, 2200))


def test_no_room():
    player, path = start_recording("full.mid", preexec_fn=limit_file_size)
    code, out, err = finish(player)
    expect(code == 1, f"exit code {code}: {out}{err}")
    expect(out.count("goes on in memory") == 1 and "File too large" in out,
           f"not told once: {out}")
    expect(len(err.splitlines()) == 1 and path in err and
           "lost but for what is there already" in err, f"not one line: {err}")
    events, more = parse(read_bytes(path))
    expect(not more, "what did not fit was left behind")
    begin = notes_of(events)
    expect(len(begin) > 3, f"only {len(begin)} notes")
    expect([n[:3] for n in begin] ==
           [n[:3] for n in notes_of(rendered())[:len(begin)]],
           "other notes than played")


def test_nothing_played():
    path = WORK.path("old.mid")
    with open(path, "w") as file:
        file.write("what was there")
    player = start_meander(WORK, "--backend", "null", "--seconds", 0,
                           "--record", path)
    code, out, err = finish(player)
    expect(code == 0, f"exit code {code}: {out}{err}")
    expect(read_bytes(path) == b"what was there", "the old file is gone")
    expect(not [n for n in os.listdir(WORK.folder.name) if ".tmp" in n],
           "a temporary file is left")


def test_terminated():
    """A clean end leaves today's file and nothing beside it."""
    player, path = start_recording("terminated.mid")
    time.sleep(1)
    player.send_signal(signal.SIGTERM)
    code, out, err = finish(player)
    expect(code == 0, f"exit code {code}: {out}{err}")
    events, more = parse(read_bytes(path))
    expect(not more and len(re.findall(rb"meander ", read_bytes(path))) == 1,
           "left from growing")
    notes_of(events)
    check_recording(path)
    expect(not os.path.exists(f"{path}.tmp{player.pid}"), "a temporary file")

# --- Recordings that are made again --------------------------------------------

def home():
    """Of one's own, without checkpoints that ship."""
    return {**os.environ, "HOME": WORK.folder.name,
            "XDG_CONFIG_HOME": WORK.path("config"),
            "XDG_STATE_HOME": WORK.path("state"),
            "MEANDER_DATA": WORK.path("nothing")}


def free_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Playing:
    """meander on the null backend, and OSC to it."""

    def __init__(self, *arguments, work=None, **settings):
        self.keep = tempfile.mkdtemp(dir=WORK.folder.name)
        port = free_port()
        self.player = start_meander(
            work, *arguments, "--backend", "null", "--osc-port", port,
            "--keep-dir", self.keep, "--seed", 5, env=home(), **settings)
        try:
            await_first_note(self.player)
            self.osc = Client(port)
            self.osc.socket.connect(("127.0.0.1", port))
        except BaseException:
            self.player.kill()
            raise

    def tell(self, path, *arguments):
        self.osc.send("/meander/" + path, *arguments)
        errors = [a for a in self.osc.ping() if a[0] == "/meander/error"]
        expect(not errors, f"{path} {arguments}: {errors}")

    def status(self):
        words = self.osc.ask("/meander/status")[1]
        return dict(zip(words[::2], words[1::2]))

    def soon(self, what, condition, seconds=10):
        until = time.monotonic() + seconds
        while not condition():
            expect(time.monotonic() < until, f"not within {seconds} s: {what}")
            time.sleep(0.02)

    def plays_on(self, notes):
        before = self.status()["notes"]
        self.soon(f"{notes} more notes",
                  lambda: self.status()["notes"] >= before + notes)

    def kept(self):
        return sorted(glob.glob(self.keep + "/*.mid"))

    def end(self):
        self.player.send_signal(signal.SIGTERM)
        code, out, err = finish(self.player)
        expect(code == 0 and not err, f"exit code {code}: {out}{err}")
        return out


def again(path, *arguments, **settings):
    """render --from: (exit code, output, bytes)"""
    target = path + ".again"
    code, out, err = run_meander(None, "render", "--from", path, "-o", target,
                                 *arguments, env=home(), **settings)
    return code, out + err, read_bytes(target) if code == 0 else b""


def check_again(path, *arguments, **settings):
    code, out, made = again(path, *arguments, **settings)
    expect(code == 0, f"{path}: {out}")
    expect(made == read_bytes(path), f"{path} is made again otherwise")


def test_killed_made_again():
    """What a SIGKILL left has the same notes when it is made again, and how
    they were made, too; what made room while the file grew is not there."""
    def play(case):
        number, seconds = case
        path = WORK.path(f"again{number}.mid")
        playing = Playing("--record", path, "--tempo", 2, "--density", 2,
                          work=WORK)
        for turn in range(3):
            time.sleep(seconds / 3)
            playing.tell("param/density", 1.5 + turn)
        playing.player.kill()
        finish(playing.player)
        code, out, made = again(path, "--model", WORK.model)
        expect(code == 0, f"{path}: {out}")
        left, made = parse(read_bytes(path))[0], parse(made)[0]
        left = [e for e in left if e[1:] != (0x01, b"")]
        expect(left == made, f"{path} is made again otherwise")
        return len(notes_of(left))

    numbers = random.Random(2)
    cases = [(number, numbers.uniform(1.2, 3)) for number in range(6)]
    return f"{at_once(play, cases)} notes made again"


def beat_of(events):
    """(beats a minute, quarters a bar) of a file; 0: it does not say."""
    tempo = next(int.from_bytes(d, "big") for _, kind, d in events if kind == 0x51)
    meter = next((d[0] * 4 / 2 ** d[1] for _, kind, d in events if kind == 0x58), 0)
    return 60e6 / tempo, meter


def test_kept_length():
    """What is kept is as long as was asked for, and begins on a bar line where
    bars were; its notes are those that were played, to the tick. So with what
    is recorded from any moment on."""
    bpm, record = 150, WORK.path("bars.mid")
    frames_a_bar = 48000 * 60 / bpm * 3
    playing = Playing("--bpm", bpm, "--beats-per-bar", 3, "--quantise", 1,
                      "--grid", "1/8", "--tempo", 2, "--record", record, work=WORK)
    time.sleep(7)
    wants = [("keep_bars", 1), ("keep_bars", 2), ("keep_bars", 3), ("keep", 5),
             ("keep", 1.5), ("keep", 60)]
    playing.tell("record", 0)
    playing.tell("record", 1)
    time.sleep(1.05)  # names tell the second, and order
    for number, want in enumerate(wants):
        playing.tell(*want)
        playing.soon(f"{want}", lambda: len(playing.kept()) == number + 2)
        time.sleep(1.05)
    playing.end()
    whole = parse(read_bytes(record))[0]
    expect(abs(beat_of(whole)[0] - bpm) < 0.01 and beat_of(whole)[1] == 3,
           f"{beat_of(whole)}")
    lengths = []
    for path in playing.kept():
        check_again(path, "--model", WORK.model)
        events = parse(read_bytes(path))[0]
        expect(beat_of(events) == beat_of(whole), f"{path}: {beat_of(events)}")
        text = next(d for _, kind, d in events if b"meander: cut" in d)
        cut = {name.decode(): int(value) for name, value in
               re.findall(rb"(\w+)=(-?\d+)", text)}
        zero = cut["begin"] - cut.get("lead", 0)
        notes = notes_of(events)
        # Eighths, on the grid of the file; on the whole recording's, too.
        on_bar = zero % frames_a_bar in (0, frames_a_bar - 1)
        if on_bar:
            expect(all(min(n[0] % 480, -n[0] % 480) <= 1 for n in notes),
                   f"{path}: off the grid: {notes}")
        lengths.append((cut["frame"] / 48000, on_bar, notes[0][0]))
    lengths = lengths[1:]  # `record`'s is the first of them
    bar = frames_a_bar / 48000
    for (kind, amount), (seconds, on_bar, first) in zip(wants, lengths):
        told = f"{kind} {amount}: {lengths}"
        if kind == "keep_bars":
            expect(on_bar and amount * bar <= seconds < (amount + 1) * bar, told)
            expect(first < 3 * 960, told)
        elif amount == 60:
            expect(12 < seconds < 30 and first == 0, told)
        else:
            expect(seconds == amount, told)
    return f"{[round(seconds, 2) for seconds, _, _ in lengths]} s for {wants}"


def test_many_in_a_row():
    """Keeps wait for each other, and recordings that end; all are whole when
    the program ends, however early it does."""
    record = WORK.path("row.mid")
    playing = Playing("--tempo", 4, "--density", 4, "--record", record, work=WORK)
    playing.plays_on(40)
    for turn in range(2):
        playing.tell("record", 0)
        playing.tell("keep", 1)
        playing.tell("keep", 2)
        playing.tell("record", 1)
        playing.plays_on(20)
    log = playing.end()
    kept = playing.kept()
    expect(len(kept) == 6 and log.count("recorded in") == 3 and
           log.count("kept ") == 4, f"{kept}: {log}")
    for path in [record, *kept]:
        check_recording(path)
        check_again(path, "--model", WORK.model)


def make_runs(*seeds):
    """A folder of training runs, one checkpoint in each."""
    runs = tempfile.mkdtemp(prefix="my runs ", dir=WORK.folder.name)
    for seed in seeds:
        os.mkdir(f"{runs}/r{seed}")
        subprocess.run([MAKE_MODEL, "vae", f"{runs}/r{seed}/checkpoint.safetensors",
                        str(seed)], check=True)
    return runs


def test_two_checkpoints():
    """Both play in one recording and in what was kept: it is made again where
    they lie, or where options say that they lie."""
    runs, record = make_runs(1, 2), WORK.path("two.mid")
    playing = Playing("audition", "r1", "r2", "--record", record,
                      "--tempo", 4, "--density", 4, cwd=runs)
    digests = set()
    for turn in range(3):
        digests.add(playing.status()["digest"])
        playing.plays_on(12)
        before = playing.status()["name"]
        playing.tell("ab")
        playing.soon("the other side",
                     lambda: playing.status()["name"] != before)
    playing.plays_on(12)
    playing.tell("keep", 60)
    playing.soon("a file", playing.kept)
    playing.end()
    expect(len(digests) == 2, f"{digests} played")
    for path in [record, *playing.kept()]:
        for digest in digests:
            expect(f"model={digest}".encode() in read_bytes(path),
                   f"{digest} is not in {path}")
        check_again(path, cwd=runs)
        first, second = (f"{runs}/r{n}/checkpoint.safetensors" for n in (1, 2))
        check_again(path, "--model", first, "--model", second)
        check_again(path, "--model", first, "--fallback", second)
        check_again(path, "--model", runs)
        # One is not enough, and it says which is missing.
        code, out, _ = again(path, "--model", first)
        expect(code == 1 and len(out.splitlines()) == 1 and "--model" in out and
               "r2/checkpoint.safetensors" in out and
               any(digest in out for digest in digests), f"{code}: {out}")
        code, out, _ = again(path, "--model", runs + "/none")
        expect(code == 1 and "none: cannot read" in out, f"{code}: {out}")
    # A training run has written over one of them.
    shutil.copy(first, second)
    code, out, _ = again(record, cwd=runs)
    expect(code == 1 and "before another was written there" in out,
           f"{code}: {out}")



WORK = Workplace()
run_tests([(name[5:], test) for name, test in list(globals().items())
           if name.startswith("test_")])
