#!/usr/bin/env python3
"""What LoRA adapters cost: mounting and unmounting while a server runs, and 16 requests in one batch with 16 of them against none.

    bench/random_model.py llama-1b q4_k_m model.gguf
    bench/adapters.py build/release/bin/openllm model.gguf llama-1b [--modules qv|all] [--rank 16] [--rounds 5]
    bench/adapters.py build/release/bin/openllm model.gguf llama-1b --soak 10000

Adapters are random. Rounds with and without are interleaved; medians are printed. Every answer of the last round must be the one that
its request gets alone. --soak mounts, uses and unmounts so many times while four requests stream: memory, and the times between the
tokens of the streams against those of a phase without mounting. Needs numpy.
"""

import argparse
import json
import statistics
import struct
import subprocess
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

import numpy as np
from random_model import SHAPES, linears, network

N = 16
TOKENS = 24
PORT = 3222


def write_adapter(folder: Path, shape, modules: str, rank: int, rng) -> None:
    targets = {"self_attn." + k.split(".")[-1]: v for k, v in linears(shape).items()}
    if modules == "qv":
        targets = {k: v for k, v in targets.items() if k[-6:] in ("q_proj", "v_proj")}
    else:
        targets |= {"mlp." + k: v for k, v in network(shape).items()}
    header: dict[str, dict] = {}
    data = b""
    for layer in range(shape.layers):
        for name, (n_out, n_in) in targets.items():
            for part, dims, size in (("A", (rank, n_in), n_in**-0.5), ("B", (n_out, rank), 0.25)):
                values = (rng.standard_normal(dims) * size).astype(np.float16).tobytes()
                key = f"base_model.model.model.layers.{layer}.{name}.lora_{part}.weight"
                header[key] = {"dtype": "F16", "shape": list(dims), "data_offsets": [len(data), len(data) + len(values)]}
                data += values
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    folder.mkdir()
    (folder / "adapter_model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + data)
    (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": rank, "lora_alpha": rank}))


def ask(path: str, body: dict | None = None) -> bytes:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{PORT}{path}", data, {"Content-Type": "application/json"})
    return urllib.request.urlopen(request, timeout=600).read()


def milliseconds(path: str, body: dict) -> float:
    begin = time.monotonic()
    ask(path, body)
    return (time.monotonic() - begin) * 1e3


def answer(prompt: list[int], adapter: str, n: int) -> list[int]:
    body = {"prompt": prompt, "max_tokens": n, "temperature": 0, "ignore_eos": True, "return_token_ids": True, "adapter_name": adapter}
    return json.loads(ask("/v1/completions", body))["choices"][0]["token_ids"]


def together(prompts: list[list[int]], adapters: list[str], n: int) -> tuple[float, list[list[int]]]:
    """Tokens per second of all, and the answers."""
    answers: list[list[int]] = [[] for _ in prompts]

    def one(i: int) -> None:
        answers[i] = answer(prompts[i], adapters[i], n)

    threads = [threading.Thread(target=one, args=(i,)) for i in range(len(prompts))]
    begin = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(prompts) * n / (time.monotonic() - begin), answers


class Streams:
    """Requests that stream one after the other, and the times between their tokens."""

    N = 4

    def __init__(self, shape, adapter: str):
        self.gaps: list[float] = []
        self.ends = False
        rng = np.random.default_rng(5)
        prompts = [[int(x) for x in rng.integers(0, shape.vocab, 8)] for _ in range(self.N)]
        self.threads = [threading.Thread(target=self.run, args=(p, adapter if i % 2 else "none")) for i, p in enumerate(prompts)]
        for thread in self.threads:
            thread.start()

    def run(self, prompt: list[int], adapter: str) -> None:
        body = {"prompt": prompt, "max_tokens": 200, "temperature": 0, "ignore_eos": True, "stream": True, "adapter_name": adapter}
        while not self.ends:
            request = urllib.request.Request(
                f"http://127.0.0.1:{PORT}/v1/completions", json.dumps(body).encode(), {"Content-Type": "application/json"})  # fmt: skip
            last = 0.0
            for line in urllib.request.urlopen(request, timeout=600):
                if not line.startswith(b"data: {"):
                    continue
                now = time.monotonic()
                if last > 0:
                    self.gaps.append((now - last) * 1e3)
                last = now
                if self.ends:
                    break

    def finish(self) -> list[float]:
        self.ends = True
        for thread in self.threads:
            thread.join()
        return sorted(self.gaps)


def told(gaps: list[float]) -> str:
    at = lambda share: gaps[min(len(gaps) - 1, int(len(gaps) * share))]
    return f"{len(gaps)} gaps, median {at(0.5):.1f} ms, 99 % {at(0.99):.1f}, 99.9 % {at(0.999):.1f}, longest {gaps[-1]:.1f}"


def resident_mib(pid: int) -> float:
    return next(int(line.split()[1]) / 1024 for line in open(f"/proc/{pid}/status") if line.startswith("VmRSS"))


def soak(args: argparse.Namespace, folder: Path, pid: int) -> None:
    rng = np.random.default_rng(3)
    shape = SHAPES[args.shape]
    for i in range(4):
        write_adapter(folder / f"a{i}", shape, args.modules, args.rank, rng)
    ask("/v1/load_lora_adapter", {"lora_name": "kept", "lora_path": str(folder / "a0")})
    for phase in range(2):
        streams = Streams(shape, "kept")
        begin = time.monotonic()
        times = []
        for i in range(args.soak if phase else 0):
            body = {"lora_name": f"m{i % 3}", "lora_path": str(folder / f"a{i % 4}")}
            times.append(milliseconds("/v1/load_lora_adapter", body))
            if i % 8 == 0:
                answer([1, 2, 3], f"m{i % 3}*0.5+kept" if i % 16 else f"m{i % 3}", 1)
            ask("/v1/unload_lora_adapter", {"lora_name": body["lora_name"]})
            if i in (args.soak // 10, args.soak // 2, args.soak - 1):
                print(f"after {i + 1} mounts: {resident_mib(pid):.0f} MiB", flush=True)
        if phase == 0:
            time.sleep(20)
        seconds = time.monotonic() - begin
        print(f"{'with' if phase else 'without'} mounting, {seconds:.0f} s: {told(streams.finish())}", flush=True)
        if times:
            print(f"mount: median {statistics.median(times):.1f} ms, longest {max(times):.1f}")
    assert json.loads(ask("/v1/adapters")).popitem()[1]["adapter_name"] == "kept"


def measure(args: argparse.Namespace, folder: Path) -> None:
    rng = np.random.default_rng(3)
    shape = SHAPES[args.shape]
    names = [f"a{i}" for i in range(N)]
    for name in names:
        write_adapter(folder / name, shape, args.modules, args.rank, rng)
    load = [{"lora_name": name, "lora_path": str(folder / name)} for name in names]
    mounts = [milliseconds("/v1/load_lora_adapter", body) for body in load]
    prompts = [[int(x) for x in rng.integers(0, shape.vocab, 8)] for _ in names]
    none = ["none"] * N
    together(prompts, names, 4)
    with_none, with_all, answers = [], [], []
    for _ in range(args.rounds):
        with_none.append(together(prompts, none, TOKENS)[0])
        rate, answers = together(prompts, names, TOKENS)
        with_all.append(rate)
    for i in range(0, N, 5):
        assert answer(prompts[i], names[i], TOKENS) == answers[i], f"{names[i]}: another answer alone"
    unmounts = [milliseconds("/v1/unload_lora_adapter", {"lora_name": name}) for name in names]
    print(f"mount {statistics.median(mounts):.1f} ms (longest {max(mounts):.1f}), unmount {statistics.median(unmounts):.1f} ms")
    none_rate, rate = statistics.median(with_none), statistics.median(with_all)
    print(f"{N} requests: {none_rate:.1f} tok/s without, {rate:.1f} with {N} adapters of rank {args.rank}: {rate / none_rate:.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("model")
    parser.add_argument("shape", choices=SHAPES)
    parser.add_argument("--modules", choices=["qv", "all"], default="qv")
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--soak", type=int, default=0)
    args = parser.parse_args()
    server = subprocess.Popen(
        [args.program, "start", args.model, "--port", str(PORT), "--no-prefix-caching", "--quiet"], stderr=subprocess.DEVNULL)  # fmt: skip
    try:
        while server.poll() is None:
            try:
                ask("/readyz")
                break
            except OSError:
                time.sleep(0.2)
        with tempfile.TemporaryDirectory() as folder:
            if args.soak > 0:
                soak(args, Path(folder), server.pid)
            else:
                measure(args, Path(folder))
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    main()
