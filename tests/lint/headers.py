#!/usr/bin/python3
# Each header compiles on its own, with no include before it.
#   headers.py ROOT COMPILER...
import os
import subprocess
import sys

FLOORS = {
    "core": ["core"],
    "kernels": ["kernels", "core"],
    "models": ["models", "kernels", "core"],
    "src": ["src", "models", "kernels", "core"],
    "training": ["training", "models", "kernels", "core"],
}
root = sys.argv[1]
failed = []
count = 0
for floor, sees in FLOORS.items():
    for folder, _, names in sorted(os.walk(os.path.join(root, floor))):
        # C++ for nvcc, which compiles each of them.
        if folder == os.path.join(root, "kernels", "cuda"):
            continue
        for name in sorted(n for n in names if n.endswith(".h")):
            path = os.path.join(folder, name)
            roots = ["-I" + os.path.join(root, base) for base in sees]
            count += 1
            if subprocess.run(
                sys.argv[2:]
                + ["-std=gnu17", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror"]
                + ["-fsyntax-only", "-include", path, "-x", "c"]
                + roots
                + ["/dev/null"],
            ).returncode:
                failed.append(os.path.relpath(path, root))
print("%d headers, %d do not stand alone: %s" % (count, len(failed), failed))
sys.exit(1 if failed or not count else 0)
