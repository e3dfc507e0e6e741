#!/usr/bin/env python3
"""Models that other programs keep, ModelScope as the hub, and names that are near.

    cli_places_test.py PROGRAM TEST_DATA_FOLDER
"""

import hashlib
import http.server
import json
import os
import tempfile
import threading
import unittest
import urllib.parse
from pathlib import Path

from cli_program import DATA, STORIES, main, run

FOLDER = DATA / "stories260K/hf"
ONCE = ("--raw", "Once upon a time", "--max-tokens", "8", "--temperature", "0")


class ModelScope(http.server.BaseHTTPRequestHandler):
    """ModelScope with the repository "own/tiny.1"."""

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.server.requests.append((self.path, dict(self.headers)))
        url = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(url.query))
        if query.get("Revision") != "master":
            return self.reply(404, b'{"Code":404,"Message":"no such revision","Success":false}')
        if url.path == "/api/v1/models/own/tiny.1/repo/files":
            files = [{"Type": "blob", "Path": path.name, "Size": path.stat().st_size,
                      "Sha256": hashlib.sha256(path.read_bytes()).hexdigest()} for path in FOLDER.iterdir()]
            return self.reply(200, json.dumps({"Code": 200, "Data": {"Files": files}, "Success": True}).encode())
        if url.path == "/api/v1/models/own/tiny.1/repo":
            return self.reply(200, (FOLDER / query["FilePath"]).read_bytes())
        return self.reply(404, b'{"Code":404,"Message":"no such model","Success":false}')

    def reply(self, status, body):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Case(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)
        self.environment = {"OPENLLM_HOME": str(self.root / "store"), "HF_HUB_CACHE": str(self.root / "hub"),
                            "MODELSCOPE_CACHE": str(self.root / "modelscope"), "OLLAMA_MODELS": str(self.root / "ollama"),
                            "LLAMA_CACHE": str(self.root / "llama.cpp")}

    def openllm(self, *words, **variables):
        return run(*words, environment={**self.environment, **variables})

    def answer(self, model, **variables):
        result = self.openllm("run", model, *ONCE, **variables)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("there was a little girl", result.stdout)
        return result

    def check_refused(self, result, status, *words):
        self.assertEqual(result.returncode, status, result.stderr)
        for word in words:
            self.assertIn(word, result.stderr)

    def listed(self):
        return {model["name"]: model for model in json.loads(self.openllm("models", "--json").stdout)}

    def write_ollama(self, name):
        gguf = Path(STORIES).read_bytes()
        digest = hashlib.sha256(gguf).hexdigest()
        manifest = self.root / "ollama/manifests/registry.ollama.ai/library" / name
        blobs = self.root / "ollama/blobs"
        manifest.parent.mkdir(parents=True)
        blobs.mkdir()
        (blobs / ("sha256-" + digest)).write_bytes(gguf)
        manifest.write_text(json.dumps({"schemaVersion": 2, "layers": [
            {"mediaType": "application/vnd.ollama.image.model", "digest": "sha256:" + digest, "size": len(gguf)},
            {"mediaType": "application/vnd.ollama.image.template", "digest": "sha256:" + "0" * 64, "size": 1}]}))
        return digest


