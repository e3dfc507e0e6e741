#!/usr/bin/env python3
"""The backend pt against transformers itself and against the native backend: pt_test.py PROGRAM TEST_DATA_FOLDER.

`scripts/test pt` runs it, with an interpreter that has torch and transformers; models other than those in the folder are
made here, random and tiny. One interpreter is warm for all models (warm_python.py); what is about starting starts its own.
Names of tests (TinyModels.test_llama, Fields, ...) as further arguments choose among them.
"""

import contextlib
import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
import transformers

from warm_python import WarmPython

PROGRAM = os.path.abspath(sys.argv[1])
DATA = Path(sys.argv[2])
MODELS = DATA / "models"
STORIES = DATA / "stories260K/hf"
TIMEOUT = 600
ENVIRONMENT = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "HF_HUB_OFFLINE": "1", "OPENLLM_PYTHON": sys.executable,
               "OMP_NUM_THREADS": "2"}
GREEDY = {"temperature": 0.0, "logprobs": 1}
SEEDED = {"seed": 5, "temperature": 0.9, "top_k": 20, "repetition_penalty": 1.2, "logprobs": 1}
# What the backend pt cannot run, and what it says.
REFUSED = {"bert": "continues no texts", "t5": "encoder-decoder", "t5-gated": "encoder-decoder"}


def run(*arguments, environment=None):
    return subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, timeout=TIMEOUT, check=False,
                          stdin=subprocess.DEVNULL, env={**ENVIRONMENT, **(environment or {})})


