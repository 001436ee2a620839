#!/usr/bin/env python3
"""Joins what run.sh measured so far into gpu.json and gpu.md. Whatever is missing
is said to be. Exit code 3: something failed, and gpu.md names it.

usage: report.py OUT
       report.py --recipe-seconds OUT     (what the whole recipe would take)"""
import datetime
import json
import math
import os
import subprocess
import sys

import reckon

WEIGHTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../../models/weights")
# What must be shown on one H200: key, words, unit, the most it may take.
BARS = (
    ("vae_1_p99_ms", "one VAE window, batch 1, p99", "ms", 1.0),
    ("ddim20_1_p99_ms", "one DDIM-20 window, batch 1, p99", "ms", 3.0),
    ("vae_many_ms", "windows, VAE", "ms", 30.0),
    ("ddim20_many_ms", "windows, DDIM-20", "ms", 200.0),
    ("vae_epoch_s", "4.3 million windows through VAE training", "s", 15.0),
)
# At least so many times PyTorch's rate.
RATIOS = (
    ("vae_train_windows_per_s", "training the VAE, windows/s", 2.0),
    ("diffusion_train_notes_per_s", "training the diffusion model, notes/s", 1.5),
)
LATENCIES = ["vae_1"] + [f"ddim{n}_1{c}" for n in (50, 20, 10, 4) for c in ("", "_context")]
BATCHES = ("vae_many", "vae_million", "ddim20_many", "ddim20_million")
# training/diffusion.cfg, and what its run on two shared CPU cores came to
# (models/weights/diffusion.md, tests/bench/RESULTS.md).
RECIPE_STEPS = 24000
RECIPE_SLOTS = 64
RECIPE_NOTES = RECIPE_STEPS * RECIPE_SLOTS * reckon.SLOT
RECIPE_MINUTES_MAX = 15.0
HELD_OUT = ("valid_pitch_nats", "valid_velocity_mse", "valid_step_mse", "valid_duration_mse")
CPU_RECIPE = (113.0, (1.075, 0.241, 0.352, 0.313))
# Batches of the short trainings in run.sh.
BATCH_VAE, BATCH_DIFFUSION = 4096, 1024
UNEQUAL = """\
Not equal in the comparison of training, mostly to PyTorch's advantage: its sequences
are all of 32 notes and attend without a mask (ours are of 8 to 32, with one); its noise
levels are random numbers, not embedded; its augmentation scales what is standardised
already; the loss has no weights by noise level. Equal: sizes, TF32, batch, drawing from
data on the GPU, LAMB or AdamW with clipping, the moving average of the weights, no wait
for the host within a step. PyTorch samples in as many windows a pass as divide the count."""


def read_lines(path):
    """The objects of a file of one a line; one that was cut off is left out."""
    objects = []
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            for line in stream:
                try:
                    objects.append(json.loads(line))
                except ValueError:
                    pass
    except OSError:
        pass
    return [o for o in objects if isinstance(o, dict)]


def read_figures(path):
    return {key: value for line in read_lines(path) for key, value in line.items()}


# --- Stages ------------------------------------------------------------------


def outcome(stage):
    """Words, and whether it went wrong."""
    status = stage.get("status", "unknown")
    known = {"0": ("passed", False), "77": ("skipped: no GPU", False),
             "124": (f"not finished in {stage.get('limit_s')} s", True),
             "127": ("failed: no such program", True)}
    known["137"] = ("killed, or " + known["124"][0], True)
    if stage.get("kind") == "sanitizer":
        known["0"] = ("clean", False)
        known["9"] = ("failed: it found errors", True)
        # It slows a program down a hundredfold: that says nothing of the program.
        known["124"], known["137"] = ((known[k][0], False) for k in ("124", "137"))
    if stage.get("stage", "").startswith("PyTorch"):
        known["4"] = ("not run: no PyTorch here", False)
    if status in known:
        return known[status]
    if status.isdigit():
        return f"failed: exit code {status}", True
    return f"not run: {status}", stage.get("stage") == "build"


def summary(stages, kind):
    """'17 passed; test_draws failed: exit code 1'."""
    words = {}
    for stage in stages:
        if stage.get("kind") == kind:
            words.setdefault(outcome(stage)[0], []).append(stage["stage"])
    good = [w for w in words if w in ("passed", "clean")]
    told = [f"{len(words[w])} {w}" for w in good]
    told += [f"{', '.join(names)}: {w}" for w, names in words.items() if w not in good]
    return "; ".join(told) or "not run"


# --- Tables ------------------------------------------------------------------


