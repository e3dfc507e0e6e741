"""What is kept on this machine: rm --hub, verify, prune, du, models, and how downloads go on, against a hub of the test's own.

    cli_kept_test.py PROGRAM TEST_DATA_FOLDER
"""

import fcntl
import json
import os
import pty
import re
import select
import shlex
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import unittest
from pathlib import Path

from cli_program import DATA, PROGRAM, TIMEOUT, TINY, main, run
from fake_hub import COMMIT, FakeHub

HF_FOLDER = str(DATA / "stories260K/hf")
GGUF = (DATA / "stories260K/stories260K.gguf").read_bytes()
OTHER_GGUF = GGUF + b"\0" * 4096


class Kept(unittest.TestCase):
    REPOS = {"org/tiny": HF_FOLDER}

    def setUp(self):
        self.hub = FakeHub(self.REPOS)
        self.addCleanup(self.hub.close)
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)
        self.cache = self.root / "cache"
        self.store = self.root / "store"
        self.environment = {"HF_ENDPOINT": self.hub.address, "HF_HUB_CACHE": str(self.cache), "HF_HUB_OFFLINE": "0",
                            "OPENLLM_HOME": str(self.store)}

    def openllm(self, *words, **variables):
        return run(*words, environment={**self.environment, **variables})

    def json(self, *words, **variables):
        result = self.openllm(*words, **variables)
        self.assertEqual(result.returncode, 0, result.stderr)
        return json.loads(result.stdout)

    def check_refused(self, result, status, *words):
        self.assertEqual(result.returncode, status, result.stderr)
        for word in words:
            self.assertIn(word, result.stderr)

    def pull(self, model="org/tiny"):
        self.json("pull", model)
        return self.cache / ("models--" + model.split(":")[0].replace("/", "--"))

    def move_main(self, commit):
        """From now on the branch main is this commit, of the same files."""
        def fault(handler):
            reply = handler.reply
            handler.reply = lambda status, body=b"", **fields: reply(status, body.replace(COMMIT.encode(), commit.encode()), **fields)
            handler.path = handler.path.replace(commit, COMMIT)

        self.hub.fault = fault

    def names(self):
        return [(model["name"], model["origin"]) for model in self.json("models", "--json")]


class Remove(Kept):
    REPOS = {"org/tiny": HF_FOLDER, "org/files": {"tiny-Q8_0.gguf": GGUF, "tiny-Q4_0.gguf": OTHER_GGUF}}

    def test_the_cache_is_others_too_so_it_has_to_be_named(self):
        folder = self.pull()
        self.check_refused(self.openllm("rm", "org/tiny"), 2, "Hugging Face cache", "--hub")
        self.check_refused(self.openllm("rm", "org/none"), 3, "org/none")
        self.check_refused(self.openllm("rm", "--hub", "org/none"), 3, "org/none")
        self.json("import", TINY, "--model-name", "me/own")
        self.check_refused(self.openllm("rm", "--hub", "me/own"), 3, "the store has it")
        self.assertEqual(self.openllm("verify", "org/tiny").returncode, 0)
        removed = self.json("rm", "org/tiny", "--hub", "--json")
        self.assertEqual(removed["removed"], [{"name": "org/tiny", "version": COMMIT, "origin": "hub"}])
        self.assertGreater(removed["bytes"], 1000000)
        self.assertFalse(folder.exists())
        self.assertEqual(self.names(), [("me/own", "store")])
        self.assertEqual(self.json("rm", "me/own", "--json")["removed"][0]["origin"], "store")

    def test_one_of_several_files_goes_alone(self):
        self.pull("org/files:Q8_0")
        self.pull("org/files:Q4_0")
        sizes = {model["name"]: model["bytes"] for model in self.json("models", "--json")}
        self.assertEqual(sizes, {"org/files:Q4_0": len(OTHER_GGUF), "org/files:Q8_0": len(GGUF)})
        self.assertEqual(self.openllm("rm", "--hub", "org/files:Q4_0").returncode, 0)
        self.assertEqual(self.names(), [("org/files:Q8_0", "hub")])
        self.assertEqual(len(list((self.cache / "models--org--files/blobs").iterdir())), 1)
        self.assertEqual(self.openllm("rm", "--hub", "org/files:Q8_0").returncode, 0)
        self.assertFalse((self.cache / "models--org--files").exists())

    def test_nothing_goes_behind_a_link(self):
        folder = self.pull()
        shared = self.root / "shared"
        blobs = sorted((folder / "blobs").iterdir())
        blobs[0].rename(shared)
        blobs[0].symlink_to(shared)
        elsewhere = self.root / "elsewhere"
        shutil.copytree(folder, elsewhere, symlinks=True)
        (self.cache / "models--org--other").symlink_to(elsewhere)
        self.check_refused(self.openllm("rm", "--hub", "org/other"), 4, "is a link")
        self.assertEqual(self.openllm("rm", "--hub", "org/tiny").returncode, 0)
        self.assertTrue(shared.exists())
        self.assertEqual(len(list((elsewhere / "blobs").iterdir())), len(blobs))


