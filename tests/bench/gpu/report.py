#!/usr/bin/env python3
"""Joins what run.sh measured into gpu.json and gpu.md.

usage: report.py OUT"""
import csv
import datetime
import json
import os
import subprocess
import sys

# What must be shown on one H200: key, words, unit, the most it may take.
BARS = (
    ("vae_1_p99_ms", "one VAE window, batch 1, p99", "ms", 1.0),
    ("ddim20_1_p99_ms", "one DDIM-20 window, batch 1, p99", "ms", 3.0),
    ("vae_many_ms", "10,000 windows, VAE", "ms", 30.0),
    ("ddim20_many_ms", "10,000 windows, DDIM-20", "ms", 200.0),
    ("vae_epoch_s", "4.3 million windows through VAE training", "s", 15.0),
)
# At least so many times PyTorch's rate.
RATIOS = (
    ("vae_train_windows_per_s", "training the VAE, windows/s", 2.0),
    ("diffusion_train_notes_per_s", "training the diffusion model, notes/s", 1.5),
)
LATENCIES = ["vae_1"] + [f"ddim{n}_1{c}" for n in (50, 20, 10, 4) for c in ("", "_context")]
# FLOP of each unit of a rate, from the weights that it meets: 1.89 million a note
# of the diffusion model, 1.9 million a window of the VAE in all, of which the
# steps' 0.5 million eight times.
WORK = (
    ("vae_million_per_s", "VAE, batches", 2 * (8 * 0.5e6 + 0.8e6)),
    ("ddim20_million_per_s", "DDIM-20, batches", 2 * 1.89e6 * 8 * 20),
    ("vae_train_windows_per_s", "VAE, training", 6 * (8 * 0.75e6 + 1.3e6)),
    ("diffusion_train_notes_per_s", "diffusion, training", 6 * 1.89e6 * 1.17),
)


def read(path):
    try:
        with open(path, encoding="utf-8") as stream:
            return json.load(stream)
    except (OSError, ValueError):
        return {}


def training_rate(path, column):
    """The median of the second half of a run's log."""
    try:
        with open(path, encoding="utf-8") as stream:
            values = [float(row[column]) for row in csv.DictReader(stream)]
    except (OSError, ValueError, KeyError):
        return None
    late = sorted(values[len(values) // 2:])
    return late[len(late) // 2] if late else None


def row(*cells):
    return "| " + " | ".join(cells) + " |"


def verdict(value, bar, least=False):
    if value is None:
        return "not measured"
    met = value >= bar if least else value <= bar
    return "met" if met else "missed"


def number(value, digits=2):
    return "-" if value is None else f"{value:,.{digits}f}"


def gpu():
    try:
        return subprocess.run(
            ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"],
            capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "no nvidia-smi"


def main():
    out = sys.argv[1]
    ours, torch = read(f"{out}/ours.json"), read(f"{out}/torch.json")
    for key, run, column in (
            ("vae_train_windows_per_s", "run-vae", "windows_per_s"),
            ("diffusion_train_notes_per_s", "run-diffusion", "notes_per_s")):
        ours[key] = training_rate(f"{out}/{run}/log.csv", column)
    rate = ours["vae_train_windows_per_s"]
    ours["vae_epoch_s"] = 4.3e6 / rate if rate else None
    failures = open(f"{out}/parity_failures", encoding="utf-8").read().strip() \
        if os.path.exists(f"{out}/parity_failures") else "unknown"
    everything = {"date": datetime.date.today().isoformat(), "gpu": gpu(),
                  "parity_failures": failures, "ours": ours, "torch": torch}
    with open(f"{out}/gpu.json", "w", encoding="utf-8") as stream:
        json.dump(everything, stream, indent=2)

    lines = [f"{everything['gpu']}, {everything['date']}, `tests/bench/gpu/run.sh OUT DATA_SET`; "
             f"parity tests that failed: {failures}; PyTorch {torch.get('torch', 'not run')}.", ""]
    lines += [row("figure", "ours", "bar", "", "PyTorch", "ratio"), row(*["---"] * 6)]
    for key, words, unit, bar in BARS:
        value, other = ours.get(key), torch.get(key)
        lines.append(row(words, f"{number(value)} {unit}", f"{bar:g} {unit}", verdict(value, bar),
                         number(other), number(other / value if other and value else None)))
    for key, words, bar in RATIOS:
        value, other = ours.get(key), torch.get(key)
        ratio = value / other if value and other else None
        lines.append(row(words, number(value, 0), f"{bar:g} x PyTorch",
                         verdict(ratio, bar, least=True), number(other, 0), number(ratio)))
    lines += ["", row("batch 1", "p50", "p99", "PyTorch p50", "p99", "ratio of p50"),
              row(*["---"] * 6)]
    for name in LATENCIES:
        values = [ours.get(f"{name}_p50_ms"), ours.get(f"{name}_p99_ms"),
                  torch.get(f"{name}_p50_ms"), torch.get(f"{name}_p99_ms")]
        ratio = values[2] / values[0] if values[0] and values[2] else None
        lines.append(row(name.replace("_1", "").replace("_", ", with "),
                         *(f"{number(v, 3)} ms" for v in values), number(ratio)))
    lines += ["", row("batches", "windows/s"), row("---", "---")]
    for name in ("vae_many", "vae_million", "ddim20_many", "ddim20_million"):
        lines.append(row(f"{name}: {number(ours.get(name + '_windows'), 0)} windows",
                         number(ours.get(f"{name}_per_s"), 0)))
    lines += ["", f"Ceilings measured in the same run: copy "
              f"{number((ours.get('copy_bytes_per_s') or 0) / 1e12)} TB/s, product "
              f"{number((ours.get('product_flop_per_s') or 0) / 1e12, 1)} TFLOP/s (TF32)."]
    for key, words, flop in WORK:
        rate = ours.get(key)
        if rate and ours.get("product_flop_per_s"):
            lines.append(f"{words}: {rate * flop / 1e12:.2f} TFLOP/s, "
                         f"{100 * rate * flop / ours['product_flop_per_s']:.1f} % of that product.")
    with open(f"{out}/gpu.md", "w", encoding="utf-8") as stream:
        stream.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
