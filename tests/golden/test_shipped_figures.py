#!/usr/bin/env python3
"""The shipped weights are as good as their card says, on pieces they have never
seen: reconstruction, and a prior that has not collapsed.

usage: test_shipped_figures.py MEANDER_TRAIN MODEL DATA_DIRECTORY
Exits 77 where the data is not at hand (MEANDER_DATA_DIR, or the argument).
"""
import csv
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


def test_tables(data, path):
    """Real music cannot be told from real music, shuffled notes can, and the
    model is between."""
    print(call("evaluate", "--model", MODEL, "--data", data, "--only", "windows,streams", "--windows", "2000",
               "--streams", "600", "--csv", path))
    with open(path, newline="") as file:
        rows = {(row["table"], row["source"], row["measure"]): float(row["value"]) for row in csv.DictReader(file)}
    windows = {key[1:]: value for key, value in rows.items() if key[0] == "windows"}
    name = os.path.splitext(os.path.basename(MODEL))[0]
    assert 0.42 < windows["real", "c2st_auc"] < 0.58
    assert windows["real", "c2st_auc"] + 0.1 < windows[name, "c2st_auc"] < windows["shuffled", "c2st_auc"] - 0.01
    assert windows["shuffled", "c2st_auc"] > 0.98 and windows["marginals", "c2st_auc"] > 0.98
    assert windows["steps >= 0.1 s", "c2st_auc"] > 0.98
    assert -0.2 < windows["real", "frechet"] < 1.5
    assert 2 * windows["real", "frechet"] < windows[name, "frechet"] < windows["shuffled", "frechet"] / 2
    assert windows["real", "oa_mean"] > windows[name, "oa_mean"] > 0.8
    assert windows[name, "memorised"] < windows["test", "memorised"]
    streams = {key[1:]: value for key, value in rows.items() if key[0] == "streams"}
    assert 0.38 < streams["real", "c2st_auc"] < 0.62
    # Windows that have nothing to do with one another show, real as they are.
    assert streams["real windows glued", "c2st_auc"] > 0.95
    assert streams["real windows glued", "class_change"] > 1.4 * streams["test", "class_change"]


def main():
    test_list = os.path.join(DATA, "test-pieces.txt")
    if not os.path.exists(test_list):
        print(f"skipped: no data in {DATA}")
        sys.exit(77)
    with tempfile.TemporaryDirectory() as work:
        data = os.path.join(work, "data")
        print(call("prepare", DATA, "-o", data, "--test-list", test_list))
        report = call("evaluate", "--model", MODEL, "--data", data, "--only", "reconstruction")
        test_tables(data, os.path.join(work, "tables.csv"))
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
