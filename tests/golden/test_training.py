#!/usr/bin/env python3
"""meander-train from end to end on a small made-up data set: a run that is
killed again and again ends with the bytes of an unbroken one; results do not
depend on the number of threads; the log follows the recipe; what is saved to
play is the moving average; sample and evaluate say what they promise; bad input
is one clear error.

usage: test_training.py MEANDER_TRAIN
"""
import array
import csv
import json
import math
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


def write_midi(path, generator, low=40, high=90):
    """A scale that wanders, in format 0."""
    track = b""
    pitch = (low + high) // 2
    for _ in range(400):
        pitch = min(high, max(low, pitch + generator.choice((-2, -1, 1, 2, 5, -5))))
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


def open_checkpoint(directory, name):
    """The header and the bytes after it."""
    data = bytes_of(directory, name)
    length = int.from_bytes(data[:8], "little")
    return json.loads(data[8:8 + length]), data[8 + length:]


def step_of(directory, name):
    """The step in a checkpoint's metadata."""
    return int(open_checkpoint(directory, name)[0]["__metadata__"]["step"])


def floats_of(directory, name, tensor=None):
    """One tensor's values, or all of a file's in the order of its bytes."""
    header, data = open_checkpoint(directory, name)
    begin, end = header[tensor]["data_offsets"] if tensor else (0, len(data))
    return array.array("f", data[begin:end])


def norm(values):
    return math.sqrt(sum(value * value for value in values))


def distance(left, right):
    assert len(left) == len(right)
    return norm(a - b for a, b in zip(left, right))


def copy_of(run, work, name):
    return shutil.copytree(run, os.path.join(work, name))


