#!/usr/bin/env python3
"""Live play against a real jackd (dummy driver): a second client writes down
each message at the frame it arrives, and that must be the frame it was stamped
with. MEANDER_PLAY_SECONDS (60): how long to play at each period."""
import os
import shutil
import signal
import time

from live import (MEANDER, SKIP, Capture, Failure, Jackd, Workplace,
                  await_first_note, check_invariants, check_recording, counter, expect, finish,
                  finish_playing, read_bytes, read_events, read_recording,
                  render, run_tests, start_meander)

PLAY_S = float(os.environ.get("MEANDER_PLAY_SECONDS", "60"))
SEED = 11


class Session:
    """jackd, capture and meander, one of each."""

    def __init__(self, period, seconds, slot=0, find_server=False, extra=(),
                 slow=None, **environment):
        """find_server: --backend auto, the server named by the environment.
        slow: what meander-slow does to a diffusion model (slow_model.c)."""
        self.server = Jackd(period, slot)
        self.seconds = seconds
        self.capture = Capture(self.server, WORK.path(f"capture{period}"))
        self.trace = WORK.path(f"trace{period}")
        self.recording = WORK.path(f"recording{period}.mid")
        backend = (["--backend", "auto"] if find_server else
                   ["--backend", "jack", "--jack-server", self.server.name])
        self.player = start_meander(
            WORK, *backend, "--connect", "^capture(-[0-9]+)?:in$", "--seconds",
            seconds, "--seed", SEED, "--record", self.recording, "--trace",
            self.trace, *extra,
            program=os.environ["MEANDER_SLOW_PROGRAM"] if slow else MEANDER,
            env={**os.environ, "JACK_DEFAULT_SERVER": self.server.name,
                 "MEANDER_SLOW": slow or "", **environment})

    def end(self):
        """(events heard, events stamped, log); everything is over."""
        code, out, err = finish_playing(self.player, self.seconds, self.trace)
        heard = self.capture.finish()
        self.server.stop()
        expect(code == 0, f"exit code {code}: {out}{err}")
        return heard, read_events(self.trace), out

    def clean_up(self):
        for process in (self.player, self.capture.process):
            if process.poll() is None:
                process.kill()
                process.wait()
        self.server.stop()


def compare(heard, stamped, what):
    """Every message arrived at exactly its frame, and nothing else did."""
    mismatches = len(set(stamped) ^ set(heard))
    expect(mismatches == 0 and len(heard) == len(stamped),
           f"{what}: {mismatches} mismatches of {len(stamped)} messages")
    notes = check_invariants(heard, what)
    check_invariants(stamped, what + " stamped")
    return notes


def rendered(seconds):
    """(the file that render makes of the same music, its notes)"""
    if seconds not in RENDERED:
        data = render(WORK, SEED, seconds, "rendered.mid")
        RENDERED[seconds] = data, check_recording(WORK.path("rendered.mid"))
    return RENDERED[seconds]


def check_complete(session, notes, log, what):
    """Every note that render makes was played, or counted. Only what an overrun
    server left out of its clock may be late: on a machine that is too busy.
    Returns what to say of it."""
    file, all_notes = rendered(session.seconds)
    late, dropped, xruns = (counter(log, name)
                            for name in ("late", "dropped", "xrun"))
    told = f"{what}: {notes} notes, {late} late, {dropped} dropped, {xruns} xruns"
    expect(counter(log, "notes") == notes, f"{told}: not what it says: {log}")
    expect(notes + late + dropped == all_notes, f"{told}: of {all_notes}")
    if not xruns:
        expect(late == dropped == 0, told)
        expect(read_bytes(session.recording) == file,
               f"{what}: the recording is not what render makes")
    elif late or dropped:
        told += " (ALLOWED: the server could not keep up with its clock)"
    return told


def play_at(periods, seconds):
    sessions, notes = [], []
    try:
        for slot, period in enumerate(periods):
            sessions.append(Session(period, seconds, slot))
        for period, session in zip(periods, sessions):
            heard, stamped, log = session.end()
            expect(len(heard) > seconds, f"period {period}: hardly any notes")
            count = compare(heard, stamped, f"period {period}")
            check_recording(session.recording)
            notes.append(check_complete(session, count, log,
                                        f"period {period}")
                         + ", 0 mismatches")
        return "; ".join(notes)
    finally:
        for session in sessions:
            session.clean_up()


