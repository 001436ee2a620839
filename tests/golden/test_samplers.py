#!/usr/bin/env python3
"""Samplers from the command line: sample and evaluate with a small diffusion
model and its student, trained here for a moment on made-up music.

usage: test_samplers.py MEANDER_TRAIN
"""
import csv
import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile

TRAIN = sys.argv[1]
RECIPE = """
network = "transformer";
width = 16;
heads = 2;
layers = 1;
time_width = 8;
noise_steps = 40;
batch = 8;
steps = 6;
warmup_steps = 2;
"""


def write_midi(path, generator):
    """A scale that wanders, now and then in fifths, in format 0."""
    track = b""
    pitch = 65
    for _ in range(300):
        pitch = min(90, max(40, pitch + generator.choice((-2, -1, 1, 2, 5, -5))))
        keys = (pitch, pitch + 7) if generator.random() < 0.2 else (pitch,)
        for i, key in enumerate(keys):
            track += bytes((0 if i else generator.randint(0, 60), 0x90, key, generator.randint(30, 110)))
        for i, key in enumerate(keys):
            track += bytes((0 if i else generator.randint(10, 100), 0x80, key, 0))
    with open(path, "wb") as file:
        track += b"\x00\xff\x2f\x00"
        file.write(b"MThd" + struct.pack(">IHHH", 6, 0, 1, 96) + b"MTrk" + struct.pack(">I", len(track)) + track)


def call(*arguments, code=0):
    result = subprocess.run([TRAIN, *arguments], capture_output=True, text=True, timeout=300)
    assert result.returncode == code, (arguments, result.returncode, result.stderr)
    return result


def refused(*arguments, words, code=1):
    error = call(*arguments, code=code).stderr
    assert all(word in error for word in words), (arguments, words, error)
    assert code != 1 or error.count("\n") == 1, error


def make(work):
    generator = random.Random(1)
    midi = os.path.join(work, "midi")
    os.mkdir(midi)
    for number in range(12):
        write_midi(os.path.join(midi, f"{number}.mid"), generator)
    # One of training is a test piece, too, and one test piece is there twice.
    shutil.copy(os.path.join(midi, "0.mid"), os.path.join(midi, "12.mid"))
    shutil.copy(os.path.join(midi, "1.mid"), os.path.join(midi, "13.mid"))
    held_out = os.path.join(work, "held-out.txt")
    with open(held_out, "w") as file:
        file.writelines(f"midi/{number}.mid\n" for number in (0, 1, 2, 3, 4, 5, 13))
    data = os.path.join(work, "data")
    call("prepare", midi, "-o", data, "--test-list", held_out)
    recipe = os.path.join(work, "recipe.cfg")
    with open(recipe, "w") as file:
        file.write(RECIPE)
    teacher = os.path.join(work, "teacher")
    call("diffusion", "--data", data, "--out", teacher, "--config", recipe, "--threads", "1")
    with open(recipe, "w") as file:
        file.write(RECIPE + "student_steps = 4;\n")
    student = os.path.join(work, "student")
    teacher = os.path.join(teacher, "checkpoint.safetensors")
    call("diffusion", "--data", data, "--out", student, "--config", recipe, "--threads", "1", "--teacher", teacher)
    return data, teacher, os.path.join(student, "checkpoint.safetensors")


def test_sample(work, teacher, student):
    path = os.path.join(work, "x.csv")

    def sampled(*options, model=teacher):
        call("sample", "--model", model, "--count", "5", "--out", path, *options)
        with open(path) as file:
            return file.read()

    assert len(sampled().splitlines()) == 41
    assert sampled() == sampled("--sampler", "ddim-20") == sampled("--sampler", "ddim", "--steps", "20", "--eta", "0")
    assert sampled("--sampler", "ddim-5@0.5") == sampled("--steps", "5", "--eta", "0.5")
    assert sampled("--sampler", "ddim-20", "--steps", "5") == sampled("--steps", "5")
    # With eta 1 DDIM is DDPM (Song et al. 2021).
    assert sampled("--sampler", "ddpm-5") == sampled("--sampler", "ddim-5@1")
    different = [sampled(*options.split()) for options in (
        "--steps 20", "--steps 5", "--steps 5 --eta 1", "--sampler dpm++-5", "--sampler ddpm-40",
        "--seed 2")]
    assert len(set(different)) == len(different)
    # A student's own way is DDIM in as many steps as it was made for.
    assert sampled(model=student) == sampled("--sampler", "student-4", model=student)
    assert sampled(model=student) == sampled("--sampler", "ddim-4", model=student)
    assert sampled(model=student) != sampled("--sampler", "student-2", model=student)

    bad = ["sample", "--model", teacher, "--count", "3", "--out", path]
    refused(*bad, "--steps", "41", words=["41 steps", "40"])
    refused(*bad, "--sampler", "ddpm-41", words=["41 steps", "40"])
    refused(*bad, "--steps", "0", words=["--steps 0"], code=2)
    refused(*bad, "--eta", "1.5", words=["--eta 1.5"], code=2)
    refused(*bad, "--eta", "nan", words=["--eta nan"], code=2)
    refused(*bad, "--sampler", "dpm++-5", "--eta", "0.5", words=["only ddim"])
    refused(*bad, "--sampler", "ddim-5@2", words=["ddim-5@2", "0 to 1"])
    refused(*bad, "--sampler", "euler", words=["euler", "dpm++"])


