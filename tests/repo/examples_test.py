"""The examples as their users run them: PROGRAM TEST_DATA_FOLDER; they lie beside the program as example_<name>."""

import json
import os
import subprocess
import tempfile
import unittest
import urllib.error
import urllib.request

from cli_program import PROGRAM, STORIES, TIMEOUT, main, run, write_chat_model


# What each takes behind the model.
ARGUMENTS = {"hello": [], "stream": ["Once"], "coroutine": [], "many": [], "seed": []}


def example(name):
    return os.path.join(os.path.dirname(PROGRAM), "example_" + name)


class Examples(unittest.TestCase):
    def test_each_says_something_and_ends_well(self):
        for name, arguments in ARGUMENTS.items():
            with tempfile.TemporaryDirectory() as folder:
                result = subprocess.run([example(name), write_chat_model(folder), *arguments], capture_output=True, text=True,
                                        timeout=TIMEOUT, check=False)
                self.assertEqual(result.returncode, 0, name + ": " + result.stderr)
                self.assertGreater(len(result.stdout), 20, name)

    def test_each_names_what_is_wrong(self):
        for name, arguments in ARGUMENTS.items():
            result = subprocess.run([example(name), "/nowhere", *arguments], capture_output=True, text=True, timeout=TIMEOUT,
                                    check=False)
            self.assertEqual(result.returncode, 1, name)
            self.assertIn("/nowhere", result.stderr)

    def test_coroutine_is_what_the_program_gives(self):
        text = subprocess.run([example("coroutine"), STORIES], capture_output=True, text=True, timeout=TIMEOUT,
                              check=True).stdout
        expected = run("run", STORIES, "Once upon a time", "--raw", "--max-new-tokens", "32", "--temperature", "0").stdout
        self.assertTrue(text.startswith(expected.strip("\n").removeprefix("Once upon a time")[:40]), text)


class Service(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.server = subprocess.Popen([example("service"), write_chat_model(cls.folder.name), "0"],
                                      stdout=subprocess.PIPE, text=True)
        cls.address = cls.server.stdout.readline().split()[-1]

    @classmethod
    def tearDownClass(cls):
        cls.server.kill()
        cls.server.wait()
        cls.server.stdout.close()
        cls.folder.cleanup()

    def ask(self, path, body):
        request = urllib.request.Request(self.address + path, body.encode(), method="POST")
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def test_its_endpoint_answers_as_the_openai_route(self):
        status, body = self.ask("/chat", json.dumps({"question": "Hi", "max_new_tokens": 12}))
        self.assertEqual(status, 200, body)
        reply = json.loads(body)
        self.assertEqual(reply["n_tokens"], 12)
        chat = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 12, "temperature": 0}
        status, body = self.ask("/v1/chat/completions", json.dumps(chat))
        self.assertEqual(json.loads(body)["choices"][0]["message"]["content"], reply["answer"])

    def test_missing_members_are_named(self):
        status, body = self.ask("/chat", "{}")
        self.assertEqual(status, 400)
        self.assertEqual(json.loads(body)["error"]["message"], "question: missing")

    def test_streams(self):
        status, body = self.ask("/stream", "Once")
        self.assertEqual(status, 200)
        self.assertTrue(body.endswith("data: [DONE]\n\n"))


if __name__ == "__main__":
    main()
