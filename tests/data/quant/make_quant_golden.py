#!/usr/bin/env python3
"""Writes TYPE.bin for every block format and hashes.json for the 16-bit floats. Needs numpy and gguf.

    make_quant_golden.py [FOLDER]    FOLDER: F32 inputs with the bytes that ggml's quantisers make of them

TYPE.bin: u32 number of elements, the blocks, the same elements as F32 by gguf.quants.dequantize. Blocks are random
codes under ordinary, tiny (subnormal), huge, zero, negative and infinite scales, then the quantisers' own blocks.
"""

import json
import os
import sys

import gguf
import numpy as np
from gguf.constants import GGML_QUANT_SIZES

HERE = os.path.dirname(os.path.abspath(__file__))
# Byte offsets of the F16 scales in a block; MXFP4 has one byte of exponent, IQ1_M quarters of a scale in four places.
SCALES = {"Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0], "Q2_K": [80, 82], "Q3_K": [108],
          "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208], "IQ4_NL": [0], "IQ4_XS": [0], "MXFP4": [],
          "IQ1_S": [0], "IQ1_M": [], "IQ2_XXS": [0], "IQ2_XS": [0], "IQ2_S": [0], "IQ3_XXS": [0], "IQ3_S": [0],
          "TQ1_0": [52], "TQ2_0": [64]}
EXTREMES = [0.0123, -0.5, 6e-8, -5.9e-5, 65504.0, 0.0, -0.0, float("inf")]


def random_blocks(name, rng):
    kind = gguf.GGMLQuantizationType[name]
    size = GGML_QUANT_SIZES[kind][1]
    blocks = rng.integers(0, 256, (len(EXTREMES), size), dtype=np.uint8)
    for i, scale in enumerate(EXTREMES):
        for at in SCALES[name]:
            blocks[i, at:at + 2] = np.frombuffer(np.float16(scale).tobytes(), np.uint8)
    if name == "IQ1_M":
        for i, scale in enumerate(EXTREMES):
            bits = int(np.float16(scale).view(np.uint16))
            for part in range(4):
                at = 49 + 2 * part
                blocks[i, at] = (int(blocks[i, at]) & 15) | (bits >> (4 * part) & 15) << 4
    if name == "MXFP4":
        blocks[:, 0] = [0, 1, 2, 3, 127, 128, 254, 255]
    return blocks.reshape(-1)


def quantised_blocks(name, folder):
    kind = gguf.GGMLQuantizationType[name]
    parts = []
    for file in sorted(os.listdir(folder)) if folder else []:
        if not (file.startswith(name.lower() + "_") and file.endswith("_noim_expected.bin")):
            continue
        data = np.fromfile(os.path.join(folder, file), np.uint8)
        source = np.fromfile(os.path.join(folder, file.replace("expected", "input")), np.float32)
        error = np.sqrt(np.mean((gguf.quants.dequantize(data, kind).reshape(-1) - source) ** 2))
        assert error < 0.2, (name, error)  # inputs are uniform in [-1, 1]: sqrt(1/3) would be no relation
        parts.append(data)
    return parts


def fnv1a(data):
    """64-bit FNV-1a over 32-bit words."""
    value = 0xCBF29CE484222325
    for word in data:
        value = ((value ^ int(word)) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return f"{value:016x}"


def bf16_round(x):
    bits = x.view(np.uint32).astype(np.uint64)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint32)


def float_hashes():
    """Every F16; F32 patterns 2654435761 * i mod 2^32. NaNs are left out."""
    half = np.arange(65536, dtype=np.uint16).view(np.float16)
    wide = half[~np.isnan(half)].astype(np.float32).view(np.uint32)
    sample = (np.arange(1 << 18, dtype=np.uint64) * 2654435761 & 0xFFFFFFFF).astype(np.uint32).view(np.float32)
    sample = sample[~np.isnan(sample)]
    with np.errstate(over="ignore"):
        narrow = sample.astype(np.float16).view(np.uint16)
    return {"f16_to_f32": fnv1a(wide), "f32_to_f16": fnv1a(narrow), "f32_to_bf16": fnv1a(bf16_round(sample))}


def main():
    folder = sys.argv[1] if len(sys.argv) > 1 else None
    rng = np.random.default_rng(20240607)
    np.seterr(all="ignore")
    for name in SCALES:
        kind = gguf.GGMLQuantizationType[name]
        blocks = np.concatenate([random_blocks(name, rng), *quantised_blocks(name, folder)])
        values = gguf.quants.dequantize(blocks, kind).astype(np.float32).reshape(-1)
        with open(os.path.join(HERE, name + ".bin"), "wb") as file:
            file.write(np.uint32(values.size).tobytes() + blocks.tobytes() + values.tobytes())
    with open(os.path.join(HERE, "hashes.json"), "w", encoding="utf-8") as file:
        json.dump(float_hashes(), file, indent=1)
        file.write("\n")


if __name__ == "__main__":
    main()