def test_evaluate(work, data, teacher, student):
    path = os.path.join(work, "x.csv")

    def sources(*options):
        call("evaluate", "--data", data, "--windows", "64", "--streams", "48", "--csv", path, *options)
        with open(path, newline="") as file:
            rows = list(csv.DictReader(file))
        for row in rows:
            assert row["measure"] != "windows/s" or float(row["value"]) > 0
        return {table: {row["source"] for row in rows if row["table"] == table} for table in ("windows", "streams")}

    baselines = {"windows": {"test", "real", "steps >= 0.1 s", "shuffled", "marginals"},
                 "streams": {"test", "real", "real windows glued", "shuffled"}}
    both = sources("--model", teacher, "--model", student, "--samplers", "ddim-3,student-2,ddim-3@1,dpm++-2",
                   "--stream-sampler", "ddim-2")
    assert both["windows"] == baselines["windows"] | {
        "teacher ddim-3", "teacher ddim-3@1", "teacher dpm++-2", "student student-2"}, both
    assert both["streams"] == baselines["streams"] | {
        "teacher ddim-2 glued", "teacher ddim-2 continued",
        "student student-4 glued", "student student-4 continued"}, both
    # None of the list is for it: its own default.
    own = sources("--model", student, "--samplers", "ddim-3")
    assert own["windows"] - baselines["windows"] == {
        "student student-4", "student student-2", "student student-1"}, own
    refused("evaluate", "--data", data, "--model", teacher, "--samplers", "ddim-3@x", words=["ddim-3@x"])


def test_figures(work, data, teacher):
    """What the tables must say of sources whose answers are known."""
    path = os.path.join(work, "x.csv")

    def figures(*options):
        call("evaluate", "--data", data, "--model", teacher, "--samplers", "ddim-2", "--stream-sampler", "ddim-2",
             "--windows", "150", "--streams", "48", "--csv", path, *options)
        with open(path, newline="") as file:
            return {(row["table"], row["source"], row["measure"], row["seed"]): float(row["value"])
                    for row in csv.DictReader(file) if row["measure"] != "windows/s"}

    both = figures("--seeds", "2")
    second = figures("--seed", "2")
    assert second == {key: value for key, value in both.items() if key[3] == "2"}, "a seed's figures are its own"
    own = {key[:3]: value for key, value in both.items() if key[3] == "1"}
    assert own.keys() == {key[:3] for key in second}
    assert own != {key[:3]: value for key, value in second.items()}, "each seed draws anew"

    aucs = {key[:2]: value for key, value in own.items() if key[2] == "c2st_auc"}
    assert ("windows", "test") not in aucs and all(0 <= value <= 1 for value in aucs.values()), aucs
    windows = {key[1:]: value for key, value in own.items() if key[0] == "windows"}
    assert windows["steps >= 0.1 s", "c2st_auc"] > 0.8 > windows["real", "c2st_auc"], aucs
    assert windows["steps >= 0.1 s", "frechet"] > 2 > windows["real", "frechet"], windows
    # Dealing notes out leaves each field's values as they are.
    for measure in ("oa_pitch", "oa_class", "oa_velocity", "oa_step"):
        assert windows["shuffled", measure] > 0.9999 and windows["marginals", measure] > 0.9999, measure
        assert windows["real", measure] < 0.99, measure
    assert windows["shuffled", "oa_interval"] != windows["marginals", "oa_interval"]
    # The same training windows, but for their chords.
    assert windows["steps >= 0.1 s", "oa_pitch"] == windows["real", "oa_pitch"]
    assert windows["steps >= 0.1 s", "chord_rate"] == 0 < 0.1 < windows["real", "chord_rate"] < 0.25
    # One of seven test pieces is in training, and one of training's own has no other.
    assert 0.05 < windows["test", "memorised"] < 0.25, windows["test", "memorised"]
    assert windows["real", "memorised"] == 0

    raw = figures("--raw")
    changed = {key[:2] for key in raw if key[2] == "frechet" and raw[key] != both[key]}
    assert changed == {key[:2] for key in raw if key[2] == "frechet"}, "--raw has no effect"
    assert raw["windows", "shuffled", "oa_step", "1"] > 0.9999, "--raw is not for all"


def main():
    with tempfile.TemporaryDirectory() as work:
        data, teacher, student = make(work)
        test_sample(work, teacher, student)
        test_evaluate(work, data, teacher, student)
        test_figures(work, data, teacher)
    print("samplers are what they are called")


main()
