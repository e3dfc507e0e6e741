"""Quantises the linears of a Hugging Face folder to GPTQ's file format, for tools/make_tiny_models.py.

Values are rounded to the nearest code; the solver that gives GPTQ its name chooses better codes, which is of no matter
here. The format is that of AutoGPTQ and GPTQModel, docs/formats.md describes it.

The oracle is AutoGPTQ itself, of which one file is loaded without the rest (the package does not import beside
transformers 5): nn_modules/qlinear/qlinear_cuda.py. Its `pack` must give the tensors that are written here, and the
weights it multiplies with are what transformers computes the goldens from.
`pip install --no-deps auto-gptq==0.7.1` is enough.
"""

import importlib.util
import json
import logging
import shutil

import numpy as np
import torch
from safetensors.torch import load_file, save_file

LINEARS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj", "w1", "w2", "w3")


def oracle():
    package = importlib.util.find_spec("auto_gptq")
    assert package is not None, "auto_gptq is not installed"
    path = f"{package.submodule_search_locations[0]}/nn_modules/qlinear/qlinear_cuda.py"
    spec = importlib.util.spec_from_file_location("qlinear_cuda", path)
    module = importlib.util.module_from_spec(spec)
    logging.disable(logging.WARNING)  # that there is no CUDA
    spec.loader.exec_module(module)
    return module.QuantLinear


def group_indices(n_in, group_size, generator):
    """g_idx: group of every input; with act-order (a generator) inputs belong to groups in no order."""
    groups = np.arange(n_in, dtype=np.int32) // group_size
    return groups if generator is None else generator.permutation(groups)


def quantise(weight, groups, bits, symmetric):
    """Codes [out, in], scales [groups, out] in float16 and zero points [groups, out]."""
    n_groups = int(groups.max()) + 1
    largest = 2 ** bits - 1
    scales = np.zeros((n_groups, weight.shape[0]), dtype=np.float16)
    zeros = np.zeros((n_groups, weight.shape[0]), dtype=np.int64)
    codes = np.zeros(weight.shape, dtype=np.int64)
    for group in range(n_groups):
        part = weight[:, groups == group]
        low, high = np.minimum(part.min(axis=1), 0), np.maximum(part.max(axis=1), 0)
        if symmetric:
            high = np.maximum(-low, high)
            low = -high
        scales[group] = ((high - low) / largest).astype(np.float16)
        scale = scales[group].astype(np.float32)
        # The first file version cannot say 0: it stores the zero point less one.
        zeros[group] = 2 ** (bits - 1) if symmetric else np.clip(np.round(-low / scale), 1, largest)
        codes[:, groups == group] = np.clip(
            np.round(part / scale[:, None]) + zeros[group][:, None], 0, largest)
    return codes, scales, zeros


def pack(codes, bits):
    """Words of 32 / bits codes that follow each other in the last dimension, the first in the lowest bits."""
    fields = codes.reshape(*codes.shape[:-1], -1, 32 // bits).astype(np.uint64)
    shifts = np.arange(0, 32, bits, dtype=np.uint64)
    return (fields << shifts).sum(axis=-1).astype(np.uint32).view(np.int32)


def check(tensors, codes, zeros, options):
    """AutoGPTQ packs the same tensors. Returns the weights that it multiplies with, [out, in]."""
    n_out, n_in = codes.shape
    layer = oracle()(options["bits"], options["group_size"], n_in, n_out, False, weight_dtype=torch.float32)
    scales = tensors["scales"].float()
    groups = tensors["g_idx"]
    linear = torch.nn.Linear(n_in, n_out, bias=False)
    wide = groups.long()
    linear.weight.data = scales.t()[:, wide] * torch.tensor(codes - zeros.T[:, groups.numpy()])
    layer.pack(linear, scales.t().clone(), torch.tensor(zeros.T).float(), groups)
    assert torch.equal(layer.qweight, tensors["qweight"])
    stored = layer.qzeros.numpy().view(np.uint32)
    if options["format"] == "gptq_v2":
        stored = stored + np.uint32(sum(1 << shift for shift in range(0, 32, options["bits"])))
    assert np.array_equal(stored.view(np.int32), tensors["qzeros"].numpy())
    assert torch.equal(layer.scales, scales)
    return layer(torch.eye(n_in)).t().contiguous()


def quantise_linear(weight, groups, options):
    bits = options["bits"]
    codes, scales, zeros = quantise(weight, groups, bits, options["sym"])
    stored_zeros = zeros - (1 if options["format"] == "gptq" else 0)
    tensors = {"qweight": torch.tensor(np.ascontiguousarray(pack(codes, bits).T)),
               "qzeros": torch.tensor(pack(stored_zeros, bits)),
               "scales": torch.tensor(scales), "g_idx": torch.tensor(groups)}
    return tensors, check(tensors, codes, zeros, options)


def quantise_folder(folder, dense, options):
    """Rewrites the folder's weights and configuration. `dense` gets the same model with the weights that the quantised
    ones stand for."""
    options = {"format": "gptq", "desc_act": False, "lm_head": False, "empty_bias": False, **options}
    generator = np.random.default_rng(options["bits"]) if options["desc_act"] else None
    path = folder / "model.safetensors"
    tensors = load_file(path)
    expanded = dict(tensors)
    shared = {}
    for name in sorted(tensors):
        module, _, kind = name.rpartition(".")
        linear = module.rpartition(".")[2]
        if kind != "weight" or not (linear in LINEARS or (linear == "lm_head" and options["lm_head"])):
            continue
        weight = tensors.pop(name).float().numpy()
        size = options["group_size"] if options["group_size"] > 0 else weight.shape[1]
        # Q, K and V have seen the same inputs: one order. Gate and up would too, but need not.
        site = module.rpartition(".")[0] + ".qkv" if linear in ("q_proj", "k_proj", "v_proj") else module
        groups = shared.setdefault(site, group_indices(weight.shape[1], size, generator))
        quantised, expanded[name] = quantise_linear(weight, groups, options)
        tensors.update({f"{module}.{key}": value for key, value in quantised.items()})
        if options["empty_bias"]:  # AutoGPTQ gives every linear a bias
            tensors.setdefault(f"{module}.bias", torch.zeros(weight.shape[0], dtype=torch.float16))
    shutil.copy(folder / "config.json", dense)
    save_file(expanded, dense / "model.safetensors", metadata={"format": "pt"})
    save_file({name: value.contiguous() for name, value in tensors.items()}, path, metadata={"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    config["quantization_config"] = {
        "quant_method": "gptq", "bits": options["bits"], "group_size": options["group_size"], "sym": options["sym"],
        "desc_act": options["desc_act"], "checkpoint_format": options["format"], "lm_head": options["lm_head"],
        "true_sequential": True, "damp_percent": 0.01}
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
