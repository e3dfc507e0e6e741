#!/usr/bin/env python3
"""The program on a terminal: chats, answers as they are made, stops.

    cli_terminal_test.py PROGRAM TEST_DATA_FOLDER
"""

import codecs
import fcntl
import http.server
import json
import os
import pty
import re
import select
import signal
import struct
import tempfile
import termios
import threading
import time
import unittest
from pathlib import Path

from cli_program import PROGRAM, STORIES, TIMEOUT, TINY, main, run, write_chat_model


class OnTerminal(unittest.TestCase):
    """The program on a pseudo terminal; subclasses name the arguments."""

    KIND = "xterm"
    SHELL = []  # what runs the program

    def arguments(self):
        return ["run", STORIES, "--temperature", "0", "--max-new-tokens", "5"]

    def setUp(self):
        home = tempfile.TemporaryDirectory()
        self.addCleanup(home.cleanup)
        self.home = Path(home.name)
        self.begin()

    def begin(self):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ.update({"TERM": self.KIND, "LC_ALL": "C.UTF-8", "OPENLLM_HOME": str(self.home)})
            words = [*self.SHELL, PROGRAM, *self.arguments()]
            os.execvp(words[0], words)
        self.decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self.seen = ""        # since the last match
        self.everything = ""

    def tearDown(self):
        os.close(self.fd)
        try:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        except (ProcessLookupError, ChildProcessError):
            pass

    def say(self, text, answer=r">>> "):
        """Types a line, and waits for what comes."""
        self.send(text + "\n")
        self.expect(answer)

    def expect(self, pattern):
        end = time.monotonic() + TIMEOUT
        while not re.search(pattern, self.seen, re.DOTALL):
            self.assertLess(time.monotonic(), end, "no %r in %r" % (pattern, self.seen))
            if select.select([self.fd], [], [], 1.0)[0]:
                try:
                    text = self.decoder.decode(os.read(self.fd, 65536))
                    self.seen += text
                    self.everything += text
                except OSError:
                    self.fail("ended before %r: %r" % (pattern, self.seen))
        self.seen = self.seen[re.search(pattern, self.seen, re.DOTALL).end():]

    def send(self, text):
        os.write(self.fd, text.encode())

    def resize(self, columns):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))

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
        self.resize(20)
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

    def test_a_new_width_is_followed_without_a_key(self):
        self.expect(">>> ")
        self.send("abcdefghijklmnopqrstuvwxyz\u65e5\u672c")
        self.expect("\u672c")
        self.resize(20)  # 4 + 26 + 4 columns: the cursor's row is the second one on 20 columns
        self.expect("\r\x1b\\[1A\x1b\\[J>>> abcdefghijklmnop.{0,4}qrstuvwxyz\u65e5\u672c")
        self.resize(60)
        self.expect("\r\x1b\\[J>>> abcdefghijklmnopqrstuvwxyz\u65e5\u672c")
        self.say("\x15/exit", "/exit")
        self.assertEqual(self.exit_status(), 0)

    def test_a_line_that_fills_its_rows_is_drawn_over(self):
        self.expect(">>> ")
        self.send("0123456789abcdef")  # 4 + 16 columns: the cursor stands in the next row
        self.expect("abcdef")
        self.resize(20)
        self.expect("\r\x1b\\[1A\x1b\\[J>>> 0123456789abcdef")
        self.send("0123456789abcdefghi")  # one column is left
        self.expect("ghi")
        self.resize(60)
        self.expect("\r\x1b\\[J>>> 0123456789abcdef0123")
        self.resize(20)
        self.expect("\r\x1b\\[1A\x1b\\[J>>> 0123456789abcdef.{0,4}0123")
        self.say("\x15/exit", "/exit")
        self.assertEqual(self.exit_status(), 0)

    def test_interrupts_of_lines_with_text_do_not_leave(self):
        self.expect(">>> ")
        self.send("abc\x03")
        self.expect("abc.*>>> ")
        self.send("def\x03")
        self.expect("def.*>>> ")
        self.send("g\x7f\x03")  # typed and taken back
        self.expect(r"\r\n.*>>> ")
        self.assertNotIn("Ctrl-C again", self.everything)
        self.send("\x03")
        self.expect("Ctrl-C again.*\r\n.*>>> ")
        self.say("/help")  # something between
        self.send("\x03")
        self.expect("Ctrl-C again.*\r\n.*>>> ")
        self.send("x\x03")
        self.expect("x.*>>> ")
        self.send("\x03")
        self.expect("Ctrl-C again.*\r\n.*>>> ")
        self.send("\x03")
        self.assertEqual(self.exit_status(), 0)

    def test_history_is_there_in_the_next_session(self):
        self.expect(">>> ")
        self.say("first line")
        self.say('second \\', r"\.\.\. ")
        self.say("and more")
        os.kill(self.pid, signal.SIGKILL)  # whatever ends it
        os.waitpid(self.pid, 0)
        os.close(self.fd)
        history = self.home / "history"
        self.assertEqual(history.stat().st_mode & 0o777, 0o600)
        self.assertEqual(history.read_text(), "first line\nsecond \u21b5and more\n")
        self.begin()
        self.expect(">>> ")
        self.send("\x1b[A")
        self.expect("second \u21b5and more")
        self.send("\x1b[A")
        self.expect("first line")
        self.say("")
        self.say("/exit", "exit")
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


