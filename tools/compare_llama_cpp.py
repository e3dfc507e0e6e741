#!/usr/bin/env python3
"""Lets llama.cpp compute tiny models of tests/data/models from their GGUF files, and compares the logits with their goldens.

Usage: tools/compare_llama_cpp.py [--library LIBRARY] NAME...       needs llama-cpp-py-sync, numpy

LIBRARY is any that has llama.cpp's functions, of about the release of the package; else the package's own is taken. The files
must have a vocabulary, or say that they have none ("no_vocab").
"""

import argparse
import json
from pathlib import Path

import numpy as np
from llama_cpp_py_sync._cffi_bindings import get_ffi, get_lib

MODELS = Path(__file__).resolve().parent.parent / "tests" / "data" / "models"


def logits_of(lib, path, prompt, vocab_size):
    ffi = get_ffi()
    parameters = lib.llama_model_default_params()
    parameters.n_gpu_layers = 0
    model = lib.llama_model_load_from_file(str(path).encode(), parameters)
    assert model != ffi.NULL, f"{path}: llama.cpp does not load it"
    options = lib.llama_context_default_params()
    options.n_ctx, options.n_batch, options.n_ubatch, options.n_threads = 256, 256, 256, 1
    options.type_k = options.type_v = 0  # F32
    options.flash_attn_type = 0  # disabled
    context = lib.llama_init_from_model(model, options)
    assert context != ffi.NULL, f"{path}: llama.cpp makes no context"
    batch = lib.llama_batch_init(len(prompt), 0, 1)
    batch.n_tokens = len(prompt)
    for i, token in enumerate(prompt):
        batch.token[i], batch.pos[i], batch.n_seq_id[i], batch.logits[i] = token, i, 1, 1
        batch.seq_id[i][0] = 0
    assert lib.llama_decode(context, batch) == 0
    values = ffi.buffer(lib.llama_get_logits(context), 4 * len(prompt) * vocab_size)
    return np.frombuffer(values, "<f4").reshape(len(prompt), vocab_size).copy()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--library")
    parser.add_argument("names", nargs="+", metavar="NAME")
    args = parser.parse_args()
    lib = get_ffi().dlopen(args.library) if args.library else get_lib()
    lib.llama_backend_init()
    for name in args.names:
        folder = MODELS / name
        golden = json.loads((folder / "golden.json").read_text())
        expected = np.fromfile(folder / golden["logits"], "<f4").reshape(-1, golden["vocab_size"])
        got = logits_of(lib, folder / "f32" / "model.gguf", golden["prompt"], golden["vocab_size"])
        print(f"{name}: differs by {np.abs(got - expected).max():.1e}", flush=True)


if __name__ == "__main__":
    main()
