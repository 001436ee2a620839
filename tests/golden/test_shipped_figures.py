#!/usr/bin/env python3
"""The shipped weights are as good as their card says, on pieces they have never
seen: reconstruction, and a prior that has not collapsed.

usage: test_shipped_figures.py MEANDER_TRAIN MODEL DATA_DIRECTORY
Exits 77 where the data is not at hand (MEANDER_DATA_DIR, or the argument).
"""
import os
import re
import subprocess
import sys
import tempfile

TRAIN, MODEL = sys.argv[1:3]
DATA = os.environ.get("MEANDER_DATA_DIR", sys.argv[3])


def call(*arguments):
    return subprocess.run([TRAIN, *arguments], capture_output=True, text=True, timeout=300, check=True).stdout


def card_accuracy():
    """The card lies beside the weights, as text."""
    with open(os.path.splitext(MODEL)[0] + ".md") as file:
        return float(re.search(r"\| pitch_accuracy \| ([0-9.]+) \|", file.read()).group(1))


def main():
    test_list = os.path.join(DATA, "test-pieces.txt")
    if not os.path.exists(test_list):
        print(f"skipped: no data in {DATA}")
        sys.exit(77)
    with tempfile.TemporaryDirectory() as work:
        data = os.path.join(work, "data")
        print(call("prepare", DATA, "-o", data, "--test-list", test_list))
        report = call("evaluate", "--model", MODEL, "--data", data, "--only", "reconstruction")
    print(report)
    values = {key: float(value) for key, value in (line.split("=", 1) for line in report.splitlines())}
    assert values["windows"] > 20000
    assert values["pitch_accuracy"] >= 0.80
    # No reconstruction through the latent is perfect: the truth leaked in.
    assert values["pitch_accuracy"] < 0.999
    assert abs(values["pitch_accuracy"] - card_accuracy()) <= 0.01, card_accuracy()
    assert values["iou"] >= 0.316
    for field in ("pitch", "step", "duration"):
        assert 1 / 1.5 <= values[f"spread_ratio_{field}"] <= 1.5, field


main()