class Server:
    def __init__(self, model, *arguments, environment=None):
        self.log = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            [PROGRAM, "start", str(model), "--host", "127.0.0.1", "--port", "0", *arguments], stdin=subprocess.DEVNULL,
            stdout=self.log, stderr=subprocess.STDOUT, env={**ENVIRONMENT, **(environment or {})})
        self.address = self.wait_for(lambda: re.search(r"http://[0-9.]+:\d+", self.output()))[0]
        self.wait_for(self.is_ready)

    def output(self):
        self.log.seek(0)
        return self.log.read()

    def wait_for(self, ask):
        end = time.monotonic() + TIMEOUT
        while time.monotonic() < end:
            found = ask()
            if found:
                return found
            if self.process.poll() is not None:
                raise AssertionError("the server ended: " + self.output())
            time.sleep(0.05)
        raise AssertionError("too slow: " + self.output())

    def is_ready(self):
        try:
            return urllib.request.urlopen(self.address + "/readyz", timeout=10).status == 200
        except urllib.error.HTTPError as error:
            body = error.read().decode()
            if "load" in body and "fail" in body:
                raise AssertionError(body)
            return False
        except OSError:
            return False

    def ask(self, prompt, adapter=None, **config):
        named = {"adapter_name": adapter} if adapter else {}
        return self.post({"prompt_token_ids": prompt, **named,
                          "llm_config": {"ignore_eos": True, "max_new_tokens": 12, **config}})

    def post(self, body, path="/v1/generate"):
        request = urllib.request.Request(self.address + path, json.dumps(body).encode(),
                                         {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
                return json.load(answer) if path == "/v1/generate" else {"status": answer.status}
        except urllib.error.HTTPError as error:
            return {"status": error.code, "error": error.read().decode()}

    def workers(self):
        children = Path("/proc/%d/task" % self.process.pid).glob("*/children")
        return [int(number) for child in children for number in child.read_text().split()]

    def close(self):
        self.process.terminate()
        self.process.wait(TIMEOUT)
        self.log.close()


def serve(*arguments, **environment):
    return contextlib.closing(Server(*arguments, **environment))


def ids_of(answer):
    return [choice["token_ids"] for choice in answer["outputs"]] if "outputs" in answer else answer


class TinyModels(unittest.TestCase):
    """The folders of tests/data: the same answers as the native backend's reference device."""

    def check(self, folder):
        if folder.name in REFUSED:
            result = run("run", str(folder), "--backend", "pt", "--prompt-ids", "1,2")
            self.assertEqual(result.returncode, 4, result.stderr)
            self.assertIn(REFUSED[folder.name], result.stderr)
            return
        config = json.loads((folder / "config.json").read_text())
        if "quantization_config" in config:
            result = run("run", str(folder), "--backend", "pt", "--prompt-ids", "1,2")
            if result.returncode != 0:  # this interpreter lacks what reads it
                self.assertEqual(result.returncode, 8, result.stderr)
                self.assertRegex(result.stderr, "optimum|gptqmodel")
                self.skipTest("GPTQ: optimum is not installed")
        prompts = [[1, 2, 3], [5, 9, 4, 7, 8, 11, 20, 31], list(range(3, 33))]
        wishes = [(prompt, config) for prompt in prompts for config in (GREEDY, SEEDED)]
        answers = []
        for arguments in (("--backend", "native", "--device", "reference"), ("--backend", "pt")):
            with serve(folder, *arguments) as server, ThreadPoolExecutor(len(wishes)) as pool:
                jobs = [pool.submit(server.ask, prompt, prompt_logprobs=0, n=2, **wish) for prompt, wish in wishes]
                answers.append([job.result() for job in jobs])
        for native, pt in zip(*answers):
            self.assertEqual(ids_of(pt), ids_of(native))
            for a, b in zip(pt["outputs"], native["outputs"]):
                self.assertAlmostEqual(a["cumulative_logprob"], b["cumulative_logprob"], delta=1e-3)
                self.expect_near(a["logprobs"], b["logprobs"])
            self.assertEqual(len(pt["prompt_logprobs"]), len(pt["prompt_token_ids"]))
            self.expect_near(pt["prompt_logprobs"], native["prompt_logprobs"])

    def expect_near(self, a, b):
        if isinstance(a, float) and isinstance(b, float):
            self.assertAlmostEqual(a, b, delta=1e-4)
        elif isinstance(a, list) and isinstance(b, list):
            self.assertEqual(len(a), len(b))
            for x, y in zip(a, b):
                self.expect_near(x, y)
        elif isinstance(a, dict) and isinstance(b, dict):
            self.assertEqual(a.keys(), b.keys())
            for key in a:
                self.expect_near(a[key], b[key])
        else:
            self.assertEqual(a, b)


for path in [*sorted(MODELS.iterdir()), STORIES]:
    if (path / "config.json").exists():
        setattr(TinyModels, "test_" + path.name.replace("-", "_"), lambda self, path=path: self.check(path))

V, H, L, A = 90, 32, 2, 4


def check_rope(self, name, rope, max_positions):
    torch.manual_seed(1)
    config = transformers.LlamaConfig(
        vocab_size=V, hidden_size=H, intermediate_size=48, num_hidden_layers=L, num_attention_heads=A, num_key_value_heads=2,
        max_position_embeddings=max_positions, rope_parameters={"rope_theta": 10000.0, "factor": 4.0, **rope})
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        model = transformers.LlamaForCausalLM(config)
        for parameter in model.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.4)
        model.save_pretrained(folder + "/" + name)
        self.check(Path(folder) / name)


# RoPE that depends on length: as natively by what a request may reach, not as transformers by what it has reached.
TinyModels.test_dynamic_rope = lambda self: check_rope(self, "dynamic", {"rope_type": "dynamic"}, 16)
TinyModels.test_longrope = lambda self: check_rope(self, "longrope", {
    "rope_type": "longrope", "short_factor": [1.0, 1.1, 1.2, 1.3], "long_factor": [2.0, 2.5, 3.0, 4.0],
    "original_max_position_embeddings": 16}, 64)

FAMILIES = {
    "Bloom": {"hidden_size": H, "n_layer": L, "n_head": A},
    "GPTJ": {"n_embd": H, "n_layer": L, "n_head": A, "rotary_dim": 4, "n_positions": 64},
    "Falcon": {"hidden_size": H, "num_hidden_layers": L, "num_attention_heads": A},
    "OPT": {"hidden_size": H, "num_hidden_layers": L, "num_attention_heads": A, "ffn_dim": 48, "word_embed_proj_dim": H,
            "max_position_embeddings": 64},
    "Mamba": {"hidden_size": H, "num_hidden_layers": L, "state_size": 8},
    "GPTNeo": {"hidden_size": H, "num_layers": L, "num_heads": A, "attention_types": [[["global", "local"], 1]],
               "window_size": 8, "max_position_embeddings": 64},
    "Mpt": {"d_model": H, "n_layers": L, "n_heads": A, "max_seq_len": 64},
    "CodeGen": {"n_embd": H, "n_layer": L, "n_head": A, "rotary_dim": 4, "n_positions": 64},
    "XGLM": {"d_model": H, "num_layers": L, "attention_heads": A, "ffn_dim": 48, "max_position_embeddings": 64},
    "GPTBigCode": {"n_embd": H, "n_layer": L, "n_head": A, "n_positions": 64},
    "Phi": {"hidden_size": H, "num_hidden_layers": L, "num_attention_heads": A, "intermediate_size": 48},
    "GPTNeoX": {"hidden_size": H, "num_hidden_layers": L, "num_attention_heads": A, "intermediate_size": 48},
    "StableLm": {"hidden_size": H, "num_hidden_layers": L, "num_attention_heads": A, "num_key_value_heads": A,
                 "intermediate_size": 48},
    "Rwkv": {"hidden_size": H, "num_hidden_layers": L, "attention_hidden_size": H, "context_length": 64},
}


def make(family, folder):
    torch.manual_seed(3)
    config = getattr(transformers, family + "Config")(
        vocab_size=V, pad_token_id=0, bos_token_id=1, eos_token_id=2, **FAMILIES[family])
    model = getattr(transformers, family + "ForCausalLM")(config)
    with torch.no_grad():  # wide enough that the likeliest token is beyond rounding
        for parameter in model.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.4)
    model.eval().save_pretrained(folder)
    return model