def test_exact_frames():
    return play_at((64, 256, 1024), PLAY_S)


def test_extreme_periods():
    return play_at((16, 8192), 6)


def test_buffer_size_changes():
    session = Session(256, 8)
    try:
        for period in (1024, 64, 8192, 128):
            time.sleep(1.4)
            session.server.tool("jack_bufsize", str(period))
        heard, stamped, log = session.end()
        # A restart of the driver takes time out of the clock; what falls in it
        # is late and left out whole.
        notes = compare(heard, stamped, "buffer size changes")
        check_recording(session.recording)
        _, all_notes = rendered(session.seconds)
        late, dropped = counter(log, "late"), counter(log, "dropped")
        told = f"{notes} of {all_notes} notes, {late} late, {dropped} dropped"
        expect(notes >= 0.85 * all_notes and late <= 10, told)
        expect(late == all_notes - notes - dropped, told)
        return told
    finally:
        session.clean_up()


def test_server_killed():
    session = Session(128, 5)
    try:
        time.sleep(2.5)
        session.server.kill()
        began = time.monotonic()
        code, out, err = finish(session.player, 20)
        expect(code == 0, f"exit code {code}: {out}{err}")
        expect("the server is gone" in out, f"not told: {out}")
        check_recording(session.recording)
        # Before the server died all was on time.
        last = max(e[0] for e in read_recording(session.recording))
        expect(last <= 3.5 * 1920, f"the recording lasts {last} ticks")
        return f"ended {time.monotonic() - began:.1f} s later"
    finally:
        session.clean_up()


def test_server_restarted():
    session = Session(128, 8)
    again = None
    try:
        time.sleep(2)
        session.server.kill()
        session.capture.process.wait(10)
        before = read_events(session.capture.path)
        # So that it does not come back before somebody listens there.
        session.player.send_signal(signal.SIGSTOP)
        session.server.start()
        again = Capture(session.server, WORK.path("again"))
        session.player.send_signal(signal.SIGCONT)
        code, out, err = finish(session.player, 30)
        after = again.finish()
        expect(code == 0, f"exit code {code}: {out}{err}")
        expect("playing again" in out, f"did not come back: {out}")
        notes = check_recording(session.recording)
        expect(len(after) > 8, f"only {len(after)} messages after")
        # The first thing that the new server hears is the end of what sounded.
        held = set()
        for _, status, pitch, _ in before:
            held.add((status & 15, pitch))
            if status & 0xF0 == 0x80:
                held.discard((status & 15, pitch))
        ended = {(e[1] & 15, e[2]) for e in after
                 if e[0] == after[0][0] and e[1] & 0xF0 == 0x80}
        # (A note-on of the last cycle may not have reached the capture.)
        expect(held <= ended, f"{held} sounded, {ended} was ended")
        check_invariants([(0, 0x90 | key[0], key[1], 1) for key in ended] +
                         after, "after the restart")
        return f"{notes} notes in the recording, {len(held)} ended late"
    finally:
        session.clean_up()
        if again and again.process.poll() is None:
            again.process.kill()


def test_server_killed_then_signal():
    session = Session(128, 60)
    try:
        time.sleep(2)
        session.server.kill()
        time.sleep(1)
        session.player.send_signal(signal.SIGINT)
        code, out, err = finish(session.player, 10)
        expect(code == 0, f"exit code {code}: {out}{err}")
        return f"{check_recording(session.recording)} notes kept"
    finally:
        session.clean_up()


def test_server_restarted_at_another_rate():
    session = Session(128, 5)
    try:
        time.sleep(1.5)
        session.server.kill()
        session.server.rate = 44100
        session.server.start()
        code, out, err = finish(session.player, 30)
        expect(code == 0, f"exit code {code}: {out}{err}")
        expect(out.count("the server is back at 44100 Hz") == 1,
               f"not told once: {out}")
        expect("playing again" not in out, f"played at the wrong rate: {out}")
        return f"{check_recording(session.recording)} notes kept"
    finally:
        session.clean_up()


class Hung:
    """A server that is there and answers nobody."""

    def __init__(self, server):
        self.server = server

    def __enter__(self):
        self.server.process.send_signal(signal.SIGSTOP)
        return time.monotonic()

    def __exit__(self, *_):
        self.server.process.send_signal(signal.SIGCONT)


