#!/usr/bin/env python3
"""meander-train from end to end on a small made-up data set: a run that is
killed again and again ends with the bytes of an unbroken one; results do not
depend on the number of threads; the loss falls; sample and evaluate say what
they promise; bad input is one clear error.

usage: test_training.py MEANDER_TRAIN
"""
import csv
import json
import os
import random
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time

TRAIN = sys.argv[1]
RECIPE = """
pitch_embedding = 8;
encoder_hidden = 12;
latent = 6;
decoder_hidden = 16;
batch = 48;
steps = 90;
learning_rate = 2e-2;
warmup_steps = 5;
beta = 0.05;
beta_steps = 40;
free_bits = 8.0;
forcing_steps = 60;
save_steps = 7;
"""


def write_midi(path, generator):
    """A scale that wanders, in format 0."""
    track = b""
    pitch = 60
    for _ in range(400):
        pitch = min(90, max(40, pitch + generator.choice((-2, -1, 1, 2, 5, -5))))
        velocity = generator.randint(30, 110)
        track += bytes((generator.randint(0, 60), 0x90, pitch, velocity))
        track += bytes((generator.randint(10, 100), 0x80, pitch, 0))
    track += b"\x00\xff\x2f\x00"
    with open(path, "wb") as file:
        file.write(b"MThd" + struct.pack(">IHHH", 6, 0, 1, 96))
        file.write(b"MTrk" + struct.pack(">I", len(track)) + track)


def call(*arguments, code=0):
    result = subprocess.run([TRAIN, *arguments], capture_output=True, text=True, timeout=300)
    assert result.returncode == code, (arguments, result.returncode, result.stderr)
    return result


def refused(*arguments, words, code=1):
    """One error line (after which a usage text may follow) with all the words."""
    error = call(*arguments, code=code).stderr
    for word in words:
        assert word in error, (arguments, word, error)
    assert "Sanitizer" not in error, error
    if code == 1:
        assert error.count("\n") == 1, error


def bytes_of(directory, name="checkpoint.safetensors"):
    with open(os.path.join(directory, name), "rb") as file:
        return file.read()


def rows_of(directory):
    with open(os.path.join(directory, "log.csv"), newline="") as file:
        return list(csv.DictReader(file))


def step_of(directory, name):
    """The step in a checkpoint's metadata."""
    data = bytes_of(directory, name)
    length = int.from_bytes(data[:8], "little")
    return int(json.loads(data[8:8 + length])["__metadata__"]["step"])


