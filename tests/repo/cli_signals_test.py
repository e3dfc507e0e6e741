#!/usr/bin/env python3
"""How the program ends: signals, closed and full outputs, exit statuses.

    cli_signals_test.py PROGRAM TEST_DATA_FOLDER
"""

import fcntl
import http.server
import json
import os
import signal
import subprocess
import threading
import time
import unittest

from cli_program import PROGRAM, STORIES, TIMEOUT, TINY, main


def wait_for(condition, what):
    end = time.monotonic() + TIMEOUT
    while not condition():
        if time.monotonic() > end:
            raise AssertionError("not in time: " + what)
        time.sleep(0.005)


class Blocked:
    """A program that is asked for an answer and cannot print it: its standard output is a pipe that is full."""

    def __init__(self, *arguments):
        self.reader, writer = os.pipe()
        size = fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
        os.write(writer, b"x" * size)
        self.process = subprocess.Popen([PROGRAM, *arguments], stdin=subprocess.DEVNULL, stdout=writer,
                                        stderr=subprocess.PIPE)
        os.close(writer)
        wait_for(lambda: self.process.poll() is not None or self.signals("SigCgt") & self.INTERRUPT,
                 "taking Ctrl-C")

    INTERRUPT = 1 << (signal.SIGINT - 1)

    def signals(self, *names):
        """The masks of that name in the kernel's account of the process, together."""
        with open("/proc/%d/status" % self.process.pid, encoding="ascii") as status:
            lines = dict(line.split(":\t", 1) for line in status.read().splitlines() if ":\t" in line)
        mask = 0
        for name in names:
            mask |= int(lines[name], 16)
        return mask

    def interrupt(self):
        """Sends Ctrl-C, and waits until the program has it."""
        self.process.send_signal(signal.SIGINT)
        wait_for(lambda: self.process.poll() is not None or not self.signals("SigPnd", "ShdPnd") & self.INTERRUPT,
                 "the signal")

    def end(self):
        """Reads what there is; the exit status, and what stood on standard error."""
        with os.fdopen(self.reader, "rb") as pipe:
            self.output = pipe.read().decode().lstrip("x")
        error = self.process.stderr.read().decode()
        self.process.stderr.close()
        return self.process.wait(TIMEOUT), error


class Signals(unittest.TestCase):
    ANSWER = ["run", STORIES, "Once upon a time", "--max-tokens", "400", "--ignore-eos", "--temperature", "0"]

    def test_interrupt_ends_the_answer_with_130(self):
        program = Blocked(*self.ANSWER)
        self.assertIsNone(program.process.poll())
        program.interrupt()
        self.assertEqual(program.end(), (130, ""))
        whole = Blocked(*self.ANSWER)
        self.assertEqual(whole.end(), (0, ""))
        self.assertTrue(whole.output.startswith(program.output.rstrip("\n")))
        self.assertLess(len(program.output), len(whole.output))

    def test_a_second_interrupt_does_not_wait(self):
        program = Blocked(*self.ANSWER)
        program.interrupt()
        self.assertIsNone(program.process.poll())  # nobody reads
        program.process.send_signal(signal.SIGINT)
        self.assertEqual(program.process.wait(TIMEOUT), 130)
        program.end()

    def test_termination_ends_at_once(self):
        program = Blocked(*self.ANSWER)
        program.process.send_signal(signal.SIGTERM)
        self.assertEqual(program.process.wait(TIMEOUT), -signal.SIGTERM)
        program.end()

    def test_an_answer_that_ends_by_itself_is_no_interrupt(self):
        program = Blocked(*self.ANSWER)
        self.assertEqual(program.end(), (0, ""))


class ServerThatStalls(http.server.BaseHTTPRequestHandler):
    """Streams the beginning of an answer and no more."""

    def do_GET(self):  # noqa: N802
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"data": [{"id": "m"}]}')

    def do_POST(self):  # noqa: N802
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        event = {"choices": [{"index": 0, "delta": {"content": "begun"}}]}
        self.wfile.write(b"data: " + json.dumps(event).encode() + b"\n\n")
        self.wfile.flush()
        self.server.is_over.wait(TIMEOUT)

    def log_message(self, *arguments):
        pass


