#!/usr/bin/env python3
"""The commands that keep the model store: import, prune, rm, verify.

    cli_store_test.py PROGRAM TEST_DATA_FOLDER
"""

import json
import os
import pty
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

from cli_program import DATA, PROGRAM, STORIES, TIMEOUT, TINY, main, run

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Case(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.root = Path(self.folder.name)
        self.addCleanup(self.folder.cleanup)
        self.environment = {"OPENLLM_HOME": str(self.root / "store"), "HF_HUB_CACHE": str(self.root / "hub")}

    def openllm(self, *words, **options):
        return run(*words, environment=self.environment, **options)

    def json(self, *words):
        result = self.openllm(*words)
        self.assertEqual(result.returncode, 0, result.stderr)
        return json.loads(result.stdout)

    def check_refused(self, result, status, *words):
        self.assertEqual(result.returncode, status, result.stderr)
        self.assertRegex(result.stderr, r"\Aopenllm: error: [^\n]+\n\Z")
        for word in words:
            self.assertIn(word, result.stderr)

    def stored(self):
        return [(model["name"], model["version"]) for model in self.json("models", "--json")]

    def write_hub_model(self, commit=COMMIT, reference="main", repository="models--me--Tiny"):
        """A repository in the form of Hugging Face's cache: files are links to blobs."""
        folder = self.root / "hub" / repository
        snapshot = folder / "snapshots" / commit
        for part in (folder / "blobs", folder / "refs", snapshot):
            part.mkdir(parents=True, exist_ok=True)
        for path in Path(TINY).iterdir():
            if path.is_file():
                shutil.copy(path, folder / "blobs" / path.name)
                (snapshot / path.name).symlink_to("../../blobs/" + path.name)
        if reference:
            (folder / "refs" / reference).write_text(commit)
        return folder


class Import(Case):
    def test_a_path(self):
        added = self.json("import", TINY, "--model-name", "me/Tiny", "--model-version", "1")
        self.assertEqual(added, {"state": "ADDED", "backend": "native", "tag": "native-me--tiny:1"})
        self.assertEqual(self.json("pull", TINY, "--model-name", "me/Tiny", "--model-version", "1")["state"], "EXISTS")
        self.assertEqual(self.json("download", "me/tiny"), {**added, "state": "EXISTS"})
        self.assertEqual(self.json("import", "-m", added["tag"])["state"], "EXISTS")
        self.assertEqual(self.stored(), [("me/Tiny", "1")])

    def test_names_come_from_the_path(self):
        self.assertTrue(self.json("import", TINY)["tag"].startswith("native-llama:"))
        self.assertTrue(self.json("import", STORIES)["tag"].startswith("native-stories260k:"))
        odd = self.root / "a name!"
        odd.symlink_to(Path(TINY).absolute())
        self.check_refused(self.openllm("import", str(odd)), 2, "model_name", "a name!")

    def test_other_content_is_kept_unless_it_may_be_overwritten(self):
        named = ["--model-name", "me/one", "--model-version", "1"]
        self.json("import", TINY, *named)
        self.check_refused(self.openllm("import", STORIES, *named), 2, "exists with other content")
        self.assertEqual(self.json("import", STORIES, *named, "--overwrite")["state"], "OVERWRITE")
        self.assertEqual(self.json("models", "--json")[0]["format"], "gguf")
        self.assertEqual(self.openllm("verify").returncode, 0)

    def test_a_damaged_model_is_not_taken(self):
        cut = self.root / "cut.gguf"
        cut.write_bytes(Path(STORIES).read_bytes()[:5000])
        self.check_refused(self.openllm("import", str(cut)), 5, "cut.gguf")
        self.assertEqual(self.stored(), [])

    def test_what_hugging_face_has_in_its_cache(self):
        folder = self.write_hub_model()
        before = sorted(str(path) for path in folder.rglob("*"))
        there = self.json("import", "me/Tiny")
        self.assertEqual(there, {"state": "EXISTS", "backend": "native", "tag": "native-me--tiny:" + COMMIT})
        self.assertEqual([(m["name"], m["version"], m["origin"]) for m in self.json("models", "--json")],
                         [("me/Tiny", COMMIT, "hub")])
        # A path is copied into the store.
        for path, state in ((folder, "ADDED"), (folder / "snapshots" / COMMIT, "EXISTS")):
            self.assertEqual(self.json("import", str(path)), {**there, "state": state})
        self.assertEqual(sorted(str(path) for path in folder.rglob("*")), before)
        stored = Path(self.json("models", "--json")[0]["path"])
        self.assertFalse(any(path.is_symlink() for path in stored.iterdir()))
        self.assertEqual(self.openllm("verify", "me/tiny").returncode, 0)

    def test_n6_the_revision_that_is_named_is_the_one_that_comes(self):
        self.write_hub_model()
        other = "f" * 40
        folder = self.write_hub_model(other, "v1")
        config = folder / "snapshots" / other / "config.json"
        text = config.read_text()
        config.unlink()
        config.write_text(text + "\n")  # what v1 has is not what main has
        self.assertEqual(self.json("import", "me/Tiny", "--revision", "v1")["tag"], "native-me--tiny:" + other)
        self.assertEqual(self.json("import", "me/Tiny:" + COMMIT)["tag"], "native-me--tiny:" + COMMIT)
        sizes = {model["version"]: model["bytes"] for model in self.json("models", "--json")}
        self.assertEqual(sizes[other], sizes[COMMIT] + 1)
        missing = self.openllm("import", "me/Tiny", "--revision", "v2")
        self.check_refused(missing, 3, "me/Tiny:v2", "HF_HUB_OFFLINE forbids to fetch it")
        self.assertEqual(json.loads(missing.stdout)["state"], "NOT_FOUND")

    def test_n5_two_revisions_are_an_error(self):
        self.write_hub_model()
        self.check_refused(self.openllm("import", "me/Tiny:main", "--model-version", "v1"), 2, "main", "v1")

    def test_a_reference_does_not_lead_out_of_the_cache(self):
        folder = self.write_hub_model(reference=None)
        (folder / "refs/main").write_text("../../../../etc")
        self.assertEqual(self.json("import", "me/Tiny")["tag"], "native-me--tiny:" + COMMIT)  # the only one
        self.check_refused(self.openllm("import", "me/Tiny@main"), 3, "me/Tiny@main")
        self.assertEqual(self.json("import", "me/Tiny:" + COMMIT)["tag"], "native-me--tiny:" + COMMIT)
        self.check_refused(self.openllm("import", "me/Tiny", "--revision", "../../x"), 3, "../../x")

    def test_what_is_not_here_says_how_to_get_it(self):
        result = self.openllm("import", "Qwen/Qwen3-0.6B")
        self.check_refused(result, 3, "Qwen/Qwen3-0.6B", "HF_HUB_OFFLINE forbids to fetch it")
        self.assertEqual(json.loads(result.stdout), {"state": "NOT_FOUND", "backend": None, "tag": None})
        self.check_refused(self.openllm("import", "./nothing"), 3, "./nothing")
        self.check_refused(self.openllm("import", "llama"), 3, "llama stands for NousResearch/llama-2-7b-hf")
        self.check_refused(self.openllm("import"), 2, "MODEL")


class Verify(Case):
    def setUp(self):
        super().setUp()
        self.json("import", TINY, "--model-name", "me/tiny", "--model-version", "1")
        self.model = Path(self.json("models", "--json")[0]["path"])

    def problems(self, *words):
        result = self.openllm("verify", *words, "--json")
        self.assertEqual(result.returncode, 5, result.stderr)
        return {problem["file"]: problem["reason"] for entry in json.loads(result.stdout)
                for problem in entry["problems"]}

    def test_what_is_as_it_was(self):
        self.assertEqual(self.openllm("verify").stdout, "me/tiny:1: ok\n")
        self.assertEqual(self.openllm("verify", str(self.model)).returncode, 0)
        self.check_refused(self.openllm("verify", "me/tiy"), 3, "did you mean me/tiny?")
        self.check_refused(self.openllm("verify", TINY), 3, "nothing to compare")

    def test_each_difference_is_named(self):
        weights = self.model / "model.safetensors"
        data = bytearray(weights.read_bytes())
        data[-1] ^= 1
        weights.write_bytes(data)
        self.check_refused(self.openllm("verify", "me/tiny"), 5, "model.safetensors has other content")
        self.assertIn("model.safetensors", self.openllm("verify").stdout)
        (self.model / "config.json").unlink()
        (self.model / "more.txt").write_text("x")
        found = self.problems()
        self.assertEqual(sorted(found), ["config.json", "model.safetensors", "more.txt"])
        self.assertEqual((found["config.json"], found["more.txt"]), ("missing", "is not in the list"))
        weights.write_bytes(data[:-1])
        self.assertIn("another size", self.problems(str(self.model))["model.safetensors"])

    def test_a_model_from_before_files_had_hashes(self):
        path = self.model / "model.json"
        info = json.loads(path.read_text())
        self.assertEqual(sum(entry["bytes"] for entry in info.pop("files")), info["bytes"])
        path.write_text(json.dumps(info))
        self.assertEqual(self.openllm("verify").returncode, 0)
        (self.model / "config.json").write_text("{}")
        self.assertIn("files", self.problems("me/tiny")[None])

    def test_a_list_that_nobody_should_trust(self):
        path = self.model / "model.json"
        info = json.loads(path.read_text())
        for wrong in ("/etc/passwd", "../x", ""):
            info["files"][0]["path"] = wrong
            path.write_text(json.dumps(info))
            self.check_refused(self.openllm("verify"), 5, "leads out")
        for wrong in (5, {}, [{"path": "x"}], [{"path": 5, "bytes": 1, "sha256": ""}]):
            path.write_text(json.dumps({**info, "files": wrong}))
            self.check_refused(self.openllm("verify", str(self.model)), 5, "files")

    def test_a_folder_with_a_list_of_its_own(self):
        folder = self.root / "built"
        shutil.copytree(self.model, folder)
        info = json.loads((folder / "model.json").read_text())
        (folder / "model.json").unlink()
        (folder / "openllm.json").write_text(json.dumps({"tag": "x", "files": info["files"]}))
        result = run("verify", str(folder))  # without a store
        self.assertEqual(result.returncode, 0, result.stderr)
        (folder / "config.json").write_text("{}")
        self.check_refused(run("verify", str(folder)), 5, "config.json")


class Prune(Case):
    def setUp(self):
        super().setUp()
        self.json("import", TINY, "--model-name", "me/good", "--model-version", "1")
        store = self.root / "store"
        self.damaged = store / "models/me/bad/1"
        self.damaged.mkdir(parents=True)
        (self.damaged / "weights").write_bytes(b"12345")
        self.empty = store / "models/nobody"
        self.empty.mkdir()
        self.old = store / "tmp/old"
        self.old.mkdir(parents=True, exist_ok=True)
        os.utime(self.old, (1, 1))
        self.new = store / "tmp/new"  # somebody may be about to work there
        self.new.mkdir()
        self.all = [str(self.damaged), str(self.old), str(self.empty)]

    def left(self):
        return [path for path in self.all if os.path.exists(path)]

    def test_nothing_goes_unasked(self):
        self.check_refused(self.openllm("prune"), 2, "-y", str(self.damaged), "model.json")
        self.assertEqual(self.left(), self.all)

    def test_all_of_it_goes(self):
        removed = self.json("prune", "-y", "--json")
        self.assertEqual([entry["path"] for entry in removed], self.all)
        self.assertEqual([entry["bytes"] for entry in removed], [5, 0, 0])
        self.assertEqual(self.left(), [])
        self.assertTrue(self.new.exists())
        self.assertEqual(self.stored(), [("me/good", "1")])
        self.assertFalse(self.damaged.parent.exists())
        self.assertEqual(self.json("prune", "--json"), [])

    def test_a_terminal_is_asked_about_each(self):
        terminal, program = pty.openpty()
        with subprocess.Popen([PROGRAM, "prune"], stdin=program, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True, env={**os.environ, **self.environment}) as process:
            os.write(terminal, b"y\nn\n\n")
            out, err = process.communicate(timeout=TIMEOUT)
        os.close(program)
        os.close(terminal)
        self.assertEqual(process.returncode, 0, err)
        self.assertEqual(err.count("[y/N]"), 3)
        self.assertIn(str(self.damaged), out)
        self.assertEqual(self.left(), self.all[1:])


class Remove(Case):
    def test_by_its_short_name(self):
        self.json("import", TINY, "--model-name", "me/tiny")
        self.assertEqual(self.openllm("rm", "ME/tiny").returncode, 0)
        self.assertEqual(self.stored(), [])
        self.check_refused(self.openllm("rm", "me/tiny"), 3, "me/tiny")


if __name__ == "__main__":
    main()