def killed_run(data, recipe, out):
    """Kills the run at growing delays until one part reaches the end."""
    kills = 0
    delay_s = 0.02
    while True:
        resume = os.path.exists(os.path.join(out, "state.safetensors"))
        options = ["--resume"] if resume else ["--config", recipe]
        process = subprocess.Popen([TRAIN, "vae", "--data", data, "--out", out, "--device", "cpu", *options],
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
    call("vae", "--data", data, "--out", whole, "--config", recipe, "--threads", "2", "--device", "cpu")
    one = os.path.join(work, "one-thread")
    told = call("vae", "--data", data, "--out", one, "--config", recipe, "--threads", "1", "--device", "cpu").stdout
    assert "(cpu " in told.splitlines()[0], told
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


def test_schedule(run):
    """The values are those of the last step done: number 24, number 89."""
    rows = {int(row["step"]): row for row in rows_of(run)}
    for done, beta, forcing in ((25, 0.05 * 24 / 40, 1 - 0.7 * 24 / 60), (90, 0.05, 0.3)):
        cosine = math.cos(math.pi * (done - 1 - 5) / (90 - 5))
        wanted = {"beta": beta, "forcing": forcing, "learning_rate": 2e-2 * (0.02 + 0.98 * 0.5 * (1 + cosine))}
        for key, value in wanted.items():
            assert abs(float(rows[done][key]) - value) <= 1e-4 * value + 5e-5 * (key == "forcing"), (done, key, rows[done])


def test_lanes(work, data):
    """How a batch is cut up does not change its gradient."""
    norms = []
    for lanes in (1, 3):
        path = os.path.join(work, f"lanes-{lanes}.cfg")
        with open(path, "w") as file:
            file.write(RECIPE + f"lanes = {lanes};")
        out = os.path.join(work, f"lanes-{lanes}")
        call("vae", "--data", data, "--out", out, "--config", path, "--steps", "25", "--device", "cpu")
        norms.append(float(rows_of(out)[-1]["gradient_norm"]))
    assert abs(norms[0] - norms[1]) <= 0.01 * norms[0], norms


def test_average(work, data, recipe, run):
    """What is saved to play is the moving average of the weights."""
    played = floats_of(run, "checkpoint.safetensors")
    average = floats_of(run, "state.safetensors", "average")
    weights = floats_of(run, "state.safetensors", "weights")
    # After the weights come the prior's mean and factor.
    assert played[:len(average)] == average
    assert len(played) == len(average) + 6 + 6 * 6
    first = os.path.join(work, "first")
    call("vae", "--data", data, "--out", first, "--config", recipe, "--steps", "1")
    start = floats_of(first, "state.safetensors", "weights")
    behind, way = distance(average, weights), distance(average, start)
    assert 0 < behind < 0.2 * norm(weights), (behind, norm(weights))
    assert behind < 0.5 * way, (behind, way)


def test_resume(work, data, run):
    lost = copy_of(run, work, "lost")
    os.remove(os.path.join(lost, "checkpoint.safetensors"))
    call("vae", "--data", data, "--out", lost, "--resume", "--device", "cpu")
    for name in ("checkpoint.safetensors", "state.safetensors"):
        assert bytes_of(lost, name) == bytes_of(run, name), name

    # A run killed after the log's line and before the save.
    ahead = copy_of(run, work, "ahead")
    last = bytes_of(run, "log.csv").decode().splitlines()[-1]
    with open(os.path.join(ahead, "log.csv"), "a") as file:
        file.write(last.replace("90,", "95,", 1) + "\n" + last.replace("90,", "120,", 1) + "\n12")
    call("vae", "--data", data, "--out", ahead, "--resume", "--steps", "110")
    steps = [int(row["step"]) for row in rows_of(ahead)]
    assert steps == [25, 50, 75, 90, 100, 110], steps


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

    def pitches(seed, temperature):
        call("sample", "--model", model, "--count", "20", "--seed", seed, "--temperature", temperature, "--out", path)
        with open(path, newline="") as file:
            return [row["pitch"] for row in csv.DictReader(file)]

    # Without temperature only the latents are drawn.
    assert pitches("5", "0") != pitches("6", "0")
    assert pitches("5", "0") != pitches("5", "2")

    values = evaluate(model, data)
    assert values["windows"] > 0
    # Ninety steps learn little: more would be the truth looked at.
    assert 0 <= values["pitch_accuracy"] < 0.9, values
    assert 0 <= values["iou"] < 0.9, values
    for key in ("spread_ratio_pitch", "spread_ratio_step", "spread_ratio_duration"):
        assert values[key] > 0
    cold, hot = (evaluate(model, data, "--temperature", t)["prior_pitch_std"] for t in ("0", "2"))
    assert cold != hot, cold


def tables(model, data, path, *options):
    """What evaluate prints, and the figures of its CSV file by table, source,
    seed and measure."""
    report = call("evaluate", "--model", model, "--data", data, "--only", "windows,streams", "--windows", "200",
                  "--streams", "72", "--csv", path, *options).stdout
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    return report, {(r["table"], r["source"], int(r["seed"]), r["measure"]): float(r["value"]) for r in rows}


def test_tables(work, data, model):
    path = os.path.join(work, "tables.csv")
    assert "two pieces" in call("evaluate", "--model", model, "--data", data, code=1).stderr.splitlines()[-1]
    generator = random.Random(3)
    midi = os.path.join(work, "twelve")
    os.mkdir(midi)
    names = [f"{number}.mid" for number in range(12)]
    for name in names:
        write_midi(os.path.join(midi, name), generator)
    held_out = os.path.join(work, "six.txt")
    with open(held_out, "w") as file:
        file.writelines(f"twelve/{name}\n" for name in names[:6])
    data = os.path.join(work, "twelve-data")
    call("prepare", midi, "-o", data, "--test-list", held_out)
    report, figures = tables(model, data, path, "--seeds", "2", "--seed", "7")
    sources = {key[1] for key in figures if key[0] == "windows"}
    assert sources == {"test", "real", "shuffled", "marginals", "steps >= 0.1 s", "whole"}, sources
    for seed in (7, 8):
        # A scale that wanders is nothing like its notes in any order.
        assert figures["windows", "shuffled", seed, "c2st_auc"] > 0.9
        assert figures["windows", "real", seed, "c2st_auc"] < 0.75
        assert figures["windows", "shuffled", seed, "frechet"] > 5 * abs(figures["windows", "real", seed, "frechet"])
        assert figures["windows", "shuffled", seed, "oa_pitch"] > 0.999
        assert figures["streams", "shuffled", seed, "c2st_auc"] > 0.9
    assert figures["windows", "real", 7, "c2st_auc"] != figures["windows", "real", 8, "c2st_auc"]
    # The table shows the mean, then lowest and highest.
    lines = [line for line in report.splitlines() if line.startswith("shuffled  ")]
    mean = (figures["windows", "shuffled", 7, "c2st_auc"] + figures["windows", "shuffled", 8, "c2st_auc"]) / 2
    assert abs(float(lines[0].split()[1]) - mean) < 0.00051, (lines, mean)
    assert report.count("  lowest") == report.count("  highest") == 11, report

    timeless = lambda all: {key: value for key, value in all.items() if key[3] != "windows/s"}
    if "SLOW" not in os.environ:
        again = tables(model, data, path, "--seed", "8")[1]
        assert timeless(again) == {key: value for key, value in timeless(figures).items() if key[2] == 8}
        raw = tables(model, data, path, "--seed", "8", "--raw")[1]
        assert timeless(raw) != timeless(again)

    # Two models are two rows; a VAE has nothing to be sampled in steps.
    both = tables(model, data, path, "--model", model)[1]
    assert {key[1] for key in both} >= {"whole", "whole#2", "whole glued", "whole#2 glued", "real windows glued"}, both
    out = os.path.join(work, "y.csv")
    for option, value in (("--sampler", "ddim"), ("--steps", "4"), ("--eta", "0")):
        refused("sample", "--model", model, "--count", "3", "--out", out, option, value, words=["diffusion", "vae"])
    refused("sample", "--model", model, "--count", "3", "--out", out, "--steps", "0", words=["--steps"], code=2)
    bad = ["evaluate", "--model", model, "--data", data]
    refused(*bad, "--samplers", "ddim-4,dim-4", words=["dim-4", "dpm++"])
    refused(*bad, "--only", "windows,stream", words=["stream", "reconstruction"])
    refused(*bad, "--windows", "3", words=["--windows"], code=2)
    refused(*bad, "--csv", os.path.join(work, "none", "x.csv"), words=["none"])


def evaluate(model, data, *options):
    report = call("evaluate", "--model", model, "--data", data, "--only", "reconstruction", *options).stdout
    return {key: float(value) for key, value in (line.split("=", 1) for line in report.splitlines())}


def test_other_data(work, model, run):
    """Evaluation looks at the held-out pieces only, here the low ones; a run
    does not go on with data that are not its own."""
    generator = random.Random(2)
    midi = os.path.join(work, "low-and-high")
    os.mkdir(midi)
    names = [f"{number}.mid" for number in range(6)]
    for name in names:
        low = name in names[1:4]
        write_midi(os.path.join(midi, name), generator, 30 if low else 60, 45 if low else 90)
    held_out = os.path.join(work, "held-out.txt")
    with open(held_out, "w") as file:
        file.writelines(f"low-and-high/{name}\n" for name in names[1:4])
    data = os.path.join(work, "other-data")
    call("prepare", midi, "-o", data, "--test-list", held_out)
    values = evaluate(model, data)
    assert values["windows"] == 3 * 400 / 8, values
    assert 30 < values["real_pitch_mean"] < 45, values
    refused("vae", "--data", data, "--out", run, "--resume", words=["another data set"])


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
    refused("vae", "--data", data, "--out", os.path.join(work, "no-device"), "--device", "gpu", words=["gpu"])
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
        model = os.path.join(run, "checkpoint.safetensors")
        test_schedule(run)
        test_lanes(work, data)
        test_average(work, data, recipe, run)
        test_resume(work, data, run)
        test_stop_signal(work, data, recipe)
        if "TSAN_OPTIONS" in os.environ:
            return  # what follows has one thread, and takes ThreadSanitizer long
        test_sample_and_evaluate(work, data, model)
        test_tables(work, data, model)
        test_other_data(work, model, run)
        test_bad_input(work, data, recipe, run)


main()