def whole_greedy(model, prompt, n):
    """The whole sequence again for each token: what transformers says without a cache."""
    ids = list(prompt)
    with torch.no_grad():
        for _ in range(n):
            ids.append(int(model(torch.tensor([ids]), use_cache=False).logits[0, -1].argmax()))
    return ids[len(prompt):]


class OtherFamilies(unittest.TestCase):
    def check(self, family):
        with tempfile.TemporaryDirectory() as folder:
            model = make(family, folder)
            prompts = [[5, 9, 4], [7], [11, 3, 8, 20, 42, 17, 33], list(range(10, 52))]
            expected = [whole_greedy(model, prompt, 12) for prompt in prompts]
            with serve(folder, "--backend", "pt") as server, ThreadPoolExecutor(4) as pool:
                alone = [ids_of(server.ask(prompt, **GREEDY)) for prompt in prompts]
                self.assertEqual(alone, [[ids] for ids in expected])
                together = list(pool.map(lambda prompt: ids_of(server.ask(prompt, **GREEDY)), prompts))
                self.assertEqual(together, alone)

    def test_a_family_that_native_lacks_picks_pt_and_says_why(self):
        with tempfile.TemporaryDirectory() as folder:
            model = make("Rwkv", folder)
            report = json.loads(run("backends", folder, "--json").stdout)
            self.assertEqual(report["chosen"], "pt")
            self.assertIn("native skipped", report["reason"])
            result = run("run", folder, "--prompt-ids", "5,9,4", "--ignore-eos", "--max-new-tokens", "4", "--temperature",
                         "0", "--json")
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertEqual(json.loads(result.stdout)["outputs"][0]["token_ids"], whole_greedy(model, [5, 9, 4], 4))

    def test_pickled_weights(self):
        with tempfile.TemporaryDirectory() as folder:
            model = make("Bloom", folder)
            (Path(folder) / "model.safetensors").unlink()
            torch.save(model.state_dict(), Path(folder) / "pytorch_model.bin")
            result = run("run", folder, "--backend", "pt", "--prompt-ids", "5,9", "--max-new-tokens", "3", "--json",
                         "--ignore-eos", "--temperature", "0")
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertEqual(json.loads(result.stdout)["outputs"][0]["token_ids"], whole_greedy(model, [5, 9], 3))


