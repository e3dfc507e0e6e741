"""What the arithmetic does to answers, measured in the same command: speed may not cost them."""
import json
import os

from peers.base import Failed, Process

MAX_MEAN_KL = 1e-4
MIN_EQUAL_TOP = 0.995


def measure(program, model_path, text, n_tokens, threads, timeout):
    """{"default": {...}, "fast": {...}} by bench/quality.cc. Raises Failed."""
    if not os.access(program, os.X_OK):
        raise Failed(f"{program} is not there: cmake --build build/release --target quality")
    command = [program, model_path, text, "--of", "activations", "--tokens", str(n_tokens), "--threads", str(threads), "--json"]
    found = json.loads(Process(command, None, timeout).output())
    return {name: found[name] for name in ("default", "fast")}


def holds(values):
    return values["mean_kl"] <= MAX_MEAN_KL and values["equal_top"] >= MIN_EQUAL_TOP