def test_hung_at_start():
    """One clear line within some seconds, whoever asks."""
    server = Jackd(256)
    environment = {**os.environ, "JACK_DEFAULT_SERVER": server.name}
    try:
        with Hung(server) as began:
            players = [start_meander(WORK, *arguments, env=environment)
                       for arguments in (["--backend", "jack"], ["--list-ports"])]
            codes, outs, errs = zip(*(finish(p, 30) for p in players))
            took = time.monotonic() - began
        expect(codes[0] == 1 and len(errs[0].splitlines()) == 1 and
               "hangs, it does not answer" in errs[0], f"{errs}")
        expect("hangs, it does not answer" in outs[1] + errs[1], f"{outs}{errs}")
        expect(took < 20, f"told after {took:.1f} s")
        return f"told after {took:.1f} s"
    finally:
        server.stop()


def test_hung_in_play():
    session = Session(256, 60)
    try:
        time.sleep(2)
        with Hung(session.server) as began:
            time.sleep(1)
            session.player.send_signal(signal.SIGTERM)
            code, out, err = finish(session.player, 20)
            took = time.monotonic() - began
        expect(code == 0, f"exit code {code}: {out}{err}")
        return (f"{check_recording(session.recording)} notes kept, ended "
                f"{took - 1:.1f} s after the signal")
    finally:
        session.clean_up()


def test_second_signal():
    """What keeps the end from coming is cut short; the recording is there."""
    session = Session(256, 60)
    try:
        time.sleep(3)
        with Hung(session.server):
            session.player.send_signal(signal.SIGTERM)
            time.sleep(1.5)  # an end by itself takes three
            session.player.send_signal(signal.SIGTERM)
            code, out, err = finish(session.player, 1)
        expect(code == -signal.SIGTERM, f"exit code {code}: {out}{err}")
        return f"{check_recording(session.recording)} notes kept"
    finally:
        session.clean_up()


def wait_for_line(process, text, seconds=20):
    """What it says until then."""
    told, end = "", time.monotonic() + seconds
    while time.monotonic() < end:
        line = process.stdout.readline()
        told += line
        if text in line:
            return told
        expect(line, f"it ended before {text!r}: {told}")
    raise Failure(f"no {text!r} within {seconds} s: {told}")


def test_close_hangs():
    """A dead server's client that cannot be closed: libjack opens no other, so
    none is tried until it can be."""
    stuck = WORK.path("stuck")
    open(stuck, "w").close()
    session = Session(128, 60, LD_PRELOAD=TROUBLE, JACK_TROUBLE_CLOSE=stuck)
    try:
        await_first_note(session.player)
        session.server.kill()
        wait_for_line(session.player, "the server is gone")
        session.server.start()
        wait_for_line(session.player, "holds up libjack: start meander anew")
        os.remove(stuck)
        told = wait_for_line(session.player, "playing again to JACK")
        expect("holds up" not in told, f"told more than once: {told}")
        session.player.send_signal(signal.SIGTERM)
        code, out, err = finish(session.player, 10)
        expect(code == 0, f"exit code {code}: {out}{err}")
        return f"{check_recording(session.recording)} notes kept"
    finally:
        session.clean_up()


def test_close_hangs_then_signal():
    stuck = WORK.path("stuck for good")
    open(stuck, "w").close()
    session = Session(128, 60, LD_PRELOAD=TROUBLE, JACK_TROUBLE_CLOSE=stuck)
    try:
        await_first_note(session.player)
        session.server.kill()
        wait_for_line(session.player, "holds up libjack")
        session.player.send_signal(signal.SIGINT)
        code, out, err = finish(session.player, 10)
        expect(code == 0, f"exit code {code}: {out}{err}")
        return f"{check_recording(session.recording)} notes kept"
    finally:
        session.clean_up()


def test_rate_changes():
    """A server that changes its rate in play, as PipeWire may."""
    other = WORK.path("other rate")
    session = Session(256, 60, LD_PRELOAD=TROUBLE, JACK_TROUBLE_RATE=other)
    try:
        time.sleep(3)
        open(other, "w").close()
        told = wait_for_line(session.player, "this session runs at 48000 Hz")
        expect("sample rate is 44100 Hz now, no more 48000 Hz" in told, told)
        time.sleep(0.5)
        session.player.send_signal(signal.SIGTERM)
        heard, stamped, _ = session.end()
        expect(heard == stamped, f"heard: {set(heard) ^ set(stamped)}")
        on_off = [e for e in heard if e[1] < 0xA0]
        # The panic's offs and controllers reach those who listen.
        expect(len(on_off) < len(heard), "no panic was heard")
        notes = check_invariants(on_off, "heard")
        return f"{notes} notes, each with its end"
    finally:
        session.clean_up()
        os.remove(other)


