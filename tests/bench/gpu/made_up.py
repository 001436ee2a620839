#!/usr/bin/env python3
"""MIDI files to train on where no music is at hand: rates can be measured with
them, nothing can be learnt. The same files each time.

usage: made_up.py FOLDER [PIECES]"""
import os
import random
import struct
import sys

NOTES = 2000


def piece(generator):
    """A scale that wanders, in format 0."""
    track = b""
    pitch = 64
    for _ in range(NOTES):
        pitch = min(96, max(32, pitch + generator.choice((-2, -1, 1, 2, 5, -5))))
        velocity = generator.randint(30, 110)
        track += bytes((generator.randint(0, 60), 0x90, pitch, velocity))
        track += bytes((generator.randint(10, 100), 0x80, pitch, 0))
    track += b"\x00\xff\x2f\x00"
    return (b"MThd" + struct.pack(">IHHH", 6, 0, 1, 96) +
            b"MTrk" + struct.pack(">I", len(track)) + track)


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    generator = random.Random(1)
    os.makedirs(sys.argv[1], exist_ok=True)
    for i in range(int(sys.argv[2]) if len(sys.argv) == 3 else 200):
        with open(os.path.join(sys.argv[1], f"{i:03}.mid"), "wb") as file:
            file.write(piece(generator))


if __name__ == "__main__":
    main()
