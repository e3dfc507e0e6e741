#!/usr/bin/env python3
"""all-MiniLM-L6-v2 gives the vectors of transformers, from text to vector.

minilm_test.py OPENLLM DATA: the program, and tests/data. The model is the store's (scripts/fetch-model minilm).
"""
import json
import subprocess
import sys
import unittest
from pathlib import Path

PROGRAM, DATA = sys.argv[1], Path(sys.argv[2])
MODEL = "sentence-transformers/all-MiniLM-L6-v2"


class MiniLm(unittest.TestCase):
    def test_vectors_are_those_of_transformers(self):
        for case in json.loads((DATA / "minilm/goldens.json").read_text())["cases"]:
            for device in ("cpu", "reference"):
                done = subprocess.run([PROGRAM, "embed", MODEL, "--json", "--device", device, case["text"]], capture_output=True,
                                      text=True, timeout=300, check=False)
                self.assertEqual(done.returncode, 0, done.stderr)
                got = json.loads(done.stdout)["embedding"]
                worst = max(abs(a - b) for a, b in zip(got, case["embedding"], strict=True))
                print("%-10s %.1e  %.40r" % (device, worst, case["text"]))
                self.assertLess(worst, 1e-5)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=0)
