#!/usr/bin/env python3
"""The backend vllm in the program: servers that run, servers that it starts, servers that are killed.

    cli_vllm_test.py PROGRAM TEST_DATA_FOLDER
"""

import concurrent.futures
import json
import os
import signal
import tempfile
import threading
import time
import unittest
import urllib.error
import urllib.request
from pathlib import Path

import cli_program
from cli_program import DATA, PROGRAM, TIMEOUT, main, run
from fake_hub import FakeHub

MODEL = str(DATA / "stories260K/hf")
OPTIONS = ("--raw", "--max-tokens", "16", "--json")


class Server(cli_program.Server):
    def complete(self, **members):
        """Status and body of a short greedy answer."""
        body = {"prompt": "Once upon", "max_tokens": 16, "temperature": 0, **members}
        request = urllib.request.Request(self.address + "/v1/completions", json.dumps(body).encode(),
                                         {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
                return response.status, json.load(response)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def stream(self, prompt, at_second_event, **members):
        """The text of a stream, or the message of the error in it."""
        body = {"prompt": prompt, "max_tokens": 200, "temperature": 0, "ignore_eos": True, "stream": True, **members}
        request = urllib.request.Request(self.address + "/v1/completions", json.dumps(body).encode(),
                                         {"Content-Type": "application/json"})
        text, n_events = "", 0
        with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
            for line in response:
                if not line.startswith(b"data: {"):
                    continue
                chunk = json.loads(line[6:])
                if "error" in chunk:
                    return chunk["error"]["message"]
                text += "".join(choice["text"] for choice in chunk["choices"])
                n_events += 1
                if n_events == 2:
                    at_second_event()
        return text


def is_alive(pid):
    try:
        return Path("/proc/%d/stat" % pid).read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def ends(pid):
    for _ in range(TIMEOUT * 20):
        if not is_alive(pid):
            return True
        time.sleep(0.05)
    return False


def answer(result):
    return json.loads(result.stdout)["outputs"]


class Vllm(unittest.TestCase):
    def serve(self, *arguments, environment=None):
        server = Server(*arguments, environment=environment)
        self.addCleanup(lambda: server.process.poll() is None and server.kill())
        return server

    def folder(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        return Path(folder.name)


class Attach(Vllm):
    def test_answers_are_those_of_the_engine(self):
        server = self.serve(MODEL)
        for more in (["--temperature", "0"], ["--seed", "7", "--temperature", "0.9", "--n", "2"]):
            native = run("run", MODEL, "Once upon", *OPTIONS, *more, "--backend", "native")
            remote = run("run", MODEL, "Once upon", *OPTIONS, *more, "--backend", "vllm", "--vllm-url", server.address)
            self.assertEqual(remote.returncode, 0, remote.stderr)
            for left, right in zip(answer(native), answer(remote), strict=True):
                self.assertAlmostEqual(left.pop("cumulative_logprob"), right.pop("cumulative_logprob"), 4)
                for name in ("delta", "n_delta_tokens"):  # of the last step that was told
                    left.pop(name), right.pop(name)
                self.assertEqual(left, right)
        variables = {"OPENLLM_BACKEND": "vllm", "OPENLLM_VLLM_URL": server.address}
        self.assertEqual(answer(run("run", MODEL, "Once upon", *OPTIONS, "--temperature", "0", environment=variables))
                         [0]["finish_reason"], "length")
        # Options win over the environment, and a backend that was named has no use for the other's variables.
        native = run("run", MODEL, "Once upon", *OPTIONS, "--backend", "native", environment=variables)
        self.assertEqual(native.returncode, 0, native.stderr)

    def test_no_weights_are_needed_here(self):
        server = self.serve(MODEL, "--model-name", "far/away")
        bare = self.folder()
        for name in ("tokenizer.json", "tokenizer_config.json"):
            (bare / name).write_bytes((Path(MODEL) / name).read_bytes())
        wanted = answer(run("run", MODEL, "Once upon", *OPTIONS, "--temperature", "0"))
        for tokenizer in (str(bare), MODEL):
            got = run("run", "far/away", "Once upon", *OPTIONS, "--temperature", "0", "--backend", "vllm", "--vllm-url",
                      server.address, "--tokenizer", tokenizer)
            self.assertEqual(got.returncode, 0, got.stderr)
            self.assertEqual(answer(got)[0]["token_ids"], wanted[0]["token_ids"])
            self.assertEqual(answer(got)[0]["text"], wanted[0]["text"])
        missing = run("run", "far/away", "Once", "--backend", "vllm", "--vllm-url", server.address)
        self.assertEqual(missing.returncode, 3)
        self.assertIn("--tokenizer", missing.stderr)

    def test_of_a_model_that_only_servers_have_no_weights_are_fetched(self):
        hub = FakeHub({"org/tiny": MODEL})
        self.addCleanup(hub.close)
        server = self.serve(MODEL, "--model-name", "org/tiny")
        folder = self.folder()
        environment = {"HF_ENDPOINT": hub.address, "HF_HUB_CACHE": str(folder / "cache"), "HF_HUB_OFFLINE": "0",
                       "OPENLLM_HOME": str(folder / "store")}
        ask = ("run", "org/tiny", "Once upon", *OPTIONS, "--temperature", "0", "--vllm-url")

        def fetched():
            return {path.rsplit("/", 1)[1] for _, _, path, _ in hub.requests if "/resolve/" in path}

        wanted = answer(run("run", MODEL, "Once upon", *OPTIONS, "--temperature", "0"))
        for backend, offline in (("vllm", "0"), ("vllm", "1"), ("", "1")):
            got = run(*ask, server.address, environment={**environment, "OPENLLM_BACKEND": backend, "HF_HUB_OFFLINE": offline})
            self.assertEqual(got.returncode, 0, got.stderr)
            self.assertEqual(answer(got)[0]["token_ids"], wanted[0]["token_ids"])
            self.assertIn("tokenizer.json", fetched())
            self.assertNotIn("model.safetensors", fetched())
        # No such server: another backend runs it, with weights.
        got = run(*ask, "http://127.0.0.1:9", environment=environment)
        self.assertEqual(got.returncode, 0, got.stderr)
        self.assertEqual(answer(got)[0]["token_ids"], wanted[0]["token_ids"])
        self.assertIn("model.safetensors", fetched())

    def test_a_killed_server_loses_no_answer(self):
        """50 streams through a server of ours that has two places for its model; one of them is killed."""
        places = [self.serve(MODEL, "--threads", "1", "--max-wait", "0") for _ in range(2)]
        front = self.serve(MODEL, "--max-wait", "0", "--backend", "vllm", "--vllm-url", places[0].address, "--vllm-url", places[1].address)
        wanted = {}
        for i in range(5):
            prompt = "Once upon a time there were %d" % i
            wanted[prompt] = answer(run("run", MODEL, prompt, "--raw", "--max-tokens", "200", "--temperature", "0",
                                        "--ignore-eos", "--json", "--backend", "native"))[0]["text"]
        begun = threading.Semaphore(0)

        def stream(prompt):
            return prompt, front.stream(prompt, begun.release)

        with concurrent.futures.ThreadPoolExecutor(50) as pool:
            streams = [pool.submit(stream, prompt) for prompt in list(wanted) * 10]
            for _ in range(10):
                self.assertTrue(begun.acquire(timeout=TIMEOUT))
            places[0].kill()
            for result in streams:
                prompt, text = result.result(TIMEOUT)
                self.assertEqual(text, wanted[prompt])


class Launch(Vllm):
    def setUp(self):
        folder = self.folder()
        (folder / "vllm").symlink_to(Path(__file__).with_name("fake_vllm.py").absolute())
        self.log = folder / "log.json"
        self.environment = {"PATH": "%s:%s" % (folder, os.environ["PATH"]), "FAKE_VLLM_LOG": str(self.log),
                            "FAKE_VLLM_PROGRAM": PROGRAM}

    def run_with(self, how, *arguments):
        return run("run", MODEL, "Once upon", *OPTIONS, "--temperature", "0", *arguments,
                   environment={**self.environment, "FAKE_VLLM": how})

    def started(self):
        return json.loads(self.log.read_text(encoding="utf-8"))

    def test_a_server_is_started_and_ends_with_the_program(self):
        got = self.run_with("", "--backend", "vllm", "--max-model-len", "128")
        self.assertEqual(got.returncode, 0, got.stderr)
        self.assertEqual(answer(got)[0]["token_ids"], answer(self.run_with("", "--backend", "native"))[0]["token_ids"])
        started = self.started()
        self.assertEqual(started["arguments"][:4], ["serve", MODEL, "--host", "127.0.0.1"])
        self.assertIn("128", started["arguments"])
        self.assertEqual((started["offline"], started["has_key"]), ("1", True))
        self.assertEqual(started["pid"], started["group"])
        self.assertNotIn("key", " ".join(started["arguments"]))
        self.assertFalse(is_alive(started["pid"]), "it has ended before the program does")

    def test_it_ends_when_the_program_is_killed(self):
        server = self.serve(MODEL, "--backend", "vllm", environment=self.environment)
        pid = self.started()["pid"]
        self.assertTrue(is_alive(pid))
        server.kill()
        self.assertTrue(ends(pid))

    def test_one_that_died_is_started_again(self):
        server = self.serve(MODEL, "--backend", "vllm", "--max-wait", "0", environment=self.environment)
        wanted = run("run", MODEL, "Once upon", "--raw", "--max-tokens", "200", "--temperature", "0", "--ignore-eos",
                     "--json", "--backend", "native")

        def kill():
            os.kill(self.started()["pid"], signal.SIGKILL)

        self.assertEqual(server.stream("Once upon", kill), answer(wanted)[0]["text"], "it goes on in the second one")
        for _ in range(3):  # in the second one, the third and the fourth
            status, body = server.complete()
            self.assertEqual(status, 200, body)
            pid = self.started()["pid"]
            kill()
            self.assertTrue(ends(pid))
        status, body = server.complete()
        self.assertEqual(status, 503, body)
        self.assertIn("no other server is started", body["error"]["message"])

    def test_requests_that_it_dies_of_end_with_its_last_lines(self):
        # Penalties of the answer would take its beginning for a part of the prompt: it cannot go on elsewhere.
        for more, n_starts in ((("--presence-penalty", "0.5"), 1), ((), 3)):
            got = self.run_with("dying", "--backend", "vllm", *more)
            self.assertNotEqual(got.returncode, 0, got.stdout)
            for words in ("ended with status 3", "CUDA error: device lost") if n_starts == 1 else ("the answer ended",):
                self.assertIn(words, got.stderr)
            self.assertEqual(len(Path(str(self.log) + ".starts").read_text()), n_starts)
            os.remove(str(self.log) + ".starts")

    def test_adapters_and_quantisation_are_passed_on(self):
        adapter = self.folder() / "lora"
        adapter.mkdir()
        (adapter / "adapter_config.json").write_text('{"r": 20}')
        got = self.run_with("", "--backend", "vllm", "--quantize", "fp8", "--adapter-id", "%s:mine" % adapter)
        self.assertEqual(got.returncode, 4, "the server that takes its place loads none: " + got.stderr)
        self.assertIn("VLLM_ALLOW_RUNTIME_LORA_UPDATING", got.stderr)
        started = self.started()
        self.assertIn("--quantization fp8 --enable-lora --max-lora-rank 32", " ".join(started["arguments"]))
        self.assertEqual(started["loads_adapters"], "True")
        attached = run("run", MODEL, "Once", "--backend", "vllm", "--vllm-url", "http://127.0.0.1:9", "--quantize", "fp8")
        self.assertEqual(attached.returncode, 4, attached.stderr)
        self.assertIn("quantize", attached.stderr)

    def test_what_goes_wrong_is_told(self):
        crash = self.run_with("crash", "--backend", "vllm")
        self.assertEqual(crash.returncode, 8, crash.stderr)
        for words in ("ended with status 1 before it was ready", "no such quantization", "line 29", "line 11"):
            self.assertIn(words, crash.stderr)
        self.assertNotIn("line 10\n", crash.stderr, "20 lines at most")
        taken = self.run_with("taken", "--backend", "vllm")
        self.assertEqual(taken.returncode, 8, taken.stderr)
        self.assertIn("Address already in use", taken.stderr)
        for how in ("slow", "garbage"):
            late = self.run_with(how, "--backend", "vllm", "--vllm-startup-timeout", "1")
            self.assertNotEqual(late.returncode, 0)
            self.assertIn("was not ready within 1 s", late.stderr)
            if self.log.exists():  # on a slow machine it may not have come that far
                self.assertFalse(is_alive(self.started()["pid"]))
                self.log.unlink()
        absent = run("run", MODEL, "Once", "--backend", "vllm", environment={"PATH": "/nonexistent"})
        self.assertEqual(absent.returncode, 8)
        self.assertIn("no vLLM here", absent.stderr)

    def test_without_an_accelerator_it_is_not_chosen(self):
        report = json.loads(run("backends", MODEL, "--json", environment={**self.environment, "CUDA_VISIBLE_DEVICES": "",
                                                                          "HIP_VISIBLE_DEVICES": ""}).stdout)
        self.assertEqual(report["chosen"], "native")
        self.assertIn("slower than native on a CPU", report["reason"])
        self.assertFalse(self.log.exists(), "nothing is started to find out")


if __name__ == "__main__":
    main()
