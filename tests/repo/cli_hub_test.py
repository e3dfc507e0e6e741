"""Models by the names that a hub has, against a hub of the test's own."""

import json
import os
import signal
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

from cli_program import DATA, PROGRAM, TIMEOUT, main, run
from fake_hub import COMMIT, FakeHub

HF_FOLDER = str(DATA / "stories260K/hf")
GGUF = (DATA / "stories260K/stories260K.gguf").read_bytes()


class Hub(unittest.TestCase):
    def setUp(self):
        self.hub = FakeHub({"org/tiny": HF_FOLDER, "org/files": {"tiny-Q8_0.gguf": GGUF, "tiny-F32.gguf": GGUF + b"", "README.md": b"#"}})
        self.folder = tempfile.TemporaryDirectory()
        self.cache = Path(self.folder.name) / "cache"
        self.environment = {"HF_ENDPOINT": self.hub.address, "HF_HUB_CACHE": str(self.cache), "HF_HUB_OFFLINE": "0",
                            "HF_TOKEN": "hf_secret", "OPENLLM_HOME": self.folder.name + "/store"}

    def tearDown(self):
        self.hub.close()
        self.folder.cleanup()

    def openllm(self, *words, **variables):
        return run(*words, environment={**self.environment, **variables})

    def answer(self, model, **variables):
        result = self.openllm("run", model, "--raw", "Once upon a time", "--max-tokens", "8", "--temperature", "0", **variables)
        self.assertEqual(result.returncode, 0, result.stderr)
        return result.stdout

    def test_n7_a_name_is_enough_and_what_is_here_asks_nobody(self):
        self.assertIn("there was a little girl", self.answer("org/tiny"))
        n = len(self.hub.requests)
        self.assertEqual(self.answer("org/tiny"), self.answer("org/tiny", HF_HUB_OFFLINE="1"))
        self.assertEqual(self.answer("org/tiny@" + COMMIT[:10]), self.answer("hf://org/tiny"))
        self.assertEqual(len(self.hub.requests), n)

    def test_the_token_goes_to_the_hub_alone_and_is_never_shown(self):
        self.answer("org/tiny")
        for is_storage, _, path, fields in self.hub.requests:
            self.assertEqual("Authorization" in fields, not is_storage, path)
        shown = "".join(getattr(self.openllm("pull", name, "--verbose"), part)
                        for name in ("org/tiny", "org/none") for part in ("stdout", "stderr"))
        self.assertNotIn("hf_secret", shown)

    def test_one_of_several_files(self):
        self.assertIn("there was", self.answer("org/files:Q8_0"))
        self.assertEqual([m["name"] for m in json.loads(self.openllm("models", "--json").stdout)], ["org/files:Q8_0"])
        wrong = self.openllm("run", "org/files:Q2_K", "hi")
        self.assertEqual(wrong.returncode, 3)
        self.assertIn("it has F32, Q8_0", wrong.stderr)

    def test_pull_says_what_became_of_it(self):
        tag = "native-org--tiny:" + COMMIT
        self.assertEqual(json.loads(self.openllm("pull", "org/tiny").stdout), {"state": "ADDED", "backend": "native", "tag": tag})
        self.assertEqual(json.loads(self.openllm("pull", "org/tiny").stdout)["state"], "EXISTS")
        result = self.openllm("run", "--model-tag", tag, "Once", "--raw", "--max-tokens", "2", "--temperature", "0")
        self.assertEqual(result.returncode, 0, result.stderr)
        replaced = self.openllm("pull", "org/tiny", "--overwrite")
        self.assertEqual(replaced.returncode, 2)
        self.assertIn("--overwrite", replaced.stderr)
        missing = self.openllm("pull", "org/none")
        self.assertEqual((missing.returncode, json.loads(missing.stdout)["state"]), (3, "NOT_FOUND"))
        self.assertIn("has no org/none", missing.stderr)

    def test_without_a_network_it_says_so(self):
        nowhere = self.openllm("run", "org/tiny", "hi", HF_ENDPOINT="http://127.0.0.1:1")
        self.assertEqual(nowhere.returncode, 3)
        self.assertIn("it cannot be fetched (hub: cannot reach http://127.0.0.1:1/", nowhere.stderr)

    def test_an_address_of_a_file(self):
        address = self.hub.address + "/org/files/resolve/main/tiny-Q8_0.gguf"
        self.assertIn("there was", self.answer(address, HF_ENDPOINT="http://127.0.0.1:1"))
        self.assertIn("there was", self.answer(address, HF_HUB_OFFLINE="1", HF_ENDPOINT="http://127.0.0.1:1"))

    def test_killed_at_any_point_it_goes_on_and_is_never_half(self):
        def slow(handler):
            time.sleep(0.005)

        self.hub.fault = slow
        for i in range(20):
            process = subprocess.Popen([PROGRAM, "pull", "org/tiny"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                       env={"PATH": os.environ["PATH"], **self.environment})
            try:
                process.wait(0.01 + 0.004 * i)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                process.wait(TIMEOUT)
            for model in json.loads(self.openllm("models", "--json", HF_HUB_OFFLINE="1").stdout):
                self.answer(model["name"], HF_HUB_OFFLINE="1")  # what is shown is whole
        self.assertEqual(self.openllm("pull", "org/tiny").returncode, 0)
        self.assertIn("there was", self.answer("org/tiny"))


if __name__ == "__main__":
    main()
