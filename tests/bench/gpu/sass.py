#!/usr/bin/env python3
"""What the machine code of the CUDA kernels does, without a GPU: a Markdown table,
one line a kernel, for each architecture asked for.

usage: tests/bench/gpu/sass.py NVDISASM [SM...]     (default: 75 80 90)

NVDISASM is any version's that knows the architecture: each kernel is handed to it
as bare instructions, so that it need not know the compiler's file format. Debian's
(non-free, nvidia-cuda-toolkit, 11.8) reads what nvcc 13 writes, but for the few
instructions that it does not know and leaves out without a word: each table says how
many, and their opcodes.

The columns: instructions in all; multiply-adds (FFMA); loads from global and
shared memory, and how many of them are 128 bits wide; loads and stores of local
memory (LDL, STL: spills, or arrays indexed at run time); double precision, slow on
most GPUs; barriers; calls (of what is out of line: the rare paths of division and
square root, shuffles after lanes went different ways); branches back (loops, and the
ends of such paths).
"""
import collections
import glob
import os
import re
import struct
import subprocess
import sys
import tempfile

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../..")
COLUMNS = ("kernel", "instructions", "FFMA", "LDG (128 bits)", "LDS (128 bits)",
           "LDL, STL", "double", "BAR", "CALL", "loops")
INSTRUCTION = re.compile(r"/\*([0-9a-f]{4,})\*/\s+(?:@!?U?P\w+\s+)?([A-Z][A-Z0-9_.]*)"
                         r"([^;]*);")
DOUBLE = ("DADD", "DMUL", "DFMA", "DSETP")
BYTES = 16  # of an instruction
OPCODE = 0xfff  # its lowest bits


def kernels(cubin):
    """(mangled name, machine code) of each kernel in an ELF file."""
    table, = struct.unpack_from("<Q", cubin, 40)
    count, names = struct.unpack_from("<HH", cubin, 60)
    sections = [struct.unpack_from("<IIQQQQIIQQ", cubin, table + 64 * i)
                for i in range(count)]
    for section in sections:
        at = sections[names][4] + section[0]
        name = cubin[at:cubin.index(b"\0", at)].decode()
        if name.startswith(".text."):
            yield name[6:], cubin[section[4]:section[4] + section[5]]


def disassemble(nvdisasm, sm, code, folder):
    """[(address, opcode, operands)]"""
    path = os.path.join(folder, "kernel.bin")
    with open(path, "wb") as file:
        file.write(code)
    text = subprocess.run([nvdisasm, "-b", f"SM{sm}", path], check=True,
                          stdout=subprocess.PIPE, text=True).stdout
    return [(int(m[1], 16), m[2], m[3]) for m in INSTRUCTION.finditer(text)]


def unknown(code, found):
    """The opcodes of the instructions that were left out."""
    at = {address for address, _, _ in found}
    return [hex(struct.unpack_from("<I", code, i)[0] & OPCODE)
            for i in range(0, len(code), BYTES) if i not in at]


def loops(code):
    return sum(1 for address, opcode, operands in code
               if opcode.split(".")[0] == "BRA" and
               (to := re.search(r"0x([0-9a-f]+)", operands)) and
               int(to[1], 16) < address)


def describe(name, size, code):
    opcodes = [opcode for _, opcode, _ in code]

    def count(*stems):
        return sum(1 for o in opcodes if o.split(".")[0] in stems)

    def wide(stem):
        every = [o for o in opcodes if o.split(".")[0] == stem]
        return f"{len(every)} ({sum(1 for o in every if '128' in o)})"

    return (name, size // BYTES, count("FFMA"), wide("LDG"), wide("LDS"),
            count("LDL", "STL"), count(*DOUBLE), count("BAR"), count("CALL"),
            loops(code))


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    nvdisasm, architectures = sys.argv[1], sys.argv[2:] or ["75", "80", "90"]
    for sm in architectures:
        rows, left_out = [], collections.Counter()
        with tempfile.TemporaryDirectory() as folder:
            for source in sorted(glob.glob(f"{ROOT}/kernels/cuda/*.cu")):
                cubin = os.path.join(folder, "module.cubin")
                subprocess.run(["nvcc", "-std=c++17", "-O3", f"-I{ROOT}/kernels",
                                f"-I{ROOT}/core", f"-arch=sm_{sm}", "-cubin", "-o",
                                cubin, source], check=True)
                with open(cubin, "rb") as file:
                    found = list(kernels(file.read()))
                for name, code in found:
                    known = disassemble(nvdisasm, sm, code, folder)
                    rows.append(describe(name, len(code), known))
                    left_out.update(unknown(code, known))
        names = subprocess.run(["c++filt"], input="\n".join(r[0] for r in rows),
                               check=True, stdout=subprocess.PIPE, text=True).stdout
        print(f"\n## sm_{sm}: {len(rows)} kernels, not known: {dict(left_out)}\n")
        print("|".join(("", *COLUMNS, "")), "|---" * len(COLUMNS) + "|", sep="\n")
        for name, row in zip(names.splitlines(), rows):
            short = re.sub(r"^void |\(.*\)$", "", name)
            print("|".join(("", f" `{short}` ", *(f" {n} " for n in row[1:]), "")), flush=True)


if __name__ == "__main__":
    main()
