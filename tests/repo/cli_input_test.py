#!/usr/bin/env python3
"""Where the program's prompts come from: arguments, files, standard input. Nothing of it is dropped.

    cli_input_test.py PROGRAM TEST_DATA_FOLDER
"""

import json
import os
import subprocess
import tempfile
import unittest
import urllib.request
from pathlib import Path

from cli_program import DATA, PROGRAM, STORIES, TIMEOUT, TINY, main, run, write_chat_model


class Input(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        (self.folder / "a.txt").write_text("file a\n")
        (self.folder / "b.txt").write_text("file b")

    def prompt(self, *arguments, stdin=subprocess.DEVNULL, model=STORIES):
        result = run("run", model, *arguments, "--max-tokens", "1", "--json", stdin=stdin)
        self.assertEqual(result.returncode, 0, result.stderr)
        return json.loads(result.stdout)["prompt"]

    def refusal(self, status, *arguments, stdin=subprocess.DEVNULL):
        result = run(*arguments, stdin=stdin)
        self.assertEqual((result.returncode, result.stdout), (status, ""), result)
        self.assertRegex(result.stderr, r"\Aopenllm: error: [^\n]+\n\Z")
        return result.stderr


class Prompts(Input):
    def test_standard_input_stands_before_the_question(self):
        self.assertEqual(self.prompt("What?", stdin="The cat is called Tom.\n"), "The cat is called Tom.\n\nWhat?")
        self.assertEqual(self.prompt("-p", "What?", stdin="The cat.\n"), "The cat.\n\nWhat?")
        self.assertEqual(self.prompt(stdin="The cat.\n"), "The cat.")
        self.assertEqual(self.prompt("What?", stdin=" \n"), "What?")

    def test_a_dash_says_where_standard_input_stands(self):
        self.assertEqual(self.prompt("-", stdin="Once upon\n"), "Once upon")
        self.assertEqual(self.prompt("Look:", "-", stdin="Once upon\n"), "Look:\n\nOnce upon")
        self.assertEqual(self.prompt("-", "What?", stdin="Once upon\n"), "Once upon\n\nWhat?")
        self.assertEqual(self.prompt("-p", "-", stdin="Once upon\n"), "Once upon")
        self.assertEqual(self.prompt("What?", "-f", "-", stdin="Once upon\n"), "Once upon\n\nWhat?")

    def test_files(self):
        a, b = str(self.folder / "a.txt"), str(self.folder / "b.txt")
        self.assertEqual(self.prompt("-f", a), "file a")
        self.assertEqual(self.prompt("What?", "-f", a, "--file", b), "file a\n\nfile b\n\nWhat?")
        self.assertEqual(self.prompt("What?", "-f", a, stdin="in"), "in\n\nfile a\n\nWhat?")
        self.assertEqual(self.prompt("What?", "-f", a, "-f", "-", stdin="in"), "file a\n\nin\n\nWhat?")
        self.assertEqual(self.prompt("-f", a, "-"), "file a")  # nothing stands on standard input
        self.assertEqual(self.prompt("-", "-f", b, stdin="\n"), "file b")
        (self.folder / "dos.txt").write_bytes(b"one\r\ntwo\r\n")
        self.assertEqual(self.prompt("-f", str(self.folder / "dos.txt")), "one\r\ntwo")
        read, write = os.pipe()  # as <(command) of a shell
        os.write(write, b"piped\n")
        os.close(write)
        try:
            result = subprocess.run([PROGRAM, "run", STORIES, "-f", "/dev/fd/%d" % read, "--max-tokens", "1", "--json"],
                                    stdin=subprocess.DEVNULL, capture_output=True, pass_fds=[read], timeout=TIMEOUT,
                                    check=False)
        finally:
            os.close(read)
        self.assertEqual(json.loads(result.stdout)["prompt"], "piped", result.stderr)

    def test_go_through_the_chat_template_as_one_message(self):
        (self.folder / "model").mkdir()
        model = write_chat_model(self.folder / "model")
        self.assertEqual(self.prompt("What?", "--system", "Be brief.", stdin="The cat.\n", model=model),
                         "system:Be brief.\nuser:The cat.\n\nWhat?\nassistant:")

    def test_files_that_cannot_be_read(self):
        self.assertIn("no-such", self.refusal(3, "run", STORIES, "-f", str(self.folder / "no-such")))
        self.assertIn(str(self.folder), self.refusal(7, "run", STORIES, "-f", str(self.folder)))
        self.assertIn("no-such", self.refusal(3, "run", STORIES, "x", "--chat-template", str(self.folder / "no-such")))

    def test_without_any_text_nothing_is_invented(self):
        (self.folder / "empty.txt").write_text("\n")
        for arguments, stdin in ((["run", STORIES], subprocess.DEVNULL), (["run", STORIES], ""),
                                 (["run", STORIES], " \n\n"), (["run", STORIES, ""], ""), (["run", STORIES, "-"], ""),
                                 (["run", STORIES, "-f", str(self.folder / "empty.txt")], ""),
                                 (["run", STORIES, "-p", " "], ""), (["query"], ""), (["query", ""], ""),
                                 (["tokenize", STORIES], ""), (["logits", STORIES], "")):
            self.assertIn("there is no text", self.refusal(2, *arguments, stdin=stdin), arguments)

    def test_token_ids_stand_alone(self):
        self.assertIn("--prompt-ids", self.refusal(2, "run", TINY, "--prompt-ids", "1", stdin="text"))
        self.assertIn("--prompt-ids", self.refusal(2, "logits", TINY, "--prompt-ids", "1", stdin="text"))
        self.assertIn("not both", self.refusal(2, "run", TINY, "text", "--prompt-ids", "1"))
        self.assertIn("not both", self.refusal(2, "run", TINY, "-f", "x", "--prompt-ids", "1"))
        self.assertIn("not both", self.refusal(2, "logits", TINY, "text", "--prompt-ids", "1"))
        self.assertEqual(run("run", TINY, "--prompt-ids", "1", "--max-tokens", "1", "--json", stdin="\n").returncode, 0)

    def test_of_tokenize_are_taken_as_they_are(self):
        def ids(*arguments, stdin=subprocess.DEVNULL):
            result = run("tokenize", STORIES, *arguments, "--json", stdin=stdin)
            self.assertEqual(result.returncode, 0, result.stderr)
            return json.loads(result.stdout)["ids"]
        both = ids("Once\n\nupon")
        self.assertEqual(ids("upon", stdin="Once\n"), both)
        self.assertEqual(ids("Once", "-", stdin="upon"), both)
        self.assertEqual(ids("-f", str(self.folder / "b.txt")), ids("file b"))
        self.assertNotEqual(ids("   "), ids("", ))
        self.assertEqual(ids(stdin="   \n"), ids("   "))
        logits = json.loads(run("logits", STORIES, stdin="Once").stdout)
        self.assertEqual(logits["prompt_token_ids"], ids("Once"))
        self.assertEqual(json.loads(run("logits", STORIES, "-p", "Once").stdout), logits)


class Options(Input):
    def test_that_could_only_be_ignored_are_refused(self):
        (self.folder / "model").mkdir()
        model = write_chat_model(self.folder / "model")
        for arguments, option in ((["run", STORIES, "x", "--logprobs", "2"], "--logprobs"),
                                  (["run", STORIES, "x", "--prompt-logprobs", "2"], "--prompt-logprobs"),
                                  (["query", "x", "--logprobs", "2"], "--logprobs"),
                                  (["run", STORIES, "x", "--system", "y"], "--system"),
                                  (["run", STORIES, "x", "--no-generation-prompt"], "--no-generation-prompt"),
                                  (["run", STORIES, "x", "--template-json", '{"a":1}'], "--template-json"),
                                  (["run", model, "x", "--raw", "--tools-json", '[{"type":"function"}]'], "--tools-json"),
                                  (["run", model, "x", "--raw", "--system", "y"], "--system"),
                                  (["query", "x", "--raw", "--system", "y"], "--system"),
                                  (["query", "x", "--raw", "--no-generation-prompt"], "--no-generation-prompt"),
                                  (["run", TINY, "--prompt-ids", "1", "--no-special-tokens"], "--no-special-tokens"),
                                  (["run", model, "x", "--no-special-tokens"], "--no-special-tokens"),
                                  (["run", TINY, "--prompt-ids", "1", "--system", "y"], "--system")):
            self.assertIn(option + ": ", self.refusal(2, *arguments), arguments)

    def test_of_the_wrong_form_name_the_option(self):
        self.assertIn("--tools-json", self.refusal(2, "run", STORIES, "x", "--tools-json", "{"))
        self.assertIn("--max-tokens", self.refusal(2, "run", STORIES, "x", "-n", "128"))
        self.assertIn("--template-json", self.refusal(2, "run", STORIES, "x", "--template-json", ""))

    def test_errors_have_the_words_of_the_command_line(self):
        message = self.refusal(2, "run", STORIES, "word " * 3000)
        self.assertIn("--truncate-prompt", message)
        self.assertIn("512 tokens", message)
        self.assertNotIn("truncate_prompt", message)
        self.assertIn("--adapter", self.refusal(3, "run", STORIES, "x", "--adapter-name", "missing"))


class Length(Input):
    def n_tokens(self, *arguments, environment=None, model=STORIES):
        result = run("run", model, "Once upon", "--ignore-eos", "--json", *arguments, environment=environment)
        self.assertEqual(result.returncode, 0, result.stderr)
        return len(json.loads(result.stdout)["outputs"][0]["token_ids"]), result.stderr

    def test_of_a_continued_text_is_128_and_is_told(self):
        n, told = self.n_tokens()
        self.assertEqual(n, 128)
        self.assertRegex(told, r"\Aopenllm: note: [^\n]*128 tokens[^\n]*--max-tokens[^\n]*\n\Z")

    def test_that_was_asked_for_is_not_told(self):
        self.assertEqual(self.n_tokens("--max-tokens", "7"), (7, ""))

    def test_from_the_environment_counts_as_asked_for(self):
        n, _ = self.n_tokens(environment={"OPENLLM_GENERATION_MAX_NEW_TOKENS": "3"})
        self.assertEqual(n, 3)

    def test_of_an_answer_is_the_context(self):
        (self.folder / "model").mkdir()
        model = write_chat_model(self.folder / "model")
        n, told = self.n_tokens("-c", "200", model=model)
        self.assertGreater(n, 128)
        self.assertLess(n, 200)
        self.assertRegex(told, r"\Aopenllm: note: [^\n]*context[^\n]*\n\Z")


class ChatTemplate(Input):
    TEMPLATES = ('"chat_template": [{"name": "default", "template": "D{{ messages[0].content }}"}, '
                 '{"name": "rag", "template": "R{{ messages[0].content }}"}]')

    def test_is_a_file_a_name_or_a_text(self):
        model = self.folder / "model"
        model.mkdir()
        for path in (DATA / "stories260K/hf").iterdir():
            (model / path.name).symlink_to(path.absolute())
        (model / "tokenizer_config.json").unlink(missing_ok=True)
        (model / "tokenizer_config.json").write_text("{%s}" % self.TEMPLATES)
        (self.folder / "rag").write_text("F{{ messages[0].content }}")
        for value, letter in (("rag", "R"), ("default", "D"), ("T{{ messages[0].content }}", "T"),
                              (str(self.folder / "rag"), "F")):
            self.assertEqual(self.prompt("hi", "--chat-template", value, model=str(model)), letter + "hi")
        self.assertEqual(self.prompt("hi", model=str(model)), "Dhi")
        refusal = self.refusal(2, "run", str(model), "hi", "--chat-template", "chatml")
        self.assertIn("expected default, rag, got chatml", refusal)


class Server(Input):
    def test_takes_the_length_of_its_command_line_for_every_route(self):
        with subprocess.Popen([PROGRAM, "start", write_chat_model(self.folder), "--port", "0",
                               "--max-new-tokens", "3"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE, text=True) as server:
            try:
                address = server.stderr.readline().split()[-1]
                while "ready" not in server.stderr.readline():
                    self.assertIsNone(server.poll())
                hi = [{"role": "user", "content": "Hi"}]
                for path, prompt in (("completions", {"prompt": "Once"}), ("chat/completions", {"messages": hi})):
                    for limit, expected in (({}, 3), ({"max_tokens": 5}, 5)):
                        body = {**prompt, **limit, "temperature": 0, "ignore_eos": True}
                        request = urllib.request.Request(address + "/v1/" + path, json.dumps(body).encode(),
                                                         {"Content-Type": "application/json"})
                        with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
                            self.assertEqual(json.load(answer)["usage"]["completion_tokens"], expected)
            finally:
                server.kill()


class Query(Input):
    def test_has_the_same_prompts_as_run(self):
        with subprocess.Popen([PROGRAM, "start", STORIES, "--port", "0"], stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as server:
            try:
                address = server.stderr.readline().split()[-1]
                while "ready" not in server.stderr.readline():
                    self.assertIsNone(server.poll())
                options = ["--endpoint", address, "--temperature", "0", "--max-tokens", "9"]
                local = run("run", STORIES, "The cat.\n\nWhat?", "--temperature", "0", "--max-tokens", "9").stdout
                self.assertTrue(local.strip())
                for arguments in (["What?"], ["-", "What?"], ["-p", "What?"], ["--raw", "What?"]):
                    result = run("query", *arguments, *options, stdin="The cat.\n")
                    self.assertEqual((result.returncode, result.stdout), (0, local), result.stderr)
            finally:
                server.kill()


if __name__ == "__main__":
    main()
