"""What all engines have in common: how they are found, asked, and why one is left out."""
import json
import os
import re
import signal
import subprocess
import threading
import time

WHAT = ["prefill", "decode", "8 streams", "32 streams", "load"]
TOO_BUSY = "the machine was too busy to tell"  # also said by workers/common.py; the next round may come to a result
WORKERS = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "workers")


class Absent(Exception):
    """An engine that is not there, or does not read a model; the text says why and stands in the report."""


class Failed(Exception):
    """A measurement that came to no result."""


def last_words(text, fallback="no message"):
    """Of a program that failed: the exception that ended it, else its last line about an error, else its last line."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    raised = [i for i, line in enumerate(lines) if re.match(r"[\w.]*(Error|Exception)\b", line)]
    if raised:
        words = " ".join(lines[raised[-1] :])
    else:
        words = ([line for line in lines if re.search("error|cannot|failed", line, re.IGNORECASE)] or lines or [fallback])[-1]
    return words if len(words) <= 300 else words[:140] + " ... " + words[-155:]


class Process:
    """A program with its own process group, so that no child outlives its time."""

    def __init__(self, command, env=None, timeout=1800.0):
        self.begin = time.time()
        self.command = command
        self.timeout = timeout
        whole = dict(os.environ, **(env or {}), COMPARE_BEGIN=repr(self.begin))
        try:
            # pylint: disable-next=consider-using-with
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=whole,
                                            errors="replace", start_new_session=True)
        except OSError as error:
            raise Failed(f"{command[0]}: {error.strerror}") from error

    def output(self):
        """All of standard output. Raises Failed."""
        try:
            out, err = self.process.communicate(timeout=self.timeout)
        except subprocess.TimeoutExpired as error:
            raise Failed(f"no result within {self.timeout:.0f} s") from error
        finally:
            self.stop()
        self.returned(out, err)
        return out

    def returned(self, out, err):
        code = self.process.returncode
        if code < 0:
            raise Failed(f"ended by signal {signal.Signals(-code).name}: {last_words(err or out)}")
        if code:
            raise Failed(last_words(err or out))

    def kill(self):
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass

    def stop(self):
        self.kill()
        self.process.wait()
        for stream in (self.process.stdout, self.process.stderr):
            stream.close()


def seconds_until(marker, command, env=None, timeout=600.0):
    """From the start of a program until its output has `marker`. Raises Failed."""
    process = Process(command, env, timeout)
    timer = threading.Timer(timeout, process.kill)
    timer.start()
    seconds, seen = None, ""
    try:
        for line in process.process.stdout:
            seen += line
            if marker in line:
                seconds = time.time() - process.begin
                break
        rest, err = process.process.communicate()
        late = not timer.is_alive()
    finally:
        timer.cancel()
        process.stop()
    if late:
        raise Failed(f"no {marker} within {timeout:.0f} s" if seconds is None else f"no end within {timeout:.0f} s")
    process.returned(seen + rest, err)
    if seconds is None:
        raise Failed(f"no {marker} in the output: {last_words(seen + err)}")
    return seconds


class Peer:
    """One engine. `context`: an object with threads, timeout, venv, programs (paths by option) and pythons (by peer)."""

    name = ""
    packages = []  # of PyPI
    forms = ("gguf",)  # which it reads, the best one first

    def __init__(self, context):
        self.context = context

    def prepare(self):
        """Finds or installs it. Raises Absent."""
        raise NotImplementedError

    def version(self):
        raise NotImplementedError

    def file_of(self, model):
        """The form of a model that it reads. Raises Absent."""
        for form in self.forms:
            if form in model.files:
                return model.files[form]
        kinds = {"gguf": "GGUF files", "folder": "folders of safetensors"}
        raise Absent(f"reads {' and '.join(kinds[form] for form in self.forms)} only")

    def measure(self, model, what):
        """(values, machine, facts, reason): numbers by name of WHAT, and why some are missing (None: all are there)."""
        raise NotImplementedError


class PythonPeer(Peer):
    """An engine that a worker script drives inside the virtual environment, or inside a given Python."""

    worker = ""

    def prepare(self):
        given = self.context.pythons.get(self.name)
        self.python = given or self.context.venv.install(self.packages)
        done = subprocess.run([self.python, os.path.join(WORKERS, self.worker), "--version"], capture_output=True, text=True,
                              env=dict(os.environ, **self.environment()), check=False)
        if done.returncode:
            raise Absent(f"does not start in {self.python}: {last_words(done.stderr)}")
        self.version_text = done.stdout.strip().splitlines()[-1]

    def version(self):
        return self.version_text

    def environment(self):
        return {"OMP_NUM_THREADS": str(self.context.threads), "TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"}

    def measure(self, model, what):
        command = [self.python, os.path.join(WORKERS, self.worker), self.file_of(model), "--threads", str(self.context.threads),
                   "--what", ",".join(what)]
        process = Process(command, self.environment(), self.context.timeout)
        values, reason = {}, None
        out = ""
        try:
            out, err = process.process.communicate(timeout=process.timeout)
            process.returned("", err or "\n".join(line for line in out.splitlines() if not line.startswith("VALUE ")))
        except subprocess.TimeoutExpired as expired:
            process.kill()
            out, _ = process.process.communicate()
            reason = f"no end within {expired.timeout:.0f} s"
        except Failed as failed:
            reason = str(failed)
        finally:
            process.stop()
        for line in out.splitlines():
            if line.startswith("VALUE "):
                values.update(json.loads(line[len("VALUE "):]))
        return values, {}, {}, reason
