#!/usr/bin/env python3
"""Random weights in the shape of a model that people run, to measure loading and speed where the model itself is not at hand.

    bench/random_model.py SHAPE TYPE OUT
    bench/random_model.py SHAPE TYPE OUT --layers 4 --sharp                        # a draft model ...
    bench/random_model.py SHAPE TYPE OUT --layers 16 --sharp --like 4 --loose 0.1  # ... and a model for it
    bench/random_model.py SHAPE TYPE OUT --layers 4 --sharp --seed 2               # one that guesses nothing

SHAPE is one of the names below; TYPE is q4_k_m (OUT is a GGUF file, types of tensors as llama.cpp chooses them), q4_0, q8_0, bf16_gguf
(GGUF files with all matrices in that type), gptq (a folder: 4 bits, groups of 128) or bf16 (a folder). A GGUF file has a vocabulary of
made-up words, because other engines load none without; folders have no tokenizer: prompts are ids. Needs numpy, and the package gguf for
GGUF.

A tensor's weights follow from the seed and its name, so models of one shape with different numbers of layers have the first ones in
common. With --like N what the layers from the N-th on add to the stream of activations is smaller by a factor: the model then mostly says
what the one of N layers says. (Types of tensors depend on the number of layers in q4_k_m alone.) With --sharp one token is much likelier
than the others, as in texts, and it is not the last one again: there is a matrix of the head then.
"""

import argparse
import json
import string
import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from zlib import crc32

import numpy as np


@dataclass(frozen=True)
class Shape:
    """Sizes as a config.json has them; n_experts 0: a dense network."""

    hidden: int
    ffn: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    vocab: int
    tied: bool = False
    n_experts: int = 0
    n_used: int = 0
    qk_norm: bool = False
    seed: int = 1
    like: int = 0  # layers of the model that it is like; 0: none
    loose: float = 1.0  # what the others add, as a part of what they would
    sharp: bool = False


SHAPES = {
    "smollm2-135m": Shape(576, 1536, 30, 9, 3, 64, 49152, tied=True),
    "qwen3-0.6b": Shape(1024, 3072, 28, 16, 8, 128, 151936, tied=True, qk_norm=True),
    "llama-1b": Shape(2048, 8192, 16, 32, 8, 64, 128256, tied=True),
    "llama-3b": Shape(3072, 8192, 28, 24, 8, 128, 128256, tied=True),
    "llama-8b": Shape(4096, 14336, 32, 32, 8, 128, 128256),
    # Layers of Qwen3-30B-A3B, six times fewer, and a vocabulary six times smaller, so that it fits in little memory.
    "qwen3-30b-a3b-sixth": Shape(2048, 768, 8, 32, 4, 128, 25344, n_experts=128, n_used=8, qk_norm=True),
    "qwen3-moe-7b-a1b": Shape(2048, 1024, 16, 16, 8, 128, 151936, n_experts=64, n_used=8, qk_norm=True),
}
SHARP = 12.0  # of the last norm
# Weights of a block, its bytes, and its F16 factors: where and how large, so that weights are about 0.02.
BLOCKS = {
    "Q4_K": (256, 144, {0: 1.2e-4, 2: 9e-4}),
    "Q6_K": (256, 210, {208: 2e-5}),
    "Q4_0": (32, 18, {0: 4e-3}),
    "Q8_0": (32, 34, {0: 2.5e-4}),
}
MATRICES = {"q4_k_m": "Q4_K", "q4_0": "Q4_0", "q8_0": "Q8_0", "bf16_gguf": "BF16"}  # most of them, of the types of GGUF files
FILE_TYPES = {"q4_k_m": 15, "q4_0": 2, "q8_0": 7, "bf16_gguf": 32}  # what general.file_type has for them


def architecture(shape: Shape) -> str:
    if shape.n_experts:
        return "qwen3_moe"
    return "qwen3" if shape.qk_norm else "llama"


def linears(shape: Shape) -> dict[str, tuple[int, int]]:
    """Of one layer without its network, by the names of transformers: outputs and inputs."""
    q, kv = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    return {
        "self_attn.q_proj": (q, shape.hidden),
        "self_attn.k_proj": (kv, shape.hidden),
        "self_attn.v_proj": (kv, shape.hidden),
        "self_attn.o_proj": (shape.hidden, q),
    }


