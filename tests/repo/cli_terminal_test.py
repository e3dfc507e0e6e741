#!/usr/bin/env python3
"""The program on a terminal: chats, answers as they are made, stops.

    cli_terminal_test.py PROGRAM TEST_DATA_FOLDER
"""

import fcntl
import http.server
import json
import os
import pty
import re
import select
import signal
import struct
import termios
import threading
import time
import unittest

from cli_program import PROGRAM, STORIES, TIMEOUT, TINY, main, run


class OnTerminal(unittest.TestCase):
    """The program on a pseudo terminal; subclasses name the arguments."""

    KIND = "xterm"
    SHELL = []  # what runs the program

    def arguments(self):
        return ["run", STORIES, "--temperature", "0", "--max-new-tokens", "5"]

    def setUp(self):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ.update({"TERM": self.KIND, "LC_ALL": "C.UTF-8"})
            words = [*self.SHELL, PROGRAM, *self.arguments()]
            os.execvp(words[0], words)
        self.seen = ""        # since the last match
        self.everything = ""

    def tearDown(self):
        os.close(self.fd)
        try:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        except (ProcessLookupError, ChildProcessError):
            pass

    def expect(self, pattern):
        end = time.monotonic() + TIMEOUT
        while not re.search(pattern, self.seen):
            self.assertLess(time.monotonic(), end, "no %r in %r" % (pattern, self.seen))
            if select.select([self.fd], [], [], 1.0)[0]:
                try:
                    text = os.read(self.fd, 65536).decode("utf-8", "replace")
                    self.seen += text
                    self.everything += text
                except OSError:
                    self.fail("ended before %r: %r" % (pattern, self.seen))
        self.seen = self.seen[re.search(pattern, self.seen).end():]

    def send(self, text):
        os.write(self.fd, text.encode())

    def wait_for_single_keys(self):
        """Until the program reads keys instead of lines."""
        end = time.monotonic() + TIMEOUT
        while termios.tcgetattr(self.fd)[3] & termios.ICANON:
            self.assertLess(time.monotonic(), end)
            time.sleep(0.01)

    def exit_status(self):
        end = time.monotonic() + TIMEOUT
        while time.monotonic() < end:
            if select.select([self.fd], [], [], 0.1)[0]:
                try:
                    os.read(self.fd, 65536)
                except OSError:
                    pass
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                return os.waitstatus_to_exitcode(status)
        return self.fail("did not end")


class PlainTerminal(OnTerminal):
    KIND = "dumb"

    def test_no_control_sequences(self):
        self.expect("/help lists the commands")
        self.send("Once upon\n")
        self.expect("\n>>> ")
        self.send("/exit\n")
        self.assertNotIn("\x1b", self.everything)
        self.assertEqual(self.exit_status(), 0)


class WithoutTokenizer(OnTerminal):
    def arguments(self):
        return ["run", TINY]

    def test_says_so_at_once(self):
        self.expect("has no tokenizer to chat with")
        self.assertEqual(self.exit_status(), 4)


class Chat(OnTerminal):
    def test_follows_a_new_width(self):
        self.expect(">>> ")
        self.send("abcdefghijklmnopqrstuvwxyz")
        self.expect("wxyz")
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 20, 0, 0))
        self.send("!")
        self.expect("abcdefghijklmnop.{0,4}qrst")  # drawn anew, wrapped after 20 columns
        self.send("\n")
        self.expect(">>> ")
        self.send("/exit\n")
        self.assertEqual(self.exit_status(), 0)

    def test_a_session(self):
        self.expect(">>> ")
        self.send("Once upon\n")
        self.expect(">>> ")
        self.send("/help\n")
        self.expect("/clear")
        self.expect(">>> ")
        self.send("/nonsense\n")
        self.expect("unknown command")
        self.expect(">>> ")
        self.send("\x1b[200~two\rlines\x1b[201~")  # a paste stays one input
        self.expect("two.*lines")
        self.send("\n")
        self.expect(">>> ")
        self.send("\x03")
        self.expect("Ctrl-C again")
        self.send("/exit\n")
        self.assertEqual(self.exit_status(), 0)

    def test_two_interrupts_leave(self):
        self.expect(">>> ")
        self.send("\x03")
        self.expect("Ctrl-C again")
        self.expect(">>> ")
        self.send("\x03")
        self.assertEqual(self.exit_status(), 0)

    def test_end_of_input_leaves(self):
        self.expect(">>> ")
        self.send("\x04")
        self.assertEqual(self.exit_status(), 0)

    def test_end_of_input_typed_ahead_leaves(self):
        self.send("\x04")  # before the program reads single keys
        self.assertEqual(self.exit_status(), 0)


class HostileServer(http.server.BaseHTTPRequestHandler):
    """Its answers have orders to the terminal."""

    def answer(self, body):
        text = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def do_GET(self):  # noqa: N802
        self.answer({"data": [{"id": "m"}]})

    def do_POST(self):  # noqa: N802
        self.rfile.read(int(self.headers["Content-Length"]))
        self.answer({"choices": [{"message": {"content": "a\x1b]0;title\x07z"}, "finish_reason": "stop"}]})

    def log_message(self, *arguments):
        pass


class AnswerOnTerminal(OnTerminal):
    def arguments(self):
        return ["query", "hi", "--endpoint", "http://127.0.0.1:%d" % self.server.server_port]

    def setUp(self):
        self.server = http.server.HTTPServer(("127.0.0.1", 0), HostileServer)
        super().setUp()  # which forks, before there is a thread
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def tearDown(self):
        super().tearDown()
        self.server.shutdown()
        self.server.server_close()

    def test_gives_no_orders(self):
        self.expect("a\ufffd]0;title\ufffdz\r\n")
        self.assertEqual(self.exit_status(), 0)
        piped = run(*self.arguments())
        self.assertEqual(piped.stdout, "a\x1b]0;title\x07z\n")  # a file gets what was said


class StoppedChat(OnTerminal):
    SHELL = ["bash", "-c", 'ulimit -c 0; set -m; "$0" "$@"; echo STATUS $?; stty -a | grep -o .icanon; fg; echo LEFT']

    def test_goes_on_where_it_was(self):
        self.expect(">>> ")
        self.wait_for_single_keys()
        self.send("On")
        self.expect("On")
        self.send("\x1a")
        self.expect(r"STATUS 148\s+icanon")  # stopped, and the terminal is the shell's again
        self.expect(">>> On")  # drawn anew
        self.wait_for_single_keys()
        self.send("ce\n")
        self.expect(r"upon a time[^>]*>>> ")
        self.send("/exit\n")
        self.expect("LEFT")

    def test_ends_with_the_terminal_as_it_was(self):
        self.expect(">>> ")
        self.wait_for_single_keys()
        self.send("On\x1c")
        self.expect(r"\x1b\[\?2004l[^>]*STATUS 131\s+icanon")


if __name__ == "__main__":
    main()
