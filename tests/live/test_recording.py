#!/usr/bin/env python3
"""--record while it plays, on the null backend: killed, or its file taken away,
or with no room left."""
import os
import random
import re
import resource
import signal
import time

from live import (Failure, Workplace, at_once, await_first_note,
                  check_recording, expect, finish, read_bytes, render, run_tests,
                  start_meander)
from midi_file import NotMidi, notes_of, parse

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

    cases = [(number, numbers.uniform(1.05, 4)) for number in range(30)]
    results = [r for at in range(0, 30, 6) for r in at_once(play, cases[at:at + 6])]
    return (f"30 killed, {min(notes for notes, _ in results)} to "
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


WORK = Workplace()
run_tests([(name[5:], test) for name, test in list(globals().items())
           if name.startswith("test_")])
