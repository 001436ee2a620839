"""A strict reader of the standard MIDI files that meander writes."""
from live import expect


class NotMidi(Exception):
    pass


def variable(data, at, end):
    value = 0
    for i in range(4):
        if at + i >= end:
            break
        value = value << 7 | data[at + i] & 0x7F
        if data[at + i] < 0x80:
            return value, at + i + 1
    raise NotMidi(f"byte {at}: no variable-length number")


def parse(data):
    """A strict reader of format 0: [(tick, status byte, data)] of channel
    messages and of meta events but for the end of track, and whether bytes
    stand where a reader does not look: after the end of the track or of its
    chunk."""
    if data[:14] != b"MThd\0\0\0\6\0\0\0\1\3\xc0" or data[14:18] != b"MTrk":
        raise NotMidi("not the head of our files")
    end = 22 + int.from_bytes(data[18:22], "big")
    if end > len(data):
        raise NotMidi(f"a track until {end} in a file of {len(data)} bytes")
    events, at, tick = [], 22, 0
    while at < end:
        delta, at = variable(data, at, end)
        tick += delta
        status = data[at]
        if status == 0xFF:
            length, begin = variable(data, at + 2, end)
            kind, at = data[at + 1], begin + length
            if at > end:
                raise NotMidi(f"byte {begin}: a meta event beyond the track")
            if kind == 0x2F:
                if length:
                    raise NotMidi(f"byte {begin}: an end of track with data")
                return events, at != len(data)
            events.append((tick, kind, data[begin:at]))
        elif 0x80 <= status < 0xF0 and at + 3 <= end:
            if max(data[at + 1:at + 3]) > 127:
                raise NotMidi(f"byte {at}: a data byte above 127")
            events.append((tick, status, data[at + 1:at + 3]))
            at += 3
        else:
            raise NotMidi(f"byte {at}: no event")
    raise NotMidi("no end of track")


def notes_of(events):
    """[(tick, pitch, velocity, end)] in the order of onsets; each on has one
    off."""
    notes, sounding = [], {}
    for tick, status, data in events:
        if status & 0xF0 == 0x90:
            expect(data[0] not in sounding, f"key {data[0]} pressed twice")
            sounding[data[0]] = len(notes)
            notes.append([tick, data[0], data[1], None])
        elif status & 0xF0 == 0x80:
            expect(data[0] in sounding, f"key {data[0]} released twice")
            notes[sounding.pop(data[0])][3] = tick
    expect(not sounding, f"{len(sounding)} notes never end")
    return [tuple(note) for note in notes]