class OfSeveralAnswers(OnTerminal):
    """A chat shows one answer, whatever number is the default."""

    SHELL = ["env", 'OPENLLM_CONFIG={"n": 3, "temperature": 0}']

    def test_shows_one(self):
        answer = json.loads(run("run", STORIES, "Once upon", "--json", "--temperature", "0", "--max-new-tokens", "5",
                                ).stdout)["outputs"][0]["text"]
        self.expect(">>> ")
        self.say("Once upon", re.escape(answer.strip()) + ".*>>> ")
        self.send("/exit\n")
        self.assertEqual(self.exit_status(), 0)


class WithoutHistory(OnTerminal):
    def arguments(self):
        return [*super().arguments(), "--no-history"]

    def test_keeps_no_line(self):
        self.expect(">>> ")
        self.say("a secret")
        self.say("/exit", "exit")
        self.assertEqual(self.exit_status(), 0)
        self.assertFalse((self.home / "history").exists())


class Conversation(OnTerminal):
    """A chat whose conversation can be seen by saving it."""

    CONTEXT = "400"

    def arguments(self):
        (self.home / "model").mkdir(exist_ok=True)
        if not list((self.home / "model").iterdir()):
            write_chat_model(self.home / "model")
        return ["run", str(self.home / "model"), "--temperature", "0", "--max-tokens", "4", "--system", "Be brief.",
                "--ignore-eos", "-c", self.CONTEXT]

    def n_tokens(self, messages):
        """Of the prompt that these messages give."""
        text = "".join("%s:%s\n" % (message["role"], message["content"]) for message in messages) + "assistant:"
        return len(json.loads(run("tokenize", STORIES, text, "--no-special-tokens", "--json").stdout)["ids"])

    def messages(self):
        self.say("/save %s/saved" % self.home, r"\(saved to .*>>> ")
        return json.loads((self.home / "saved").read_text())["messages"]

    def questions(self):
        return [message["content"] for message in self.messages() if message["role"] == "user"]


class WithTemplate(Conversation):
    def test_inputs_of_many_lines(self):
        self.expect(">>> ")
        self.say("one \\", r"\.\.\. ")
        self.say("two \\", r"\.\.\. ")
        self.say("three")
        self.say('"""', r"\.\.\. ")
        self.say("/a", r"\.\.\. ")
        self.say("", r"\.\.\. ")
        self.say('b"""')
        self.say("taken \\", r"\.\.\. ")
        self.send("back\x03")
        self.expect("back.*>>> ")
        self.say("/usr/bin is a folder")
        self.assertEqual(self.questions(), ["one \ntwo \nthree", "/a\n\nb", "/usr/bin is a folder"])

    def test_commands(self):
        self.expect(">>> ")
        self.say("hi")
        saved = self.messages()
        self.assertEqual([message["role"] for message in saved], ["system", "user", "assistant"])
        self.say("/clear", r"forgotten.*>>> ")
        self.assertEqual(self.messages(), saved[:1])
        self.say("/system Be long.", r"set.*>>> ")
        self.assertEqual(self.messages(), [{"role": "system", "content": "Be long."}])
        self.say("/system", r"no system message.*>>> ")
        self.assertEqual(self.messages(), [])
        (self.home / "other").write_text(json.dumps({"messages": saved, "options": {"top_k": 3}}))
        self.say("/load %s/other" % self.home, r"3 messages.*>>> ")
        self.assertEqual(self.messages(), saved)
        self.say("/set", r"top_k = 3\s[^=]*>>> ")
        self.say("/set temp 0.25", r"temperature = 0\.25.*>>> ")
        self.say("/set temprature 1", r"did you mean temperature\?.*>>> ")
        self.say("/set top-k", r"a value is missing.*>>> ")
        self.say("/set top-k default", r"top_k = default.*>>> ")
        self.assertEqual(json.loads((self.home / "saved").read_text())["options"], {"top_k": 3})
        self.messages()
        self.assertEqual(json.loads((self.home / "saved").read_text())["options"], {"temperature": 0.25})

    def test_files_that_are_no_chats(self):
        self.expect(">>> ")
        (self.home / "notes").write_text("mine")
        self.say("/save %s/notes" % self.home, r"no saved chat.*>>> ")
        self.assertEqual((self.home / "notes").read_text(), "mine")
        self.say("/load %s/notes" % self.home, r"error: .*>>> ")
        self.say("/load %s/none" % self.home, r"error: .*none.*>>> ")
        self.say("/load", r"error: .*>>> ")
        self.say("/save", r"error: .*>>> ")
        self.say("/save /proc/none/x", r"error: .*>>> ")
        self.messages()
        self.assertEqual((self.home / "saved").stat().st_mode & 0o777, 0o600)
        self.assertEqual(sorted(path.name for path in self.home.iterdir()), ["history", "model", "notes", "saved"])

    def test_says_why_an_answer_was_cut(self):
        self.expect(">>> ")
        self.say("hi", r"cut off: the length of --max-tokens.*>>> ")
        self.say("/set max-tokens default", ">>> ")
        self.say("hi", r"cut off: the context is full.*>>> ")
        self.say("/set timeout 0.001", ">>> ")
        self.say("hi", r"cut off: the time.*>>> ")


