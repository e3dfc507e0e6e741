"""Starts and ends the servers that are measured."""
import os
import signal
import subprocess
import tempfile
import time
import urllib.request


class Server:
    """`openllm start` on a free port, ready when the `with` block begins."""

    def __init__(self, name, program, model, options=()):
        self.name, self.program, self.model, self.options = name, program, model, list(options)

    def __enter__(self):
        self.log = tempfile.NamedTemporaryFile("w+", suffix=".log", delete=False)
        command = [self.program, "start", self.model, "--port", "0"] + self.options
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log)
        try:
            self._wait_until_ready()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()
        os.unlink(self.log.name)

    def _said(self):
        with open(self.log.name, encoding="utf-8", errors="replace") as log:
            return log.read()

    def _wait_until_ready(self):
        deadline = time.monotonic() + 120
        self.address = None
        while time.monotonic() < deadline and self.process.poll() is None:
            if self.address is None and "http://127.0.0.1:" in self._said():
                digits = self._said().split("http://127.0.0.1:", 1)[1]
                self.address = ("127.0.0.1", int(digits[: len(digits) - len(digits.lstrip("0123456789"))]))
            try:
                if self.address and self.get("/readyz"):
                    return
            except OSError:
                pass
            time.sleep(0.05)
        raise RuntimeError(f"{self.program} did not become ready: {self._said()}")

    def get(self, path):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.address[1]}{path}", timeout=10) as answer:
            return answer.read().decode()

    def metric(self, name):
        """The value of a metric without labels; None if there is none."""
        for line in self.get("/metrics").splitlines():
            if line.startswith(name + " "):
                return float(line.split()[1])
        return None

    def wait_until_idle(self, seconds=120):
        """True when nothing runs or waits any more."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.metric("openllm_sequences_running") == 0 and self.metric("openllm_sequences_waiting") == 0:
                return True
            time.sleep(0.1)
        return False

    def resident_mib(self, peak=False):
        with open(f"/proc/{self.process.pid}/status", encoding="utf-8") as status:
            for line in status:
                if line.startswith("VmHWM:" if peak else "VmRSS:"):
                    return int(line.split()[1]) // 1024
        return 0
