#!/usr/bin/env python3
"""meander itself against a real ALSA sequencer: what aseqdump hears is what
meander says it played.

    test_alsa_play.py CACHE_DIR MEANDER MAKE_MODEL ALSA_SOURCE MAKE_CLICK_FONT
                      RT_GUARD [MODEL]

Both timing modes, SIGTERM in mid-play, receivers that come and go, a player at
meander:control (alsa_control), and play under the real-time guard (RT_GUARD:
tests/rt's library, or where it would be). Without MODEL, one with random weights
is made.
"""

import os
import re
import subprocess
import sys
import tempfile

import alsa_control
import alsa_events
import run_vm
from alsa_events import Failure

RATE_HZ = 48000
SECONDS = 6
NOTES_MIN = 5

GUEST = """
load_sound
mkdir /run
play() { # NAME OPTIONS...
  name=$1; shift
  echo guest: playing $name
  LD_PRELOAD=$guard meander play --backend alsa --model /model.safetensors --seed 7 \\
    --connect '^aseqdump:' --trace /out/$name.trace "$@" >/out/$name.log 2>&1
  echo $? >/out/$name.status
}
hear() { # NAME: until unhear
  aseqdump >/out/$1.aseqdump & dump=$!
  until grep -q '"aseqdump"' /proc/asound/seq/clients; do sleep 0.1; done
}
unhear() { kill $dump; wait $dump; }

for timing in queue direct; do
  hear $timing
  play $timing --alsa-timing $timing --seconds SECONDS
  unhear
done

hear term
play term --backend auto & job=$!
sleep 4
kill -TERM $(pidof meander)
wait $job
unhear

play guests --seconds SECONDS & job=$!
sleep 2
hear early
sleep 2
unhear
hear last
wait $job
unhear

CONTROL
test -e /librt_guard.so || exit 0
guard=/librt_guard.so
for timing in queue direct; do
  hear guarded_$timing
  play guarded_$timing --alsa-timing $timing --seconds 2
  unhear
done
exit 0
"""


def read_trace(results, name):
    """[(frame, (kind, pitch, velocity))] of --trace."""
    rows = []
    for line in results.get(f"{name}.trace", b"").decode().splitlines():
        frame, status, pitch, velocity = map(int, line.split())
        kind = {0x90: "on", 0x80: "off"}.get(status & 0xF0)
        if not kind:
            raise Failure(f"{name}: the trace has status {status}")
        rows.append((frame, (kind, pitch, velocity)))
    return rows


def text_of(results, name):
    return results.get(name, b"").decode(errors="replace")


def check_ended_well(results, name):
    print(f"{name}: {' | '.join(text_of(results, name + '.log').split(chr(10)))}")
    if text_of(results, f"{name}.status").strip() != "0":
        raise Failure(f"{name}: meander did not end with 0")


def check_play(results, name):
    """aseqdump heard all of it, and nothing is left sounding."""
    check_ended_well(results, name)
    played = [message for _, message in read_trace(results, name)]
    heard = alsa_events.read_aseqdump(text_of(results, f"{name}.aseqdump"))
    alsa_events.check_same(name, played, heard)
    alsa_events.check_pairs(name, heard)
    if len(heard) < 2 * NOTES_MIN:
        raise Failure(f"{name}: only {len(heard)} messages")
    print(f"{name}: aseqdump heard all {len(heard)} messages, in order")


def check_part(results, name, at_end):
    """A receiver that came late heard an unbroken run of the messages."""
    played = [message for _, message in read_trace(results, "guests")]
    heard = alsa_events.read_aseqdump(text_of(results, f"{name}.aseqdump"))
    starts = range(len(played) - len(heard) + 1)
    found = [s for s in starts if played[s : s + len(heard)] == heard]
    if not heard or not found:
        raise Failure(f"{name}: {len(heard)} messages are no run of the trace")
    if at_end and found[-1] + len(heard) != len(played):
        raise Failure(f"{name}: did not hear the end")
    if len(heard) >= len(played):
        raise Failure(f"{name}: heard what was played before it came")
    print(f"{name}: heard {len(heard)} of {len(played)} messages unbroken")


def check_same_music(results):
    """One seed, two timing modes: the same messages at the same frames."""
    music = []
    for name in ("queue", "direct"):
        trace = read_trace(results, name)
        first = trace[0][0]
        music.append([(f - first, m) for f, m in trace])
    end = min(music[0][-1][0], music[1][-1][0]) - RATE_HZ
    music = [[row for row in rows if row[0] < end] for rows in music]
    alsa_events.check_same("queue against direct", *music)
    print(f"queue and direct: the same {len(music[0])} messages and frames")


def check_guarded(results, name):
    """No call in the process thread that real-time code may not make."""
    check_play(results, name)
    log = text_of(results, f"{name}.log")
    found = re.search(r"watched (\d+) callbacks", log)
    if not found or int(found[1]) < 100 or "in a real-time" in log:
        raise Failure(f"{name}: the guard did not watch: {log}")


def check(results):
    for name in ("queue", "direct"):
        check_play(results, name)
        if f"{name} timing" not in text_of(results, f"{name}.log"):
            raise Failure(f"{name}: the log does not name the timing mode")
    check_same_music(results)
    check_play(results, "term")
    if "backend alsa" not in text_of(results, "term.log"):
        raise Failure("term: --backend auto did not choose ALSA")
    check_ended_well(results, "guests")
    check_part(results, "early", at_end=False)
    check_part(results, "last", at_end=True)
    alsa_control.check(results)
    if "guarded_queue.status" in results:
        check_guarded(results, "guarded_queue")
        check_guarded(results, "guarded_direct")
    else:
        print("not tried: the real-time guard, which is not built here")


def run(cache, meander, make_model, source, make_font, guard, model=None):
    with tempfile.TemporaryDirectory() as folder:
        font = os.path.join(folder, "font.sf2")
        subprocess.run([make_font, font], check=True)
        if not model:
            model = os.path.join(folder, "model.safetensors")
            subprocess.run([make_model, "vae", model], check=True)
        return run_vm.run_vm(
            cache,
            GUEST.replace("CONTROL", alsa_control.GUEST).replace(
                "SECONDS", str(SECONDS)
            ),
            [meander, source, "aseqdump", "aconnect"],
            [
                (model, "/model.safetensors"),
                (guard, "/librt_guard.so"),
                (font, "/font.sf2"),
            ],
            timeout_s=440,
        )


def main():
    try:
        status, console, results = run(*sys.argv[1:])
    except run_vm.Skip as reason:
        print(f"SKIP: no virtual machine: {reason}")
        return run_vm.SKIP
    except run_vm.Broken as reason:
        print(f"FAIL: no virtual machine: {reason}")
        return 1
    try:
        if status != 0:
            raise Failure(f"the guest ended with {status}")
        check(results)
    except Failure as failure:
        print(f"FAIL: {failure}")
        print(console)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
