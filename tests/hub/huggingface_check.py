#!/usr/bin/env python3
"""One cache, two programs: what openllm fetched huggingface_hub finds, and the other way round, and nobody copies a byte.

    huggingface_check.py PROGRAM TEST_DATA_FOLDER

Opt-in (scripts/test hub): needs the package huggingface_hub. Asks a server of its own alone.
"""

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from pathlib import Path

os.environ.update({"HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"})
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "repo"))

import huggingface_hub
from huggingface_hub.utils import WeakFileLock

from cli_program import DATA, PROGRAM, TIMEOUT, main, run
from fake_hub import COMMIT, FakeHub, git_sha1, sha256

HF_FOLDER = DATA / "stories260K/hf"


class SharedCache(unittest.TestCase):
    def setUp(self):
        self.files = {path.name: path.read_bytes() for path in HF_FOLDER.iterdir()}
        self.hub = FakeHub({"org/tiny": self.files})
        self.addCleanup(self.hub.close)
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.cache = Path(self.folder.name) / "cache"
        self.repo = self.cache / "models--org--tiny"
        self.snapshot = self.repo / "snapshots" / COMMIT
        self.weights = self.repo / "blobs" / sha256(self.files["model.safetensors"])
        self.environment = {"PATH": os.environ["PATH"], "HF_ENDPOINT": self.hub.address, "HF_HUB_CACHE": str(self.cache),
                            "HF_HUB_OFFLINE": "0", "OPENLLM_HOME": self.folder.name + "/store"}

    def openllm(self, *words, **variables):
        result = run(*words, environment={**self.environment, **variables})
        self.assertEqual(result.returncode, 0, result.stderr)
        return result.stdout

    def pull(self, model="org/tiny"):
        return json.loads(self.openllm("pull", model))["state"]

    def fetch(self, **options):
        return Path(huggingface_hub.snapshot_download("org/tiny", cache_dir=self.cache, endpoint=self.hub.address, **options))

    def n_sent(self):
        """Bytes of files."""
        return sum(n for path, n in self.hub.sent.items() if not path.startswith("/api/"))

    def state(self):
        """Of everything in the cache: what it is and when its content changed."""
        entries = {}
        for path in sorted(self.cache.rglob("*")):
            stat = path.lstat()
            entries[str(path.relative_to(self.cache))] = (stat.st_ino, stat.st_mode, stat.st_size,
                                                          None if path.is_dir() else stat.st_mtime_ns)
        return entries

    def blobs(self):
        return {name: entry for name, entry in self.state().items() if "/blobs/" in name}

    def check_content(self, folder):
        self.assertEqual({path.name: path.read_bytes() for path in Path(folder).iterdir()}, self.files)

    def check_runs(self):
        self.assertEqual([(m["name"], m["version"]) for m in json.loads(self.openllm("models", "--json"))], [("org/tiny", COMMIT)])
        answer = self.openllm("run", "org/tiny", "--raw", "Once upon a time", "--max-tokens", "8", "--temperature", "0",
                              HF_HUB_OFFLINE="1")
        self.assertIn("there was a little girl", answer)

    def check_digests(self):
        """As `hf cache verify` does it, which asks the hub what the digests are."""
        program = Path(sys.executable).parent / "hf"
        self.assertTrue(program.exists(), program)
        done = subprocess.run([program, "cache", "verify", "org/tiny"], capture_output=True, text=True, check=False,
                              timeout=TIMEOUT, env={**os.environ, **self.environment})
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn(f"Verified {len(self.files)} file(s)", done.stdout)

    def test_what_we_fetched_they_find_and_copy_nothing(self):
        self.assertEqual(self.pull(), "ADDED")
        before, n_sent = self.state(), self.n_sent()
        n_requests = len(self.hub.requests)
        self.assertEqual(self.fetch(local_files_only=True), self.snapshot)
        self.assertEqual(self.fetch(local_files_only=True, revision=COMMIT), self.snapshot)
        for name in self.files:
            path = huggingface_hub.hf_hub_download("org/tiny", name, cache_dir=self.cache, local_files_only=True)
            self.assertEqual(path, str(self.snapshot / name))
            self.assertEqual(huggingface_hub.try_to_load_from_cache("org/tiny", name, cache_dir=self.cache), path)
        self.assertEqual(len(self.hub.requests), n_requests)
        self.assertEqual(self.state(), before)
        self.check_content(self.snapshot)
        # With the network they ask, and take what is here.
        blobs = self.blobs()
        self.assertEqual(self.fetch(), self.snapshot)
        self.assertEqual((self.blobs(), self.n_sent()), (blobs, n_sent))
        self.check_digests()

    def test_what_we_fetched_by_commit_they_find_by_commit(self):
        self.assertEqual(self.pull("org/tiny@" + COMMIT), "ADDED")
        before = self.state()
        self.assertEqual(self.fetch(local_files_only=True, revision=COMMIT), self.snapshot)
        self.assertEqual(self.state(), before)

    def test_they_list_what_we_fetched(self):
        self.pull()
        scanned = huggingface_hub.scan_cache_dir(self.cache)
        self.assertEqual((scanned.warnings, list(scanned.incomplete_files)), ([], []))
        (repo,) = scanned.repos
        (revision,) = repo.revisions
        self.assertEqual((repo.repo_id, repo.repo_type, revision.commit_hash, set(revision.refs)),
                         ("org/tiny", "model", COMMIT, {"main"}))
        self.assertEqual({file.file_name: (file.size_on_disk, file.blob_path.name) for file in revision.files},
                         {name: (len(data), sha256(data) if FakeHub.is_large(data) else git_sha1(data))
                          for name, data in self.files.items()})
        self.assertEqual(scanned.size_on_disk, sum(len(data) for data in self.files.values()))

    def test_what_they_fetched_we_find_run_and_copy_nothing(self):
        self.assertEqual(self.fetch(), self.snapshot)
        before, n_sent = self.state(), self.n_sent()
        self.check_runs()
        self.assertEqual(self.pull(), "EXISTS")
        self.assertEqual(self.pull("org/tiny@main"), "EXISTS")
        self.assertEqual((self.state(), self.n_sent()), (before, n_sent))
        self.check_digests()

    def test_of_what_they_fetched_in_part_we_fetch_the_rest(self):
        for name in ("config.json", "tokenizer.json"):
            huggingface_hub.hf_hub_download("org/tiny", name, cache_dir=self.cache, endpoint=self.hub.address)
        self.assertEqual(json.loads(self.openllm("models", "--json")), [])
        blobs, n_sent = self.blobs(), self.n_sent()
        self.assertEqual(self.pull(), "ADDED")
        self.assertEqual({name: entry for name, entry in self.blobs().items() if name in blobs}, blobs)
        self.assertEqual(self.n_sent() - n_sent,
                         len(self.files["model.safetensors"]) + len(self.files["tokenizer_config.json"]))
        self.check_content(self.snapshot)
        self.check_runs()

    def test_blobs_that_are_links_into_a_shared_store(self):
        self.fetch()
        shared = self.cache / "blobs" / "ab" / ("ab" * 32)
        shared.parent.mkdir(parents=True)
        self.weights.rename(shared)
        self.weights.symlink_to(os.path.relpath(shared, self.weights.parent))
        before = self.state()
        self.check_runs()
        self.assertEqual(self.pull(), "EXISTS")
        self.assertEqual(self.fetch(local_files_only=True), self.snapshot)
        self.assertEqual(self.state(), before)
        self.check_content(self.snapshot)

    def start_slow_pull(self):
        self.hub.rate = 1_000_000
        process = subprocess.Popen([PROGRAM, "pull", "org/tiny"], env=self.environment, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE)
        deadline = time.monotonic() + TIMEOUT
        while self.hub.sent["/" + self.weights.name] < 100_000 and time.monotonic() < deadline:
            time.sleep(0.005)
        return process

    def test_what_a_killed_pull_left_does_not_disturb_them(self):
        process = self.start_slow_pull()
        process.kill()
        process.communicate(timeout=TIMEOUT)
        self.hub.rate = 0
        self.assertEqual(huggingface_hub.scan_cache_dir(self.cache).warnings, [])
        with self.assertRaises(FileNotFoundError):
            self.fetch(local_files_only=True)
        self.check_content(self.fetch())
        self.check_runs()
        self.assertEqual(self.pull(), "EXISTS")

    def test_of_both_at_once_one_fetches(self):
        process = self.start_slow_pull()
        fetched = []
        other = threading.Thread(target=lambda: fetched.append(self.fetch()))
        other.start()
        out, errors = process.communicate(timeout=TIMEOUT)
        other.join(TIMEOUT)
        self.assertEqual(process.returncode, 0, errors)
        self.assertEqual(fetched, [self.snapshot])
        self.check_content(self.snapshot)
        self.assertEqual(self.hub.sent["/" + self.weights.name], len(self.files["model.safetensors"]))

    def test_we_wait_for_their_lock(self):
        lock = self.cache / ".locks" / self.repo.name / (self.weights.name + ".lock")
        lock.parent.mkdir(parents=True)
        with WeakFileLock(lock):
            process = subprocess.Popen([PROGRAM, "pull", "org/tiny"], env=self.environment, stdout=subprocess.PIPE,
                                       stderr=subprocess.PIPE)
            deadline = time.monotonic() + TIMEOUT  # the configuration comes before the weights
            while not self.hub.sent[f"/org/tiny/resolve/{COMMIT}/config.json"] and time.monotonic() < deadline:
                time.sleep(0.005)
            time.sleep(0.2)
            self.assertEqual(self.hub.sent["/" + self.weights.name], 0)
            self.assertIsNone(process.poll())
        _, errors = process.communicate(timeout=TIMEOUT)
        self.assertEqual(process.returncode, 0, errors)
        self.check_content(self.snapshot)


if __name__ == "__main__":
    print("huggingface_hub", huggingface_hub.__version__)
    main()