def killed_run(data, recipe, out):
    """Kills the run at growing delays until one part reaches the end."""
    kills = 0
    delay_s = 0.02
    while True:
        resume = os.path.exists(os.path.join(out, "state.safetensors"))
        options = ["--resume"] if resume else ["--config", recipe]
        process = subprocess.Popen([TRAIN, "vae", "--data", data, "--out", out, *options],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            assert process.wait(timeout=delay_s) == 0
            return kills
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            kills += 1
            delay_s *= 1.3
            # A state ahead of its checkpoint would never make it again.
            if os.path.exists(os.path.join(out, "state.safetensors")):
                assert step_of(out, "checkpoint.safetensors") >= step_of(out, "state.safetensors")


def test_runs(work, data, recipe):
    whole = os.path.join(work, "whole")
    call("vae", "--data", data, "--out", whole, "--config", recipe, "--threads", "2")
    one = os.path.join(work, "one-thread")
    call("vae", "--data", data, "--out", one, "--config", recipe, "--threads", "1")
    assert bytes_of(whole) == bytes_of(one), "the number of threads changes the result"
    other = os.path.join(work, "other-seed")
    call("vae", "--data", data, "--out", other, "--config", recipe, "--seed", "2")
    assert bytes_of(whole) != bytes_of(other), "the seed does nothing"

    broken = os.path.join(work, "broken")
    kills = killed_run(data, recipe, broken)
    assert kills >= 3, kills
    assert bytes_of(whole) == bytes_of(broken), "a resumed run differs from an unbroken one"
    assert bytes_of(whole, "state.safetensors") == bytes_of(broken, "state.safetensors")
    steps = [int(row["step"]) for row in rows_of(broken)]
    assert steps == sorted(set(steps)) and steps[-1] == 90, steps
    left = sorted(name for name in os.listdir(whole))
    assert left == ["checkpoint.safetensors", "log.csv", "state.safetensors"], left

    losses = [float(row["pitch_nats"]) for row in rows_of(whole)]
    assert losses[-1] < losses[0] - 0.2, losses
    print(f"killed {kills} times; pitch loss {losses[0]:.3f} to {losses[-1]:.3f}")
    return whole


def test_stop_signal(work, data, recipe):
    out = os.path.join(work, "stopped")
    process = subprocess.Popen([TRAIN, "vae", "--data", data, "--out", out, "--config", recipe, "--steps", "1000000"],
                               stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    while not os.path.exists(os.path.join(out, "checkpoint.safetensors")):
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    text = process.communicate(timeout=60)[0]
    assert process.returncode == 0 and "stopped at step" in text, text
    step = int(text.split("stopped at step ")[1].split(":")[0])
    assert int(rows_of(out)[-1]["step"]) == step


def test_sample_and_evaluate(work, data, model):
    path = os.path.join(work, "x.csv")
    texts = []
    for _ in range(2):
        call("sample", "--model", model, "--count", "300", "--seed", "5", "--out", path)
        with open(path) as file:
            texts.append(file.read())
    assert texts[0] == texts[1]
    lines = texts[0].splitlines()
    assert lines[0] == "window,note,pitch,velocity,step,duration"
    assert len(lines) == 1 + 300 * 8
    for number, row in enumerate(csv.DictReader(lines)):
        assert int(row["window"]) == number // 8 and int(row["note"]) == number % 8
        assert 1 <= int(row["pitch"]) <= 127
        assert 0 < float(row["velocity"]) <= 1
        assert 0.001 <= float(row["step"]) <= 2 and 0.001 <= float(row["duration"]) <= 2
    call("sample", "--model", model, "--count", "1", "--seed", "6", "--out", path)
    with open(path) as file:
        assert file.read().splitlines()[1:] != lines[1:9]

    values = dict(line.split("=", 1) for line in call("evaluate", "--model", model, "--data", data).stdout.splitlines())
    assert int(values["windows"]) > 0
    for key in ("pitch_accuracy", "iou"):
        assert 0 <= float(values[key]) <= 1, values
    for key in ("spread_ratio_pitch", "spread_ratio_step", "spread_ratio_duration"):
        assert float(values[key]) > 0


def test_bad_input(work, data, recipe, run):
    out = os.path.join(work, "bad")
    model = os.path.join(run, "checkpoint.safetensors")
    missing = os.path.join(work, "none")
    refused("vae", "--data", missing, "--out", out, words=[missing])
    refused("vae", "--data", recipe, "--out", out, words=[recipe])
    refused("vae", "--data", data, "--out", os.path.join(missing, "x"), words=[missing])
    refused("vae", "--data", data, "--out", out, "--resume", words=["state.safetensors"])
    refused("vae", "--data", data, "--out", run, words=[run, "--resume"])
    refused("vae", "--data", data, words=["--out"], code=2)
    refused("vae", "--data", data, "--out", out, "--batch", "5000", words=["--batch", "4096"], code=2)
    for line, words in (("latent = 6;\nlatend = 5;", [":2:", "latend"]),
                        ("\n\nlatent = 0;", [":3:", "latent", "1 to"]),
                        ("batch = 1.5;", [":1:", "batch"]),
                        ("batch = ;", [":1:"])):
        path = os.path.join(work, "bad.cfg")
        with open(path, "w") as file:
            file.write(line)
        refused("vae", "--data", data, "--out", out, "--config", path, words=[path, *words])

    torn = os.path.join(work, "torn.safetensors")
    with open(torn, "wb") as file:
        file.write(bytes_of(run)[:-5])
    for command in (["evaluate", "--data", data], ["sample", "--count", "3", "--out", os.path.join(work, "y.csv")]):
        refused(*command, "--model", torn, words=[torn])
        refused(*command, "--model", missing, words=[missing])
        # A state file is a checkpoint of another kind.
        refused(*command, "--model", os.path.join(run, "state.safetensors"), words=["kind", "vae"])
    refused("sample", "--model", model, "--count", "3", "--out", os.path.join(missing, "y.csv"), words=[missing])
    refused("sample", "--model", model, "--count", "0", "--out", os.path.join(work, "y.csv"), words=["--count"], code=2)

    shutil.copytree(run, out)
    with open(os.path.join(out, "state.safetensors"), "wb") as file:
        file.write(bytes_of(run, "state.safetensors")[:1000])
    refused("vae", "--data", data, "--out", out, "--resume", words=["state.safetensors"])


def main():
    generator = random.Random(1)
    with tempfile.TemporaryDirectory() as work:
        midi = os.path.join(work, "midi")
        os.mkdir(midi)
        for number in range(12):
            write_midi(os.path.join(midi, f"{number}.mid"), generator)
        data = os.path.join(work, "data")
        call("prepare", midi, "-o", data)
        recipe = os.path.join(work, "recipe.cfg")
        with open(recipe, "w") as file:
            file.write(RECIPE)
        run = test_runs(work, data, recipe)
        test_stop_signal(work, data, recipe)
        test_sample_and_evaluate(work, data, os.path.join(run, "checkpoint.safetensors"))
        test_bad_input(work, data, recipe, run)


main()
