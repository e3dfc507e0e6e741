#!/usr/bin/env python3
"""The backend vllm against a real vLLM, beside the engine: `scripts/test vllm`. Takes minutes.

    vllm_test.py PROGRAM TEST_DATA_FOLDER VLLM

VLLM is the program `vllm`. The model is a random Llama that this writes, as vLLM wants larger heads than the tests' own
models have. Only Python's standard library is used.
"""

import array
import json
import os
import random
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.request
from pathlib import Path

PROGRAM, DATA, VLLM = os.path.abspath(sys.argv[1]), Path(sys.argv[2]), os.path.abspath(sys.argv[3])
TIMEOUT = 900
LENGTH = 256
CONFIG = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 512, "hidden_size": 256,
          "intermediate_size": 512, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
          "head_dim": 64, "max_position_embeddings": LENGTH, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
          "hidden_act": "silu", "tie_word_embeddings": False, "torch_dtype": "float32", "bos_token_id": 1,
          "eos_token_id": 2}


def shapes():
    hidden, inner, kv = CONFIG["hidden_size"], CONFIG["intermediate_size"], 2 * 64
    yield "model.embed_tokens.weight", (512, hidden)
    yield "lm_head.weight", (512, hidden)
    yield "model.norm.weight", (hidden,)
    for i in range(CONFIG["num_hidden_layers"]):
        layer = "model.layers.%d." % i
        for name in ("input_layernorm", "post_attention_layernorm"):
            yield layer + name + ".weight", (hidden,)
        for name, shape in (("q", (256, hidden)), ("k", (kv, hidden)), ("v", (kv, hidden)), ("o", (hidden, 256))):
            yield layer + "self_attn.%s_proj.weight" % name, shape
        for name, shape in (("gate", (inner, hidden)), ("up", (inner, hidden)), ("down", (hidden, inner))):
            yield layer + "mlp.%s_proj.weight" % name, shape


def write_tensors(path, tensors):
    """`tensors`: name, shape, numbers."""
    header, parts, end = {}, [], 0
    for name, shape, numbers in tensors:
        parts.append(array.array("f", numbers).tobytes())
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [end, end + len(parts[-1])]}
        end += len(parts[-1])
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + b"".join(parts))


RANK, ALPHA, ADAPTED = 8, 16, ("q", "v")


def adapter_factors():
    """A [rank, inputs] and B [outputs, rank] of each adapted linear, by the name of its weight."""
    generator, hidden, factors = random.Random(2), CONFIG["hidden_size"], {}
    for i in range(CONFIG["num_hidden_layers"]):
        for which in ADAPTED:
            n_outputs = hidden if which == "q" else 2 * 64
            factors["model.layers.%d.self_attn.%s_proj.weight" % (i, which)] = tuple(
                [[generator.gauss(0.0, 0.08) for _ in range(columns)] for _ in range(rows)]
                for rows, columns in ((RANK, hidden), (n_outputs, RANK)))
    return factors


def write_adapter(folder):
    tensors = []
    for name, matrices in adapter_factors().items():
        for letter, matrix in zip("AB", matrices):
            tensors.append(("base_model.model.%s.lora_%s.weight" % (name[:-len(".weight")], letter),
                            (len(matrix), len(matrix[0])), [x for row in matrix for x in row]))
    write_tensors(folder / "adapter_model.safetensors", tensors)
    (folder / "adapter_config.json").write_text(json.dumps({
        "peft_type": "LORA", "task_type": "CAUSAL_LM", "r": RANK, "lora_alpha": ALPHA, "lora_dropout": 0.0, "bias": "none",
        "target_modules": ["%s_proj" % which for which in ADAPTED], "base_model_name_or_path": "tiny"}))


