#!/usr/bin/env python3
"""`openllm doctor`: what would fail, and what mends it.

    cli_doctor_test.py PROGRAM TEST_DATA_FOLDER
"""

import json
import os
import tempfile
import unittest
from pathlib import Path

from cli_program import STORIES, TINY, main, run, write_chat_model


class Doctor(unittest.TestCase):
    def examine(self, *arguments, status=0, environment=None):
        """The report, and its findings by what they are about."""
        result = run("doctor", *arguments, "--json", environment=environment)
        self.assertEqual(result.returncode, status, result.stdout + result.stderr)
        report = json.loads(result.stdout)
        self.assertEqual(report["status"], status)
        return report, {finding["about"]: finding for finding in report["findings"]}

    def model(self, folder, **files):
        """A chat model with some files replaced; None: left out."""
        write_chat_model(folder)
        for name, text in files.items():
            path = Path(folder) / {"template": "chat_template.jinja", "tokenizer": "tokenizer.json",
                                   "settings": "tokenizer_config.json", "config": "config.json"}[name]
            path.unlink()
            if text is not None:
                path.write_text(text)
        return str(folder)

    def test_the_machine(self):
        with tempfile.TemporaryDirectory() as home:
            report, findings = self.examine(environment={"OPENLLM_HOME": home})
            self.assertEqual(findings, {})
            machine = report["machine"]
            self.assertEqual((machine["store"], machine["models"], report["model"]), (home, 0, None))
            self.assertIn(machine["isa"], machine["isas"])
            self.assertGreaterEqual(machine["threads"], 1)
            self.assertGreaterEqual(machine["memory_total"], machine["memory_available"])
            self.assertIn("native", [backend["name"] for backend in machine["backends"] if backend["available"]])
            text = run("doctor", environment={"OPENLLM_HOME": home})
            self.assertEqual(text.returncode, 0)
            for word in (machine["cpu"], machine["isa"], home, "nothing is wrong"):
                self.assertIn(word, text.stdout)

    def test_a_model(self):
        report, findings = self.examine(STORIES)
        self.assertEqual(list(findings), ["chat template"])  # it has none
        self.assertEqual((findings["chat template"]["severity"], findings["chat template"]["fix"][:15]),
                         ("warning", "--chat-template"))
        model = report["model"]
        self.assertEqual((model["backend"], model["format"], model["context"]), ("native", "gguf", 512))
        self.assertGreater(model["memory_bytes"], model["weight_bytes"])
        # Keys and values of 5 layers, 4 heads of 8, in f32, 512 tokens; the device may pad them.
        self.assertGreaterEqual(model["kv_bytes_of_context"], 512 * 5 * 2 * 4 * 8 * 4)
        self.assertLess(model["kv_bytes_of_context"], model["kv_bytes"])
        for name in ("read_gb_per_s", "decode_tokens_per_s", "prefill_tokens_per_s"):
            self.assertGreater(model[name], 0, name)
        self.assertIsNone(model["measured_decode_tokens_per_s"])
        text = run("doctor", STORIES).stdout
        self.assertIn("predicted", text)
        self.assertNotIn("measured", text)

    def test_measures_when_asked(self):
        report, _ = self.examine(STORIES, "--measure")
        self.assertGreater(report["model"]["measured_decode_tokens_per_s"], 0)

    def test_a_good_chat_model(self):
        with tempfile.TemporaryDirectory() as folder:
            report, findings = self.examine(self.model(folder))
            self.assertEqual(findings, {})
            self.assertTrue(report["model"]["has_chat_template"])

    def test_templates_that_cannot_be_used(self):
        for template, status, word in (("{% for m in messages %}", 5, "chat_template.jinja"),
                                       ("{{ messages[0].content.nothing.more() }}", 2, ""),
                                       ("{{ raise_exception('no, thanks') }}{{ messages }}", 2, "no, thanks")):
            with tempfile.TemporaryDirectory() as folder:
                _, findings = self.examine(self.model(folder, template=template), status=status)
                found = findings["chat template"]
                self.assertEqual(found["severity"], "error")
                self.assertIn(word, found["what"])
                self.assertIn("--chat-template", found["fix"])

    def test_a_template_that_takes_no_system_message(self):
        with tempfile.TemporaryDirectory() as folder:
            template = ("{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}"
                        "{{ messages[0].content }}")
            _, findings = self.examine(self.model(folder, template=template))
            self.assertEqual(findings["chat template"]["severity"], "note")

    def test_no_tokenizer(self):
        _, findings = self.examine(TINY, status=4)
        self.assertIn("tokenizer.json", findings["tokenizer"]["fix"])
        with tempfile.TemporaryDirectory() as folder:
            _, findings = self.examine(self.model(folder, tokenizer='{"model": 3'), status=5)
            self.assertIn("tokenizer.json", findings["tokenizer"]["what"])

    def test_a_vocabulary_that_is_larger_than_the_models(self):
        with tempfile.TemporaryDirectory() as folder:
            self.model(folder)
            path = Path(folder) / "tokenizer.json"
            tokenizer = json.loads(path.read_text())
            n = max(tokenizer["model"]["vocab"].values()) + 1 if isinstance(tokenizer["model"]["vocab"], dict) \
                else len(tokenizer["model"]["vocab"])
            n = max([n, *(token["id"] + 1 for token in tokenizer["added_tokens"])])
            tokenizer["added_tokens"].append({"id": n, "content": "<more>", "single_word": False, "lstrip": False,
                                              "rstrip": False, "normalized": False, "special": True})
            path.unlink()
            path.write_text(json.dumps(tokenizer))
            _, findings = self.examine(folder, status=5)
            self.assertIn("has %d tokens" % (n + 1), findings["tokenizer"]["what"])

    def test_a_damaged_store(self):
        with tempfile.TemporaryDirectory() as home:
            store = {"OPENLLM_HOME": home}
            added = json.loads(run("models", "add", "me/tiny", STORIES, "--json", environment=store).stdout)
            name = "me/tiny:" + added["version"]
            self.examine("me/tiny", environment=store)
            (Path(home) / "models/me/tiny" / added["version"] / "model.json").write_text("{")
            os.makedirs(Path(home) / "tmp/1-2-3")
            report, findings = self.examine(status=5, environment=store)
            self.assertIn(name, report["findings"][0]["what"])
            fix = report["findings"][0]["fix"].split()
            self.assertEqual(findings["store"]["severity"], "note")  # the unfinished import comes last
            self.assertEqual(run(*fix[1:], environment=store).returncode, 0)  # the command that it names
            report, _ = self.examine(environment=store)
            self.assertEqual([finding["severity"] for finding in report["findings"]], ["note"])

    def test_variables(self):
        with tempfile.TemporaryDirectory() as home:
            for variables, status, word in (({"OPENLLM_TYPO": "1"}, 0, "OPENLLM_TYPO"),
                                            ({"OPENLLM_CONFIG": "{"}, 2, "OPENLLM_CONFIG"),
                                            ({"OPENLLM_GENERATION_TEMPRATURE": "1"}, 2, "temperature"),
                                            ({"OPENLLM_BACKEND": "nothing"}, 3, "nothing")):
                _, findings = self.examine(status=status, environment={"OPENLLM_HOME": home, **variables})
                self.assertIn(word, findings["environment"]["what"])
                self.assertTrue(findings["environment"]["fix"])
        result = run("doctor", "--json", environment={"HOME": ""})
        self.assertEqual(result.returncode, 3)
        self.assertIn("OPENLLM_HOME", json.loads(result.stdout)["findings"][0]["fix"])

    def test_models_that_cannot_run(self):
        _, findings = self.examine("no/such", status=3)
        self.assertIn("no/such", findings["files"]["what"])
        with tempfile.TemporaryDirectory() as folder:
            _, findings = self.examine(self.model(folder, config='{"model_type": "foo"}'), status=4)
            self.assertIn("foo", findings["backend"]["what"])
            cut = Path(folder) / "cut.gguf"
            cut.write_bytes(Path(STORIES).read_bytes()[:500000])
            _, findings = self.examine(str(cut), status=5)
            self.assertIn("cut", json.dumps(findings))
        _, findings = self.examine(STORIES, "--max-model-len", "100000", status=2)
        self.assertIn("max_model_len", json.dumps(findings))

    def test_a_cache_that_is_too_small(self):
        report, findings = self.examine(STORIES, "--kv-cache-bytes", "64KiB")
        self.assertIn("--max-model-len %d" % report["model"]["context"], findings["memory"]["fix"])
        self.assertLess(report["model"]["context"], 512)
        _, findings = self.examine(STORIES, "--kv-cache-bytes", "100", status=6)
        self.assertIn("memory", findings)


if __name__ == "__main__":
    main()
