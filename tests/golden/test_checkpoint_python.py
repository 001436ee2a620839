#!/usr/bin/python3
# Checkpoints and Python, both ways: a reader of the published safetensors
# format, independent of ours, takes what the C side wrote, and the C side takes
# what Python wrote with a layout of its own. Where the safetensors package
# itself is installed (Debian 12 has none), it reads and writes too.
#   test_checkpoint_python.py WRITE_CHECKPOINT
import json
import math
import os
import struct
import subprocess
import sys
import tempfile
import unittest

try:
    import numpy
except ImportError:
    print("skipped: needs python3-numpy")
    sys.exit(77)
try:
    import safetensors.numpy
except ImportError:
    safetensors = None

TOOL = sys.argv.pop(1)


def no_repeats(pairs):
    keys = [key for key, _ in pairs]
    assert len(set(keys)) == len(keys), "a key twice: %s" % keys
    return dict(pairs)


def read_published(path):
    """The format as its README states it; returns tensors, metadata, names."""
    with open(path, "rb") as file:
        content = file.read()
    (length,) = struct.unpack("<Q", content[:8])
    assert length <= len(content) - 8 and length % 8 == 0
    text = content[8 : 8 + length]
    assert text[:1] == b"{", "must begin with {"
    header = json.loads(text.decode("utf-8"), object_pairs_hook=no_repeats)
    assert text.rstrip(b" ")[-1:] == b"}", "padding must be spaces"
    metadata = header.pop("__metadata__", {})
    assert all(isinstance(value, str) for value in metadata.values())
    data = content[8 + length :]
    tensors = {}
    covered = 0
    for name, item in sorted(
        header.items(), key=lambda pair: pair[1]["data_offsets"]
    ):
        assert sorted(item) == ["data_offsets", "dtype", "shape"]
        assert item["dtype"] == "F32"
        begin, end = item["data_offsets"]
        assert begin == covered, "a hole or an overlap"
        assert end - begin == 4 * math.prod(item["shape"])
        covered = end
        tensors[name] = numpy.frombuffer(data[begin:end], "<f4").reshape(
            item["shape"]
        )
    assert covered == len(data), "the file's end"
    return tensors, metadata, list(header)


def write_published(path, tensors, metadata, padding):
    """Data backwards, header keys in another order, metadata last."""
    header = {}
    blocks = []
    at = 0
    for name in sorted(tensors, reverse=True):
        block = tensors[name].astype("<f4").tobytes()
        header[name] = {
            "data_offsets": [at, at + len(block)],
            "shape": list(tensors[name].shape),
            "dtype": "F32",
        }
        at += len(block)
        blocks.append(block)
    header = dict(sorted(header.items()))
    header["__metadata__"] = metadata
    text = json.dumps(header, indent=1).encode("ascii")
    text += b" " * (-len(text) % padding)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + b"".join(blocks))


class Checkpoint(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.path = os.path.join(self.folder.name, "model.safetensors")

    def tearDown(self):
        self.folder.cleanup()

    def check_fixed(self, tensors):
        matrix = (
            numpy.arange(-7, 8, dtype=numpy.float32) / numpy.float32(3)
        ).reshape(3, 5)
        edges = [2.0**-149, -float(numpy.finfo(numpy.float32).max), -0.0]
        self.assertEqual(set(tensors), {"z.matrix", "a.edges", "scalar"})
        self.assertEqual(tensors["z.matrix"].tobytes(), matrix.tobytes())
        self.assertEqual(tensors["z.matrix"].shape, (3, 5))
        self.assertEqual(
            tensors["a.edges"].tobytes(), struct.pack("<3f", *edges)
        )
        self.assertEqual(tensors["a.edges"].shape, (1, 1, 3, 1))
        self.assertEqual(tensors["scalar"].shape, ())
        self.assertEqual(tensors["scalar"], numpy.float32(0.1))

    def check_c_reads(self, tensors, text):
        for name, values in tensors.items():
            dims = [str(dim) for dim in values.shape]
            output = subprocess.run(
                [TOOL, "read", self.path, "note", name] + dims,
                check=True,
                stdout=subprocess.PIPE,
            ).stdout.decode("utf-8")
            self.assertTrue(output.startswith(text + " "), output)
            found = [float.fromhex(x) for x in output[len(text) :].split()]
            self.assertEqual(
                numpy.array(found, "<f4").tobytes(),
                values.astype("<f4").tobytes(),
            )

    def some_tensors(self):
        random = numpy.random.default_rng(5)
        return {
            "encoder/w": random.standard_normal((7, 3)).astype("<f4"),
            "b\u00e9ta": random.standard_normal(11).astype("<f4"),
            "cube": random.standard_normal((2, 3, 4)).astype("<f4"),
            "one": numpy.array(0.25, "<f4"),
        }

    def test_python_reads_c(self):
        subprocess.run([TOOL, "write", self.path], check=True)
        tensors, metadata, names = read_published(self.path)
        self.assertEqual(metadata, {"kind": "vae", "note": 'caf\u00e9 "8"\n\\'})
        self.assertEqual(names, ["z.matrix", "a.edges", "scalar"])
        self.check_fixed(tensors)

    def test_c_reads_python(self):
        text = "caf\u00e9 \U0001f3b9 \"8\"\n\\"
        for padding in (8, 64, 4096):
            tensors = self.some_tensors()
            write_published(self.path, tensors, {"note": text}, padding)
            self.check_c_reads(tensors, text)

    @unittest.skipUnless(safetensors, "no safetensors package")
    def test_package_reads_c(self):
        subprocess.run([TOOL, "write", self.path], check=True)
        self.check_fixed(safetensors.numpy.load_file(self.path))

    @unittest.skipUnless(safetensors, "no safetensors package")
    def test_c_reads_package(self):
        tensors = self.some_tensors()
        safetensors.numpy.save_file(tensors, self.path, {"note": "x"})
        self.check_c_reads(tensors, "x")


if __name__ == "__main__":
    unittest.main()