for family_name in FAMILIES:
    setattr(OtherFamilies, "test_" + family_name.lower(), lambda self, family=family_name: self.check(family))


class Interpreter(unittest.TestCase):
    def test_a_missing_package_is_status_8_and_named(self):
        with tempfile.TemporaryDirectory() as folder:
            os.makedirs(folder + "/bin")
            os.symlink(os.path.realpath(sys.executable), folder + "/bin/python")
            Path(folder + "/pyvenv.cfg").write_text("home = %s\n" % os.path.dirname(os.path.realpath(sys.executable)))
            python = {"OPENLLM_PYTHON": folder + "/bin/python"}
            result = run("run", str(MODELS / "llama"), "--backend", "pt", "--prompt-ids", "1", environment=python)
            self.assertEqual(result.returncode, 8, result.stderr)
            self.assertIn("package torch is not installed", result.stderr)
            self.assertIn("pip install", result.stderr)
            native = run("run", str(MODELS / "llama"), "--prompt-ids", "1", environment=python)
            self.assertEqual(native.returncode, 0, native.stderr)

    def test_the_worker_is_killed(self):
        with serve(STORIES, "--backend", "pt", "--python", sys.executable) as server, ThreadPoolExecutor(8) as pool:
            expected = ids_of(server.ask([1, 2, 3], **GREEDY))
            jobs = [pool.submit(server.ask, [1, i], max_new_tokens=400) for i in range(3, 11)]
            time.sleep(0.5)
            for worker in server.workers():
                os.kill(worker, signal.SIGKILL)
            failed = [job.result() for job in jobs]
            self.assertTrue(any("error" in answer and "signal 9" in answer["error"] for answer in failed), failed)
            self.assertEqual(ids_of(server.ask([1, 2, 3], **GREEDY)), expected)

    def test_it_ends_with_a_server_that_is_killed(self):
        server = Server(STORIES, "--backend", "pt", "--python", sys.executable)
        workers = server.workers()
        self.assertEqual(len(workers), 1)
        server.process.kill()
        server.process.wait(TIMEOUT)
        end = time.monotonic() + 30
        while os.path.exists("/proc/%d" % workers[0]) and time.monotonic() < end:
            time.sleep(0.05)
        self.assertFalse(os.path.exists("/proc/%d" % workers[0]))
        server.log.close()


def adapter(name):
    return str((DATA / "adapters" / name).absolute())


def golden(name):
    return json.loads((DATA / "adapters" / name / "golden.json").read_text())


