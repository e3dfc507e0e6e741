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


def write_model(folder):
    generator = random.Random(1)
    header, parts, end = {}, [], 0
    for name, shape in shapes():
        size = shape[0] * (shape[1] if len(shape) > 1 else 1)
        width = 0.0 if len(shape) == 1 else 0.08
        numbers = array.array("f", (1.0 if len(shape) == 1 else generator.gauss(0.0, width) for _ in range(size)))
        parts.append(numbers.tobytes())
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [end, end + len(parts[-1])]}
        end += len(parts[-1])
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(folder / "model.safetensors", "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + b"".join(parts))
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
        port = free_port()
        cls.address = "http://127.0.0.1:%d" % port
        cls.log = open(cls.folder.name + "/log", "wb")
        cls.server = subprocess.Popen([VLLM, "serve", cls.model, "--host", "127.0.0.1", "--port", str(port),
                                       "--served-model-name", "tiny", "--dtype", "float32", "--max-model-len",
                                       str(LENGTH)], stdout=cls.log, stderr=cls.log, env=ENVIRONMENT,
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
            self.assertEqual(set(here), set(there))
            for token, value in here.items():
                self.assertAlmostEqual(value, there[token], delta=1e-4)

    def test_greedy_answers_are_those_of_the_engine(self):
        greedy = ("--temperature", "0", "--max-tokens", "48")
        self.check_same(*greedy)
        self.check_same(*greedy, "--ignore-eos", "--logprobs", "3")
        self.check_same(*greedy, "--n", "3")
        self.check_same(*greedy, "--logprobs", "0", "--prompt-logprobs", "2")
        self.check_same(*greedy, "--repetition-penalty", "1.3", "--frequency-penalty", "0.5")
        self.check_same("--temperature", "0", "--max-tokens", "400", "--ignore-eos")

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
        front = subprocess.Popen([PROGRAM, "start", self.model, "--port", str(port), "--backend", "vllm", "--vllm-url",
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

    def test_one_is_started(self):
        done = run("run", self.model, "Once upon a time", "--raw", "--json", "--temperature", "0", "--max-tokens", "16",
                   "--backend", "vllm", "--vllm-executable", VLLM, "--dtype", "f32", "--max-model-len", str(LENGTH))
        self.assertEqual(done.returncode, 0, done.stderr)
        native = self.both("--temperature", "0", "--max-tokens", "16")[0]
        self.assertEqual(json.loads(done.stdout)["outputs"][0]["token_ids"], native["outputs"][0]["token_ids"])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[4:], verbosity=2)
