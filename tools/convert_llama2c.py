#!/usr/bin/env python3
"""Converts a llama2.c model (version 0 checkpoint and its tokenizer) to a Hugging Face folder and a GGUF file.

    convert_llama2c.py CHECKPOINT.bin TOKENIZER.bin --hf FOLDER --gguf FILE [--name NAME]

Needs nothing but the Python standard library. The weights stay F32.

Rotary embedding: llama2.c rotates the pairs (2i, 2i+1) of a head, as ggml does for the llama architecture, so the GGUF
has the rows of Q and K as they are. Hugging Face rotates (i, i + head_dim/2), so there the rows are reordered.
"""

import argparse
import json
import os
import struct
import sys

SPACE = "\u2581"  # how SentencePiece writes a space
NORM_EPS = 1e-5  # both are constants in llama2.c
ROPE_THETA = 10000.0
ALIGNMENT = 32


class Model:
    """Sizes and tensors of a version 0 checkpoint (llama2.c, export.py: legacy_export)."""

    def __init__(self, data):
        if len(data) < 28:
            sys.exit("checkpoint: too short for its header")
        sizes = struct.unpack_from("<7i", data)
        self.dim, self.ffn_dim, self.n_layers, self.n_heads, self.n_kv_heads, vocab, self.max_positions = sizes
        self.vocab_size = abs(vocab)  # negative: the output matrix is not the embedding
        self.tied = vocab > 0
        if min(self.dim, self.ffn_dim, self.n_layers, self.n_heads, self.n_kv_heads, self.max_positions) < 1:
            sys.exit("checkpoint: bad header (is this a version 0 file?)")
        self.head_dim = self.dim // self.n_heads
        self._data = data
        self._pos = 28
        self._read()

    def _take(self, rows, columns):
        end = self._pos + 4 * rows * columns
        if end > len(self._data):
            sys.exit("checkpoint: shorter than its header says")
        matrix = Matrix(self._data[self._pos:end], rows, columns)
        self._pos = end
        return matrix

    def _take_layers(self, rows, columns):
        return [self._take(rows, columns) for _ in range(self.n_layers)]

    def _read(self):
        dim, ffn, kv_dim = self.dim, self.ffn_dim, self.head_dim * self.n_kv_heads
        self.embedding = self._take(self.vocab_size, dim)
        self.attention_norm = self._take_layers(1, dim)
        self.q = self._take_layers(dim, dim)
        self.k = self._take_layers(kv_dim, dim)
        self.v = self._take_layers(kv_dim, dim)
        self.o = self._take_layers(dim, dim)
        self.ffn_norm = self._take_layers(1, dim)
        self.gate = self._take_layers(ffn, dim)
        self.down = self._take_layers(dim, ffn)
        self.up = self._take_layers(ffn, dim)
        self.final_norm = self._take(1, dim)
        self._take(self.max_positions, self.head_dim)  # cosines and sines, computed anew by everybody
        self.output = self.embedding if self.tied else self._take(self.vocab_size, dim)


class Matrix:
    """Row-major F32 bytes; one row stands for a vector."""

    def __init__(self, data, rows, columns):
        self.data = data
        self.rows = rows
        self.columns = columns

    @property
    def shape(self):
        return [self.columns] if self.rows == 1 else [self.rows, self.columns]

    def halves_first(self, head_dim):
        """Within each head the even rows, then the odd rows."""
        size = 4 * self.columns
        parts = []
        for head in range(0, self.rows, head_dim):
            order = list(range(head, head + head_dim, 2)) + list(range(head + 1, head + head_dim, 2))
            parts += [self.data[row * size:(row + 1) * size] for row in order]
        return Matrix(b"".join(parts), self.rows, self.columns)


class Vocab:
    """Pieces, scores and kinds, in SentencePiece's spelling. Byte pieces are the 256 ids after <unk>, <s>, </s>."""

    def __init__(self, data, size):
        self.pieces, self.scores = [], []
        pos = 4  # the longest piece's length
        for _ in range(size):
            score, length = struct.unpack_from("<fi", data, pos)
            piece = data[pos + 8:pos + 8 + length].decode("utf-8")
            pos += 8 + length
            self.scores.append(score)
            self.pieces.append(piece.replace(" ", SPACE))
        self.pieces[0:3] = ["<unk>", "<s>", "</s>"]  # llama2.c writes them with line breaks around

    def is_byte(self, index):
        return 3 <= index < 259

    def kind(self, index):
        """GGUF's token types: 1 normal, 2 unknown, 3 control, 6 byte."""
        return 2 if index == 0 else 3 if index < 3 else 6 if self.is_byte(index) else 1

    def merges(self):
        """Every split of a piece into two pieces, best score first: what llama2.c's greedy search would join."""
        ids = {piece: index for index, piece in enumerate(self.pieces) if self.kind(index) == 1}
        order = sorted(ids.values(), key=lambda index: (-self.scores[index], index))
        merges = []
        for index in order:
            piece = self.pieces[index]
            splits = [(piece[:i], piece[i:]) for i in range(1, len(piece))]
            splits = [pair for pair in splits if pair[0] in ids and pair[1] in ids]
            merges += sorted(splits, key=lambda pair: (ids[pair[0]], ids[pair[1]]))
        return merges


