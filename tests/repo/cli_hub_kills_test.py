#!/usr/bin/env python3
"""Downloads and imports that are killed at any time, alone and two at once: nothing half is ever seen, and what came is not
fetched again.

    cli_hub_kills_test.py PROGRAM TEST_DATA_FOLDER

OPENLLM_TEST_KILLS: how often, 15 if it is not set; OPENLLM_TEST_SEED: of when; OPENLLM_TEST_PADDING: bytes of the largest
file, 3000000 if it is not set (more than 64 MiB come over several connections).
"""

import json
import os
import random
import shutil
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

from cli_program import DATA, PROGRAM, TIMEOUT, main, run
from fake_hub import COMMIT, FakeHub, git_sha1, sha256

N_KILLS = int(os.environ.get("OPENLLM_TEST_KILLS", "15"))
SEED = int(os.environ.get("OPENLLM_TEST_SEED", "20"))
PADDING = int(os.environ.get("OPENLLM_TEST_PADDING", "3000000"))
# What a killed download may have been sent and not have kept: the buffers of the sockets of up to four connections.
SLACK = 512 * 1024 * min(4, -(-PADDING // (64 << 20)))


def read_model():
    files = {path.name: path.read_bytes() for path in (DATA / "stories260K/hf").iterdir()}
    files["padding.model"] = random.Random(1).randbytes(PADDING)  # taken along, read by nobody
    return files


class Kills(unittest.TestCase):
    def setUp(self):
        self.random = random.Random(SEED)
        self.folder = tempfile.TemporaryDirectory()
        self.root = Path(self.folder.name)
        self.addCleanup(self.folder.cleanup)
        self.files = read_model()
        self.environment = {"PATH": os.environ["PATH"], "HF_HUB_CACHE": str(self.root / "cache"), "HF_HUB_OFFLINE": "0",
                            "OPENLLM_HOME": str(self.root / "store")}

    def openllm(self, *words, **variables):
        result = run(*words, environment={**self.environment, **variables})
        self.assertEqual(result.returncode, 0, result.stderr)
        return result.stdout

    def models(self):
        return json.loads(self.openllm("models", "--json", HF_HUB_OFFLINE="1"))

    def start(self, *words):
        return subprocess.Popen([PROGRAM, *words], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=self.environment)

    def end(self, process, killed):
        """Kills it, or waits for it. True if it had done its work."""
        if killed:
            process.kill()
        _, errors = process.communicate(timeout=TIMEOUT)
        self.assertIn(process.returncode, (0, -9), errors)
        return process.returncode == 0

    def round(self, words, longest):
        """Kills until one gets through; of every third pair one is left alone. The number of kills."""
        n_kills = 0
        while True:
            processes = [self.start(*words) for _ in range(self.random.choice((1, 1, 2)))]
            time.sleep(self.random.uniform(0, longest))
            spared = self.random.random() < 0.15
            n_kills += len(processes) - (1 if spared else 0)
            is_done = [self.end(process, not (spared and i == 0)) for i, process in reversed(list(enumerate(processes)))]
            models = self.models()
            self.assertLessEqual(len(models), 1)
            if models:
                self.check(models[0])
            if any(is_done):
                self.assertEqual(len(models), 1)
                return n_kills

    def check(self, model):
        raise NotImplementedError


class Downloads(Kills):
    def setUp(self):
        super().setUp()
        self.hub = FakeHub({"org/tiny": self.files})
        self.hub.rate = 20_000_000
        self.addCleanup(self.hub.close)
        self.environment["HF_ENDPOINT"] = self.hub.address

    def check(self, model):
        """All files are there, each with the bytes that its name in the cache says."""
        snapshot = self.root / "cache/models--org--tiny/snapshots" / COMMIT
        self.assertEqual((model["name"], model["path"]), ("org/tiny", str(snapshot)))
        self.assertEqual({path.name for path in snapshot.iterdir()}, set(self.files))
        for path in snapshot.iterdir():
            data, name = path.read_bytes(), path.resolve().name
            self.assertEqual(name, sha256(data) if len(name) == 64 else git_sha1(data))

    def test_killed_at_any_time_nothing_is_half_and_nothing_comes_twice(self):
        n_kills = n_rounds = 0
        while n_kills < N_KILLS:
            shutil.rmtree(self.root / "cache", ignore_errors=True)
            self.hub.sent.clear()
            n = self.round(("pull", "org/tiny"), 0.3)
            for name, data in self.files.items():
                sent = self.hub.sent["/" + sha256(data)] + self.hub.sent[f"/org/tiny/resolve/{COMMIT}/{name}"]
                self.assertLessEqual(sent, len(data) + n * min(SLACK, len(data)), f"{name}, {n} kills")
                self.assertGreaterEqual(sent, len(data))
            total = sum(sent for path, sent in self.hub.sent.items() if not path.startswith("/api/"))
            size = sum(len(data) for data in self.files.values())
            self.assertLessEqual(total, size + n * SLACK, f"{n} kills")
            left = [path.name for path in (self.root / "cache/models--org--tiny/blobs").iterdir() if "openllm" in path.name]
            self.assertEqual(left, [])
            n_kills += n
            n_rounds += 1
            print(f"{n} kills: {total - size} of {size} bytes came twice", flush=True)
        self.assertIn("there was", self.openllm("run", "org/tiny", "--raw", "Once upon a time", "--max-tokens", "8",
                                                "--temperature", "0", HF_HUB_OFFLINE="1"))
        print(f"{n_kills} kills, {n_rounds} whole downloads", flush=True)


class Imports(Kills):
    def check(self, model):
        self.assertEqual(json.loads(self.openllm("verify", "--json")),
                         [{"name": "tiny:1", "ok": True, "problems": []}], model)

    def test_killed_at_any_time_nothing_is_half(self):
        source = self.root / "source"
        source.mkdir()
        for name, data in self.files.items():
            (source / name).write_bytes(data)
        n_kills = n_rounds = 0
        words = ("import", str(source), "--model-name", "tiny", "--model-version", "1")
        while n_kills < N_KILLS:
            shutil.rmtree(self.root / "store", ignore_errors=True)
            n_kills += self.round(words, 0.1)
            n_rounds += 1
        self.assertIn("there was", self.openllm("run", "tiny", "--raw", "Once upon a time", "--max-tokens", "8",
                                                "--temperature", "0"))
        print(f"{n_kills} kills, {n_rounds} whole imports", flush=True)


del Kills  # has no tests of its own

if __name__ == "__main__":
    main()