@unittest.skipUnless(importlib.util.find_spec("peft"), "this interpreter lacks peft")
class Adapters(unittest.TestCase):
    """LoRA adapters by peft: those of tests/data, whose goldens are peft's, and sums as the native backend has them."""

    def serve(self, model, *names, backend=("--backend", "pt")):
        mounted = [word for name in names for word in ("--adapter-id", adapter(name) + ":" + name)]
        return serve(MODELS / model, *backend, *mounted, "--adapter-name", "none")

    def check(self, model, *names):
        """All of them at once in one batch, with prompts in pieces, and each alone."""
        wishes = [(golden(name)["prompt"], name) for name in names] * 2 + [(golden(names[0])["prompt"], None)]
        with serve(MODELS / model, "--backend", "pt") as server:
            bare = ids_of(server.ask(wishes[0][0], **GREEDY, max_new_tokens=8))
        with self.serve(model, *names) as server, ThreadPoolExecutor(len(wishes)) as pool:
            ask = lambda wish: ids_of(server.ask(wish[0], wish[1], **GREEDY, max_new_tokens=8))
            together = list(pool.map(ask, wishes))
            for wish, answer in zip(wishes, together):
                self.assertEqual(answer, [golden(wish[1])["greedy"]] if wish[1] else bare, wish[1])
            self.assertEqual([ask(wish) for wish in wishes[:len(names)]], together[:len(names)])

    def test_sums_are_those_of_native(self):
        names = ("llama-qv", "llama-all", "llama-head")
        sums = ["llama-qv*0.5+llama-all", "llama-qv*-1", "llama-head*2+llama-qv+llama-all*0.25", "llama-qv*0", "llama-all"]
        prompt = golden("llama-qv")["prompt"]
        answers = []
        for backend in (("--backend", "native", "--device", "reference"), ("--backend", "pt")):
            with self.serve("llama", *names, backend=backend) as server, ThreadPoolExecutor(len(sums)) as pool:
                answers.append(list(pool.map(lambda name: server.ask(prompt, name, **GREEDY, prompt_logprobs=0), sums)))
        for native, pt, name in zip(*answers, sums):
            self.assertEqual(ids_of(pt), ids_of(native), name)
            TinyModels.expect_near(self, pt["prompt_logprobs"], native["prompt_logprobs"])
            TinyModels.expect_near(self, pt["outputs"][0]["logprobs"], native["outputs"][0]["logprobs"])

    expect_near = TinyModels.expect_near

    def test_they_come_and_go_while_requests_run(self):
        prompt, expected = golden("llama-qv")["prompt"], [golden("llama-qv")["greedy"]]
        with self.serve("llama", "llama-qv") as server, ThreadPoolExecutor(4) as pool:
            users = [pool.submit(server.ask, prompt, "llama-qv", **GREEDY, max_new_tokens=8) for _ in range(24)]
            for _ in range(4):
                loaded = server.post({"lora_name": "d", "lora_path": adapter("llama-dora")}, "/v1/load_lora_adapter")
                self.assertEqual(loaded, {"status": 200})
                self.assertEqual(ids_of(server.ask(golden("llama-dora")["prompt"], "d", **GREEDY, max_new_tokens=8)),
                                 [golden("llama-dora")["greedy"]])
                self.assertEqual(server.post({"lora_name": "d"}, "/v1/unload_lora_adapter"), {"status": 200})
            self.assertEqual([ids_of(user.result()) for user in users], [expected] * 24)
            self.assertEqual(server.ask(prompt, "d", **GREEDY)["status"], 404)

    def test_another_worker_has_them_again(self):
        prompt, expected = golden("llama-qv")["prompt"], [golden("llama-qv")["greedy"]]
        with self.serve("llama", "llama-qv", "llama-dora", backend=("--backend", "pt", "--python", sys.executable)) as server:
            self.assertEqual(ids_of(server.ask(prompt, "llama-qv", **GREEDY, max_new_tokens=8)), expected)
            for worker in server.workers():
                os.kill(worker, signal.SIGKILL)
            server.ask(prompt, **GREEDY)  # notices
            self.assertEqual(ids_of(server.ask(prompt, "llama-qv", **GREEDY, max_new_tokens=8)), expected)

    def test_what_does_not_fit_is_told(self):
        with self.serve("llama", "llama-qv") as server:
            for name, status, words in (("gpt2", 400, "c_attn"), ("glm4-bin", 400, "size mismatch"),
                                        ("qwen2-bias", 400, "bias"), ("llama-gguf/adapter.gguf", 400, "GGUF"),
                                        ("none", 404, "none")):
                answer = server.post({"lora_name": "x", "lora_path": adapter(name)}, "/v1/load_lora_adapter")
                self.assertEqual(answer["status"], status, answer)
                self.assertIn(words, answer["error"])
            prompt, expected = golden("llama-qv")["prompt"], [golden("llama-qv")["greedy"]]
            self.assertEqual(ids_of(server.ask(prompt, "llama-qv", **GREEDY, max_new_tokens=8)), expected)
            self.assertEqual(server.post({"lora_name": "d", "lora_path": adapter("llama-dora")}, "/v1/load_lora_adapter"),
                             {"status": 200})
            self.assertIn("DoRA", server.ask(prompt, "llama-qv+d", **GREEDY)["error"])
        with self.serve("qwen3", "qwen3-tokens") as server:
            answer = server.post({"lora_name": "x", "lora_path": adapter("qwen3-patterns")}, "/v1/load_lora_adapter")
            self.assertIn("expected it to be mounted before", answer["error"])
        with tempfile.TemporaryDirectory() as folder, self.serve("mixtral") as server:
            for file in ("adapter_config.json", "adapter_model.safetensors"):
                Path(folder, file).write_bytes(Path(adapter("mixtral"), file).read_bytes())
            config = json.loads(Path(folder, "adapter_config.json").read_text())
            Path(folder, "adapter_config.json").write_text(json.dumps({**config, "peft_version": "0.18.0"}))
            answer = server.post({"lora_name": "x", "lora_path": folder}, "/v1/load_lora_adapter")
            self.assertIn("0.18.0", answer["error"])
        result = run("run", str(MODELS / "t5"), "--backend", "pt", "--adapter-id", adapter("t5"), "--prompt-ids", "1,2")
        self.assertEqual(result.returncode, 4, result.stderr)
        self.assertIn("encoder-decoder", result.stderr)

    def test_without_peft_the_error_says_what_to_install(self):
        with tempfile.TemporaryDirectory() as folder:
            os.mkdir(folder + "/peft")
            Path(folder, "peft/__init__.py").write_text("raise ImportError('none here')")
            result = run("run", str(MODELS / "llama"), "--backend", "pt", "--python", sys.executable, "--adapter-id",
                         adapter("llama-qv"), "--prompt-ids", "1,2", environment={"PYTHONPATH": folder})
            self.assertEqual(result.returncode, 8, result.stderr)
            self.assertIn("-m pip install peft", result.stderr)


