"""What comes in at meander:control from a real ALSA sequencer, and what goes
back: the guest's part, and what its results must be. backend_probe is the
backend without an instrument; alsa_source plays to it."""

from alsa_events import Failure, check_same, describe_us

RATE_HZ = 48000
# Of the placing of inputs, against when they were sent: 0.02 ms is usual. A few
# are placed late where the guest was doing something else.
JITTER_NS_MAX = 0.3e6
FAR_SHARE_MAX = 0.02
# From arrival to the span: a period, and what is processed ahead.
DELAY_FRAMES = {"queue": 256 + 1200, "direct": 256 + 48}
HANGING = "548"  # channel and key of what alsa_source never ends

GUEST = """
input_test() { # TIMING
  name=in_$1
  backend_probe alsa $1 '^source:notes$' '^source:(out|feedback)$' \\
    /out/$name.probe >/out/$name.log 2>&1 & probe=$!
  sleep 0.3
  alsa_source play source /out/$name.source >/out/$name.ready & source=$!
  until grep -q ready /out/$name.ready; do sleep 0.1; done
  sleep 0.3
  kill -STOP $probe
  alsa_source flood meander
  kill -CONT $probe
  sleep 0.3
  alsa_source beat stranger /out/$name.stranger & stranger=$!
  sleep 1
  aconnect stranger:2 meander:1
  sleep 1
  aconnect -d stranger:2 meander:1
  wait $stranger
  backend_probe list nowhere >/out/$name.list 2>&1
  kill $probe
  wait $probe
  echo $? >/out/$name.status
  sleep 0.2
  kill $source
  wait $source
}
input_test queue
input_test direct
"""


class Log:
    def __init__(self, results, name):
        self.rows = [
            line.split() for line in results.get(name, b"").decode().splitlines()
        ]

    def of(self, word):
        return [row[1:] for row in self.rows if row[0] == word]

    def status(self, name):
        return int(dict(self.of("status"))[name])


def check_played(timing, sent, got, delay):
    """Each message once and in order, and by when it was sent."""
    check_same(
        f"{timing}, control", [m for _, m in sent], [m for _, m in got]
    )
    late = [
        (frame - delay) * 1e9 / RATE_HZ - time
        for (time, _), (frame, _) in zip(sent, got)
    ]
    print(f"{timing}: placed late by: {describe_us(late)}")
    far = sum(abs(ns) > JITTER_NS_MAX for ns in late)
    if far > FAR_SHARE_MAX * len(late):
        raise Failure(f"{timing}: {far} inputs are placed far from their time")


def check_stranger(timing, sent, got):
    """Connected in the middle and taken away: an unbroken run, no more."""
    played = [m for _, m in sent]
    heard = [m for _, m in got]
    starts = [
        at
        for at in range(1, len(played) - len(heard))
        if played[at : at + len(heard)] == heard
    ]
    if len(heard) < 15 or not starts:
        raise Failure(f"{timing}: of {played} the control port heard {heard}")
    print(f"{timing}: {len(heard)} of {len(played)} while connected")


def check_back(timing, inputs, source):
    """Both outputs carried on what came in (a note of channel 16 only feedback);
    only what hung at the port "notes" was ended."""
    played = [m for m in inputs if m[:2] != "9f"]
    sounding = set()
    for message in played:
        if message[0] == "9" and message[4:] != "00":
            sounding.add(message[1:4])
        elif message[0] in "89":
            sounding.discard(message[1:4])
    if HANGING not in sounding or played == inputs:
        raise Failure(f"{timing}: no note hung: {inputs}")
    feedback, notes = ([m for m, in source.of(w)] for w in ("feedback", "notes"))
    ended = [f"8{note}40" for note in sorted(sounding)]
    check_same(f"{timing}, feedback", inputs, feedback)
    check_same(f"{timing}, notes", played + ended, notes)


def check_list(timing, text):
    """--list-ports, where there is no JACK."""
    lines = text.splitlines()
    inputs = lines.index("  inputs, for --connect:")
    outputs = lines.index("  outputs, for --control:")
    if (
        not lines[0].startswith("no JACK server 'nowhere' answers")
        or lines[1] != "ALSA"
        or "    meander:control" not in lines[inputs:outputs]
        or "    source:feedback" not in lines[inputs:outputs]
        or "    source:out" not in lines[outputs:]
        or "    meander:notes" not in lines[outputs:]
        or "announcements" in text
    ):
        raise Failure(f"{timing}: the list of ports: {text}")


def check_mode(timing, results):
    name = f"in_{timing}"
    text = {
        key: results.get(f"{name}.{key}", b"").decode()
        for key in ("log", "status", "list", "ready")
    }
    if text["status"].strip() != "0" or "sysex 1" not in text["ready"]:
        raise Failure(f"{timing}: {text}")
    probe, source = Log(results, f"{name}.probe"), Log(results, f"{name}.source")
    stranger = Log(results, f"{name}.stranger")
    if any(row[2] != str(DELAY_FRAMES[timing]) for row in probe.of("span")):
        raise Failure(f"{timing}: the spans' delay is another")
    inputs = [(int(frame), message) for frame, message in probe.of("in")]
    sent, strange = (
        [(int(time), message) for time, message in log.of("sent")]
        for log in (source, stranger)
    )
    check_played(timing, sent, inputs[: len(sent)], DELAY_FRAMES[timing])
    check_stranger(timing, strange, inputs[len(sent) :])
    if probe.status("lost") != 1 or probe.status("stray") != 0:
        raise Failure(f"{timing}: lost and stray: {probe.of('status')}")
    check_back(timing, [message for _, message in inputs], source)
    told = ["ready"] + [f"control {count}" for count in (1, 2, 1)]
    if text["log"].splitlines() != told:
        raise Failure(f"{timing}: outputs that play to it: {text['log']}")
    check_list(timing, text["list"])


def check(results):
    for timing in ("queue", "direct"):
        check_mode(timing, results)
