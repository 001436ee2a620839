"""A player at meander:control of meander itself, in a real ALSA sequencer:
controllers, panic, a cable that is pulled out on either side, MIDI clock, and
the synth's own ports. The guest's part, and what its results must be."""

from alsa_events import Failure, check_same, read_messages

RATE_HZ = 48000
BPM = 240
GRID_S = 60 / BPM / 4
# The clock is followed within this, after 8 beats.
PHASE_S_MAX = 0.005
FOLLOWED_S = 8 * 60 / BPM
# From a message to what obeys it: what is committed, and a window.
SETTLE_S = 0.3
KEY = 24  # of the player, below all that the model plays

GUEST = """
mkdir -p /config/meander/presets
cat >/config/meander/presets/hands.cfg <<EOF
description = "as the test's hands have it"
tempo = 4.0
density = 4.0
register_low = 36
quantise = 1.0
grid = "1/16"
echo = "on"
pickup = "off"
bindings = ( "cc 20 = channel", "cc 21 = panic", "cc 22 = sync",
             "note 25 = freeze" )
EOF
export XDG_CONFIG_HOME=/config HOME=/tmp
begin() { # NAME OPTIONS...: meander plays, hands are there
  hands=/out/$1.hands
  mkfifo /tmp/$1
  alsa_source hands hands $hands </tmp/$1 & source=$!
  exec 3>/tmp/$1
  play "$@" --preset hands --control '^hands:(out|feedback)$' & job=$!
  until grep -q 'first note' /out/$1.log; do sleep 0.1; done
}
say() { echo "$*" >&3; }
stop() {
  kill -TERM $(pidof meander)
  wait $job
  exec 3>&-
  wait $source
}
hear control
begin control --alsa-timing direct
sleep 0.5
say mark channel; say b0 14 7f; sleep 0.8
say mark panic; say b0 15 7f; sleep 0.8
say 90 18 64; say 90 19 64; say 80 19 40; say 90 19 64; say 80 19 40; sleep 0.2
say mark pulled; aconnect -d hands:2 meander:1; sleep 0.6
aconnect hands:2 meander:1; sleep 0.1
say mark back; say b0 14 00; sleep 0.6
say mark deaf; aconnect -d meander:0 aseqdump:0; sleep 0.5
say mark hears; aconnect meander:0 aseqdump:0; sleep 0.5
say mark waits; say b0 16 7f; sleep 0.6
say mark clock; say fa; say clock 240 3500; say fc; say mark stopped; sleep 4
say mark over
stop
unhear

export MEANDER_SOUNDFONT=/font.sf2 MEANDER_AUDIO_DRIVER=file
export MEANDER_AUDIO_FILE=/tmp/synth.wav
begin synth --backend synth
sleep 0.3
say mark channel; say b0 14 7f; sleep 0.7
say mark over
stop
"""


class Log:
    """What the hands did."""

    def __init__(self, results, name):
        rows = [
            line.split()
            for line in results.get(f"{name}.hands", b"").decode().splitlines()
        ]
        self.marks = {r[2]: int(r[1]) / 1e9 for r in rows if r[0] == "mark"}
        self.clocks = [
            int(r[1]) / 1e9 for r in rows if r[0] == "sent" and r[2] == "f8"
        ]
        self.feedback = [r[1] for r in rows if r[0] == "feedback"]


def read_trace(results, name):
    """[(seconds, (status, data1, data2))]"""
    rows = [
        tuple(map(int, line.split()))
        for line in results.get(f"{name}.trace", b"").decode().splitlines()
    ]
    return [(row[0] / RATE_HZ, row[1:]) for row in rows]


def expect(condition, text):
    if not condition:
        raise Failure(f"control: {text}")


def ons(trace, begin, end):
    """What meander itself plays."""
    return [
        (time, message)
        for time, message in trace
        if begin <= time < end
        and message[0] & 0xF0 == 0x90
        and message[1] >= 36
    ]


def sounding_at(trace, end):
    sounding = set()
    for time, (status, pitch, _) in trace:
        if time < end and status & 0xE0 == 0x80:
            key = status & 15, pitch
            (sounding.add if status & 0x10 else sounding.discard)(key)
    return sounding


def check_invariants(trace):
    """Each on has one later off; time never goes back."""
    sounding, last = set(), 0
    for time, (status, pitch, _) in trace:
        expect(time >= last, f"time goes back at {time}")
        last, key = time, (status & 15, pitch)
        if status & 0xF0 == 0x90:
            expect(key not in sounding, f"{key} is pressed twice at {time}")
            sounding.add(key)
        elif status & 0xF0 == 0x80:
            expect(key in sounding, f"{key} is released twice at {time}")
            sounding.remove(key)
    expect(not sounding, f"left sounding: {sounding}")