for base, those in {"llama": ("llama-qv", "llama-all", "llama-dora", "llama-head"), "gpt2": ("gpt2", "gpt2-dora"),
                    "deepseek2": ("deepseek2", "deepseek2-heads"), "gemma3": ("gemma3", "gemma3-table"),
                    "qwen3": ("qwen3-patterns", "qwen3-tokens"), "qwen3-moe": ("qwen3-moe",), "mixtral": ("mixtral",),
                    "gpt-oss": ("gpt-oss",), "gpt-neox": ("gpt-neox",), "glm4": ("glm4-bin",)}.items():
    setattr(Adapters, "test_" + base.replace("-", "_"), lambda self, base=base, those=those: self.check(base, *those))


class Fields(unittest.TestCase):
    """The matrix of fields: what a field does with the engine's own steps it does with PyTorch's."""

    BESIDE = ("stop", "stop_token_ids", "request_id", "receipt", "receipt_hash_only", "adapter_name")

    def body(self, name, sample):
        values = {"temperature": 1.0, "top_k": 50, "seed": 5, "max_new_tokens": 8, "ignore_eos": True, "logprobs": 1,
                  **sample.get("beside", {}), name: sample["value"]}
        values = {key: value for key, value in values.items() if value is not None}
        body = {"prompt": "Once upon", "llm_config": {k: v for k, v in values.items() if k not in self.BESIDE},
                **{k: v for k, v in values.items() if k in self.BESIDE}}
        if sample.get("messages"):
            body["messages"] = [{"role": "user", "content": "Hi"}]
            del body["prompt"]
        return body

    def test_every_field_does_the_same(self):
        samples = json.loads((DATA / "field_values.json").read_text())
        listed = json.loads(run("fields", "--json").stdout)
        backends = {row["name"]: row.get("backends", {}) for row in (listed["fields"] if isinstance(listed, dict) else listed)}
        answers = []
        for arguments in (("--backend", "native", "--device", "reference"), ("--backend", "pt")):
            with serve(STORIES, *arguments) as server:
                answers.append({name: server.post(self.body(name, sample)) for name, sample in samples.items()})
        for name, native in answers[0].items():
            with self.subTest(name):
                pt = answers[1][name]
                self.assertEqual(pt.get("status"), native.get("status"), pt)
                if "outputs" not in native:
                    self.assertEqual(native["error"], pt["error"])
                    continue
                for one, other in zip(native["outputs"], pt["outputs"], strict=True):
                    for member in ("token_ids", "text", "finish_reason"):
                        self.assertEqual(one[member], other[member], member)
                self.assertEqual(native["prompt_token_ids"], pt["prompt_token_ids"])
                if name in backends and "pt" in backends[name]:
                    self.assertTrue(backends[name]["pt"], "the table says that pt lacks it")