def merged(numbers, factors):
    """The weight with its adapter in it."""
    first, second = factors
    columns, scale = list(zip(*first)), ALPHA / RANK
    return [number + scale * sum(b * a for b, a in zip(second[i // len(columns)], columns[i % len(columns)]))
            for i, number in enumerate(numbers)]


def write_model(folder, adapter=None):
    """`adapter`: factors to be merged in."""
    generator, tensors = random.Random(1), []
    for name, shape in shapes():
        size = shape[0] * (shape[1] if len(shape) > 1 else 1)
        numbers = [1.0 if len(shape) == 1 else generator.gauss(0.0, 0.08) for _ in range(size)]
        tensors.append((name, shape, merged(numbers, adapter[name]) if adapter and name in adapter else numbers))
    write_tensors(folder / "model.safetensors", tensors)
    (folder / "config.json").write_text(json.dumps(CONFIG))
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(DATA / "stories260K/hf" / name, folder / name)


ENVIRONMENT = {**os.environ, "HF_HUB_OFFLINE": "1", "VLLM_CPU_KVCACHE_SPACE": "1"}


def run(*arguments):
    return subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, timeout=TIMEOUT, env=ENVIRONMENT,
                          check=False)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def get(address):
    with urllib.request.urlopen(address, timeout=TIMEOUT) as response:
        return response.read().decode()


def wait_for(address, process):
    end = time.monotonic() + TIMEOUT
    while time.monotonic() < end:
        assert process.poll() is None, "the server has ended"
        try:
            get(address)
            return
        except OSError:
            time.sleep(0.5)
    raise AssertionError("the server did not come up")


class RealVllm(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.model = cls.folder.name + "/tiny"
        os.mkdir(cls.model)
        write_model(Path(cls.model))
        cls.merged, cls.adapter = cls.folder.name + "/merged", cls.folder.name + "/adapter"
        for folder in (cls.merged, cls.adapter):
            os.mkdir(folder)
        write_model(Path(cls.merged), adapter_factors())
        write_adapter(Path(cls.adapter))
        port = free_port()
        cls.address = "http://127.0.0.1:%d" % port
        cls.log = open(cls.folder.name + "/log", "wb")
        cls.server = subprocess.Popen([VLLM, "serve", cls.model, "--host", "127.0.0.1", "--port", str(port),
                                       "--served-model-name", "tiny", "--dtype", "float32", "--max-model-len",
                                       str(LENGTH), "--enable-lora", "--max-lora-rank", str(RANK)], stdout=cls.log,
                                      stderr=cls.log, env={**ENVIRONMENT, "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "True"},
                                      start_new_session=True)
        wait_for(cls.address + "/health", cls.server)

    @classmethod
    def tearDownClass(cls):
        cls.server.terminate()
        cls.server.wait(TIMEOUT)
        cls.log.close()
        cls.folder.cleanup()

    def both(self, *options):
        """The answers of the engine and of vLLM."""
        outputs = []
        for where in (["--backend", "native"], ["--backend", "vllm", "--vllm-url", self.address]):
            done = run("run", self.model, "Once upon a time", "--raw", "--json", *options, *where)
            self.assertEqual(done.returncode, 0, done.stderr)
            outputs.append(json.loads(done.stdout))
        return outputs

    def check_same(self, *options):
        native, remote = self.both(*options)
        for left, right in zip(native["outputs"], remote["outputs"], strict=True):
            for name in ("token_ids", "text", "finish_reason"):
                self.assertEqual(left[name], right[name], name)
            self.check_logprobs(left["logprobs"], right["logprobs"])
        self.check_logprobs(native["prompt_logprobs"], remote["prompt_logprobs"])
        self.assertEqual(native["usage"]["n_completion_tokens"], remote["usage"]["n_completion_tokens"])

    def check_logprobs(self, left, right):
        self.assertEqual(left is None, right is None)
        for here, there in zip(left or [], right or [], strict=True):
            if here is None:
                self.assertIsNone(there)
                continue
            for one, other in ((here, there), (there, here)):  # the last one may be as likely as the next
                for token, value in one.items():
                    self.assertAlmostEqual(value, other.get(token, min(other.values())), delta=1e-4)

    def test_greedy_answers_are_those_of_the_engine(self):
        greedy = ("--temperature", "0", "--max-tokens", "48")
        self.check_same(*greedy)
        self.check_same(*greedy, "--ignore-eos", "--logprobs", "3")
        self.check_same(*greedy, "--n", "3")
        self.check_same(*greedy, "--logprobs", "0", "--prompt-logprobs", "2")
        self.check_same(*greedy, "--repetition-penalty", "1.3", "--frequency-penalty", "0.5")
        self.check_same("--temperature", "0", "--max-tokens", "400", "--ignore-eos")

    def check_adapted(self, *where):
        """As the engine with the adapter in the model's weights."""
        ask = ("Once upon a time", "--raw", "--json", "--temperature", "0", "--max-tokens", "24", "--logprobs", "1")
        outputs = []
        for arguments in ((self.merged, *ask, "--backend", "native"), (self.model, *ask, "--backend", "vllm", *where)):
            done = run("run", *arguments)
            self.assertEqual(done.returncode, 0, done.stderr)
            outputs.append(json.loads(done.stdout)["outputs"][0])
        self.assertEqual(outputs[0]["token_ids"], outputs[1]["token_ids"])
        self.check_logprobs(outputs[0]["logprobs"], outputs[1]["logprobs"])
        return outputs[0]["token_ids"]

    def test_adapters_are_mounted_and_used(self):
        at = ("--vllm-url", self.address)
        unknown = run("run", self.model, "Once", "--raw", "--backend", "vllm", *at, "--adapter", "poet")
        self.assertEqual(unknown.returncode, 3, unknown.stderr)
        self.assertIn("adapter_name", unknown.stderr)
        missing = run("run", self.model, "Once", "--raw", "--backend", "vllm", *at, "--adapter-id", "/nonexistent:poet")
        self.assertEqual(missing.returncode, 3, missing.stderr)
        adapted = self.check_adapted(*at, "--adapter-id", self.adapter + ":mine", "--adapter", "mine")
        self.assertEqual(self.check_adapted(*at, "--adapter", "mine"), adapted, "it is listed now")
        native, remote = self.both("--temperature", "0", "--max-tokens", "24")
        self.assertEqual(native["outputs"][0]["token_ids"], remote["outputs"][0]["token_ids"])
        self.assertNotEqual(native["outputs"][0]["token_ids"], adapted)

    def test_stops_are_ours(self):
        text = self.both("--temperature", "0", "--max-tokens", "48", "--ignore-eos")[0]["outputs"][0]["text"]
        stop = text[20:23]
        self.check_same("--temperature", "0", "--max-tokens", "48", "--ignore-eos", "--stop", stop)
        ids = self.both("--temperature", "0", "--max-tokens", "8", "--ignore-eos")[0]["outputs"][0]["token_ids"]
        self.check_same("--temperature", "0", "--max-tokens", "48", "--stop-token-ids", str(ids[5]))
        self.check_same("--temperature", "0", "--max-tokens", "48", "--stop-token-ids", str(ids[3]), "--min-tokens", "6")

    def test_a_seed_gives_the_same_answer_twice(self):
        options = ("run", self.model, "Once", "--raw", "--json", "--max-tokens", "24", "--seed", "7", "--temperature", "0.8",
                   "--top-k", "20", "--n", "2", "--backend", "vllm", "--vllm-url", self.address)
        one, two = ([choice["token_ids"] for choice in json.loads(run(*options).stdout)["outputs"]] for _ in range(2))
        self.assertEqual(one, two)
        self.assertNotEqual(one[0], one[1])

    def test_its_errors_come_out(self):
        done = run("run", self.model, "Once", "--raw", "--presence-penalty", "7", "--backend", "vllm", "--vllm-url",
                   self.address)
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertIn("presence_penalty", done.stderr)
        done = run("run", self.model, "Once", "--raw", "--typical-p", "0.5", "--backend", "vllm", "--vllm-url", self.address)
        self.assertEqual(done.returncode, 4, done.stderr)
        self.assertIn("typical_p", done.stderr)

    def test_a_front_streams_and_cancels(self):
        port = free_port()
        front = subprocess.Popen([PROGRAM, "start", self.model, "--port", str(port), "--max-wait", "0", "--backend", "vllm", "--vllm-url",
                                  self.address], stderr=subprocess.DEVNULL, env=ENVIRONMENT)
        self.addCleanup(lambda: (front.terminate(), front.wait(TIMEOUT)))
        address = "http://127.0.0.1:%d" % port
        wait_for(address + "/readyz", front)
        body = {"prompt": "Once", "max_tokens": 200, "temperature": 0, "ignore_eos": True, "stream": True}
        request = urllib.request.Request(address + "/v1/completions", json.dumps(body).encode(),
                                         {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
            self.assertTrue(response.readline().startswith(b"data: {"))
        end = time.monotonic() + TIMEOUT
        while time.monotonic() < end:
            lines = [line for line in get(self.address + "/metrics").splitlines()
                     if line.startswith("vllm:num_requests_running")]
            if lines and all(float(line.rsplit(" ", 1)[1]) == 0 for line in lines):
                break
            time.sleep(0.1)
        else:
            self.fail("the request still runs")

    def test_one_is_started_with_an_adapter(self):
        self.check_adapted("--vllm-executable", VLLM, "--dtype", "f32", "--max-model-len", str(LENGTH), "--adapter-id",
                           self.adapter, "--adapter", "default")

    def test_one_is_started(self):
        done = run("run", self.model, "Once upon a time", "--raw", "--json", "--temperature", "0", "--max-tokens", "16",
                   "--backend", "vllm", "--vllm-executable", VLLM, "--dtype", "f32", "--max-model-len", str(LENGTH))
        self.assertEqual(done.returncode, 0, done.stderr)
        native = self.both("--temperature", "0", "--max-tokens", "16")[0]
        self.assertEqual(json.loads(done.stdout)["outputs"][0]["token_ids"], native["outputs"][0]["token_ids"])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[4:], verbosity=2)