def check_channel(trace, begin, end, channel):
    played = ons(trace, begin + SETTLE_S, end)
    channels = {message[0] & 15 for _, message in played}
    expect(channels == {channel}, f"channels {channels}, not {channel}")


def check_panic(trace, at, end):
    """Offs, then on each channel 123 and 120; then it plays on."""
    panic = [
        (time, message)
        for time, message in trace
        if message[0] & 0xF0 == 0xB0
    ]
    wanted = [(0xB0 | c, n, 0) for c in range(16) for n in (123, 120)]
    expect([m for _, m in panic] == wanted, f"panic is {panic}")
    expect(at <= panic[0][0] <= at + 0.1, "panic comes late")
    first = trace.index(panic[0])
    held = sounding_at(trace[:first], end)
    expect(not held, f"{held} sound as panic comes")
    expect(ons(trace, panic[-1][0], end), "it does not play on")


def check_pulled(trace, marks):
    """The player's key ends as the cable is pulled out, and nothing else; the
    bound key is not heard."""
    keys = [(t, m) for t, m in trace if m[1] < 36 and m[0] & 0xE0 == 0x80]
    expect(
        [m[:2] for _, m in keys] == [(0x90, KEY), (0x80, KEY)],
        f"the player's keys: {keys}",
    )
    expect(
        0 <= keys[1][0] - marks["pulled"] < SETTLE_S,
        f"{keys} and pulled out at {marks['pulled']}",
    )
    expect(ons(trace, marks["pulled"], marks["back"]), "it does not play on")


def check_deaf(trace, heard, marks):
    """aseqdump heard all but one unbroken run while it was disconnected."""
    sent = [message for _, message in trace]
    first = next(
        (i for i, pair in enumerate(zip(sent, heard)) if pair[0] != pair[1]),
        len(heard),
    )
    rest = len(heard) - first
    missed = trace[first : len(trace) - rest]
    check_same("control, after it", sent[len(sent) - rest :], heard[first:])
    expect(rest and first, "aseqdump heard only one part")
    expect(
        missed
        and missed[0][0] > marks["deaf"] - 0.1
        and missed[-1][0] < marks["hears"] + 0.1,
        f"missed from {missed[:1]} to {missed[-1:]}, {marks}",
    )
    return f"heard {first} and {rest} of {len(sent)} messages"


def check_clock(trace, log):
    """Silent until the start, on the clock's grid then, silent after the stop."""
    marks, start = log.marks, log.clocks[0]
    stop = marks["stopped"]
    expect(
        not ons(trace, marks["waits"] + SETTLE_S, start),
        "it does not wait for the clock",
    )
    played = ons(trace, start, stop)
    late = [
        (time - start + GRID_S / 2) % GRID_S - GRID_S / 2
        for time, _ in played
        if time > start + FOLLOWED_S
    ]
    expect(len(late) > 5, f"only {len(played)} notes by the clock")
    worst = max(map(abs, late))
    expect(worst < PHASE_S_MAX, f"{worst * 1e3:.1f} ms off the grid: {late}")
    expect(not ons(trace, stop + 0.05, marks["over"]), "it plays after the stop")
    held = sounding_at(trace, stop + 0.05)
    expect(not held, f"{held} sound on after the stop")
    return f"{len(late)} notes within {worst * 1e3:.2f} ms of the clock's grid"


def check_synth(results):
    """Its ports, without any for notes."""
    trace, log = read_trace(results, "synth"), Log(results, "synth")
    text = results.get("synth.log", b"").decode()
    expect(results.get("synth.status", b"").strip() == b"0", text)
    expect("MIDI ports in ALSA" in text, text)
    check_invariants(trace)
    # Its clock is the audio's: what sounded at last obeys.
    played = [m for _, m in trace if m[0] & 0xF0 == 0x90]
    channels = [m[0] & 15 for m in played]
    expect(channels[0] == 0 and channels[-1] == 15, f"channels {channels}")
    expect("b01400" in log.feedback, f"it shows nothing: {log.feedback}")


def check(results):
    text = results.get("control.log", b"").decode()
    expect(results.get("control.status", b"").strip() == b"0", text)
    trace, log = read_trace(results, "control"), Log(results, "control")
    marks = log.marks
    heard = read_messages(results.get("control.aseqdump", b"").decode())
    check_invariants(trace)
    check_channel(trace, marks["channel"], marks["panic"], 15)
    check_panic(trace, marks["panic"], marks["pulled"])
    check_pulled(trace, marks)
    check_channel(trace, marks["back"], marks["deaf"], 0)
    print(f"control: aseqdump {check_deaf(trace, heard, marks)}")
    print(f"control: {check_clock(trace, log)}")
    expect("b01400" in log.feedback, f"it shows nothing: {log.feedback}")
    check_synth(results)
    print("synth: played with and controlled in ALSA")
