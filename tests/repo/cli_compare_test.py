#!/usr/bin/env python3
"""`openllm compare` as its users see it.

    cli_compare_test.py PROGRAM TEST_DATA_FOLDER
"""

import json
import tempfile
import unittest
from pathlib import Path

from cli_program import DATA, STORIES, TINY, main, run

PROMPTS = ("--prompt", "Once upon a time", "--prompt", "The little girl", "--max-new-tokens", "8")


class Compare(unittest.TestCase):
    def compare(self, *words, status=0, model=STORIES, **options):
        done = run("compare", model, *words, "--json", **options)
        self.assertEqual(done.returncode, status, done.stderr)
        return json.loads(done.stdout)

    def refused(self, *words, status=2, model=STORIES):
        done = run("compare", model, *words)
        self.assertEqual((done.returncode, done.stdout), (status, ""), done.stderr)
        return done.stderr

    def test_against_itself_and_the_reference(self):
        result = self.compare("--backends", "native,native,native:reference", *PROMPTS)
        self.assertEqual(result["first"], "native")
        same, reference = result["backends"][1:]
        self.assertEqual((same["kl_max"], same["logprob_difference_max"], same["top1_agreement"]), (0, 0, 1))
        self.assertEqual((same["same_answers"], same["differences"], same["all_logits"]), (2, [], True))
        self.assertEqual(reference["device"], "reference")
        self.assertLess(reference["kl_max"], 1e-8)
        self.assertGreater(reference["logprob_difference_max"], 0)
        self.assertEqual(reference["same_answers"], 2)
        self.assertEqual(len(result["prompts"][0]["answer_token_ids"]), 8)
        self.assertTrue(result["prompts"][0]["answer"])

    def test_text_names_all_and_what_is_missing(self):
        done = run("compare", STORIES, "--backends", "native,native:kv-dtype=int8,triton", *PROMPTS)
        self.assertEqual(done.returncode, 3, done.stderr)
        lines = done.stdout.splitlines()
        self.assertEqual([line.split()[0] for line in lines[:4]], ["BACKEND", "native", "native:kv-dtype=int8", "triton"])
        self.assertIn("Against native: 2 prompts, ", done.stdout)
        self.assertRegex(done.stdout, r"(?m)^triton: not compared: .*triton")
        self.assertIn("100 %", lines[1])

    def test_an_answer_that_differs_is_shown_with_both_tokens(self):
        other = str(DATA / "models" / "qwen3")
        words = ("--backends", "native,native:model=" + other, "--prompt-ids", "1,2,3", "--max-new-tokens", "4")
        result = self.compare(*words, model=TINY)
        difference, = result["backends"][1]["differences"]
        answers = [json.loads(run("run", model, "--prompt-ids", "1,2,3", "--max-new-tokens", "4", "--temperature", "0",
                                  "--json").stdout)["outputs"][0]["token_ids"] for model in (TINY, other)]
        at = next(i for i, (a, b) in enumerate(zip(*answers)) if a != b)
        self.assertEqual(difference["position"], at)
        self.assertEqual((difference["expected"]["token_id"], difference["got"]["token_id"]),
                         (answers[0][at], answers[1][at]))
        self.assertGreaterEqual(difference["got"]["gap"], 0)
        text = run("compare", TINY, *words).stdout
        self.assertIn(f"the answer to prompt 0 differs from token {at} on: {answers[1][at]}, ahead by ", text)

    def test_prompts_come_from_files_and_there_are_some_anyway(self):
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
            file.write("Once upon\r\n\n  \nA cat\nNo line end")
            file.flush()
            words = ("--backends", "native,native", "--max-new-tokens", "1")
            self.assertEqual(len(self.compare(*words, "--file", file.name)["prompts"]), 3)
            self.assertEqual(len(self.compare(*words, "-f", "-", "-p", "one", stdin="two\nthree")["prompts"]), 3)
        self.assertGreater(len(self.compare("--backends", "native,native", "--max-new-tokens", "0")["prompts"]), 4)
        with tempfile.NamedTemporaryFile("w") as file:
            file.write("\n \n")
            file.flush()
            self.assertIn("no prompt", self.refused("--backends", "native,native", "-f", file.name))

    def test_a_backend_without_its_needs_ends_with_its_status(self):
        result = self.compare("--backends", "vllm:url=http://127.0.0.1:9,native,native", *PROMPTS, status=8)
        self.assertEqual([b["compared"] for b in result["backends"]], [False, True, True])
        self.assertEqual((result["backends"][0]["status"], result["first"]), (8, "native"))
        self.assertIn("127.0.0.1:9", result["backends"][0]["error"])

    def test_wrong_use(self):
        self.assertIn("--backends", self.refused())
        self.assertIn("targets", self.refused("--backends", "native"))
        self.assertIn("native:speed=1", self.refused("--backends", "native,native:speed=1"))
        self.assertIn("one argument too many: hello", self.refused("--backends", "native,native", "hello"))
        self.assertIn("--top", self.refused("--backends", "native,native", "--top", "0"))
        self.assertIn("--max-new-tokens", self.refused("--backends", "native,native", "--max-new-tokens", "-1"))
        self.assertIn("--prompt-ids", self.refused("--backends", "native,native", "--prompt-ids", "1,x"))
        self.assertIn("pt.python", self.refused("--backends", "native,native", "--python", "/usr/bin/python3"))
        self.assertIn("--device", self.refused("--backends", "native,native", "--device", "cpu"))
        self.assertIn("no-such", self.refused("--backends", "native,native", "-f", "/no-such", status=3))
        self.assertIn("no-such", self.refused("--backends", "native,pt", model=str(Path("/no-such/model")), status=3))

    def test_prompts_that_no_backend_takes_are_told_once(self):
        self.assertIn("expected 0 to", self.refused("--backends", "native,native", "--prompt-ids", "99999999"))


if __name__ == "__main__":
    main()
