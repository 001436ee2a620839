#!/usr/bin/env python3
"""The ALSA backend against a real kernel sequencer, in both timing modes.

    test_alsa_backend.py CACHE_DIR ALSA_PLAYER ALSA_CAPTURE ALSA_SOURCE
                         BACKEND_PROBE

Known notes go out; every one must reach two receivers once, in order, each on
with its off, although a third receiver is stuck. What comes in is alsa_inputs'
part. Prints the timing errors.
"""

import re
import sys

import alsa_events
import alsa_inputs
import run_vm
from alsa_events import Failure

SECONDS = 3
# The guest's clock counts its instructions: a busy host does not make it late.
# Its worst is near 1 ms.
LATE_NS_MAX = 5e6
EARLY_NS_MAX = 2e6

GUEST = """
alsa_player queue . /out/none >/out/no_sequencer.log
echo $? >/out/no_sequencer.status
load_sound soundcore snd snd-timer snd-seq-device snd-seq
alsa_player queue nobody /out/none 0.1 >/out/no_hrtimer.log
load_sound snd-hrtimer snd-rawmidi snd-ump snd-seq-midi-event snd-seq-midi \\
  snd-seq-virmidi snd-virmidi snd-seq-dummy
chmod 000 /dev/snd/seq
mkdir /etc
echo somebody:x:1000:1000::/:/bin/sh >/etc/passwd
su somebody -c "alsa_player queue . /out/none" >/out/denied.log
chmod 600 /dev/snd/seq
alsa_player queue '(' /out/none >/out/bad_regex.log
for timing in queue direct; do
  alsa_capture >/out/$timing.capture & capture=$!
  aseqdump >/out/$timing.aseqdump & dump=$!
  aseqdump >/dev/null & stuck=$!
  sleep 1
  kill -STOP $stuck
  alsa_player $timing '^(aseqdump|capture):' /out/$timing.sent SECONDS \\
    >/out/$timing.log
  echo $? >/out/$timing.status
  sleep 0.3
  kill $capture $dump
  kill -KILL $stuck
  wait
done
alsa_player auto nobody /out/none 0.1 >/out/auto.log
""" + alsa_inputs.GUEST


def check_mode(timing, results):
    def text(name):
        return results.get(f"{timing}.{name}", b"").decode()

    print(f"{timing}: {' '.join(text('log').split())}")
    if text("status").strip() != "0":
        raise Failure(f"{timing}: alsa_player failed: {text('log')}")
    if f"{timing} timing" not in text("log"):
        raise Failure(f"{timing}: the status text names another mode")
    if "connections=3" not in text("log"):
        raise Failure(f"{timing}: not connected to all three receivers")
    if not re.search(r"dropped=[1-9]", text("log")):
        raise Failure(f"{timing}: what the stuck receiver missed is not counted")
    sent = alsa_events.read_sent(text("sent"))
    captured = alsa_events.read_captured(text("capture"))
    dumped = alsa_events.read_aseqdump(text("aseqdump"))
    messages = [message for _, message in sent]
    alsa_events.check_same(
        f"{timing}: alsa_capture", messages, [c[2] for c in captured]
    )
    alsa_events.check_same(f"{timing}: aseqdump", messages, dumped)
    alsa_events.check_pairs(timing, messages)
    timed = [(s[0], c[0], c[1]) for s, c in zip(sent, captured) if s[0]]
    delivered = [delivered - due for due, delivered, _ in timed]
    read = [read - due for due, _, read in timed]
    print(f"{timing}: {len(messages)} messages, each received once, in order")
    print(f"{timing}: delivered late by: {alsa_events.describe_us(delivered)}")
    print(f"{timing}: read late by:      {alsa_events.describe_us(read)}")
    if max(delivered) > LATE_NS_MAX or min(delivered) < -EARLY_NS_MAX:
        raise Failure(f"{timing}: delivered far from its time")


def expect(results, name, words):
    text = results.get(name, b"").decode().strip()
    print(f"{name}: {text}")
    if words not in text or len(text.splitlines()) > 4:
        raise Failure(f"{name}: expected '{words}'")


def main():
    cache, *programs = sys.argv[1:]
    try:
        status, console, results = run_vm.run_vm(
            cache,
            GUEST.replace("SECONDS", str(SECONDS)),
            [*programs, "aseqdump", "aconnect"],
        )
    except run_vm.Skip as reason:
        print(f"SKIP: no virtual machine: {reason}")
        return run_vm.SKIP
    except run_vm.Broken as reason:
        print(f"FAIL: no virtual machine: {reason}")
        return 1
    try:
        if status != 0:
            raise Failure(f"the guest ended with {status}")
        expect(results, "no_sequencer.log", "modprobe snd-seq")
        expect(results, "no_sequencer.status", "3")
        expect(results, "no_hrtimer.log", "system timer")
        expect(results, "denied.log", "group 'audio'")
        expect(results, "bad_regex.log", "not a regular expression")
        expect(results, "auto.log", "direct timing (real-time priority)")
        check_mode("queue", results)
        check_mode("direct", results)
        alsa_inputs.check(results)
    except Failure as failure:
        print(f"FAIL: {failure}")
        print(console)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