def network(shape: Shape) -> dict[str, tuple[int, int]]:
    return {
        "gate_proj": (shape.ffn, shape.hidden),
        "up_proj": (shape.ffn, shape.hidden),
        "down_proj": (shape.hidden, shape.ffn),
    }


def generator(shape: Shape, tensor: str) -> np.random.Generator:
    return np.random.default_rng([shape.seed, crc32(tensor.encode())])


def size_of(shape: Shape, tensor: str) -> float:
    """Factor of a matrix: what layers add goes through the last matrices of their halves."""
    layer = next((int(part) for part in tensor.split(".") if part.isdigit()), -1)
    adds = any(part in tensor for part in ("o_proj", "down_proj", "attn_output", "ffn_down"))
    return shape.loose if shape.like and layer >= shape.like and adds else 1.0


def norm_of(shape: Shape, tensor: str) -> float:
    return SHARP if shape.sharp and tensor in ("output_norm.weight", "model.norm") else 1.0


def blocks(rng: np.random.Generator, factor: float, kind: str, *dims: int) -> np.ndarray:
    """Blocks of random codes."""
    n_weights, n_bytes, factors = BLOCKS[kind]
    rows = int(np.prod(dims[:-1]))
    data = rng.integers(0, 256, (rows, dims[-1] // n_weights, n_bytes), dtype=np.uint8)
    if kind == "Q4_0":  # codes 1 to 15, whose mean is the zero point: else all rows say much the same
        low = data & 15
        data = np.where(low == 0, 8, low) | (np.where(data < 16, 128, data) & 240)
    for at, size in factors.items():
        data[:, :, at : at + 2] = np.frombuffer(np.float16(size * factor).tobytes(), np.uint8)
    return data.reshape(*dims[:-1], -1)


def byte_letters() -> list[str]:
    """The letter that byte-level BPE has for each byte: printable ones for themselves, others from U+0100 on."""
    plain = {*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAC + 1), *range(0xAE, 0xFF + 1)}
    others = iter(range(0x100, 0x200))
    return [chr(byte) if byte in plain else chr(next(others)) for byte in range(256)]


def words() -> Iterator[tuple[str, str]]:
    """Ever longer words of letters, without end: a shorter word and the letter that follows it."""
    shorter = list(string.ascii_letters)
    while True:
        longer = []
        for word in shorter:
            for letter in string.ascii_letters:
                longer.append(word + letter)
                yield word, letter
        shorter = longer


def write_vocabulary(writer, n_tokens: int, pre: str) -> None:
    """Byte-level BPE with one merge a word, as many as real vocabularies have, so that reading it takes as long."""
    tokens = ["<s>", "</s>", *byte_letters()]
    merges = []
    for (word, letter), _ in zip(words(), range(n_tokens - len(tokens))):
        tokens.append(word + letter)
        merges.append(f"{word} {letter}")
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens)
    writer.add_token_types([3, 3] + [1] * (n_tokens - 2))  # control, normal
    writer.add_token_merges(merges)
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)
    writer.add_add_bos_token(False)


