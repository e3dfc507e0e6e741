#!/usr/bin/env python3
"""Makes small LoRA adapters for the tiny models, and their goldens, under tests/data/adapters.

Every adapter is made with Hugging Face peft on a model of tests/data/models (tools/make_tiny_models.py makes those):
random A and B, large enough that the logits differ far from those of the bare model. Beside the adapter lies
golden.json, with the members that make_tiny_models.py describes; the logits are those of the unmerged adapter.

Usage: tools/make_adapter_goldens.py [NAME...]       needs torch, transformers, peft, safetensors, gguf
"""

import json
import shutil
import sys
from pathlib import Path

import peft
import torch
import transformers
from safetensors.torch import save_file

DATA = Path(__file__).resolve().parent.parent / "tests" / "data"
N_GREEDY = 8
N_PROMPT = 16

# name -> (base model, arguments of LoraConfig, dtype of the stored tensors)
ADAPTERS = {
    # parts of the fused QKV
    "llama-qv": ("llama", dict(r=3, lora_alpha=12, target_modules=["q_proj", "v_proj"]), torch.float32),
    # everything, with another rank
    "llama-all": ("llama", dict(
        r=5, lora_alpha=4, use_rslora=True,
        target_modules=["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]), torch.bfloat16),
    # Q and K lie in another order in the GGUF file
    "llama-gguf": ("llama-gguf", dict(r=4, lora_alpha=8, target_modules=["q_proj", "k_proj", "up_proj"]),
                   torch.float16),
    "gemma3": ("gemma3", dict(r=2, lora_alpha=4, target_modules=["q_proj", "k_proj", "v_proj", "o_proj"]),
               torch.float16),
    # another prefix
    "gemma3-vision": ("gemma3-vision", dict(
        r=2, lora_alpha=4, target_modules=r".*language_model\..*\.(q_proj|gate_proj)"), torch.float32),
    "gpt2": ("gpt2", dict(r=3, lora_alpha=6, fan_in_fan_out=True, target_modules=["c_attn", "c_proj", "c_fc"]),
             torch.float16),
    # the model's file has no prefix, the adapter's has
    "gpt2-bare": ("gpt2-bare", dict(r=2, lora_alpha=4, fan_in_fan_out=True, target_modules=["c_attn"]),
                  torch.float32),
    # latent attention (names of its FFN would make peft adapt the routed experts as well)
    "deepseek2": ("deepseek2", dict(
        r=2, lora_alpha=4, target_modules=["q_a_proj", "q_b_proj", "kv_a_proj_with_mqa", "o_proj"]), torch.float16),
    # both stacks and what is between them
    "t5": ("t5", dict(r=2, lora_alpha=1, target_modules=["q", "k", "v", "o", "wi", "wo"]), torch.float16),
    # lengths of rows are trained as well; so in GPT-2, whose matrices lie the other way round
    "llama-dora": ("llama", dict(r=3, lora_alpha=6, use_dora=True, target_modules=["q_proj", "k_proj", "down_proj"]),
                   torch.float32),
    "gpt2-dora": ("gpt2", dict(r=2, lora_alpha=4, use_dora=True, use_rslora=True, fan_in_fan_out=True,
                               target_modules=["c_attn", "c_fc"]), torch.float32),
    # ranks and factors by patterns, some layers only, a bias behind B
    "qwen3-patterns": ("qwen3", dict(
        r=4, lora_alpha=8, lora_bias=True, layers_to_transform=[1],
        target_modules=["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
        rank_pattern={"q_proj": 2, r".*\.mlp\.up_.*": 3, "^model.layers.1.mlp.down_proj": 1},
        alpha_pattern={r"layers\.\d\.self_attn\.v_proj": 3, "o_proj": 1}), torch.float32),
    # biases instead of the model's
    "qwen2-bias": ("qwen2", dict(r=2, lora_alpha=4, bias="all", target_modules=["q_proj", "up_proj"]), torch.float32),
    # a head of its own, a norm and a table that are replaced or changed
    "llama-saved": ("llama", dict(r=2, lora_alpha=4, target_modules=["v_proj"],
                                  modules_to_save=["lm_head", "embed_tokens"]), torch.float32),
    "gemma3-table": ("gemma3", dict(r=3, lora_alpha=6, target_modules=["embed_tokens", "k_proj"]), torch.float32),
    "llama-head": ("llama", dict(r=3, lora_alpha=6, target_modules=["lm_head", "embed_tokens"]), torch.float32),
    # rows of some tokens, in the table and in the tied head
    "qwen3-tokens": ("qwen3", dict(r=2, lora_alpha=4, target_modules=["o_proj"], trainable_token_indices=[7, 3, 11]),
                     torch.float32),
    # experts in one tensor, gate and up in one, whatever the model's file has; and a router
    "qwen3-moe": ("qwen3-moe", dict(r=2, lora_alpha=4, target_modules="all-linear"), torch.float32),
    "gpt-oss": ("gpt-oss", dict(r=2, lora_alpha=4, target_modules="all-linear"), torch.bfloat16),
    "mixtral": ("mixtral", dict(r=2, lora_alpha=4, target_modules=["q_proj"],
                                target_parameters=["mlp.experts.down_proj"]), torch.float32),
    # heads' Q, K and V lie head by head in one module
    "gpt-neox": ("gpt-neox", dict(r=2, lora_alpha=4, target_modules="all-linear"), torch.float32),
    # keys and values of latent attention, which decoding does not make
    "deepseek2-heads": ("deepseek2", dict(r=2, lora_alpha=4, target_modules=["kv_b_proj", "q_b_proj"]), torch.float32),
    # as torch.save writes it
    "glm4-bin": ("glm4", dict(r=2, lora_alpha=4, target_modules=["q_proj", "gate_up_proj"]), torch.float16),
    # norms that are replaced: of the stream, of heads, and of gated mixers in a recurrent layer
    "qwen3-norms": ("qwen3", dict(r=2, lora_alpha=4, target_modules=["v_proj"],
                                  modules_to_save=["norm", "input_layernorm", "q_norm"]), torch.float32),
    "llama-norms": ("llama", dict(r=2, lora_alpha=4, target_modules=["o_proj"],
                                  modules_to_save=["norm", "input_layernorm", "post_attention_layernorm"]),
                    torch.float32),
    "gemma3-norms": ("gemma3", dict(
        r=2, lora_alpha=4, target_modules=["v_proj"],
        modules_to_save=["norm", "input_layernorm", "pre_feedforward_layernorm", "k_norm"]), torch.float32),
    "qwen3-next-norms": ("qwen3-next", dict(r=2, lora_alpha=4, target_modules=["o_proj", "out_proj"],
                                            modules_to_save=["norm", "post_attention_layernorm"]), torch.float32),
    "mamba2-norms": ("mamba2", dict(r=2, lora_alpha=4, target_modules=["in_proj"],
                                    modules_to_save=["norm", "norm_f"]), torch.float32),
    # biases of LayerNorms, beside those of linears
    "gpt2-bias": ("gpt2", dict(r=2, lora_alpha=4, bias="all", fan_in_fan_out=True, target_modules=["c_fc"]),
                  torch.float32),
    "bart-norms": ("bart", dict(r=2, lora_alpha=4, bias="all", target_modules=["q_proj"],
                                modules_to_save=["layernorm_embedding", "final_layer_norm", "encoder_attn_layer_norm"]),
                   torch.float32),
    # written again as peft before 0.19 has them, see save_old
    "qwen3-moe-old": ("qwen3-moe", dict(
        r=3, lora_alpha=6, target_modules=["q_proj"],
        target_parameters=["mlp.experts.gate_up_proj", "mlp.experts.down_proj"]), torch.float32),
    "gpt-oss-old": ("gpt-oss", dict(
        r=2, lora_alpha=4, target_modules=["v_proj"],
        target_parameters=["mlp.experts.gate_up_proj", "mlp.experts.down_proj"]), torch.float32),
    # written as GGUF as well
    "qwen3-moe-gguf": ("qwen3-moe", dict(
        r=2, lora_alpha=4, target_modules=["q_proj", "mlp.gate"],
        target_parameters=["mlp.experts.gate_up_proj", "mlp.experts.down_proj"]), torch.float32),
    # names of classes that are not those of the files: other ones, Q, K and V apart, and weights that layers share
    "exaone": ("exaone", dict(r=2, lora_alpha=4, target_modules="all-linear", modules_to_save=["norm"]), torch.float32),
    "sarvam-moe": ("sarvam-moe", dict(r=2, lora_alpha=4, target_modules=["q_proj", "k_proj", "v_proj", "o_proj"],
                                      modules_to_save=["q_norm"]), torch.float32),
    "granitemoe": ("granitemoe", dict(r=2, lora_alpha=4, target_modules=["q_proj"], target_parameters=[
        "block_sparse_moe.experts.gate_up_proj", "block_sparse_moe.experts.down_proj"]), torch.float32),
    "zamba2": ("zamba2", dict(
        r=3, lora_alpha=1, target_modules=r".*shared_transformer.*\.(q_proj|o_proj|down_proj|\w+_list\.\d\.[01])",
        modules_to_save=["pre_ff_layernorm"]), torch.float16),
    # a head behind a linear of its own, whose name is among those that encoders leave out
    "bert-decoder": ("bert-decoder", dict(r=2, lora_alpha=4, target_modules=["transform.dense", "query"]), torch.float32),
    # rows of a tied head that has a bias
    "bart-tokens": ("bart", dict(r=2, lora_alpha=4, target_modules=["q_proj"], trainable_token_indices=[5, 2, 9]),
                    torch.float32),
    # as GGUF with Q, K and V one behind the other, not head by head
    "gpt-neox-gguf": ("gpt-neox", dict(r=2, lora_alpha=4, target_modules=["query_key_value"]), torch.float32),
}
# Those that are written as GGUF as well, and of which architecture.
GGUF = {"llama-gguf": "llama", "qwen3-moe-gguf": "qwen3moe", "gemma3-norms": "gemma3", "gpt-neox-gguf": "gptneox"}
# Those whose logits after merge_and_unload are recorded.
MERGED = ("llama-all", "llama-dora", "gpt2-dora", "qwen3-moe")
# The version of peft whose layout an adapter gets.
OLD = {"qwen3-moe-old": "0.18.1", "gpt-oss-old": "0.19.0"}


def load_base(name):
    folder = DATA / "models" / name
    kind = json.loads((folder / "config.json").read_text())["architectures"][0]
    return getattr(transformers, kind).from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager").eval()


def fill(model, dtype, seed):
    """Random numbers for everything that is trained, as numbers that `dtype` holds exactly."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        noise = torch.randn(parameter.shape, generator=generator)
        if "magnitude" in name:
            value = parameter.data * (1 + noise.abs() / 2)
        elif "lora_" in name and name.endswith("bias"):
            value = noise / 4
        elif "lora_" in name:
            value = noise / parameter.shape[-1] ** 0.5
        elif name.endswith("bias"):
            value = noise / 2
        elif "norm" in name or ".ln_" in name:
            value = parameter.data + noise / 4
        else:  # a matrix of the model, or rows of one
            value = parameter.data + noise * parameter.data.std()
        parameter.data.copy_(value.to(dtype).float())


def save(model, base, dtype, folder):
    tensors = {name: value.to(dtype) for name, value in peft.get_peft_model_state_dict(model).items()}
    model.save_pretrained(folder)
    (folder / "README.md").unlink(missing_ok=True)
    tensors = {name: value.clone().contiguous() for name, value in tensors.items()}
    if folder.name.endswith("-bin"):
        (folder / "adapter_model.safetensors").unlink()
        torch.save(tensors, folder / "adapter_model.bin")
    else:
        save_file(tensors, folder / "adapter_model.safetensors")
    path = folder / "adapter_config.json"
    config = json.loads(path.read_text())
    config["base_model_name_or_path"] = base
    for key in ("target_modules", "target_parameters"):
        if isinstance(config.get(key), list):
            config[key].sort()  # peft writes a set
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def save_old(folder, n_experts):
    """The same adapter as an older peft has it. Its ParamWrapper (tuners/lora/layer.py, v0.18.1 and v0.19.0) takes
    dimension 1 of a parameter [experts, ., .] for inputs and dimension 2 for outputs, and adds
    einsum("o r e, e r i -> e i o"); 0.19.0 exchanges both, in names and in the sum, for modules with is_transposed. So A
    of both adapters here has columns for what the module puts out."""
    from safetensors.torch import load_file

    path = folder / "adapter_model.safetensors"
    tensors = load_file(path)
    for name in [name for name in tensors if ".experts." in name and name.endswith("lora_A.weight")]:
        other = name.replace("lora_A", "lora_B")
        a, b = tensors[name], tensors[other]
        rank = a.shape[0] // n_experts
        a = a.reshape(n_experts, rank, -1)  # e r in
        b = b.reshape(b.shape[0], rank, n_experts)  # out r e
        old_a, old_b = b.permute(2, 1, 0), a.permute(2, 1, 0)  # e r out, in r e
        delta = torch.einsum("o r e, e r i -> e o i", b, a)
        assert torch.allclose(torch.einsum("o r e, e r i -> e i o", old_b, old_a), delta, atol=1e-6)
        tensors[name] = old_a.reshape(n_experts * rank, -1).contiguous()
        tensors[other] = old_b.reshape(-1, rank * n_experts).contiguous()
    save_file(tensors, path)
    path = folder / "adapter_config.json"
    config = json.loads(path.read_text())
    config["peft_version"] = OLD[folder.name]
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def save_gguf(folder, base):
    """The same adapter as llama.cpp's convert_lora_to_gguf.py writes it and its build_lora_mm and build_lora_mm_id read it:
    names of GGUF, the rows of Q and K of llama in pairs, those of stacked experts in three dimensions, and norms as the
    models' converters have them."""
    import gguf
    from safetensors.torch import load_file

    config = json.loads((folder / "adapter_config.json").read_text())
    sizes = json.loads((DATA / "models" / base / "config.json").read_text())
    arch = GGUF[folder.name]
    heads = {"q_proj": sizes["num_attention_heads"], "k_proj": sizes["num_key_value_heads"]} if arch == "llama" else {}
    kind = next(kind for kind, name in gguf.MODEL_ARCH_NAMES.items() if name == arch)
    names = gguf.get_tensor_name_map(kind, sizes["num_hidden_layers"])
    n_experts = sizes.get("num_local_experts")
    writer = gguf.GGUFWriter(folder / "adapter.gguf", arch)
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", float(config["lora_alpha"]))

    def add(module, part, value):
        suffix = ".weight." + part.lower() if part else ".weight"
        writer.add_tensor(names.get_name(module) + suffix, value.contiguous().numpy())

    for name, value in sorted(load_file(folder / "adapter_model.safetensors").items()):
        module, _, part = name.removeprefix("base_model.model.").removesuffix(".weight").partition(".lora_")
        part = part and "lora_" + part
        last = module.split(".")[-1]
        if not part:
            add(module, part, value + 1 if arch == "gemma3" else value)
        elif module.endswith((".experts", ".experts.base_layer")):
            # down_proj was wrapped last.
            is_down = module.endswith(".experts")
            module = module.removesuffix(".base_layer")
            if part == "lora_A":
                value = value.reshape(n_experts, -1, value.shape[1])  # e r in
            else:
                value = value.reshape(value.shape[0], -1, n_experts).permute(2, 0, 1)  # e out r
            if is_down:
                add(module + ".down_proj", part, value)
                continue
            half = value.shape[1] // 2
            parts = {"gate_proj": value, "up_proj": value}
            if part == "lora_B":
                parts = {"gate_proj": value[:, :half], "up_proj": value[:, half:]}
            for expert, rows in parts.items():
                add(f"{module}.{expert}", part, rows)
        else:
            if part == "lora_B" and arch == "gptneox":
                value = value.reshape(sizes["num_attention_heads"], 3, -1, value.shape[1]).swapaxes(0, 1).flatten(0, 2)
            if part == "lora_B" and last in heads:
                n, rank = heads[last], value.shape[1]
                value = value.reshape(n, 2, -1, rank).swapaxes(1, 2).reshape(-1, rank)
            add(module, part, value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def record_merged(name):
    """Logits of the base with the adapter added to its weights, beside those of both apart."""
    base = ADAPTERS[name][0]
    folder = DATA / "adapters" / name
    golden = json.loads((folder / "golden.json").read_text())
    model = peft.PeftModel.from_pretrained(load_base(base), folder).merge_and_unload().eval()
    logits = logits_of(model, golden["prompt"], golden.get("source", []))
    logits.numpy().astype("<f4").tofile(folder / "merged.logits")
    print(f"{name}: merged")


def logits_of(model, ids, source):
    inputs = {"input_ids": torch.tensor([ids])}
    if source:
        inputs = {"input_ids": torch.tensor([source]), "decoder_input_ids": inputs["input_ids"]}
    with torch.no_grad():
        return model(**inputs, use_cache=False).logits[0].float()


def main(names):
    for index, (name, (base, arguments, dtype)) in enumerate(ADAPTERS.items()):
        if names and name not in names:
            continue
        folder = DATA / "adapters" / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        golden = json.loads((DATA / "models" / base / "golden.json").read_text())
        prompt, source = golden["prompt"][:N_PROMPT], golden.get("source", [])
        model = load_base(base)
        bare = logits_of(model, prompt, source)
        task = "SEQ_2_SEQ_LM" if source else "CAUSAL_LM"
        model = peft.get_peft_model(model, peft.LoraConfig(task_type=task, lora_dropout=0.0, **arguments))
        fill(model, dtype, 500 + index)
        save(model, base, dtype, folder)
        if name in GGUF:
            save_gguf(folder, base)
        # Reloaded, so that nothing but what was saved counts.
        model = peft.PeftModel.from_pretrained(load_base(base), folder).eval()
        logits = logits_of(model, prompt, source)
        ids = list(prompt)
        for _ in range(N_GREEDY):
            ids.append(int(logits_of(model, ids, source)[-1].argmax()))
        logits.numpy().astype("<f4").tofile(folder / "golden.logits")
        golden = {"prompt": prompt, "greedy": ids[N_PROMPT:], "vocab_size": logits.shape[1], "logits": "golden.logits"}
        if source:
            golden["source"] = source
        (folder / "golden.json").write_text(json.dumps(golden) + "\n")
        if name in OLD:
            config = model.get_base_model().config
            save_old(folder, getattr(config, "num_local_experts", None) or config.num_experts)
        if name in MERGED:
            record_merged(name)
        change = float((logits - bare).abs().max())
        assert change > 0.5, f"the adapter changes next to nothing: {change}"
        print(f"{name}: largest change {change:.2f}, {sum(f.stat().st_size for f in folder.iterdir())} bytes")


if __name__ == "__main__":
    main(sys.argv[1:])