def test_auto_and_later_ports():
    """--backend auto finds the server; who comes later is connected too."""
    session = Session(256, 6, find_server=True)
    later = None
    try:
        time.sleep(2)
        later = Capture(session.server, WORK.path("later"))
        heard, stamped, log = session.end()
        heard_later = later.finish()
        expect("backend jack" in log, f"auto did not choose JACK: {log}")
        compare(heard, stamped, "auto")
        count = len(heard_later)
        expect(0 < count < len(stamped) and heard_later == stamped[-count:],
               f"the {count} messages heard are not the end of those played")
        # It came after 2 of 6 s, and is looked for every 0.1 s.
        missed = (heard_later[0][0] - stamped[0][0]) / 48000
        expect(1 < missed < 4, f"the later port missed {missed:.1f} s")
        return f"{count} of {len(stamped)} messages heard by the later port"
    finally:
        session.clean_up()
        if later and later.process.poll() is None:
            later.process.kill()
            later.process.wait()


def test_freewheel():
    session = Session(256, 60)
    began = time.monotonic()
    try:
        time.sleep(1)
        session.server.tool("jack_freewheel", "y")
        heard, stamped, log = session.end()
        took = time.monotonic() - began
        expect(took < 30, f"60 s of music took {took:.0f} s: no freewheel")
        compare(heard, stamped, "freewheel")
        expect(read_bytes(session.recording) == rendered(60)[0],
               "the recording is not what render makes")
        expect(counter(log, "periods without a plan") == 0, "the plan ran dry")
        return f"60 s in {took:.1f} s, equal to render"
    finally:
        session.clean_up()


def test_stalled_model():
    """10 s without the model: no xrun of ours, every message at its frame."""
    session = Session(256, 20, slow="0 3 10", extra=[
        "--model", WORK.diffusion, "--fallback", WORK.vae, "--tempo", 2])
    try:
        heard, stamped, log = session.end()
        notes = compare(heard, stamped, "stalled model")
        check_recording(session.recording)
        windows = counter(log, "windows of the fallback model")
        told = f"{notes} notes, {windows} windows of the fallback: {log}"
        expect(windows > 3, told)
        expect(counter(log, "periods without a plan") == 0, told)
        if not counter(log, "xrun"):
            expect(counter(log, "late") == 0, told)
        on = [e[0] for e in heard if e[1] & 0xF0 == 0x90]
        rest = max(b - a for a, b in zip(on, on[1:])) / 48000
        expect(rest < 1.05, f"{rest:.2f} s of silence: {told}")
        return (f"{notes} notes, {windows} windows of the fallback, longest "
                f"rest {rest:.2f} s, 0 mismatches")
    finally:
        session.clean_up()


def test_signal_ends_notes():
    session = Session(256, 60)
    try:
        time.sleep(3)
        session.player.send_signal(signal.SIGTERM)
        heard, stamped, _ = session.end()
        compare(heard, stamped, "SIGTERM")
    finally:
        session.clean_up()


if not shutil.which("jackd"):
    print("jackd is not installed: skipped")
    raise SystemExit(SKIP)
TROUBLE = os.environ.get("JACK_TROUBLE", "")
WORK = Workplace()
RENDERED = {}
run_tests([
    ("exact_frames", test_exact_frames),
    ("extreme_periods", test_extreme_periods),
    ("buffer_size_changes", test_buffer_size_changes),
    ("server_killed", test_server_killed),
    ("server_restarted", test_server_restarted),
    ("server_killed_then_signal", test_server_killed_then_signal),
    ("server_restarted_at_another_rate",
     test_server_restarted_at_another_rate),
    ("hung_at_start", test_hung_at_start),
    ("hung_in_play", test_hung_in_play),
    ("second_signal", test_second_signal),
    ("close_hangs", test_close_hangs),
    ("close_hangs_then_signal", test_close_hangs_then_signal),
    ("rate_changes", test_rate_changes),
    ("auto_and_later_ports", test_auto_and_later_ports),
    ("freewheel", test_freewheel),
    ("stalled_model", test_stalled_model),
    ("signal_ends_notes", test_signal_ends_notes),
])
