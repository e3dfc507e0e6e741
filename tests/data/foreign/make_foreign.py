#!/usr/bin/env python3
"""Writes files of Flax and Keras, and expected.safetensors with what is in them. Needs flax, h5py, numpy, safetensors.

types.msgpack has arrays of several types, chunked.msgpack the same where those of more than 16 bytes are in chunks. old.h5 is
laid out as Keras does it (groups of symbol tables, headers of version 1, one of them in several pieces, many datasets in a
group), new.h5 has the newest forms of superblock, header and links. chunks.h5 has a compressed dataset.
"""

from pathlib import Path

import h5py
import ml_dtypes
import numpy as np
from flax import serialization
from safetensors.numpy import save_file

HERE = Path(__file__).resolve().parent


def arrays():
    """Names of Flax -> arrays, names of TensorFlow and of PyTorch for them."""
    random = np.random.default_rng(3)
    f32 = random.standard_normal((35, 3)).astype(np.float32)
    return {
        "h/0/fc/kernel": (f32, "h_._0/fc/kernel", "h.0.fc.weight", f32.T),
        "h/0/fc/bias": (f32[0], "h_._0/fc/bias", "h.0.fc.bias", f32[0]),
        "h/0/ln/scale": (f32[1].astype(np.float16), "h_._0/ln/gamma", "h.0.ln.weight", None),
        "h/0/ln/bias": (f32[2].astype(np.float16), "h_._0/ln/beta", "h.0.ln.bias", None),
        "wte/embedding": (f32[:4].astype(np.float64), "wte/embeddings", "wte.weight", None),
        "conv/bias": (f32[:1], "wte___conv/bias", "conv.bias", f32[0]),
        "ids": (np.arange(6, dtype=np.int32).reshape(1, 2, 3), "ids", "ids", None),
    }


def nested(flat):
    tree = {}
    for path, value in flat.items():
        *folders, leaf = path.split("/")
        node = tree
        for folder in folders:
            node = node.setdefault(folder, {})
        node[leaf] = value
    return tree


def write_flax(flat):
    flat = flat | {"table/embedding": flat["wte/embedding"].astype(ml_dtypes.bfloat16)}
    (HERE / "types.msgpack").write_bytes(serialization.to_bytes(nested(flat)))
    whole = serialization.MAX_CHUNK_SIZE
    serialization.MAX_CHUNK_SIZE = 16
    (HERE / "chunked.msgpack").write_bytes(serialization.to_bytes({"params": nested(flat)}))
    serialization.MAX_CHUNK_SIZE = whole


def write_keras(path, weights, **options):
    with h5py.File(HERE / path, "w", **options) as file:
        file.attrs["backend"] = "tensorflow"
        file.attrs["layer_names"] = np.array([b"transformer"])
        group = file.create_group("transformer")
        names = [f"model/{name}:0" for name in weights]
        group.attrs["weight_names"] = np.array([name.encode() for name in names])
        for number in range(30):  # more than the first piece of a header can hold
            group.attrs[f"note{number}"] = "x" * 100
        for name, value in zip(names, weights.values()):
            group.create_dataset(name, data=value)


def write_compressed():
    with h5py.File(HERE / "chunks.h5", "w") as file:
        file.create_dataset("a/model/b:0", data=np.zeros((8, 8), np.float32), chunks=(4, 4), compression="gzip")
        file.create_dataset("a/model/words:0", data=np.array([b"one", b"two"]))
        file.create_dataset("a/model/c:0", data=np.zeros((2,), np.float32))


def write_shared(path, second):
    with h5py.File(HERE / path, "w") as file:
        file.create_dataset("encoder/shared/shared/embeddings:0", data=np.zeros((2, 3), np.float32))
        file.create_dataset("decoder/shared/shared/embeddings:0", data=np.full((2, 3), second, np.float32))


def main():
    all_arrays = arrays()
    write_flax({name: entry[0] for name, entry in all_arrays.items()})
    weights = {entry[1]: entry[0] for entry in all_arrays.values()}
    weights |= {f"many/part{number}/gamma": np.full(1, number, np.float32) for number in range(40)}
    write_keras("old.h5", weights)
    small = dict(list(weights.items())[:7])
    write_keras("new.h5", small, libver="latest")
    write_compressed()
    write_shared("twice.h5", 0)
    write_shared("differ.h5", 1)
    expected = {entry[2]: entry[0] if entry[3] is None else entry[3] for entry in all_arrays.values()}
    save_file({name: np.ascontiguousarray(value) for name, value in expected.items()}, HERE / "expected.safetensors")


if __name__ == "__main__":
    main()