class Found(Case):
    def test_a_model_of_ollama_runs_in_place(self):
        digest = self.write_ollama("stories/260k")
        self.answer("ollama://stories:260k")
        model = self.listed()["ollama://stories:260k"]
        self.assertEqual((model["origin"], model["version"], model["format"]), ("ollama", digest[:12], "gguf"))
        self.assertIn("ollama://stories:260k", self.openllm("models").stdout)
        tag = "native-ollama:----stories:260k:" + digest[:12]
        self.assertEqual(self.openllm("run", "--model-tag", tag, *ONCE).returncode, 0)
        self.assertEqual(sorted(path.name for path in self.root.iterdir()), ["ollama"])
        self.check_refused(self.openllm("run", "ollama://storys:260k", "hi", HF_HUB_OFFLINE="0"), 3,
                           "`ollama pull storys:260k` fetches it", "did you mean ollama://stories:260k?")
        self.check_refused(self.openllm("run", "ollama://../x", "hi"), 2, "ollama://[[HOST/]NAMESPACE/]MODEL[:TAG]")

    def test_a_model_of_modelscopes_client_runs_in_place(self):
        place = self.root / "modelscope/models/own/tiny___1"
        place.parent.mkdir(parents=True)
        place.symlink_to(FOLDER.absolute(), target_is_directory=True)
        self.answer("own/tiny.1")
        self.answer("modelscope://own/tiny.1")
        self.assertEqual(self.listed()["own/tiny.1"]["origin"], "modelscope")

    def test_a_file_of_llama_cpp_runs_in_place(self):
        folder = self.root / "llama.cpp"
        folder.mkdir()
        (folder / "own_tiny-GGUF_tiny-F32.gguf").symlink_to(Path(STORIES).absolute())
        (folder / "manifest=own=tiny-GGUF=latest.json").write_text('{"ggufFile":{"rfilename":"tiny-F32.gguf"}}')
        self.answer("own/tiny-GGUF:F32")
        self.assertEqual(self.listed()["own/tiny-GGUF:F32"]["origin"], "llama.cpp")

    def test_a_name_that_nobody_has_brings_what_is_near(self):
        self.write_ollama("stories/260k")
        self.check_refused(self.openllm("run", "flacon", "hi"), 3, "did you mean falcon?")
        self.check_refused(self.openllm("run", "me/storyes", "hi"), 3, "did you mean ollama://stories:260k?")


class Fetched(Case):
    def setUp(self):
        super().setUp()
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), ModelScope)
        self.server.requests = []
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.addCleanup(self.server.server_close)
        self.addCleanup(self.server.shutdown)
        self.environment.update(MODELSCOPE_ENDPOINT="http://127.0.0.1:%d" % self.server.server_address[1],
                                MODELSCOPE_API_TOKEN="ms_secret", HF_TOKEN="hf_secret", HF_HUB_OFFLINE="0",
                                HF_ENDPOINT="http://127.0.0.1:1")

    def test_modelscope_is_a_hub(self):
        for variables in ({"OPENLLM_HUB": "modelscope"}, {"VLLM_USE_MODELSCOPE": "True"}):
            self.answer("own/tiny.1", **variables)
        n = len(self.server.requests)
        self.assertEqual(n, 1 + len(list(FOLDER.iterdir())), "one list, and each file once")
        self.answer("own/tiny.1", HF_HUB_OFFLINE="1")
        self.answer("modelscope://own/tiny.1@master")
        self.assertEqual(len(self.server.requests), n)
        snapshot = self.root / "modelscope/models/own--tiny.1/snapshots/master"
        self.assertEqual(sorted(path.name for path in snapshot.iterdir()), sorted(path.name for path in FOLDER.iterdir()))
        self.assertEqual(self.listed()["own/tiny.1"]["origin"], "modelscope")
        for path, fields in self.server.requests:
            self.assertEqual(fields.get("Authorization"), "Bearer ms_secret", path)
            self.assertEqual(fields.get("Cookie"), "m_session_id=ms_secret", path)

    def test_its_scheme_is_enough(self):
        result = self.openllm("pull", "modelscope://own/tiny.1")
        self.assertEqual((result.returncode, json.loads(result.stdout)["state"]), (0, "ADDED"), result.stderr)
        self.assertEqual(json.loads(result.stdout)["tag"], "native-own--tiny.1:master")

    def test_what_it_does_not_have(self):
        self.check_refused(self.openllm("pull", "modelscope://own/none"), 3, "has no own/none", "MODELSCOPE_API_TOKEN")
        self.check_refused(self.openllm("pull", "modelscope://own/tiny.1@v9"), 3, "own/tiny.1@v9", "no such revision")
        self.check_refused(self.openllm("run", "own/tiny.1", "hi", OPENLLM_HUB="elsewhere"), 2, "OPENLLM_HUB: unknown")


if __name__ == "__main__":
    main()