def row(*cells):
    return "| " + " | ".join(cells) + " |"


def table(head, rows):
    return ["", row(*head), row(*["---"] * len(head)), *(row(*r) for r in rows)]


def number(value, digits=2):
    return "-" if value is None else f"{value:,.{digits}f}"


def verdict(value, bar, least=False):
    if value is None:
        return "not measured"
    met = value >= bar if least else value <= bar
    return "met" if met else "missed"


def ratio_of(a, b):
    return a / b if a and b else None


class Figures:
    """Ours, and PyTorch's: compiled where that was measured, else as it is."""

    def __init__(self, ours, torch):
        self.ours, self.torch = ours, torch

    def other(self, key):
        return self.torch.get(key) or self.torch.get(f"eager_{key}")

    def other_words(self, key, digits):
        mark = "" if self.torch.get(key) or not self.other(key) else " (not compiled)"
        return number(self.other(key), digits) + mark


def bar_rows(f):
    rows = []
    for key, words, unit, bar in BARS:
        value, other = f.ours.get(key), f.other(key)
        if "many" in key:
            count = f.ours.get(key.replace("_ms", "_windows"), 10000)
            words = f"{number(count, 0)} {words}"
        rows.append((words, f"{number(value)} {unit}", f"{bar:g} {unit}", verdict(value, bar),
                     f.other_words(key, 2), number(ratio_of(other, value))))
    for key, words, bar in RATIOS:
        value = f.ours.get(key)
        ratio = ratio_of(value, f.other(key))
        rows.append((words, number(value, 0), f"{bar:g} x PyTorch",
                     verdict(ratio, bar, least=True), f.other_words(key, 0), number(ratio)))
    return rows


def latency_rows(f):
    rows = []
    for name in LATENCIES:
        keys = [f"{name}_p50_ms", f"{name}_p99_ms"]
        ratio = ratio_of(f.other(keys[0]), f.ours.get(keys[0]))
        rows.append((name.replace("_1", "").replace("_", ", with "),
                     *(f"{number(f.ours.get(k), 3)} ms" for k in keys),
                     *(f"{f.other_words(k, 3)} ms" for k in keys), number(ratio)))
    return rows


def batch_rows(ours):
    return [(f"{name}: {number(ours.get(name + '_windows'), 0)} windows",
             f"{number(ours.get(name + '_ms'), 1)} ms", number(ours.get(name + "_per_s"), 0))
            for name in BATCHES]


def per_second(ours, name):
    """Of one figure: units a second."""
    p50 = ours.get(f"{name}_p50_ms")
    return 1e3 / p50 if p50 else ours.get(f"{name}_per_s")


def work_rows(ours):
    """Reckoned FLOP and bytes a second, against the measured ceilings."""
    work = {**reckon.vae_work(f"{WEIGHTS}/vae.safetensors", BATCH_VAE),
            **reckon.diffusion_work(f"{WEIGHTS}/diffusion.safetensors", BATCH_DIFFUSION)}
    shown = [(name, name) for name in ("vae_1", "ddim50_1", "ddim20_1", "ddim10_1", "ddim4_1")]
    shown += [("vae_million", "vae_many"), ("ddim20_million", "ddim20_many"),
              ("vae_train_windows", "vae_train"), ("diffusion_train_notes", "diffusion_train")]
    rows = []
    for name, of in shown:
        rate = per_second(ours, name)
        flop, moved = ((rate * work[of][w] if rate else None) for w in ("flop", "bytes"))
        shares = [ratio_of(flop, ours.get("product_flop_per_s")),
                  ratio_of(moved, ours.get("copy_bytes_per_s"))]
        rows.append((name, f"{number(flop and flop / 1e12)} TFLOP/s",
                     f"{number(shares[0] and 100 * shares[0], 1)} %",
                     f"{number(moved and moved / 1e9, 1)} GB/s",
                     f"{number(shares[1] and 100 * shares[1], 1)} %"))
    return rows


# --- The recipe --------------------------------------------------------------


def recipe_seconds(ours):
    """What 24,000 steps take at the rate of the first 300, saves and held-out
    figures aside; None: not known."""
    rate = ours.get("recipe_probe_notes_per_s")
    return RECIPE_NOTES / rate if rate else None