def write_gguf(shape: Shape, matrix_type: str, out: Path) -> None:
    import gguf

    name = architecture(shape).replace("_", "")
    writer = gguf.GGUFWriter(out, name)
    writer.add_file_type(FILE_TYPES[matrix_type])
    writer.add_context_length(8192)
    writer.add_embedding_length(shape.hidden)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.ffn)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_key_length(shape.head_dim)
    writer.add_value_length(shape.head_dim)
    writer.add_rope_dimension_count(shape.head_dim)
    writer.add_rope_freq_base(500000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(shape.vocab)
    write_vocabulary(writer, shape.vocab, "qwen2" if shape.qk_norm else "llama-bpe")
    if shape.n_experts:
        writer.add_expert_count(shape.n_experts)
        writer.add_expert_used_count(shape.n_used)
        writer.add_expert_feed_forward_length(shape.ffn)

    usual = MATRICES[matrix_type]
    better = "Q6_K" if usual == "Q4_K" else usual
    tensors: list[tuple[str, str, tuple[int, ...]]] = [("token_embd.weight", usual, (shape.vocab, shape.hidden))]
    if not shape.tied:
        tensors.append(("output.weight", better, (shape.vocab, shape.hidden)))
    tensors.append(("output_norm.weight", "F32", (shape.hidden,)))
    short = {"self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
             "gate_proj": "ffn_gate", "up_proj": "ffn_up", "down_proj": "ffn_down"}  # fmt: skip
    for i in range(shape.layers):
        more = i < shape.layers // 8 or i >= 7 * shape.layers // 8 or (i - shape.layers // 8) % 3 == 2
        parts = {**linears(shape), **network(shape)}
        for part, dims in parts.items():
            kind = better if more and part in ("self_attn.v_proj", "down_proj") else usual
            expert = shape.n_experts and not part.startswith("self_attn")
            whole = (shape.n_experts, *dims) if expert else dims
            tensors.append((f"blk.{i}.{short[part]}{'_exps' if expert else ''}.weight", kind, whole))
        if shape.n_experts:
            tensors.append((f"blk.{i}.ffn_gate_inp.weight", "F32", (shape.n_experts, shape.hidden)))
        norms = ["attn_norm", "ffn_norm"]
        tensors += [(f"blk.{i}.{norm}.weight", "F32", (shape.hidden,)) for norm in norms]
        if shape.qk_norm:
            tensors += [(f"blk.{i}.attn_{x}_norm.weight", "F32", (shape.head_dim,)) for x in "qk"]
    types = gguf.GGMLQuantizationType
    for tensor, kind, dims in tensors:
        if kind == "F32":
            writer.add_tensor_info(tensor, dims, np.dtype(np.float32), 4 * int(np.prod(dims)))
            continue
        n_weights, n_bytes, _ = BLOCKS.get(kind, (1, 2, {}))
        if dims[-1] % n_weights:
            raise SystemExit(f"{tensor}: rows of {dims[-1]} weights cannot be {kind}, which has blocks of {n_weights}")
        row_bytes = dims[-1] // n_weights * n_bytes
        size = int(np.prod(dims[:-1])) * row_bytes
        writer.add_tensor_info(tensor, (*dims[:-1], row_bytes), np.dtype(np.uint8), size, getattr(types, kind))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for tensor, kind, dims in tensors:
        rng, factor = generator(shape, tensor), size_of(shape, tensor)
        if kind == "BF16":
            writer.write_tensor_data(bf16(rng, factor, *dims).view(np.uint8))
        elif kind != "F32":
            writer.write_tensor_data(blocks(rng, factor, kind, *dims))
        elif "norm" in tensor:
            writer.write_tensor_data(np.full(dims, norm_of(shape, tensor), np.float32))
        else:
            writer.write_tensor_data(rng.normal(0, 0.02, dims).astype(np.float32))
    writer.close()


def config_of(shape: Shape) -> dict:
    config = {
        "model_type": architecture(shape),
        "architectures": [{"llama": "LlamaForCausalLM", "qwen3": "Qwen3ForCausalLM", "qwen3_moe": "Qwen3MoeForCausalLM"}[architecture(shape)]],
        "hidden_size": shape.hidden,
        "intermediate_size": shape.ffn,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "head_dim": shape.head_dim,
        "vocab_size": shape.vocab,
        "max_position_embeddings": 8192,
        "rms_norm_eps": 1e-5,
        "rope_theta": 500000.0,
        "tie_word_embeddings": shape.tied,
        "torch_dtype": "bfloat16",
        "bos_token_id": 0,
        "eos_token_id": 1,
    }  # fmt: skip
    if shape.n_experts:
        config |= {"num_experts": shape.n_experts, "num_experts_per_tok": shape.n_used, "moe_intermediate_size": shape.ffn}
        config |= {"decoder_sparse_step": 1, "norm_topk_prob": True}
    return config


def bf16(rng: np.random.Generator, factor: float, *dims: int) -> np.ndarray:
    values = rng.standard_normal(dims, dtype=np.float32) * np.float32(0.02 * factor)
    return (values.view(np.uint32) >> 16).astype(np.uint16)


def gptq(rng: np.random.Generator, factor: float, n_out: int, n_in: int, group: int = 128) -> dict[str, np.ndarray]:
    return {
        "qweight": rng.integers(-(2**31), 2**31, (n_in // 8, n_out), dtype=np.int32),
        "qzeros": np.full((n_in // group, n_out // 8), 0x77777777, np.int32),
        "scales": np.full((n_in // group, n_out), 0.004 * factor, np.float16),
        "g_idx": np.arange(n_in, dtype=np.int32) // group,
    }


def norm_bf16(size: float, *dims: int) -> np.ndarray:
    return (np.full(dims, size, np.float32).view(np.uint32) >> 16).astype(np.uint16)


def write_folder(shape: Shape, kind: str, out: Path) -> None:
    """Tensors are written one by one: the header first, with the sizes that they will have."""
    out.mkdir(parents=True, exist_ok=True)
    config = config_of(shape)
    if kind == "gptq":
        config["quantization_config"] = {"quant_method": "gptq", "bits": 4, "group_size": 128, "desc_act": False, "sym": True}
    (out / "config.json").write_text(json.dumps(config, indent=1))

    def matrix(name: str, n_out: int, n_in: int):
        rng, factor = generator(shape, name), size_of(shape, name)
        if kind == "bf16":
            return [(f"{name}.weight", "BF16", (n_out, n_in), lambda: bf16(rng, factor, n_out, n_in))]
        made: dict[str, np.ndarray] = {}

        def part(suffix: str):
            def get() -> np.ndarray:
                if not made:
                    made.update(gptq(rng, factor, n_out, n_in))
                return made.pop(suffix)

            return get

        return [
            (f"{name}.qweight", "I32", (n_in // 8, n_out), part("qweight")),
            (f"{name}.qzeros", "I32", (n_in // 128, n_out // 8), part("qzeros")),
            (f"{name}.scales", "F16", (n_in // 128, n_out), part("scales")),
            (f"{name}.g_idx", "I32", (n_in,), part("g_idx")),
        ]

    def plain(name: str, *dims: int):
        if "norm" in name:
            return (f"{name}.weight", "BF16", dims, lambda: norm_bf16(norm_of(shape, name), *dims))
        return (f"{name}.weight", "BF16", dims, lambda: bf16(generator(shape, name), 1.0, *dims))

    tensors = [plain("model.embed_tokens", shape.vocab, shape.hidden), plain("model.norm", shape.hidden)]
    if not shape.tied:
        tensors.append(plain("lm_head", shape.vocab, shape.hidden))
    for i in range(shape.layers):
        at = f"model.layers.{i}."
        tensors += [plain(at + "input_layernorm", shape.hidden), plain(at + "post_attention_layernorm", shape.hidden)]
        if shape.qk_norm:
            tensors += [plain(f"{at}self_attn.{x}_norm", shape.head_dim) for x in "qk"]
        for part, dims in linears(shape).items():
            tensors += matrix(at + part, *dims)
        if shape.n_experts:
            tensors.append(plain(at + "mlp.gate", shape.n_experts, shape.hidden))
        places = [f"mlp.experts.{e}." for e in range(shape.n_experts)] or ["mlp."]
        for place in places:
            for part, dims in network(shape).items():
                tensors += matrix(at + place + part, *dims)
    sizes = {"BF16": 2, "F16": 2, "I32": 4}
    header: dict[str, dict] = {}
    end = 0
    for name, dtype, dims, _ in tensors:
        begin, end = end, end + int(np.prod(dims)) * sizes[dtype]
        header[name] = {"dtype": dtype, "shape": list(dims), "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(out / "model.safetensors", "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for _, _, _, make in tensors:
            file.write(make().tobytes())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shape", choices=SHAPES)
    parser.add_argument("type", choices=[*MATRICES, "gptq", "bf16"])
    parser.add_argument("out", type=Path)
    parser.add_argument("--layers", type=int, help="instead of the shape's own number")
    parser.add_argument("--like", type=int, default=0, metavar="N", help="layers of the model that it is like")
    parser.add_argument("--loose", type=float, default=0.1, metavar="X", help="with --like: what the others add is X times as large")
    parser.add_argument("--sharp", action="store_true", help="one token much likelier than the others")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    shape = SHAPES[args.shape]
    if args.sharp:
        shape = replace(shape, tied=False)
    shape = replace(shape, layers=args.layers or shape.layers, like=args.like, loose=args.loose, sharp=args.sharp, seed=args.seed)
    if args.type in MATRICES:
        write_gguf(shape, args.type, args.out)
    else:
        write_folder(shape, args.type, args.out)


if __name__ == "__main__":
    main()