class Verify(Kept):
    def test_the_cache_is_compared_with_what_the_hub_listed_and_no_hub_is_asked(self):
        folder = self.pull()
        self.json("import", TINY, "--model-name", "me/own", "--model-version", "1")
        n = len(self.hub.requests)
        self.assertEqual(self.openllm("verify").stdout, "me/own:1: ok\norg/tiny@%s: ok\n" % COMMIT)
        snapshot = folder / "snapshots" / COMMIT
        for name in ("config.json", "model.safetensors"):  # a git blob, and one in large-file storage
            data = bytearray((snapshot / name).read_bytes())
            data[-1] ^= 1
            (snapshot / name).resolve().write_bytes(data)
        for words in ([], ["org/tiny"], ["org/tiny@main"]):
            result = self.openllm("verify", *words, "--json")
            self.assertEqual(result.returncode, 5, result.stderr)
            problems = [p for entry in json.loads(result.stdout) for p in entry["problems"]]
            self.assertEqual(sorted(p["file"] for p in problems), ["config.json", "model.safetensors"])
            self.assertTrue(all("other bytes" in p["reason"] for p in problems))
        self.assertEqual(len(self.hub.requests), n)

    def test_what_is_no_longer_whole_is_told_of_too(self):
        folder = self.pull()
        (folder / "snapshots" / COMMIT / "model.safetensors").resolve().unlink()
        self.assertEqual(self.names(), [])
        self.check_refused(self.openllm("verify"), 5, "model.safetensors leads to no file")
        self.check_refused(self.openllm("verify", "org/tiny"), 5, "model.safetensors leads to no file")
        self.check_refused(self.openllm("verify", "org/tinny"), 3, "org/tinny")