def recipe_lines(ours, stages):
    minutes, losses = CPU_RECIPE
    done = ours.get("recipe_steps") == RECIPE_STEPS
    took = [s["seconds"] for s in stages if s.get("stage") == "training: recipe"]
    music = not any("made up" in s.get("stage", "") for s in stages)
    ahead = recipe_seconds(ours)
    held = [ours.get(f"recipe_{name}") for name in HELD_OUT]
    if done and took:
        near = music and held[0] is not None and held[0] <= 1.02 * losses[0]
        words = f"{took[0] / 60:.1f} min"
        result = verdict(took[0] / 60, RECIPE_MINUTES_MAX) if near else "time only"
    else:
        words = "not measured" if ahead is None else \
            f"reckoned: {ahead / 60:.1f} min at the first steps' rate, not run to its end"
        result = "not measured"
    rows = [("this run", words, f"{ours.get('recipe_steps') or 0:.0f}",
             *(number(v, 3) for v in held)),
            ("two CPU cores", f"{minutes:g} min", str(RECIPE_STEPS),
             *(number(v, 3) for v in losses))]
    lines = table(("training/diffusion.cfg", "time", "steps", "pitch, nats", "velocity",
                   "step", "duration (held out)"), rows)
    lines += ["", f"Bar: {RECIPE_MINUTES_MAX:g} min to final quality, a held-out pitch loss "
              f"within 2 % of the CPU run's: {result}."]
    if not music:
        lines[-1] += " Its data were made up: the losses mean nothing."
    return lines


# --- All of it ---------------------------------------------------------------


def gpu():
    try:
        return subprocess.run(
            ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"],
            capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "no nvidia-smi"


def named(stages, kind):
    return ", ".join(s["stage"] for s in stages if s.get("kind") == kind)


def markdown(everything):
    ours, torch, stages = (everything[k] for k in ("ours", "torch", "stages"))
    f = Figures(ours, torch)
    wrong = [f"{s['stage']} ({outcome(s)[0]})" for s in stages if outcome(s)[1]]
    revision = named(stages, "revision")
    lines = [f"{everything['gpu']}, {ours.get('device', 'no device of ours')}, "
             f"{everything['date']}, `tests/bench/gpu/run.sh OUT DATA_SET`"
             f"{', bundle of ' + revision if revision else ''}; PyTorch "
             f"{torch.get('torch', 'not run')}; data: {named(stages, 'data') or 'none'}.", "",
             f"Failed or cut off: {'; '.join(wrong) or 'nothing'}.",
             f"Parity: {summary(stages, 'parity')}.",
             f"compute-sanitizer: {summary(stages, 'sanitizer')}."]
    lines += table(("figure", "ours", "bar", "", "PyTorch", "ratio"), bar_rows(f))
    lines += recipe_lines(ours, stages)
    lines += table(("batch 1", "p50", "p99", "PyTorch p50", "p99", "ratio of p50"),
                   latency_rows(f))
    lines += table(("batches", "time", "windows/s"), batch_rows(ours))
    lines += ["", f"Ceilings measured in the same run: copy "
              f"{number((ours.get('copy_bytes_per_s') or 0) / 1e12)} TB/s read and written, "
              f"product {number((ours.get('product_flop_per_s') or 0) / 1e12, 1)} TFLOP/s "
              f"(TF32). Work is reckoned from the networks (reckon.py), not measured; at batch "
              f"1 the weights lie in the second cache, which a copy does not use."]
    lines += table(("achieved, reckoned", "FLOP", "of the product", "bytes", "of the copy"),
                   work_rows(ours))
    lines += ["", UNEQUAL]
    lines += table(("stage", "seconds", "limit", ""),
                   [(s["stage"], str(s["seconds"]), str(s["limit_s"]), outcome(s)[0])
                    for s in stages if s.get("limit_s")])
    return lines, bool(wrong)


def main():
    if len(sys.argv) not in (2, 3) or (len(sys.argv) == 3) != (sys.argv[1] == "--recipe-seconds"):
        sys.exit(__doc__)
    out = sys.argv[-1]
    ours, torch = read_figures(f"{out}/ours.jsonl"), read_figures(f"{out}/torch.jsonl")
    if len(sys.argv) == 3:
        ahead = recipe_seconds(ours)
        print(math.ceil(ahead) if ahead else "")
        return 0
    rate = ours.get("vae_train_windows_per_s")
    ours["vae_epoch_s"] = 4.3e6 / rate if rate else None
    everything = {"date": datetime.date.today().isoformat(), "gpu": gpu(),
                  "stages": read_lines(f"{out}/stages.jsonl"), "ours": ours, "torch": torch}
    with open(f"{out}/gpu.json", "w", encoding="utf-8") as stream:
        json.dump(everything, stream, indent=2)
    lines, failed = markdown(everything)
    with open(f"{out}/gpu.md", "w", encoding="utf-8") as stream:
        stream.write("\n".join(lines) + "\n")
    return 3 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