class WithLittleContext(Conversation):
    CONTEXT = "64"

    def test_a_full_context_forgets_whole_turns_and_says_so_once(self):
        self.expect(">>> ")
        for number in range(12):
            self.say("question %d" % number)
            self.assertNotIn("error", self.everything)
        messages = self.messages()
        self.assertEqual(messages[0], {"role": "system", "content": "Be brief."})
        roles = [message["role"] for message in messages[1:]]
        self.assertEqual(roles, ["user", "assistant"] * (len(roles) // 2))
        questions = [message["content"] for message in messages if message["role"] == "user"]
        self.assertLess(len(questions), 12)
        self.assertEqual(questions, ["question %d" % number for number in range(12 - len(questions), 12)])
        self.assertEqual(self.everything.count("oldest turns are forgotten"), 1)
        self.say("word " * 60, r"too long for the context.*>>> ")
        self.assertNotIn("truncate_prompt", self.everything)
        self.assertEqual(self.messages()[0], messages[0])


    def test_no_more_is_forgotten_than_has_to_be(self):
        self.expect(">>> ")
        before, n_dropped = self.messages(), 0
        for number in range(8):
            self.say("question %d" % number)
            now = self.messages()
            self.assertLessEqual(self.n_tokens(now[:-1]) + 4, 64)  # the answer has room
            every = [*before, {"role": "user", "content": "question %d" % number}]
            dropped = len(every) - len(now[:-1])
            self.assertEqual(now[:-1], every[:1] + every[1 + dropped:])
            if dropped:
                n_dropped += 1
                self.assertGreater(self.n_tokens(every[:1] + every[1 + dropped - 2:]) + 4, 64)
            before = now
        self.assertGreater(n_dropped, 0)


class Verbose(Conversation):
    def arguments(self):
        return [*super().arguments(), "-v"]

    def test_tells_the_speed_of_each_answer(self):
        self.expect(">>> ")
        for _ in range(2):
            self.say("hi", r"load \d+\.\d+ s \| prompt \d+ tokens.* \| answer 4 tokens, .*>>> ")


class Protected(OnTerminal):
    """Started by a shell that ignores signals, as nohup does."""

    SHELL = ["sh", "-c", 'trap "" HUP TERM; exec "$0" "$@"']

    def test_ignores_what_its_caller_ignores(self):
        self.expect(">>> ")
        self.wait_for_single_keys()
        self.send("On")
        self.expect("On")
        os.kill(self.pid, signal.SIGTERM)
        os.kill(self.pid, signal.SIGHUP)
        self.send("ce\n")
        self.expect(r"upon a time[^>]*>>> ")
        self.say("/exit", "exit")
        self.assertEqual(self.exit_status(), 0)


class ShownOnce(OnTerminal):
    def arguments(self):
        return ["run", STORIES, "--n", "2"]

    def test_options_that_a_chat_could_only_ignore(self):
        self.expect("error: n: a chat shows one answer")
        self.assertEqual(self.exit_status(), 2)


class ServerWithProgress(OnTerminal):
    def arguments(self):
        return ["start", STORIES, "--port", "0"]

    def test_lines_stand_alone(self):
        self.expect("openllm: ready")
        for line in self.everything.split("\n"):
            shown = re.split(r"\r(?:\x1b\[\d+A)?\x1b\[[KJ]", line)[-1]  # after the last erasure
            if "%" in shown:
                self.assertNotIn("openllm", shown)
        self.send("\x03")
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


class ChatServer(http.server.BaseHTTPRequestHandler):
    """Answers chats by the number of messages, refuses more than five of them, stalls and cuts when asked to."""

    def do_GET(self):  # noqa: N802
        self.reply(200, {"data": [{"id": "the-model"}]})

    def reply(self, status, body):
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def do_POST(self):  # noqa: N802
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append(body)
        messages = body.get("messages")
        if messages is None:
            return self.reply(200, {"choices": [{"index": 0, "text": "continued", "finish_reason": "length"}]})
        if not self.server.has_template:
            return self.reply(400, {"error": {"message": "no chat template", "code": "chat_template_missing"}})
        if len(messages) > 5:
            return self.reply(400, {"error": {"message": "set truncate_prompt", "code": "context_length_exceeded"}})
        if messages[-1]["content"] != "stall":
            answer = {"content": "seen %d" % len(messages)}
            reason = "length" if messages[-1]["content"] == "cut" else "stop"
            return self.reply(200, {"choices": [{"index": 0, "message": answer, "finish_reason": reason}]})
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        event = {"choices": [{"index": 0, "delta": {"content": "begun"}}]}
        self.wfile.write(b"data: " + json.dumps(event).encode() + b"\n\n")
        self.wfile.flush()
        self.server.is_over.wait(TIMEOUT)
        return None

    def log_message(self, *arguments):
        pass


class ChatWithServer(OnTerminal):
    HAS_TEMPLATE = True

    def arguments(self):
        return ["query", "--endpoint", "http://127.0.0.1:%d" % self.server.server_port]

    def setUp(self):
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), ChatServer)
        self.server.asked = []
        self.server.is_over = threading.Event()
        self.server.has_template = self.HAS_TEMPLATE
        super().setUp()  # which forks, before there is a thread
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def tearDown(self):
        super().tearDown()
        self.server.is_over.set()
        self.server.shutdown()
        self.server.server_close()

    def test_a_conversation(self):
        self.expect("Chat with the-model.*>>> ")
        self.say("one", r"seen 1\s.*>>> ")
        self.say("two", r"seen 3\s.*>>> ")
        self.say("three", r"seen 5\s.*>>> ")
        self.assertNotIn("forgotten", self.everything)
        self.say("four", r"oldest turns are forgotten.*seen 5\s.*>>> ")
        self.say("five", r"seen 5\s.*>>> ")
        self.assertEqual(self.everything.count("forgotten"), 1)
        self.assertEqual([message["content"] for message in self.server.asked[-1]["messages"]],
                         ["three", "seen 5", "four", "seen 5", "five"])
        self.say("/set temperature 0.5", r"0\.5.*>>> ")
        self.say("six", r"seen 5\s.*>>> ")
        self.assertEqual(self.server.asked[-1]["temperature"], 0.5)
        self.say("/exit", "exit")
        self.assertEqual(self.exit_status(), 0)

    def test_half_of_a_full_conversation_makes_way(self):
        self.expect("Chat with the-model.*>>> ")
        self.say("one", r"seen 1\s.*>>> ")
        self.say("cut", r"seen 3\s.*cut off: the context is full.*>>> ")
        self.say("after", r"oldest turns are forgotten.*seen 3\s.*>>> ")
        self.assertEqual([message["content"] for message in self.server.asked[-1]["messages"]],
                         ["cut", "seen 3", "after"])
        self.say("again", r"seen 5\s.*>>> ")  # it is not full any more

    def test_interrupt_ends_the_answer_and_no_more(self):
        self.expect("Chat with the-model.*>>> ")
        self.say("stall", "begun")
        self.send("\x03")
        self.expect(r"\(stopped\).*>>> ")
        self.send("aft")
        self.expect("aft")
        self.resize(70)  # wakes the reader of keys, who must not take it for the interrupt
        self.expect(">>> aft")
        self.say("er", r"seen 3\s.*>>> ")
        self.assertEqual(self.server.asked[-1]["messages"][-1]["content"], "after")
        self.assertEqual(self.server.asked[-1]["messages"][1], {"role": "assistant", "content": "begun"})
        self.say("/exit", "exit")
        self.assertEqual(self.exit_status(), 0)


class ChatWithServerThatHasNone(ChatWithServer):
    HAS_TEMPLATE = False

    def test_a_conversation(self):
        self.expect(">>> ")
        self.say("one", r"each input is continued\)\s+continued\s.*>>> ")
        self.say("two", r"continued\s.*>>> ")
        self.assertEqual(self.server.asked[-1]["prompt"], "two")
        self.assertEqual(self.server.asked[-1]["max_tokens"], 128)
        self.assertNotIn("cut off", self.everything)  # a text has no end

    test_half_of_a_full_conversation_makes_way = None
    test_interrupt_ends_the_answer_and_no_more = None


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
