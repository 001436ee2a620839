#!/usr/bin/env python3
"""Checkpoints that a running meander-train writes are played within a second,
from folders that were not there at the start; the version before is at hand
though its file is gone; a rating is written beside them.

usage: test_audition.py MEANDER_TRAIN LISTENER FIRST_CHECKPOINT
"""
import json
import os
import queue
import random
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time

TRAIN, LISTENER, FIRST = sys.argv[1:4]
# Most are heard within the first; a busy machine may take longer over one.
SECONDS = 10.0 if "SLOW" in os.environ else 1.0
SECONDS_MAX = 20.0
RECIPE = """
pitch_embedding = 8;
encoder_hidden = 12;
latent = 6;
decoder_hidden = 16;
batch = 48;
steps = 1000000;
warmup_steps = 5;
beta_steps = 40;
forcing_steps = 60;
save_steps = 20;
"""


def write_midi(path, generator):
    track = b""
    pitch = 65
    for _ in range(400):
        pitch = min(90, max(40, pitch + generator.choice((-2, -1, 1, 2, 5, -5))))
        track += bytes((generator.randint(0, 60), 0x90, pitch, generator.randint(30, 110)))
        track += bytes((generator.randint(10, 100), 0x80, pitch, 0))
    track += b"\x00\xff\x2f\x00"
    with open(path, "wb") as file:
        file.write(b"MThd" + struct.pack(">IHHH", 6, 0, 1, 96) + b"MTrk" + struct.pack(">I", len(track)) + track)


def step_of(path):
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        return int(json.loads(file.read(length))["__metadata__"]["step"])


class Listener:
    def __init__(self, folder):
        self.process = subprocess.Popen([LISTENER, FIRST, folder], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.lines = queue.Queue()
        self.said = []
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            self.lines.put((time.time(), line.split()))

    def play_time(self, step, seconds=SECONDS_MAX):
        """When it began to play this step; what it plays before is skipped."""
        deadline = time.monotonic() + seconds
        while True:
            when, words = self.lines.get(timeout=max(0.01, deadline - time.monotonic()))
            if words[0] == "says":
                self.said.append(" ".join(words))
            elif int(words[1]) == step:
                return when

    def press(self, name):
        self.process.stdin.write(name + "\n")
        self.process.stdin.flush()

    def end(self):
        self.process.stdin.close()
        assert self.process.wait(timeout=30) == 0


def train(data, recipe, out):
    return subprocess.Popen([TRAIN, "vae", "--data", data, "--out", out, "--config", recipe, "--device", "cpu"],
                            stdout=subprocess.DEVNULL)


def await_new(path, last):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if os.path.exists(path) and step_of(path) != last:
            return
        time.sleep(0.002)
    raise AssertionError(path + " is not written")


def follow(listener, trainer, path, rounds):
    """How long each took; the trainer is held while it is heard."""
    heard, times = None, []
    for _ in range(rounds):
        await_new(path, heard)
        trainer.send_signal(signal.SIGSTOP)
        time.sleep(0.02)
        step = step_of(path)
        took = listener.play_time(step) - os.stat(path).st_mtime
        heard = step
        times.append(took)
        print("step %d after %.0f ms" % (step, 1e3 * took))
        trainer.send_signal(signal.SIGCONT)
    return times


def end(trainer):
    trainer.send_signal(signal.SIGTERM)
    assert trainer.wait(timeout=60) == 0


def judge(listener, runs, last):
    """A person: what they think of the last one, then once more the one before."""
    try:
        listener.play_time(last, SECONDS)
    except queue.Empty:
        pass  # it stopped at the step that was heard
    listener.press("accept")
    time.sleep(0.2)
    listener.press("ab")
    words = ["says"]
    while words[0] == "says":
        _, words = listener.lines.get(timeout=SECONDS_MAX)
        listener.said.append(" ".join(words))
    assert int(words[1]) != last, (words, last)
    with open(os.path.join(runs, "two", "meander-ratings.txt")) as file:
        fields = file.read().split("\t")
    assert fields[2:5] == ["keep", "checkpoint.safetensors", str(last)], fields
    listener.end()
    assert not [line for line in listener.said if "not played" in line or "no:" in line], listener.said


def main():
    generator = random.Random(1)
    with tempfile.TemporaryDirectory() as work:
        midi = os.path.join(work, "midi")
        os.mkdir(midi)
        for number in range(12):
            write_midi(os.path.join(midi, f"{number}.mid"), generator)
        data = os.path.join(work, "data")
        subprocess.run([TRAIN, "prepare", midi, "-o", data], check=True, stdout=subprocess.DEVNULL)
        recipe = os.path.join(work, "recipe.cfg")
        with open(recipe, "w") as file:
            file.write(RECIPE)
        runs = os.path.join(work, "runs")
        listener = Listener(runs)
        trainer = None
        try:
            _, words = listener.lines.get(timeout=SECONDS_MAX)
            assert "no such folder yet" in " ".join(words), words
            os.mkdir(runs)
            times = []
            for name, rounds in (("one", 6), ("two", 2)):
                trainer = train(data, recipe, os.path.join(runs, name))
                path = os.path.join(runs, name, "checkpoint.safetensors")
                times += follow(listener, trainer, path, rounds)
                end(trainer)
            assert sorted(times)[len(times) // 2] < SECONDS, times
            judge(listener, runs, step_of(path))
        except BaseException:
            listener.process.kill()
            if trainer:
                trainer.kill()
            raise


main()
