#!/usr/bin/env python3
"""Encoder-decoder models and beam search as users of the program and of the server have them. The answers are those of
transformers (tests/data/seq2seq).

    cli_seq2seq_test.py PROGRAM TEST_DATA_FOLDER
"""

import json
import tempfile
import unittest
import urllib.error
import urllib.request
from pathlib import Path

from cli_program import DATA, TIMEOUT, TINY, Server, main, run

GOLDENS = json.loads((DATA / "seq2seq" / "goldens.json").read_text())
NAMES = {"num_return_sequences": "n"}


def write_model(folder):
    for path in (*(DATA / "models" / "mt5").iterdir(), *(DATA / "seq2seq").glob("tokenizer*.json")):
        (Path(folder) / path.name).symlink_to(path.absolute())
    return str(folder)


def arguments_of(options):
    words = ["--temperature", "0"]
    for name, value in options.items():
        text = str(value).lower() if isinstance(value, bool) else str(value)
        words += ["--" + NAMES.get(name, name).replace("_", "-"), text]
    return words


class Seq2Seq(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.model = write_model(cls.folder.name)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def test_texts_are_answered_with_texts(self):
        for case in GOLDENS["cases"][:8]:
            done = run("run", self.model, case["text"], "--json", *arguments_of(case["options"]))
            self.assertEqual(done.returncode, 0, done.stderr)
            output = json.loads(done.stdout)
            self.assertEqual(output["prompt_token_ids"], case["prompt"])
            self.assertEqual([choice["token_ids"] for choice in output["outputs"]], case["ids"])
            self.assertEqual([choice["text"] for choice in output["outputs"]], case["texts"])
        done = run("run", self.model, GOLDENS["cases"][0]["text"], *arguments_of(GOLDENS["cases"][0]["options"]))
        self.assertEqual(done.stdout, GOLDENS["cases"][0]["texts"][0] + "\n", done.stderr)

    def test_ids_go_to_the_encoder(self):
        ids = ",".join(map(str, GOLDENS["logits_ids"]))
        done = run("logits", self.model, "--prompt-ids", ids)
        self.assertEqual(done.returncode, 0, done.stderr)
        output = json.loads(done.stdout)
        self.assertEqual(output["prompt_token_ids"], GOLDENS["logits_ids"])
        self.assertEqual(len(output["logits"]), 1)
        self.assertEqual(len(output["logits"][0]), len(GOLDENS["logits"]))
        self.assertLess(max(abs(a - b) for a, b in zip(output["logits"][0], GOLDENS["logits"])), 1e-4)
        golden = json.loads((DATA / "models" / "bart" / "golden.json").read_text())
        done = run("run", str(DATA / "models" / "bart"), "--json", "--prompt-ids", ",".join(map(str, golden["source"])),
                   "--max-new-tokens", "8", "--temperature", "0", "--ignore-eos")
        self.assertEqual(done.returncode, 0, done.stderr)
        output = json.loads(done.stdout)
        self.assertEqual((output["prompt_token_ids"], output["outputs"][0]["finish_reason"]), (golden["source"], "length"))
        self.assertEqual(len(output["outputs"][0]["token_ids"]), 8)

    def test_what_it_cannot_do_is_named(self):
        for words, name in ((["--prompt-logprobs", "1", "--json"], "prompt_logprobs"), (["--num-beams", "2", "--n", "3"], "n:"),
                            (["--num-beams", "2", "--top-k", "3"], "top_k"), (["--early-stopping", "maybe"], "maybe")):
            done = run("run", self.model, "hello", *words)
            self.assertEqual((done.returncode != 0, done.stdout), (True, ""))
            self.assertIn(name, done.stderr)
        done = run("embed", self.model, "hello")
        self.assertEqual((done.returncode != 0, done.stdout), (True, ""))
        self.assertIn("encoder-decoder", done.stderr)
        done = run("compare", self.model, "--backends", "native,native")
        self.assertEqual((done.returncode != 0, done.stdout), (True, ""))
        self.assertIn("encoder-decoder", done.stderr)
        self.assertTrue(json.loads(run("info", self.model, "--json").stdout)["is_encoder_decoder"])
        self.assertFalse(json.loads(run("info", TINY, "--json").stdout)["is_encoder_decoder"])


class Serving(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.server = Server(write_model(cls.folder.name))

    @classmethod
    def tearDownClass(cls):
        cls.server.kill()
        cls.folder.cleanup()

    def ask(self, **body):
        request = urllib.request.Request(self.server.address + "/v1/completions", json.dumps(body).encode(),
                                         {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def test_completions(self):
        for case in GOLDENS["cases"]:
            for prompt in (case["text"], case["prompt"]):
                status, body = self.ask(prompt=prompt, temperature=0, **case["options"])
                self.assertEqual(status, 200, body)
                self.assertEqual([choice["text"] for choice in json.loads(body)["choices"]], case["texts"])
                self.assertEqual(json.loads(body)["usage"]["prompt_tokens"], len(case["prompt"]))

    def test_streams(self):
        case = GOLDENS["cases"][4]
        status, body = self.ask(prompt=case["text"], temperature=0, stream=True, **case["options"])
        self.assertEqual(status, 200, body)
        events = [json.loads(line[6:]) for line in body.splitlines() if line.startswith("data: {")]
        self.assertEqual("".join(choice["text"] for event in events for choice in event["choices"]), case["texts"][0])
        status, body = self.ask(prompt=case["text"], temperature=0, stream=True, num_beams=3)
        self.assertEqual(status, 400, body)
        self.assertEqual(json.loads(body)["error"]["param"], "stream")

    def test_refusals(self):
        for name, value in (("decoder_start_token_id", 3), ("num_beam_groups", 3), ("prompt_logprobs", 1),
                            ("use_beam_search", True)):
            status, body = self.ask(prompt="hello", num_beams=4, **{name: value})
            self.assertEqual(status, 400, body)
            self.assertIn(name, json.loads(body)["error"]["message"])

    def test_the_client(self):
        case = GOLDENS["cases"][5]
        done = run("query", case["text"], "--raw", "--no-stream", "--endpoint", self.server.address, "--json",
                   *arguments_of(case["options"]))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual([choice["text"] for choice in json.loads(done.stdout)["outputs"]], case["texts"])


if __name__ == "__main__":
    main()
