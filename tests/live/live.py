"""What the live tests share: running meander, a jackd of their own and its
capture client, reading traces and recordings, and the invariants of DESIGN.md.
Standard library only."""
import os
import re
import signal
import struct
import subprocess
import sys
import tempfile
import time
import traceback
from concurrent.futures import ThreadPoolExecutor

MEANDER = os.environ.get("MEANDER", "meander")
MAKE_MODEL = os.environ.get("MAKE_MODEL", "make_model")
JACK_CAPTURE = os.environ.get("JACK_CAPTURE", "jack_capture")
# Two runs at a time on one machine need different ones.
JACK_SERVER = "meander-test"
SKIP = 77


class Failure(Exception):
    pass


def expect(condition, text):
    if not condition:
        raise Failure(text)


class Workplace:
    """A folder that vanishes, with a model of each kind in it; `model` is the
    one that plays."""

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="meander-test-")
        self.vae = self.path("vae.safetensors")
        self.diffusion = self.path("diffusion.safetensors")
        subprocess.run([MAKE_MODEL, "vae", self.vae], check=True)
        subprocess.run([MAKE_MODEL, "diffusion", self.diffusion], check=True)
        self.model = self.vae

    def path(self, name):
        return os.path.join(self.folder.name, name)


def start_meander(work, *arguments, program=MEANDER, **settings):
    return subprocess.Popen(
        [program, *(["--model", work.model] if work else []), *map(str, arguments)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **settings)


def await_first_note(process):
    """Reads what it says until its first note was heard."""
    for line in process.stdout:
        if "first note" in line:
            return
    raise Failure(f"no first note: {process.stderr.read()}")


def finish(process, timeout=30):
    """(exit code, standard output, standard error)"""
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        give_up(process, f"did not end within {timeout} s")
    return process.returncode, out, err


def finish_playing(process, seconds, trace):
    """finish() of a player of `seconds` by a server that a loaded machine may
    slow down: it has a long time, as long as its trace (which it writes in
    blocks) grows."""
    began = grown = time.monotonic()
    size = 0
    while True:
        try:
            out, err = process.communicate(timeout=1)
            return process.returncode, out, err
        except subprocess.TimeoutExpired:
            now = time.monotonic()
        size, before = os.path.getsize(trace) if os.path.exists(trace) else 0, size
        grown = now if size != before else grown
        if now - grown > min(seconds, 30) + 30:
            give_up(process, f"no notes since {now - grown:.0f} s")
        if now - began > 3 * seconds + 60:
            give_up(process, f"{seconds} s took more than {now - began:.0f} s")


def give_up(process, why):
    process.kill()
    out, err = process.communicate()
    raise Failure(f"{why}:\n{out}{err}")


def run_meander(work, *arguments, timeout=30, **settings):
    return finish(start_meander(work, *arguments, **settings), timeout)


def render(work, seed, seconds, name, *arguments):
    path = work.path(name)
    code, out, err = run_meander(work, "render", "--seed", seed, "--seconds",
                                 seconds, "-o", path, *arguments)
    expect(code == 0, f"render failed: {out}{err}")
    return read_bytes(path)


def refused(code, work, *arguments, says, **settings):
    """meander ends with `code` and one line on stderr that holds `says`."""
    got, out, err = run_meander(work, *arguments, **settings)
    lines = err.splitlines()
    expect(got == code, f"{arguments}: exit code {got}, not {code}: {out}{err}")
    expect(len(lines) == 1 and lines[0].startswith("meander: "),
           f"{arguments}: not one error line: {err!r}")
    for text in [says] if isinstance(says, str) else says:
        expect(text in lines[0], f"{arguments}: no {text!r} in {err!r}")


def read_bytes(path):
    with open(path, "rb") as file:
        return file.read()


def read_events(path):
    """[(frame, status, data1, data2)] of a trace or a capture."""
    with open(path) as file:
        return [tuple(map(int, line.split())) for line in file]


def counter(log, name):
    """The number before `name` in what meander says at its end; those that are
    0 it leaves out."""
    found = re.search(rf"(\d+) {name}", log[log.rindex("played "):])
    return int(found[1]) if found else 0


def read_recording(path):
    """[(tick, status, data1, data2)] of a format 0 file of ours."""
    data = read_bytes(path)
    expect(data[:4] == b"MThd" and data[14:18] == b"MTrk",
           f"{path} is no MIDI file")
    length, = struct.unpack(">I", data[18:22])
    expect(22 + length == len(data), f"{path}: the track's length is wrong")
    events, at, tick, status = [], 22, 0, 0

    def variable(at):
        value = 0
        while True:
            byte = data[at]
            value, at = value << 7 | byte & 0x7F, at + 1
            if byte < 0x80:
                return value, at

    while at < len(data):
        delta, at = variable(at)
        tick += delta
        if data[at] == 0xFF:
            size, at = variable(at + 2)
            at += size
            continue
        if data[at] >= 0x80:
            status, at = data[at], at + 1
        events.append((tick, status, data[at], data[at + 1]))
        at += 2
    return events


def check_invariants(events, what, ordered_offs=True):
    """Each on has exactly one later off; time never decreases; at one time offs
    come before ons (not where frames were rounded to ticks)."""
    sounding, last, on_at = set(), 0, -1
    for time_, status, pitch, velocity in events:
        expect(time_ >= last, f"{what}: time goes back at {time_}")
        last = time_
        key = (status & 0x0F, pitch)
        if status & 0xF0 == 0x90:
            expect(velocity > 0, f"{what}: a note-on of velocity 0 at {time_}")
            expect(key not in sounding, f"{what}: {key} pressed twice at {time_}")
            sounding.add(key)
            on_at = time_
        else:
            expect(status & 0xF0 == 0x80, f"{what}: status {status} at {time_}")
            expect(key in sounding, f"{what}: {key} released twice at {time_}")
            expect(not ordered_offs or on_at != time_,
                   f"{what}: an off after an on at {time_}")
            sounding.remove(key)
    expect(not sounding, f"{what}: {len(sounding)} notes never end")
    return sum(1 for e in events if e[1] & 0xF0 == 0x90)


def check_stops(path, stops, rate=48000):
    """The trace of a player that was stopped for more than two seconds so many
    times: no note sounded meanwhile, and it went on."""
    sounding, before, found = set(), 0, 0
    for frame, status, pitch, _ in read_events(path):
        if before and frame - before > 2 * rate:
            found += 1
            expect(not sounding, f"{len(sounding)} notes sound in stop {found}")
        before = frame
        if status & 0xF0 == 0x90:
            sounding.add((status & 15, pitch))
        elif status & 0xF0 == 0x80:
            sounding.discard((status & 15, pitch))
    expect(not sounding, f"{len(sounding)} notes never end")
    expect(found == stops, f"{found} stops of {stops}")


def check_recording(path):
    return check_invariants(read_recording(path), os.path.basename(path), False)


def realtime_is_granted():
    return subprocess.run(["chrt", "-f", "10", "true"],
                          stderr=subprocess.DEVNULL).returncode == 0


class Jackd:
    """A server of our own on the dummy driver. It waits for its clients (-S):
    on a machine that is too busy, a server that does not lets a client read a
    port while another still writes it. Names are few and used again: JACK keeps
    a registry of eight, in which killed servers stay."""

    def __init__(self, period, slot=0):
        self.name, self.period = f"{JACK_SERVER}-{slot}", period
        self.rate = 48000
        self.flag = "-R" if realtime_is_granted() else "-r"
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            ["jackd", "-n", self.name, self.flag, "-S", "-d", "dummy", "-r",
             str(self.rate), "-p", str(self.period)],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(100):
            time.sleep(0.05)
            if self.tool("jack_lsp").returncode == 0:
                return
        raise Failure(f"jackd {self.name} does not start")

    def tool(self, *command):
        return subprocess.run(
            command, env={**os.environ, "JACK_DEFAULT_SERVER": self.name},
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.kill()


class Capture:
    """The other end of the cable."""

    def __init__(self, server, path):
        self.path = path
        self.process = subprocess.Popen(
            [JACK_CAPTURE, server.name, path], stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True)
        expect(self.process.stdout.readline() == "ready\n",
               "the capture client does not start")

    def finish(self):
        """The events it heard."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.process.communicate(timeout=10)
        return read_events(self.path)


def at_once(play, cases):
    """What play(case) returns for each. They mostly wait, so all of them wait
    at the same time: each needs files of its own."""
    with ThreadPoolExecutor(len(cases)) as pool:
        return list(pool.map(play, cases))


def run_tests(tests):
    """Runs (name, function) pairs, or those named on the command line; ends the
    program. A function that could not try all that it should returns "not
    tried: ..." and why."""
    chosen, failed = sys.argv[1:], 0
    unknown = set(chosen) - {name for name, _ in tests}
    if unknown:
        print(f"no such test: {', '.join(sorted(unknown))}", file=sys.stderr)
        sys.exit(2)
    for name, test in tests:
        if chosen and name not in chosen:
            continue
        began = time.monotonic()
        try:
            note = test()
            word = "PART" if note and "not tried: " in note else "ok  "
            print(f"{word} {name} ({time.monotonic() - began:.1f} s)"
                  f"{': ' + note if note else ''}", flush=True)
        except Failure as failure:
            failed += 1
            print(f"FAIL {name}: {failure}", flush=True)
        except Exception:  # the others are still tried
            failed += 1
            print(f"FAIL {name}: {traceback.format_exc()}", flush=True)
    sys.exit(1 if failed else 0)