def write_json(path, value):
    with open(path, "w", encoding="utf-8") as file:
        json.dump(value, file, ensure_ascii=False, indent=1)
        file.write("\n")


def hf_config(model):
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": model.dim,
        "intermediate_size": model.ffn_dim,
        "num_hidden_layers": model.n_layers,
        "num_attention_heads": model.n_heads,
        "num_key_value_heads": model.n_kv_heads,
        "head_dim": model.head_dim,
        "vocab_size": model.vocab_size,
        "max_position_embeddings": model.max_positions,
        "hidden_act": "silu",
        "rms_norm_eps": NORM_EPS,
        "rope_theta": ROPE_THETA,
        "tie_word_embeddings": model.tied,
        "attention_bias": False,
        "mlp_bias": False,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "torch_dtype": "float32",
    }


def hf_tensors(model):
    tensors = {"model.embed_tokens.weight": model.embedding, "model.norm.weight": model.final_norm}
    if not model.tied:
        tensors["lm_head.weight"] = model.output
    for i in range(model.n_layers):
        layer = f"model.layers.{i}."
        tensors[layer + "input_layernorm.weight"] = model.attention_norm[i]
        tensors[layer + "self_attn.q_proj.weight"] = model.q[i].halves_first(model.head_dim)
        tensors[layer + "self_attn.k_proj.weight"] = model.k[i].halves_first(model.head_dim)
        tensors[layer + "self_attn.v_proj.weight"] = model.v[i]
        tensors[layer + "self_attn.o_proj.weight"] = model.o[i]
        tensors[layer + "post_attention_layernorm.weight"] = model.ffn_norm[i]
        tensors[layer + "mlp.gate_proj.weight"] = model.gate[i]
        tensors[layer + "mlp.up_proj.weight"] = model.up[i]
        tensors[layer + "mlp.down_proj.weight"] = model.down[i]
    return tensors


def write_safetensors(path, tensors):
    header, pos = {"__metadata__": {"format": "pt"}}, 0
    for name in sorted(tensors):
        end = pos + len(tensors[name].data)
        header[name] = {"dtype": "F32", "shape": tensors[name].shape, "data_offsets": [pos, end]}
        pos = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for name in sorted(tensors):
            file.write(tensors[name].data)


def added_token(index, content):
    return {"id": index, "content": content, "single_word": False, "lstrip": False, "rstrip": False,
            "normalized": False, "special": True}