class Prune(Kept):
    def setUp(self):
        super().setUp()
        self.folder_of_model = self.pull()
        blobs = self.folder_of_model / "blobs"
        self.cut = blobs / ("a" * 64 + ".openllm.incomplete")
        self.record = blobs / ("a" * 64 + ".openllm.parts")
        self.old = blobs / ("b" * 64 + ".1234abcd.incomplete")
        self.new = blobs / ("c" * 64 + ".1234abcd.incomplete")
        self.blob = blobs / ("d" * 64)
        for path, size in ((self.cut, 5), (self.record, 64), (self.old, 6), (self.new, 7), (self.blob, 8)):
            path.write_bytes(b"x" * size)
        os.utime(self.old, (1, 1))
        self.link = self.folder_of_model / "snapshots" / COMMIT / "gone.txt"
        self.link.symlink_to("../../blobs/" + "e" * 64)
        self.all = [self.cut, self.old, self.blob, self.link]

    def listed(self, *words):
        return [(entry["path"], entry["bytes"]) for entry in self.json("prune", *words, "--json")]

    def test_a_dry_run_deletes_nothing(self):
        expected = [(str(path), size) for path, size in zip(self.all, (5, 6, 8, 0))]
        self.assertEqual(self.listed("--dry-run"), expected)
        self.assertIn("would be deleted", self.openllm("prune", "-n").stderr)
        self.assertTrue(all(os.path.lexists(path) for path in self.all))
        self.check_refused(self.openllm("prune"), 2, "-y", "--dry-run", str(self.cut))
        self.assertEqual(self.listed("-y"), expected)
        self.assertFalse(any(os.path.lexists(path) for path in self.all + [self.record]))
        self.assertTrue(self.new.exists())
        self.assertEqual(self.listed("-y"), [])
        self.assertEqual(self.openllm("verify").returncode, 0)

    def test_what_somebody_works_with_stays(self):
        locks = self.cache / ".locks" / self.folder_of_model.name
        with open(locks / ("a" * 64 + ".lock"), "w", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self.assertNotIn(str(self.cut), dict(self.listed("-n")))
            self.assertIn(str(self.blob), dict(self.listed("-n")))
        with open(locks / "openllm.lock", "w", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH)
            self.assertEqual(self.listed("-y"), [])
            self.check_refused(self.openllm("rm", "--hub", "org/tiny"), 10, "is being downloaded")

    def test_a_terminal_is_asked_about_each(self):
        terminal, program = pty.openpty()
        with subprocess.Popen([PROGRAM, "prune"], stdin=program, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True, env={**os.environ, **self.environment}) as process:
            os.write(terminal, b"n\nn\ny\nn\n")
            _, err = process.communicate(timeout=TIMEOUT)
        os.close(program)
        os.close(terminal)
        self.assertEqual(process.returncode, 0, err)
        self.assertEqual(err.count("[y/N]"), 4)
        self.assertEqual([os.path.lexists(path) for path in self.all], [True, True, False, True])

    def test_folders_behind_links_are_not_looked_at(self):
        elsewhere = self.root / "elsewhere"
        (self.folder_of_model / "blobs").rename(elsewhere)
        (self.folder_of_model / "blobs").symlink_to(elsewhere)
        self.assertEqual(self.listed("-y"), [])


class Usage(Kept):
    REPOS = {"org/tiny": HF_FOLDER, "org/twin": HF_FOLDER}

    def test_each_file_counts_once(self):
        self.json("import", TINY, "--model-name", "me/own", "--model-version", "1")
        self.pull()
        twin = self.pull("org/twin")
        before = self.json("du", "--json")
        sizes = {(model["name"], model["origin"]): model["bytes"] for model in before["models"]}
        self.assertEqual(set(sizes), {("me/own", "store"), ("org/tiny", "hub"), ("org/twin", "hub")})
        self.assertEqual(sizes["org/tiny", "hub"], sum(path.stat().st_size for path in (twin / "snapshots" / COMMIT).iterdir()))
        self.assertEqual(before["bytes"], sum(sizes.values()))
        # One blob of the twin becomes that of the other model.
        blob = (twin / "snapshots" / COMMIT / "model.safetensors").resolve()
        blob.unlink()
        os.link(self.cache / "models--org--tiny/blobs" / blob.name, blob)
        (twin / "blobs" / ("f" * 64)).write_bytes(b"1234")
        after = self.json("du", "--json")
        shared = blob.stat().st_size
        self.assertEqual(after["bytes"], before["bytes"] - shared + 4)
        self.assertEqual({model["name"]: model["shared_bytes"] for model in after["models"]},
                         {"me/own": 0, "org/tiny": shared, "org/twin": shared})
        origins = {origin["origin"]: origin for origin in after["origins"]}
        self.assertEqual(origins["hub"]["unused_bytes"], 4)
        self.assertEqual(origins["hub"]["bytes"], 2 * sizes["org/tiny", "hub"] - shared + 4)
        self.assertEqual(origins["store"]["bytes"], sizes["me/own", "store"])
        self.assertEqual(self.json("du", "ORG/twin:main", "--json")["bytes"], sizes["org/twin", "hub"])
        self.check_refused(self.openllm("du", "org/none"), 3, "org/none")
        table = self.openllm("du").stdout
        for word in ("org/twin", "store", "total", str(self.cache)):
            self.assertIn(word, table)


class Models(Kept):
    REPOS = {"org/tiny": HF_FOLDER, "org/foo": {"config.json": b'{"architectures":["FooForCausalLM"],"model_type":"foo"}',
                                                   "model.safetensors": (8).to_bytes(8, "little") + b"{}      "}}

    def test_what_it_is_and_what_runs_it(self):
        self.json("import", TINY, "--model-name", "me/own", "--model-version", "1")
        self.pull()
        self.pull("org/foo")
        models = {model["name"]: model for model in self.json("models", "--json")}
        self.assertEqual(list(models), ["me/own", "org/foo", "org/tiny"])
        self.assertEqual(models["org/tiny"]["backends"], ["native"])
        self.assertEqual((models["org/tiny"]["origin"], models["org/tiny"]["reason"]), ("hub", None))
        self.assertEqual(models["org/foo"]["backends"], [])
        self.assertIn("got foo", models["org/foo"]["reason"])
        sizes = [model["bytes"] for model in self.json("models", "--json", "--sort", "size")]
        self.assertEqual(sizes, sorted(sizes, reverse=True))
        self.assertEqual([model["origin"] for model in self.json("models", "--json", "--sort", "origin")],
                         ["hub", "hub", "store"])
        self.check_refused(self.openllm("models", "--sort", "age"), 2, "name, size, used or origin")
        table = self.openllm("models", "list").stdout
        self.assertRegex(table.splitlines()[0], r"^NAME +VERSION +FORMAT +ORIGIN +SIZE +USED +BACKENDS$")
        self.assertEqual(self.openllm("models", "--names").stdout, "me/own\norg/foo\norg/tiny\n")

    def test_looking_is_no_use_and_running_is(self):
        folder = self.pull()
        self.json("import", TINY, "--model-name", "me/own", "--model-version", "1")
        for path in [*folder.glob("blobs/*"), *self.store.glob("models/me/own/1/*")]:
            os.utime(path, (1000000, 1000000))
        os.utime(next(self.store.glob("models/me/own/1/config.json")), (2000000, 2000000))
        for _ in range(2):
            self.openllm("verify")
            used = {model["name"]: model["last_used"] for model in self.json("models", "--json", "--sort", "used")}
            self.assertEqual(list(used.items()), [("me/own", 2000000), ("org/tiny", 1000000)])
        self.openllm("run", "org/tiny", "--raw", "Once", "--max-tokens", "1")
        models = self.json("models", "--json", "--sort", "used")
        self.assertEqual(models[0]["name"], "org/tiny")
        self.assertGreater(models[0]["last_used"], 1700000000)

    def test_parts_are_shown_as_such(self):
        self.pull()
        blobs = self.cache / "models--org--cut/blobs"
        blobs.mkdir(parents=True)
        (blobs / ("a" * 64 + ".openllm.incomplete")).write_bytes(b"12345")
        lacking = self.cache / "models--org--lacking/snapshots" / COMMIT
        lacking.mkdir(parents=True)
        (lacking / "config.json").write_text("{}")
        self.assertEqual(self.names(), [("org/tiny", "hub")])
        partial = {m["name"]: m for m in self.json("models", "--all", "--json") if m["partial"]}
        self.assertEqual(sorted(partial), ["org/cut", "org/lacking"])
        self.assertEqual((partial["org/cut"]["bytes"], partial["org/cut"]["version"]), (5, None))
        self.assertIn("was cut", partial["org/cut"]["reason"])
        self.assertIn("lacks", partial["org/lacking"]["reason"])
        self.assertIn("partial", self.openllm("models", "--all").stdout)


class Downloads(Kept):
    def setUp(self):
        super().setUp()
        self.wait = threading.Event()
        self.came = threading.Event()

    def tearDown(self):
        self.wait.set()

    def hold_weights(self):
        """Half of the weights come; the rest only when `wait` is set."""
        def fault(handler):
            if not handler.server.is_storage or self.wait.is_set():
                return False
            data = self.hub.blobs[handler.path.strip("/")]
            if len(data) < 100000:
                return False
            match = re.fullmatch(r"bytes=(\d+)-\d*", handler.headers.get("Range", ""))
            begin = int(match[1]) if match else 0
            handler.send_response(206 if match else 200)
            if match:
                handler.send_header("Content-Range", "bytes %d-%d/%d" % (begin, len(data) - 1, len(data)))
            handler.send_header("Content-Length", str(len(data) - begin))
            handler.end_headers()
            handler.wfile.write(data[begin:begin + (len(data) - begin) // 2])
            handler.wfile.flush()
            self.came.set()
            self.wait.wait(TIMEOUT)
            handler.close_connection = True
            return True

        self.hub.fault = fault

    @staticmethod
    def bytes_of_parts(blobs):
        return sum(path.stat().st_blocks * 512 for path in blobs.glob("*.openllm.incomplete")
                   if path.stat().st_size > 100000)

    def test_json_lines_and_then_the_result(self):
        result = self.openllm("pull", "org/tiny", "--json")
        self.assertEqual(result.returncode, 0, result.stderr)
        *lines, last = [json.loads(line) for line in result.stdout.splitlines()]
        self.assertEqual(last, {"state": "ADDED", "backend": "native", "tag": "native-org--tiny:" + COMMIT})
        files = {line["file"] for line in lines}
        self.assertIn("model.safetensors", files)
        self.assertEqual({line["state"] for line in lines}, {"downloading"})
        self.assertEqual(set(lines[0]), {"state", "file", "bytes", "total", "bytes_per_s", "seconds_left"})
        self.assertEqual(lines[-1]["bytes"], lines[-1]["total"])
        self.assertEqual(lines[-1]["seconds_left"], 0)
        self.assertEqual(len(self.openllm("pull", "org/tiny", "--json").stdout.splitlines()), 1)

    def test_without_a_terminal_a_line_for_each_file(self):
        result = self.openllm("pull", "org/tiny")
        self.assertEqual(len(result.stdout.splitlines()), 1)
        self.assertNotIn("\r", result.stderr)
        self.assertEqual(result.stderr.count("fetching model.safetensors"), 1)
        self.assertEqual(self.openllm("run", "org/tiny", "--raw", "hi", "--max-tokens", "1", "-q").stderr, "")

    def test_ctrl_c_keeps_what_came_and_says_so(self):
        self.hold_weights()
        blobs = self.cache / "models--org--tiny/blobs"
        for words in (["pull", "org/tiny"], ["run", "org/tiny", "hi"], ["start", "org/tiny", "--port", "0"]):
            before = self.bytes_of_parts(blobs)
            with subprocess.Popen([PROGRAM, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                  text=True, env={"PATH": os.environ["PATH"], **self.environment}) as process:
                end = time.monotonic() + TIMEOUT
                while self.bytes_of_parts(blobs) == before and time.monotonic() < end:
                    time.sleep(0.005)
                process.send_signal(signal.SIGINT)
                _, err = process.communicate(timeout=TIMEOUT)
            self.assertEqual(process.returncode, 130, (words, err))
            self.assertIn("what has come stays, and the same command goes on from there", err)
        partial = self.json("models", "--all", "--json")
        self.assertEqual([(m["name"], m["partial"]) for m in partial], [("org/tiny", True)])
        self.assertGreater(partial[0]["bytes"], 0)
        self.wait.set()
        self.hub.n_bytes = 0
        total = sum(len(data) for data in self.hub.repos["org/tiny"].values())
        self.assertEqual(self.openllm("pull", "org/tiny").returncode, 0)
        self.assertLess(self.hub.n_bytes, total)

    def test_a_terminal_sees_how_far_it_is(self):
        self.hold_weights()
        pid, fd = pty.fork()
        if pid == 0:
            os.environ.update({"TERM": "xterm", **self.environment})
            os.execv(PROGRAM, [PROGRAM, "pull", "org/tiny"])
        seen = ""
        end = time.monotonic() + TIMEOUT
        while "{\"state\"" not in seen and time.monotonic() < end:
            if select.select([fd], [], [], 0.2)[0]:
                try:
                    seen += os.read(fd, 65536).decode("utf-8", "replace")
                except OSError:
                    break
            if self.came.is_set():
                self.wait.set()
        os.waitpid(pid, 0)
        os.close(fd)
        self.assertRegex(seen, r"model\.safetensors  \d+ %  [\d.]+ MB of [\d.]+ MB")
        self.assertIn("ADDED", seen)

    def test_refresh_asks_what_the_branch_is_now(self):
        self.json("pull", "org/tiny")
        newer = "d" * 40
        self.move_main(newer)
        n = len(self.hub.requests)
        self.assertEqual(self.json("pull", "org/tiny")["tag"], "native-org--tiny:" + COMMIT)
        self.assertEqual(len(self.hub.requests), n)
        self.assertEqual(self.json("pull", "org/tiny", "--refresh"),
                         {"state": "ADDED", "backend": "native", "tag": "native-org--tiny:" + newer})
        self.assertEqual(self.json("pull", "org/tiny", "--refresh")["state"], "EXISTS")
        self.assertEqual(self.json("pull", "org/tiny")["tag"], "native-org--tiny:" + newer)
        result = self.openllm("run", "org/tiny", "--refresh", "--raw", "Once", "--max-tokens", "1")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertGreater(len(self.hub.requests), n)
        built = self.root / "built"
        self.assertEqual(self.openllm("build", "org/tiny", "--refresh", "-o", str(built)).returncode, 0)
        self.assertNotIn("refresh", (built / "openllm.json").read_text())  # the folder's server asks no hub

    def test_refresh_is_never_ignored(self):
        self.json("import", TINY, "--model-name", "me/own")
        self.check_refused(self.openllm("run", "me/own", "hi", "--refresh"), 2, "refresh", "is in the store")
        self.check_refused(self.openllm("pull", "me/own", "--refresh"), 2, "--refresh")
        self.check_refused(self.openllm("pull", TINY, "--refresh"), 2, "--refresh")
        self.check_refused(self.openllm("run", TINY, "hi", "--refresh"), 2, "refresh", "path")
        self.json("pull", "org/tiny")
        self.check_refused(self.openllm("run", "org/tiny", "hi", "--refresh", "--offline"), 2, "refresh")
        self.check_refused(self.openllm("run", "org/tiny", "hi", "--refresh", HF_HUB_OFFLINE="1"), 8, "HF_HUB_OFFLINE")
        self.check_refused(self.openllm("run", "org/tiny", "hi", "--refresh", HF_ENDPOINT="http://127.0.0.1:1"), 8,
                           "cannot reach")


class LetterCase(Kept):
    REPOS = {"Qwen/tiny": HF_FOLDER, "qwen/Tiny": HF_FOLDER}

    def test_n8_names_that_differ_in_letter_case_only(self):
        self.pull("Qwen/tiny")
        self.assertEqual(self.json("pull", "QWEN/tiny")["tag"], "native-qwen--tiny:" + COMMIT)  # the only one
        self.assertEqual(self.names(), [("Qwen/tiny", "hub")])
        other = self.cache / "models--qwen--Tiny"
        shutil.copytree(self.cache / "models--Qwen--tiny", other, symlinks=True)
        for words in (["run", "QWEN/TINY", "hi"], ["verify", "QWEN/TINY"], ["rm", "--hub", "QWEN/TINY"], ["du", "QWEN/TINY"],
                      ["rm", "QWEN/TINY"], ["pull", "QWEN/TINY"]):
            self.check_refused(self.openllm(*words, HF_HUB_OFFLINE="1"), 2, "ambiguous", "Qwen/tiny or qwen/Tiny")
        for name in ("Qwen/tiny", "qwen/Tiny"):
            self.assertEqual(Path(self.json("info", name, "--json")["path"]).parent.parent.name,
                             "models--" + name.replace("/", "--"))
        self.assertEqual(self.openllm("rm", "--hub", "qwen/Tiny").returncode, 0)
        self.assertEqual(self.names(), [("Qwen/tiny", "hub")])

    def test_n8_one_in_the_store_and_one_in_the_cache(self):
        self.pull("Qwen/tiny")
        self.json("import", TINY, "--model-name", "qwen/Tiny", "--model-version", "1")
        self.check_refused(self.openllm("run", "QWEN/TINY", "hi"), 2, "ambiguous", "qwen/Tiny or Qwen/tiny")
        self.assertEqual(self.json("info", "qwen/Tiny", "--json")["path"], str(self.store / "models/qwen/Tiny/1"))
        self.assertIn("models--Qwen--tiny", self.json("info", "Qwen/tiny", "--json")["path"])
        self.check_refused(self.openllm("rm", "Qwen/tiny"), 2, "--hub")
        self.assertEqual(self.openllm("rm", "qwen/Tiny").returncode, 0)
        self.assertEqual(self.names(), [("Qwen/tiny", "hub")])

    def test_n8_two_in_the_store(self):
        self.json("import", TINY, "--model-name", "Qwen/tiny", "--model-version", "1")
        shutil.copytree(self.store / "models/Qwen/tiny", self.store / "models/qwen/Tiny")
        self.check_refused(self.openllm("info", "QWEN/TINY"), 2, "Qwen/tiny or qwen/Tiny")
        self.check_refused(self.openllm("rm", "QWEN/TINY"), 2, "Qwen/tiny or qwen/Tiny")
        self.check_refused(self.openllm("info", "native-qwen--tiny:1"), 2, "Qwen/tiny or qwen/Tiny")
        self.assertEqual(self.openllm("rm", "qwen/Tiny").returncode, 0)
        self.assertEqual(self.names(), [("Qwen/tiny", "store")])


class ReadOnly(Kept):
    def on_read_only(self, *commands):
        """Runs shell commands where store and cache are mounted read-only; their outputs, with the exit status behind."""
        mounts = "".join("mount --bind {0} {0} && mount -o remount,bind,ro {0} && ".format(shlex.quote(str(path)))
                         for path in (self.cache, self.store))
        script = "set -e; %strue; set +e; " % mounts + "".join("{ %s; } 2>&1; echo \"#$?\"; " % c for c in commands)
        result = subprocess.run(["unshare", "-rm", "sh", "-c", script], capture_output=True, text=True, timeout=TIMEOUT,
                                env={"PATH": os.environ["PATH"], **self.environment}, check=False)
        if "#" not in result.stdout:
            self.skipTest("no mounts of its own here: " + result.stderr.strip())
        return result.stdout

    def test_reading_works_and_writing_says_why_not(self):
        self.pull()
        self.json("import", TINY, "--model-name", "me/own", "--model-version", "1")
        (self.cache / "models--org--tiny/blobs" / ("a" * 64)).write_bytes(b"x")
        program = shlex.quote(PROGRAM)
        for words, status, said in (
                ("models", 0, "org/tiny"), ("verify", 0, "me/own:1: ok"), ("du", 0, "total"),
                ("run org/tiny --raw Once --max-tokens 2 --temperature 0", 0, ""),
                ("run me/own --prompt-ids 1,2 --max-tokens 2 --json", 0, "token_ids"),
                ("prune --dry-run", 0, "no model here needs it"), ("prune -y", 7, "Read-only file system"),
                ("rm me/own", 7, "Read-only file system"), ("rm --hub org/tiny", 7, "Read-only file system"),
                ("import %s --model-name me/new" % shlex.quote(TINY), 7, "Read-only file system"),
                ("pull org/tiny --refresh", 0, "EXISTS")):
            with self.subTest(words):
                output = self.on_read_only(program + " " + words)
                self.assertTrue(output.endswith("#%d\n" % status), output)
                self.assertIn(said, output)
        self.move_main("d" * 40)
        output = self.on_read_only(program + " pull org/tiny --refresh")
        self.assertTrue(output.endswith("#7\n"), output)
        self.assertIn("Read-only file system", output)


if __name__ == "__main__":
    main()
