#!/usr/bin/env python3
"""Models of a hub on machines that are full, read-only, without a network, or shared by several processes.

    cli_hub_places_test.py PROGRAM TEST_DATA_FOLDER
"""

import json
import os
import pty
import re
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest
import urllib.request
from pathlib import Path

from cli_program import DATA, PROGRAM, TIMEOUT, main, run
from fake_hub import FakeHub

RUN = ("run", "org/tiny", "Once upon a time", "--raw", "--max-tokens", "8", "--temperature", "0")


def can(*words):
    return shutil.which(words[0]) and subprocess.run(words, capture_output=True, check=False, timeout=TIMEOUT).returncode == 0


class Places(unittest.TestCase):
    def setUp(self):
        self.hub = FakeHub({"org/tiny": str(DATA / "stories260K/hf")})
        self.addCleanup(self.hub.close)
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.root = Path(self.folder.name)
        self.cache = self.root / "cache"
        self.environment = {"PATH": os.environ["PATH"], "HF_ENDPOINT": self.hub.address, "HF_HUB_CACHE": str(self.cache),
                            "HF_HUB_OFFLINE": "0", "OPENLLM_HOME": str(self.root / "store")}
        for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS", "TSAN_OPTIONS"):
            if name in os.environ:
                self.environment[name] = os.environ[name]

    def run_words(self, *words):
        return subprocess.run(words, capture_output=True, text=True, timeout=TIMEOUT, env=self.environment, check=False)

    def pull(self):
        result = run("pull", "org/tiny", environment=self.environment)
        self.assertEqual(result.returncode, 0, result.stderr)


