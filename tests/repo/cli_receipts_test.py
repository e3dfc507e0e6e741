#!/usr/bin/env python3
"""Receipts on the command line, and the matrix of fields: what `openllm fields` claims is so.

    cli_receipts_test.py PROGRAM TEST_DATA_FOLDER
"""

import json
import shutil
import tempfile
import unittest
from pathlib import Path

from cli_program import DATA, STORIES, main, run, write_chat_model

SAME, DIFFERENT = 0, 11


class Receipts(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.file = str(self.folder / "receipt.json")

    def make(self, *options):
        done = run("run", STORIES, "Once upon", "--raw", "--max-tokens", "6", "--temperature", "0.9", "--receipt", self.file,
                   *options)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(Path(self.file).read_text(encoding="utf-8"))

    def test_what_was_run_is_replayed(self):
        receipt = self.make("--n", "2")
        self.assertEqual(len(receipt["choices"]), 2)
        done = run("replay", self.file, STORIES)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (SAME, "same: 2 choices, 12 tokens\n", ""))
        done = run("replay", "-", STORIES, "--json", stdin=json.dumps(receipt))
        result = json.loads(done.stdout)
        self.assertEqual((done.returncode, result["same"], result["choice"]), (SAME, True, None))
        self.assertEqual(result["output"]["outputs"][0]["token_ids"], receipt["choices"][0]["token_ids"])
        self.make()  # a receipt takes the place of a receipt

    def test_standard_output_and_json_have_it_too(self):
        done = run("run", STORIES, "Once", "--raw", "--max-tokens", "2", "--receipt", "-")
        text, receipt = done.stdout.rsplit("\n", 2)[:2]
        self.assertNotEqual(text, "")
        self.assertEqual(run("replay", "-", STORIES, stdin=receipt).returncode, SAME)
        done = run("run", STORIES, "Once", "--raw", "--max-tokens", "2", "--receipt", self.file, "--json")
        self.assertEqual(json.loads(done.stdout)["receipt"], json.loads(Path(self.file).read_text(encoding="utf-8")))

    def test_hashes_alone_want_the_prompt(self):
        receipt = self.make("--receipt-hash-only")
        self.assertNotIn("token_ids", receipt["prompt"])
        done = run("replay", self.file, STORIES)
        self.assertEqual((done.returncode, done.stdout), (2, ""))
        ids = json.loads(run("tokenize", STORIES, "Once upon", "--json").stdout)["ids"]
        self.assertEqual(run("replay", self.file, STORIES, "--prompt-ids", ",".join(map(str, ids))).returncode, SAME)

    def test_another_model_is_named_and_its_answer_differs(self):
        self.make("--seed", "1")
        other = self.folder / "other.gguf"
        shutil.copyfile(STORIES, other)
        with open(other, "r+b") as file:
            file.seek(-2000, 2)
            file.write(bytes(range(200)))
        done = run("replay", self.file, str(other))
        self.assertIn(done.returncode, (SAME, DIFFERENT))
        self.assertIn("note: model: SHA-256 of its files", done.stderr)
        done = run("replay", self.file, str(DATA / "models" / "llama"))
        self.assertEqual(done.returncode, DIFFERENT, done.stderr)
        self.assertRegex(done.stdout, r"\Adifferent: choice 0 from token \d+ on\n\Z|\Adifferent: there is no such answer\n\Z")
        done = run("replay", self.file, STORIES, "--device", "reference", "--kv-dtype", "f16")
        self.assertIn("device: reference here, cpu in the receipt", done.stderr)
        self.assertIn("kv_dtype: f16 here, f32 in the receipt", done.stderr)

    def test_settings_are_those_of_the_receipt(self):
        self.make("--device", "reference", "--kv-dtype", "f16", "--kv-block-size", "16", "--fast-activations",
                  "--max-model-len", "100")
        done = run("replay", self.file, STORIES)
        self.assertEqual((done.returncode, done.stderr), (SAME, ""))

    def test_what_was_changed_is_found(self):
        receipt = self.make()
        receipt["options"]["top_k"] = 49
        Path(self.file).write_text(json.dumps(receipt), encoding="utf-8")
        done = run("replay", self.file, STORIES)
        self.assertEqual((done.returncode, done.stdout), (5, ""))
        self.assertIn("receipt: was changed", done.stderr)

    def test_a_model_of_the_store_needs_no_name(self):
        home = {"OPENLLM_HOME": str(self.folder / "home")}
        self.assertEqual(run("models", "add", "me/tiny", STORIES, environment=home).returncode, 0)
        made = run("run", "me/tiny", "Once", "--raw", "--max-tokens", "3", "--receipt", self.file, environment=home)
        self.assertEqual(made.returncode, 0, made.stderr)
        self.assertEqual(run("replay", self.file, environment=home).returncode, SAME)
        stored = next(iter(json.loads(Path(p).read_text(encoding="utf-8"))["sha256"]
                           for p in (self.folder / "home").rglob("model.json")))
        self.assertEqual(json.loads(Path(self.file).read_text(encoding="utf-8"))["model"]["sha256"], stored)
        done = run("replay", self.file, environment={"OPENLLM_HOME": str(self.folder / "empty")})
        self.assertEqual((done.returncode, done.stdout), (3, ""))
        self.assertIn("me/tiny, is not in the store (give MODEL", done.stderr)

    def test_wrong_use(self):
        kept = self.folder / "letter.txt"
        kept.write_text("dear", encoding="utf-8")
        done = run("run", STORIES, "Once", "--raw", "--receipt", str(kept))
        self.assertEqual((done.returncode, done.stdout, kept.read_text(encoding="utf-8")), (2, "", "dear"))
        for arguments in (["--receipt-hash-only"], ["--receipt", ""]):
            self.assertEqual(run("run", STORIES, "Once", "--raw", *arguments).returncode, 2)
        self.assertEqual(run("replay", str(self.folder / "none.json"), STORIES).returncode, 3)
        self.assertEqual(run("replay", str(kept), STORIES).returncode, 2)