def write_shape(folder, layers, hidden, inner, heads, kv_heads, vocab):
    """A random model in the shape of a real one; its tokens are those of the stories' model and more."""
    torch.manual_seed(1)
    config = transformers.LlamaConfig(
        vocab_size=vocab, hidden_size=hidden, intermediate_size=inner, num_hidden_layers=layers, num_attention_heads=heads,
        num_key_value_heads=kv_heads, max_position_embeddings=2048, tie_word_embeddings=True)
    transformers.LlamaForCausalLM(config).save_pretrained(folder)


class Pace(unittest.TestCase):
    """Of a model in SmolLM2's shape."""

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        write_shape(cls.folder.name, 30, 576, 1536, 9, 3, 49152)
        cls.server = Server(cls.folder.name, "--backend", "pt", "--threads", "1")

    @classmethod
    def tearDownClass(cls):
        cls.server.close()
        cls.folder.cleanup()

    def pace(self, n_streams, n_tokens=48):
        with ThreadPoolExecutor(n_streams) as pool:
            begin = time.monotonic()
            jobs = [pool.submit(self.server.ask, [5 + i, 9, 4], max_new_tokens=n_tokens, temperature=0.0)
                    for i in range(n_streams)]
            counts = [len(ids_of(job.result())[0]) for job in jobs]
        self.assertEqual(counts, [n_tokens] * n_streams)
        return n_streams * n_tokens / (time.monotonic() - begin)

    def test_8_streams_give_twice_the_tokens_of_one(self):
        self.pace(2, 4)
        one = max(self.pace(1) for _ in range(2))
        eight = max(self.pace(8) for _ in range(2))
        print("pt: %.1f tokens/s alone, %.1f with 8 streams" % (one, eight), file=sys.stderr)
        self.assertGreater(eight, 2 * one)

    def test_n42_healthz_does_not_wait_for_steps(self):
        done = threading.Event()

        def ask():
            self.server.ask([7] * 1500, max_new_tokens=24, temperature=0.0)
            done.set()

        worker = threading.Thread(target=ask)
        worker.start()
        times = []
        while not done.is_set():
            begin = time.monotonic()
            urllib.request.urlopen(self.server.address + "/healthz", timeout=TIMEOUT).close()
            times.append(time.monotonic() - begin)
            time.sleep(0.005)
        worker.join()
        times.sort()
        p99 = times[int(0.99 * (len(times) - 1))]
        print("pt: /healthz p99 %.1f ms of %d" % (1e3 * p99, len(times)), file=sys.stderr)
        self.assertGreater(len(times), 50)
        self.assertLess(p99, 0.05)


class Load(unittest.TestCase):
    def test_32_mixed_requests_at_once(self):
        wishes = [([(7 * i + j) % 500 for j in range(1 + 5 * (i % 9))],
                   {**(GREEDY if i % 3 == 0 else {**SEEDED, "seed": i}), "n": 1 + i % 3, "max_new_tokens": 5 + i,
                    "min_new_tokens": i % 4}) for i in range(32)]
        with serve(STORIES, "--backend", "pt") as server, ThreadPoolExecutor(32) as pool:
            together = list(pool.map(lambda wish: ids_of(server.ask(wish[0], **wish[1])), wishes))
        with serve(STORIES, "--backend", "native", "--device", "reference") as server:
            for wish, answer in zip(wishes, together):
                self.assertEqual(answer, ids_of(server.ask(wish[0], **wish[1])), wish)


if __name__ == "__main__":
    with WarmPython() as warm:
        ENVIRONMENT["OPENLLM_PYTHON"] = warm
        unittest.main(argv=sys.argv[:1] + sys.argv[3:], verbosity=2)