def tokenizer_json(vocab):
    bos = {"SpecialToken": {"id": "<s>", "type_id": 0}}
    text = {"Sequence": {"id": "A", "type_id": 0}}
    text_b = {"Sequence": {"id": "B", "type_id": 1}}
    bos_b = {"SpecialToken": {"id": "<s>", "type_id": 1}}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [added_token(i, vocab.pieces[i]) for i in range(3)],
        "normalizer": {"type": "Sequence", "normalizers": [
            {"type": "Prepend", "prepend": SPACE},
            {"type": "Replace", "pattern": {"String": " "}, "content": SPACE}]},
        "pre_tokenizer": None,
        "post_processor": {"type": "TemplateProcessing", "single": [bos, text], "pair": [bos, text, bos_b, text_b],
                           "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}}},
        "decoder": {"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": {"String": SPACE}, "content": " "},
            {"type": "ByteFallback"},
            {"type": "Fuse"},
            {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
        "model": {"type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None,
                  "end_of_word_suffix": None, "fuse_unk": True, "byte_fallback": True, "ignore_merges": False,
                  "vocab": {piece: index for index, piece in enumerate(vocab.pieces)},
                  "merges": [list(pair) for pair in vocab.merges()]},
    }


def tokenizer_config(model):
    return {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": "</s>",
            "unk_token": "<unk>", "add_bos_token": True, "add_eos_token": False,
            "clean_up_tokenization_spaces": False, "model_max_length": model.max_positions}


def write_hf(folder, model, vocab):
    os.makedirs(folder, exist_ok=True)
    write_json(os.path.join(folder, "config.json"), hf_config(model))
    write_json(os.path.join(folder, "tokenizer.json"), tokenizer_json(vocab))
    write_json(os.path.join(folder, "tokenizer_config.json"), tokenizer_config(model))
    write_safetensors(os.path.join(folder, "model.safetensors"), hf_tensors(model))


def gguf_string(text):
    data = text.encode("utf-8")
    return struct.pack("<Q", len(data)) + data


GGUF_TYPES = {"u32": (4, "<I"), "i32": (5, "<i"), "f32": (6, "<f"), "bool": (7, "<?")}


def gguf_entry(key, kind, value):
    """One key and value; a list becomes an array of that kind."""
    number = 8 if kind == "string" else GGUF_TYPES[kind][0]
    encode = gguf_string if kind == "string" else lambda x: struct.pack(GGUF_TYPES[kind][1], x)
    if isinstance(value, list):
        head = struct.pack("<IIQ", 9, number, len(value))
        return gguf_string(key) + head + b"".join(encode(item) for item in value)
    return gguf_string(key) + struct.pack("<I", number) + encode(value)


def gguf_metadata(model, vocab, name):
    return [
        gguf_entry("general.architecture", "string", "llama"),
        gguf_entry("general.name", "string", name),
        gguf_entry("general.file_type", "u32", 0),
        gguf_entry("general.alignment", "u32", ALIGNMENT),
        gguf_entry("llama.context_length", "u32", model.max_positions),
        gguf_entry("llama.embedding_length", "u32", model.dim),
        gguf_entry("llama.block_count", "u32", model.n_layers),
        gguf_entry("llama.feed_forward_length", "u32", model.ffn_dim),
        gguf_entry("llama.rope.dimension_count", "u32", model.head_dim),
        gguf_entry("llama.rope.freq_base", "f32", ROPE_THETA),
        gguf_entry("llama.attention.head_count", "u32", model.n_heads),
        gguf_entry("llama.attention.head_count_kv", "u32", model.n_kv_heads),
        gguf_entry("llama.attention.layer_norm_rms_epsilon", "f32", NORM_EPS),
        gguf_entry("llama.vocab_size", "u32", model.vocab_size),
        gguf_entry("tokenizer.ggml.model", "string", "llama"),
        gguf_entry("tokenizer.ggml.pre", "string", "default"),
        gguf_entry("tokenizer.ggml.tokens", "string", vocab.pieces),
        gguf_entry("tokenizer.ggml.scores", "f32", vocab.scores),
        gguf_entry("tokenizer.ggml.token_type", "i32", [vocab.kind(i) for i in range(len(vocab.pieces))]),
        gguf_entry("tokenizer.ggml.bos_token_id", "u32", 1),
        gguf_entry("tokenizer.ggml.eos_token_id", "u32", 2),
        gguf_entry("tokenizer.ggml.unknown_token_id", "u32", 0),
        gguf_entry("tokenizer.ggml.add_bos_token", "bool", True),
        gguf_entry("tokenizer.ggml.add_eos_token", "bool", False),
        gguf_entry("tokenizer.ggml.add_space_prefix", "bool", True),
    ]


def gguf_tensors(model):
    tensors = [("token_embd.weight", model.embedding), ("output_norm.weight", model.final_norm)]
    if not model.tied:
        tensors.append(("output.weight", model.output))
    for i in range(model.n_layers):
        block = f"blk.{i}."
        tensors += [(block + "attn_norm.weight", model.attention_norm[i]), (block + "attn_q.weight", model.q[i]),
                    (block + "attn_k.weight", model.k[i]), (block + "attn_v.weight", model.v[i]),
                    (block + "attn_output.weight", model.o[i]), (block + "ffn_norm.weight", model.ffn_norm[i]),
                    (block + "ffn_gate.weight", model.gate[i]), (block + "ffn_up.weight", model.up[i]),
                    (block + "ffn_down.weight", model.down[i])]
    return tensors


def padded(data):
    return data + b"\0" * (-len(data) % ALIGNMENT)


def write_gguf(path, model, vocab, name):
    metadata, tensors = gguf_metadata(model, vocab, name), gguf_tensors(model)
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(metadata)) + b"".join(metadata)
    offset = 0
    for tensor_name, matrix in tensors:
        dims = list(reversed(matrix.shape))  # innermost first
        head += gguf_string(tensor_name) + struct.pack(f"<I{len(dims)}QIQ", len(dims), *dims, 0, offset)
        offset += len(padded(matrix.data))
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    with open(path, "wb") as file:
        file.write(padded(head))
        for _, matrix in tensors:
            file.write(padded(matrix.data))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("checkpoint")
    parser.add_argument("tokenizer")
    parser.add_argument("--hf", metavar="FOLDER", help="write a Hugging Face folder")
    parser.add_argument("--gguf", metavar="FILE", help="write a GGUF file")
    parser.add_argument("--name", help="the model's name (default: the checkpoint's file name)")
    args = parser.parse_args()
    with open(args.checkpoint, "rb") as file:
        model = Model(file.read())
    with open(args.tokenizer, "rb") as file:
        vocab = Vocab(file.read(), model.vocab_size)
    name = args.name or os.path.splitext(os.path.basename(args.checkpoint))[0]
    if args.hf:
        write_hf(args.hf, model, vocab)
    if args.gguf:
        write_gguf(args.gguf, model, vocab, name)
    if not args.hf and not args.gguf:
        parser.error("nothing to write: give --hf or --gguf")


if __name__ == "__main__":
    main()