def on_command_line(row, value):
    """The value of a row of the table as its option takes it."""
    option = row["option"].split(",")[0]
    if row["type"] == "boolean":
        return [option]
    if row["type"] in ("token ids", "token id or ids"):
        value = ",".join(map(str, value))
    elif row["type"] == "numbers of token ids":
        value = ",".join("%s=%s" % pair for pair in value.items())
    elif row["type"] == "texts":
        value = value[0]
    elif not isinstance(value, str):
        value = json.dumps(value)
    return ["%s=%s" % (option, value)]


class Matrix(unittest.TestCase):
    """What stands under `native` is so on the command line."""

    @classmethod
    def setUpClass(cls):
        cls.rows = json.loads(run("fields", "--json").stdout)
        cls.samples = json.loads((DATA / "field_values.json").read_text(encoding="utf-8"))

    def test_n13_each_row_has_all_backends(self):
        names = [backend["name"] for backend in json.loads(run("backends", "--json").stdout)["backends"]]
        text = run("fields").stdout
        for row in self.rows:
            self.assertEqual(list(row["backends"]), names)
            self.assertEqual(row["backends"]["native"]["works"], row["supported"], row["name"])
            for answer in row["backends"].values():
                self.assertEqual(answer["reason"] is None, answer["works"])
            if row.get("bodies_only"):
                continue
            cells = r"\s+".join("yes" if answer["works"] else r"(no|-)" for answer in row["backends"].values())
            self.assertRegex(text, r"\n  %s\s+%s\s*\n" % (row["name"], cells))

    def test_n13_what_works_is_taken(self):
        with tempfile.TemporaryDirectory() as folder:
            chat_model = write_chat_model(folder)
            Path(folder, "chat_template.jinja").write_text(
                "{{ mood }}{% if tools %}{{ tools | length }}{% endif %}{% for m in messages %}{{ m.role }}{{ m.content }}"
                "{% endfor %}{% if add_generation_prompt %}!{% endif %}")
            for row in self.rows:
                if not row["supported"] or "command line" not in row["ways"]:
                    continue
                sample = self.samples[row["name"]]
                if "request_id" == row["name"] or "configuration" in row["ways"] and row["name"] == "eos_token_id":
                    continue  # of configurations alone; shown below
                beside = {"max_new_tokens": 6, **sample.get("beside", {}), row["name"]: sample["value"]}
                options = []
                for name, value in beside.items():
                    other = next(r for r in self.rows if r["name"] == name)
                    is_flag = other.get("type") == "boolean" and name != row["name"]
                    if value is None or is_flag and value == other["default"]:
                        continue
                    options += on_command_line(other, value)
                mode = [] if sample.get("messages") else ["--raw"]
                done = run("run", chat_model, "Hi", *mode, "--json", *options)
                refused = {"not_found": 3}.get(sample.get("refused"), 0)
                self.assertEqual(done.returncode, refused, "%s: %s" % (options, done.stderr))
                if refused:
                    self.assertIn(row["name"], done.stderr)

    def test_n13_what_does_not_work_is_refused_by_name(self):
        for row in self.rows:
            if row["supported"] or row["bodies_only"]:
                continue
            neutral = [json.loads(value) for value in row["neutral"]]
            value = next(v for v in (7, True, "x") if v not in neutral)
            option = "--" + row["name"].replace("_", "-")
            done = run("run", STORIES, "Hi", "--raw", "%s=%s" % (option, json.dumps(value).strip('"')))
            self.assertEqual((done.returncode, done.stdout), (4, ""), "%s: %s" % (option, done.stderr))
            self.assertIn(option, done.stderr)


if __name__ == "__main__":
    main()