class Query(unittest.TestCase):
    def setUp(self):
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), ServerThatStalls)
        self.server.is_over = threading.Event()
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def tearDown(self):
        self.server.is_over.set()
        self.server.shutdown()
        self.server.server_close()

    def ask(self):
        address = "http://127.0.0.1:%d" % self.server.server_port
        return subprocess.Popen([PROGRAM, "query", "hi", "--endpoint", address], stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def test_interrupt_ends_with_130(self):
        with self.ask() as query:
            self.assertEqual(query.stdout.read(5), b"begun")
            query.send_signal(signal.SIGINT)
            self.assertEqual(query.wait(TIMEOUT), 130)
            self.assertEqual((query.stdout.read(), query.stderr.read()), (b"\n", b""))

    def test_an_error_after_the_beginning_has_a_line_of_its_own(self):
        self.server.is_over.set()  # the answer breaks off
        with self.ask() as query:
            self.assertEqual(query.stdout.read(), b"begun\n")
            self.assertRegex(query.stderr.read(), rb"\Aopenllm: error: [^\n]+\n\Z")
            self.assertEqual(query.wait(TIMEOUT), 7)


class Outputs(unittest.TestCase):
    COMMANDS = (["run", STORIES, "Once", "--max-tokens", "3"], ["run", STORIES, "Once", "--max-tokens", "3", "--json"],
                ["run", TINY, "--prompt-ids", "1", "--max-tokens", "1", "--n", "2"], ["info", STORIES],
                ["info", STORIES, "--json"], ["tokenize", STORIES, "Once"], ["logits", STORIES, "Once"], ["fields"],
                ["fields", "--json"], ["fields", "--markdown"], ["backends"], ["backends", STORIES], ["models", "--json"],
                ["--help"], ["--version"], ["run", "--help"])

    def ends(self, arguments, **streams):
        options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams}
        result = subprocess.run([PROGRAM, *arguments], timeout=TIMEOUT, check=False,
                                env={**os.environ, "OPENLLM_HOME": "/nonexistent"}, **options)
        return result.returncode, result.stderr

    def test_that_is_full_is_an_error(self):
        for arguments in self.COMMANDS:
            with open("/dev/full", "wb") as full:
                status, error = self.ends(arguments, stdout=full)
            self.assertEqual(status, 7, arguments)
            self.assertRegex(error, rb"\Aopenllm: error: standard output: [^\n]+\n\Z", arguments)

    def test_that_nobody_reads_ends_the_program_quietly(self):
        for arguments in self.COMMANDS:
            reader, writer = os.pipe()
            os.close(reader)
            with os.fdopen(writer, "wb") as pipe:
                self.assertEqual(self.ends(arguments, stdout=pipe), (-signal.SIGPIPE, b""), arguments)

    def test_for_errors_that_nobody_reads_changes_no_status(self):
        for arguments, status in ((["nonsense"], 2), (["run", "no/such", "hi"], 3),
                                  (["run", STORIES, "Once", "--timeout", "0.001", "--max-tokens", "400"], 9)):
            reader, writer = os.pipe()
            os.close(reader)
            with os.fdopen(writer, "wb") as pipe:
                self.assertEqual(self.ends(arguments, stderr=pipe)[0], status, arguments)

    def test_of_errors_is_standard_error(self):
        for arguments, status in (([], 2), (["nonsense"], 2), (["run"], 2), (["run", "no/such", "hi"], 3),
                                  (["run", TINY, "hi"], 4)):
            result = subprocess.run([PROGRAM, *arguments], stdin=subprocess.DEVNULL, capture_output=True, check=False)
            self.assertEqual((result.returncode, result.stdout), (status, b""), arguments)
            self.assertTrue(result.stderr, arguments)


if __name__ == "__main__":
    main()
