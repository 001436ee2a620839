"""Reads what an ALSA test sent and received, and compares it."""

import re

NOTE_LINE = re.compile(
    r"\d+:\d+\s+Note (on|off)\s+\d+, note (\d+)(?:, velocity (\d+))?"
)


class Failure(Exception):
    """One line that says what differs."""


def read_aseqdump(text):
    """[(kind, pitch, velocity)] of aseqdump's output."""
    return [
        (kind, int(pitch), int(velocity or 0))
        for kind, pitch, velocity in NOTE_LINE.findall(text)
    ]


MESSAGE_LINE = re.compile(
    r"\d+:\d+\s+(Note on|Note off|Control change)\s+(\d+), "
    r"(?:note|controller) (\d+)(?:, (?:velocity|value) (\d+))?"
)
STATUS = {"Note on": 0x90, "Note off": 0x80, "Control change": 0xB0}


def read_messages(text):
    """[(status, data1, data2)] of aseqdump's output."""
    return [
        (STATUS[kind] | int(channel), int(one), int(two or 0))
        for kind, channel, one, two in MESSAGE_LINE.findall(text)
    ]


def read_sent(text):
    """[(due_ns, (kind, pitch, velocity))] of alsa_player's file."""
    rows = [line.split() for line in text.splitlines()]
    return [(int(r[0]), (r[1], int(r[2]), int(r[3]))) for r in rows]


def read_captured(text):
    """[(delivered_ns, read_ns, (kind, pitch, velocity))] of alsa_capture."""
    if "overflow" in text:
        raise Failure("alsa_capture lost events: its input overflowed")
    rows = [line.split() for line in text.splitlines()]
    return [(int(r[0]), int(r[1]), (r[2], int(r[3]), int(r[4]))) for r in rows]


def check_same(what, sent, received):
    """Every message once and in order."""
    for index, (left, right) in enumerate(zip(sent, received)):
        if left != right:
            raise Failure(
                f"{what}: message {index} of {len(sent)}: sent {left}, "
                f"received {right}"
            )
    if len(sent) != len(received):
        raise Failure(
            f"{what}: {len(sent)} messages sent, {len(received)} received"
        )


def check_pairs(what, messages):
    """Each on has one later off; nothing is left sounding."""
    sounding = set()
    for index, (kind, pitch, _) in enumerate(messages):
        if kind == "on" and pitch in sounding:
            raise Failure(f"{what}: {index}: pitch {pitch} on while it sounds")
        if kind == "off" and pitch not in sounding:
            raise Failure(f"{what}: {index}: pitch {pitch} off without its on")
        (sounding.add if kind == "on" else sounding.remove)(pitch)
    if sounding:
        raise Failure(f"{what}: left sounding: {sorted(sounding)}")


def describe_us(errors_ns):
    """mean, p99 and largest, in microseconds."""
    ordered = sorted(errors_ns)
    p99 = ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)]
    mean = sum(ordered) / len(ordered)
    return (
        f"mean {mean / 1e3:.0f} us, p99 {p99 / 1e3:.0f} us, "
        f"max {ordered[-1] / 1e3:.0f} us, min {ordered[0] / 1e3:.0f} us"
    )
