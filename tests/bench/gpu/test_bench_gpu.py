#!/usr/bin/python3
"""What measures on the rare day with a GPU, tried without one: run.sh from end to
end on the CPU, with a few of everything, and with programs that break.

usage: test_bench_gpu.py BUILD"""
import glob
import json
import os
import py_compile
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
BUILD = os.path.abspath(sys.argv[1])
WORK = tempfile.mkdtemp()
FILES = {"gpu.md", "gpu.json", "ours.jsonl", "torch.jsonl", "stages.jsonl", "run.log"}


def read(*path):
    with open(os.path.join(WORK, *path), encoding="utf-8") as file:
        return file.read()


def run(build, out, *data):
    """run.sh on the CPU, from another folder, with a relative OUT."""
    environment = {**os.environ, "DEVICE": "cpu", "QUICK": "1", "BUILD": build}
    done = subprocess.run([f"{HERE}/run.sh", out, *data], cwd=WORK, env=environment,
                          capture_output=True, text=True, timeout=1000, check=False)
    assert set(os.listdir(os.path.join(WORK, out))) <= FILES | {"recipe.safetensors"}, \
        os.listdir(os.path.join(WORK, out))
    return done.returncode, json.loads(read(out, "gpu.json")), read(out, "gpu.md"), done.stdout


def stages(result):
    return {stage["stage"]: stage["status"] for stage in result["stages"]}


def stub(name, text):
    path = os.path.join(WORK, "broken", name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"#!/bin/sh\n{text}\n")
    os.chmod(path, 0o755)


def test_python_compiles():
    for path in glob.glob(f"{HERE}/*.py"):
        py_compile.compile(path, cfile=os.path.join(WORK, "compiled"), doraise=True)


def test_shell_is_clean():
    if not shutil.which("shellcheck"):
        print("no shellcheck: run.sh was not read")
        return
    subprocess.run(["shellcheck", "-x", *glob.glob(f"{HERE}/*.sh")], check=True,
                   cwd=f"{HERE}/../../..")


def test_all_of_it():
    code, result, text, said = run(BUILD, "whole")
    assert code == 0, said
    ours = result["ours"]
    for key in ("copy_bytes_per_s", "product_flop_per_s", "vae_1_p50_ms", "ddim20_1_p99_ms",
                "ddim4_1_context_p50_ms", "vae_many_ms", "ddim20_many_per_s",
                "vae_train_windows_per_s", "diffusion_train_notes_per_s",
                "recipe_probe_notes_per_s", "vae_epoch_s"):
        assert ours[key] > 0, (key, ours)
    assert stages(result)["training: recipe"].startswith("would take "), result
    assert stages(result)["parity_models"] == "77", result
    assert "Failed or cut off: nothing." in text, text
    assert "made up" in text and "reckoned" in text and "no GPU" in text, text
    assert "| one VAE window, batch 1, p99 | " in text and "| 15 min " not in text, text


def break_programs():
    """One is killed in the middle, one fails, and the rest is not there."""
    stub("tests/bench/bench_gpu", """echo '{"device": "stub"}'
echo '{"vae_1_p99_ms": 0.5}'
printf '{"ddim20_1_p9'
kill -9 $$""")
    stub("tests/unit/test_kernels_optimiser", "exit 1")
    # A recipe's probe that is fast, and a recipe that ends.
    stub("meander-train", """
[ "$1" = prepare ] && exit 0
while [ $# -gt 0 ]; do
  [ "$1" = --out ] && out=$2
  shift
done
mkdir -p "$out"
case $out in
  *vae_train) echo 'no GPU memory' >&2; exit 1 ;;
  */recipe) last=24000 ;;
  *) last=300 ;;
esac
printf 'weights' >"$out/checkpoint.safetensors"
{
  echo step,notes_per_s,valid_pitch_nats,valid_velocity_mse,valid_step_mse,valid_duration_mse
  echo "25,1e6,1.9,0.5,0.5,0.5"
  echo "$last,2e6,1.08,0.24,0.35,0.31"
  echo "$last,"
} >"$out/log.csv"
""")


def test_what_breaks_is_named():
    break_programs()
    data = os.path.join(WORK, "some.data")
    with open(data, "w", encoding="utf-8"):
        pass
    broken = os.path.join(WORK, "broken")
    for _ in range(2):  # a second run finds nothing in its way
        code, result, text, said = run(broken, "broken-out", "some.data")
    assert code == 1, said
    assert result["ours"]["vae_1_p99_ms"] == 0.5 and "ddim20_1_p99_ms" not in result["ours"]
    assert result["ours"]["recipe_probe_notes_per_s"] == 2e6, result
    assert stages(result)["training: recipe"] == "0" and "the one given" in text, text
    assert read("broken-out", "recipe.safetensors") == "weights"
    for words in ("sampling (killed, or not finished",
                  "test_kernels_optimiser (failed: exit code 1)",
                  "training: vae_train (failed", "parity_basic (failed: no such program)",
                  "| one VAE window, batch 1, p99 | 0.50 ms | 1 ms | met |",
                  "| 24000 | 1.080 | 0.240 | 0.350 | 0.310 |", "CPU run's: met."):
        assert words in text, (words, text)


def test_report_of_nothing():
    os.makedirs(os.path.join(WORK, "nothing"))
    subprocess.run([f"{HERE}/report.py", os.path.join(WORK, "nothing")], check=True)
    text = read("nothing", "gpu.md")
    assert "Parity: not run." in text and "| not measured |" in text, text


def test_report_with_torch():
    out = os.path.join(WORK, "torch")
    os.makedirs(out)
    for name, text in (("ours", '{"vae_1_p50_ms": 0.25}\n{"vae_train_windows_per_s": 300}\n'),
                       ("torch", '{"eager_vae_1_p50_ms": 1}\n{"vae_train_windows_per_s": 100}\n'),
                       ("stages", '{"kind": "sanitizer", "stage": "memcheck a", "limit_s": 9, '
                                  '"seconds": 9, "status": "124"}\nnot JSON\n')):
        with open(os.path.join(out, f"{name}.jsonl"), "w", encoding="utf-8") as file:
            file.write(text)
    subprocess.run([f"{HERE}/report.py", out], check=True)
    text = read("torch", "gpu.md")
    for words in ("| 300 | 2 x PyTorch | met | 100 | 3.00 |", "1.000 (not compiled) ms",
                  "| 4.00 |", "memcheck a: not finished in 9 s", "cut off: nothing"):
        assert words in text, (words, text)


def main():
    try:
        for name, test in sorted(globals().items()):
            if name.startswith("test_"):
                test()
                print(f"{name}: passed")
    finally:
        shutil.rmtree(WORK)


if __name__ == "__main__":
    main()