class WithoutANetwork(Places):
    def setUp(self):
        super().setUp()
        self.pull()
        self.n_requests = len(self.hub.requests)
        # The leak sanitizer does not work for a program that is traced.
        options = [os.environ.get("ASAN_OPTIONS", ""), "detect_leaks=0"]
        self.environment["ASAN_OPTIONS"] = ":".join(option for option in options if option)

    def test_what_is_here_runs_where_there_is_no_network_at_all(self):
        if not can("unshare", "-rn", "true"):
            self.skipTest("unshare -rn is not allowed here")
        result = self.run_words("unshare", "-rn", PROGRAM, *RUN)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("there was a little girl", result.stdout)

    def check_trace(self, path):
        calls = path.read_text(errors="replace")
        self.assertIn("exited with", calls)  # it was traced
        self.assertEqual(re.findall(r".*\b(?:connect|sendto|sendmsg|sendmmsg)\(.*AF_INET.*|.*\bconnect\(.*", calls), [])
        self.assertEqual(len(self.hub.requests), self.n_requests)

    def need_strace(self):
        if not can("strace", "-o", "/dev/null", "true"):
            self.skipTest("strace is not installed, or may not trace")

    def test_n7_for_what_is_here_nothing_connects(self):
        self.need_strace()
        trace = self.root / "trace"
        for words in (RUN, ("info", "org/tiny"), ("models",), ("models", "--json"),
                      ("doctor", "org/tiny")):
            with self.subTest(words=words):
                result = self.run_words("strace", "-f", "-e", "trace=network", "-o", str(trace), PROGRAM, *words)
                self.assertIn(result.returncode, (0, 1) if words[0] == "doctor" else (0,), result.stderr)
                self.check_trace(trace)

    def test_n7_a_server_of_what_is_here_connects_to_nobody(self):
        self.need_strace()
        trace = self.root / "trace"
        with socket.socket() as probe:  # a server there would be asked for the model, unless offline
            if probe.connect_ex(("127.0.0.1", 8000)) == 0:
                self.environment["HF_HUB_OFFLINE"] = "1"
        server = subprocess.Popen(["strace", "-f", "-e", "trace=network", "-o", str(trace), PROGRAM, "start", "org/tiny",
                                   "--port", "0"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                                  env=self.environment)
        try:
            address = None
            while not address:
                line = server.stderr.readline()
                self.assertTrue(line, "the server ended")
                address = re.search(r"http://127\.0\.0\.1:\d+", line)
            body = json.dumps({"prompt": "Once upon a time", "max_tokens": 4, "temperature": 0}).encode()
            request = urllib.request.Request(address[0] + "/v1/completions", body, {"Content-Type": "application/json"})
            with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
                self.assertIn("there", json.load(answer)["choices"][0]["text"])
        finally:
            children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
            for child in children:
                os.kill(int(child), signal.SIGINT)
            server.communicate(timeout=TIMEOUT)
        self.check_trace(trace)


class Disks(Places):
    """Each command line runs where the cache is a file system of its own."""

    def on_disk(self, script):
        if not can("unshare", "-rm", "mount", "-t", "tmpfs", "tmpfs", "/mnt"):
            self.skipTest("unshare -rm and mount are not allowed here")
        self.cache.mkdir()
        head = f"set -e; cd {shlex.quote(str(self.root))}; openllm() {{ {shlex.quote(PROGRAM)} \"$@\"; }}; "
        result = self.run_words("unshare", "-rm", "sh", "-c", head + script)
        self.assertEqual(result.returncode, 0, result.stderr)
        return result

    def test_a_full_disk_is_named_and_the_next_pull_goes_on(self):
        result = self.on_disk("""
            mount -t tmpfs -o size=600k tmpfs cache
            status=0; openllm pull org/tiny >state 2>error || status=$?
            echo $status; openllm models --json
            mount -o remount,size=8m cache
            head -c 400000 /dev/zero >cache/filler   # room when it begins, none before it ends
            status=0; HF_HUB_OFFLINE=1 openllm run org/tiny hi >nothing 2>nowhere || status=$?
            echo $status; openllm pull org/tiny; openllm run org/tiny 'Once upon a time' --raw --max-tokens 8 --temperature 0
            """)
        status, models, offline, state, answer = result.stdout.split("\n", 4)
        self.assertEqual((status, models, offline), ("6", "[]", "3"), (self.root / "error").read_text())
        self.assertEqual(json.loads(state)["state"], "ADDED")
        self.assertIn("there was", answer)
        error = (self.root / "error").read_text()
        self.assertRegex(error, r"not enough space in .*\(expected \d+ bytes, got \d+\); make room, or have HF_HUB_CACHE name")

    def test_a_disk_that_others_fill_meanwhile_is_named_and_what_came_is_kept(self):
        fillers = []

        def fill(handler):  # once the weights are on their way
            if handler.server.is_storage and not fillers:
                fillers.append(handler.path)
                (self.root / "go").write_text("")
                deadline = time.monotonic() + TIMEOUT
                while not (self.root / "filled").exists() and time.monotonic() < deadline:
                    time.sleep(0.01)

        self.hub.fault = fill
        result = self.on_disk("""
            mount -t tmpfs -o size=1400k tmpfs cache
            (while [ ! -e go ]; do sleep 0.01; done; head -c 800000 /dev/zero >cache/filler; touch filled) &
            status=0; openllm pull org/tiny >state 2>error || status=$?
            wait; echo $status; openllm models --json
            rm cache/filler; openllm pull org/tiny
            """)
        status, models, state, _ = result.stdout.split("\n")
        error = (self.root / "error").read_text()
        self.assertEqual((status, models), ("6", "[]"), error)
        self.assertIn("No space left on device; make room, or have HF_HUB_CACHE name a folder on another disk", error)
        self.assertEqual(json.loads(state)["state"], "ADDED")
        size = (DATA / "stories260K/hf/model.safetensors").stat().st_size
        sent = sum(n for path, n in self.hub.sent.items() if path == fillers[0])
        self.assertLess(sent, size * 1.9)  # not all of it twice

    def test_what_lies_on_a_disk_that_cannot_be_written_is_used(self):
        result = self.on_disk("""
            mount -t tmpfs -o size=8m tmpfs cache
            openllm pull org/tiny >state
            mount -o remount,ro cache
            openllm run org/tiny 'Once upon a time' --raw --max-tokens 8 --temperature 0; openllm pull org/tiny
            status=0; openllm pull org/tiny@c0ffee0 2>error || status=$?
            echo $status
            """)
        answer, state, _, status = result.stdout.strip().rsplit("\n", 3)
        self.assertIn("there was", answer)
        self.assertEqual(json.loads(state)["state"], "EXISTS")
        self.assertEqual(status, "0")


class TwoAtOnce(Places):
    def setUp(self):
        super().setUp()
        self.hub.rate = 2_000_000
        self.size = (DATA / "stories260K/hf/model.safetensors").stat().st_size

    def start(self, **streams):
        return subprocess.Popen([PROGRAM, "pull", "org/tiny"], env={**self.environment, "TERM": "xterm"}, stdout=subprocess.PIPE, text=True,
                                **{"stderr": subprocess.PIPE, **streams})

    def wait_for_weights(self):
        deadline = time.monotonic() + TIMEOUT
        while self.n_sent() < 100_000 and time.monotonic() < deadline:
            time.sleep(0.005)

    def n_sent(self):
        return sum(n for path, n in self.hub.sent.items() if not path.startswith(("/api/", "/org/")))

    def end(self, process):
        out, errors = process.communicate(timeout=TIMEOUT)
        self.assertEqual(process.returncode, 0, errors)
        return json.loads(out)["state"]

    def test_one_of_two_fetches_and_both_have_it(self):
        first = self.start()
        self.wait_for_weights()
        second = self.start()
        self.end(first)
        self.end(second)
        self.assertEqual(self.n_sent(), self.size)

    def test_where_the_first_is_killed_the_second_goes_on_and_says_that_it_waited(self):
        first = self.start()
        self.wait_for_weights()
        terminal, end = pty.openpty()
        second = self.start(stderr=end)
        os.close(end)
        shown = b""
        try:
            while b"waiting: another process fetches model.safetensors" not in shown:
                shown += os.read(terminal, 65536)
        except OSError:
            self.fail("it does not say that it waits: %r" % shown)
        first.kill()
        first.communicate(timeout=TIMEOUT)
        try:
            while part := os.read(terminal, 65536):
                shown += part
        except OSError:
            pass  # the other end is closed
        os.close(terminal)
        out, _ = second.communicate(timeout=TIMEOUT)
        self.assertEqual((second.returncode, json.loads(out)["state"]), (0, "ADDED"), shown)
        self.assertLessEqual(self.n_sent(), self.size + 256 * 1024)

    def test_after_control_c_what_came_is_kept(self):
        first = self.start()
        self.wait_for_weights()
        first.send_signal(signal.SIGINT)
        first.communicate(timeout=TIMEOUT)
        self.assertNotEqual(first.returncode, 0)
        self.assertEqual(json.loads(run("models", "--json", environment=self.environment).stdout), [])
        self.hub.rate = 0
        self.assertEqual(self.end(self.start()), "ADDED")
        self.assertLessEqual(self.n_sent(), self.size + 256 * 1024)


del Places  # has no tests of its own

if __name__ == "__main__":
    main()
