"""The backend pt with a program in place of the interpreter: no package is needed. See cli_program.py."""

import json
import os
import shutil
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

from cli_program import DATA, PROGRAM, TIMEOUT, TINY, main, run

PYTHON = str((DATA / "pt" / "fake_python").absolute())
ASK = ("--prompt-ids", "1,2,3", "--max-new-tokens", "4", "--ignore-eos", "--json")


class Pt(unittest.TestCase):
    def test_runs_a_model(self):
        for choice in (("--python", PYTHON), ()):
            result = run("run", TINY, "--backend", "pt", "--pt-device", "cpu", *choice, *ASK,
                         environment={} if choice else {"OPENLLM_PYTHON": PYTHON})
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertEqual(len(json.loads(result.stdout)["outputs"][0]["token_ids"]), 4)

    def test_what_is_missing_is_named(self):
        result = run("run", TINY, "--backend", "pt", *ASK, environment={"OPENLLM_PYTHON": "/no/python"})
        self.assertEqual(result.returncode, 8)
        self.assertIn("OPENLLM_PYTHON: no such program (got /no/python)", result.stderr)
        listed = json.loads(run("backends", "--json", environment={"OPENLLM_PYTHON": "/no/python"}).stdout)
        pt = next(entry for entry in listed["backends"] if entry["name"] == "pt")
        self.assertFalse(pt["available"])
        self.assertIn("/no/python", pt["reason"])
        here = json.loads(run("backends", "--json", environment={"OPENLLM_PYTHON": PYTHON}).stdout)
        self.assertIn("pt", [entry["name"] for entry in here["backends"] if entry["available"]])

    def test_options_are_refused_by_name(self):
        for options, status, words in ((("--pt-device", "mps"), 4, "pt.device"), (("--pt-device", "tpu"), 2, "pt.device"),
                                       (("--kv-dtype", "f16"), 4, "kv_dtype"), (("--device", "reference"), 4, "device")):
            result = run("run", TINY, "--backend", "pt", "--python", PYTHON, *options, *ASK)
            self.assertEqual(result.returncode, status, result.stderr)
            self.assertIn(words, result.stderr)
        result = run("run", TINY, "--backend", "native", "--pt-device", "cpu", *ASK)
        self.assertEqual(result.returncode, 4, result.stderr)
        self.assertIn("pt.device", result.stderr)

    def test_adapters(self):
        ids = []
        for words in ((), ("--adapter-id", str(DATA / "adapters" / "llama-qv")),
                      ("--adapter-id", str(DATA / "adapters" / "llama-qv") + ":a", "--adapter-name", "none")):
            result = run("run", TINY, "--backend", "pt", "--python", PYTHON, "--temperature", "0", *words, *ASK)
            self.assertEqual(result.returncode, 0, result.stderr)
            ids.append(json.loads(result.stdout)["outputs"][0]["token_ids"])
        self.assertNotEqual(ids[0], ids[1])
        self.assertEqual(ids[0], ids[2])
        for adapter, status, words in ((DATA / "nowhere", 3, "nowhere"), (DATA / "adapters/qwen2-bias", 4, "bias")):
            result = run("run", TINY, "--backend", "pt", "--python", PYTHON, "--adapter-id", str(adapter), *ASK)
            self.assertEqual(result.returncode, status, result.stderr)
            self.assertIn(words, result.stderr)

    def test_a_family_that_native_lacks_picks_it_and_says_why(self):
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "config.json").write_text(json.dumps(
                {"model_type": "nosuch", "architectures": ["NosuchForCausalLM"], "vocab_size": 100}))
            shutil.copy(Path(TINY, "model.safetensors"), folder)
            report = json.loads(run("backends", folder, "--json", environment={"OPENLLM_PYTHON": PYTHON}).stdout)
            self.assertEqual(report["chosen"], "pt")
            self.assertIn("native skipped: ", report["reason"])
            result = run("run", folder, *ASK, environment={"OPENLLM_PYTHON": PYTHON})
            self.assertEqual(result.returncode, 0, result.stderr)
            without = run("run", folder, *ASK, environment={"OPENLLM_PYTHON": "/no/python"})
            self.assertEqual(without.returncode, 4, without.stderr)
            self.assertIn("/no/python", without.stderr)

    def test_it_ends_with_a_server_that_is_killed(self):
        with subprocess.Popen([PROGRAM, "start", TINY, "--port", "0", "--backend", "pt", "--python", PYTHON],
                              stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
            try:
                worker = self.wait_for(lambda: self.children(server.pid))[0]
            finally:
                server.kill()
        self.wait_for(lambda: not os.path.exists("/proc/%d" % worker))

    @staticmethod
    def children(pid):
        lists = Path("/proc/%d/task" % pid).glob("*/children")
        return [int(number) for entry in lists for number in entry.read_text().split()]

    def wait_for(self, ask):
        end = time.monotonic() + TIMEOUT
        while time.monotonic() < end:
            found = ask()
            if found:
                return found
            time.sleep(0.01)
        return self.fail("it takes too long")


if __name__ == "__main__":
    main()
