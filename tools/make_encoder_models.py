#!/usr/bin/env python3
"""Makes the tiny random encoders and classifiers under tests/data/encoders, with their goldens.

Every model is made with Hugging Face transformers: random weights with enough spread, random norms and biases too.
golden.json beside each holds what transformers computes:

  prompt        token ids
  types         their token types, for models that have several
  hidden        file with the last hidden states, float32 little endian, [positions, hidden size]; of encoders
  scores        the scores of the classes, of classifiers

"xlm-roberta-flash-classifier" has the weights of "xlm-roberta-classifier" under the names of Jina's own modeling file.
"nomic-bert-published" has the same weights as "nomic-bert" under the names and the configuration that the family's
files were first published with.

Usage: tools/make_encoder_models.py [NAME...]       needs torch, transformers, safetensors, numpy
"""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import torch
import transformers
from safetensors.torch import load_file, save_file

ROOT = Path(__file__).resolve().parent.parent / "tests" / "data" / "encoders"


def bert_sizes(**other):
    return dict(vocab_size=96, hidden_size=32, intermediate_size=44, num_hidden_layers=2, num_attention_heads=4,
                max_position_embeddings=48) | other


def distilbert_sizes():
    return dict(vocab_size=96, dim=32, hidden_dim=44, n_layers=2, n_heads=4, max_position_embeddings=48)


def modernbert_sizes(**other):
    return dict(vocab_size=96, hidden_size=32, intermediate_size=24, num_hidden_layers=4, num_attention_heads=2,
                max_position_embeddings=48, local_attention=8, pad_token_id=0, bos_token_id=1, eos_token_id=2,
                cls_token_id=1, sep_token_id=2) | other


def decoder_sizes(**other):
    return dict(vocab_size=96, hidden_size=32, intermediate_size=44, num_hidden_layers=2, num_attention_heads=4,
                num_key_value_heads=2, head_dim=8, max_position_embeddings=48, pad_token_id=0) | other


def deberta_sizes(**other):
    return bert_sizes(relative_attention=True, pos_att_type=["p2c", "c2p"], norm_rel_ebd="layer_norm",
                      type_vocab_size=0) | other


# name -> (class, its configuration's arguments, seed)
MODELS = {
    "bert-classifier": ("BertForSequenceClassification", bert_sizes(num_labels=1), 1),
    "roberta": ("RobertaModel", bert_sizes(type_vocab_size=1), 2),
    "xlm-roberta-classifier": ("XLMRobertaForSequenceClassification", bert_sizes(type_vocab_size=1, num_labels=1), 3),
    "distilbert": ("DistilBertModel", distilbert_sizes(), 4),
    "distilbert-classifier": ("DistilBertForSequenceClassification", distilbert_sizes() | dict(num_labels=3), 5),
    "mpnet": ("MPNetModel", bert_sizes(), 6),
    "electra": ("ElectraModel", bert_sizes(embedding_size=20), 7),
    "electra-classifier": ("ElectraForSequenceClassification", bert_sizes(embedding_size=32, num_labels=1), 8),
    "nomic-bert": ("NomicBertModel", bert_sizes(pad_token_id=0), 9),
    "modernbert": ("ModernBertModel", modernbert_sizes(), 10),
    "modernbert-classifier": ("ModernBertForSequenceClassification", modernbert_sizes(
        num_labels=1, classifier_pooling="mean", norm_bias=True, attention_bias=True, mlp_bias=True,
        classifier_bias=True), 11),
    "eurobert": ("EuroBertModel", decoder_sizes(mask_token_id=3, bos_token_id=1, eos_token_id=2), 12),
    "eurobert-classifier": ("EuroBertForSequenceClassification", decoder_sizes(
        mask_token_id=3, bos_token_id=1, eos_token_id=2, classifier_pooling="mean", attention_bias=True, mlp_bias=True,
        num_labels=1), 13),
    "qwen3-classifier": ("Qwen3ForSequenceClassification", decoder_sizes(num_labels=1), 14),
    "albert": ("AlbertModel", bert_sizes(embedding_size=20, num_hidden_layers=5, num_hidden_groups=2), 423),
    "albert-classifier": ("AlbertForSequenceClassification", bert_sizes(embedding_size=32, num_labels=2), 424),
    "ernie": ("ErnieModel", bert_sizes(), 425),
    "data2vec-text": ("Data2VecTextModel", bert_sizes(type_vocab_size=1), 426),
    # as v3: distances go through the linears of queries and keys, in buckets that the prompt fills
    "deberta-v2": ("DebertaV2Model", deberta_sizes(share_att_key=True, position_buckets=8, type_vocab_size=0,
                                                   position_biased_input=False), 420),
    "deberta-v2-own": ("DebertaV2Model", deberta_sizes(max_relative_positions=12, type_vocab_size=2), 421),
    "deberta-v2-classifier": ("DebertaV2ForSequenceClassification", deberta_sizes(
        pos_att_type="p2c", share_att_key=True, position_buckets=6, norm_rel_ebd="none", num_labels=3), 422),
    # the convolution of v2's larger ones, in groups
    "deberta-v2-conv": ("DebertaV2Model", deberta_sizes(share_att_key=True, position_buckets=8, conv_kernel_size=3,
                                                        conv_act="gelu", conv_groups=4), 730),
    "deberta": ("DebertaModel", bert_sizes(relative_attention=True, pos_att_type=["c2p", "p2c"], type_vocab_size=0,
                                           max_relative_positions=12, position_biased_input=False), 731),
    "deberta-classifier": ("DebertaForSequenceClassification", bert_sizes(
        relative_attention=True, pos_att_type="p2c", type_vocab_size=2, max_relative_positions=-1, num_labels=3), 732),
    "megatron-bert": ("MegatronBertModel", bert_sizes(), 733),
    "xlm-roberta-xl": ("XLMRobertaXLModel", bert_sizes(), 734),
    "roberta-prelayernorm": ("RobertaPreLayerNormModel", bert_sizes(), 735),
    "big-bird": ("BigBirdModel", bert_sizes(), 736),
    "rembert": ("RemBertModel", bert_sizes(input_embedding_size=20), 737),
    "roformer": ("RoFormerModel", bert_sizes(embedding_size=20), 738),
    "roformer-classifier": ("RoFormerForSequenceClassification", bert_sizes(num_labels=1), 752),
    "gte": ("GteModel", bert_sizes(type_vocab_size=1, rope_parameters=dict(
        rope_type="linear", factor=2.0, rope_theta=5000.0)), 753),
    "gte-classifier": ("GteForSequenceClassification", bert_sizes(type_vocab_size=0, num_labels=1), 754),
    "jina-embeddings-v3": ("JinaEmbeddingsV3Model", bert_sizes(), 755),
    "flaubert": ("FlaubertModel", dict(vocab_size=96, emb_dim=32, n_layers=2, n_heads=4, max_position_embeddings=48,
                                       pre_norm=True, gelu_activation=False), 767),
    "xlm-classifier": ("XLMForSequenceClassification", dict(
        vocab_size=96, emb_dim=32, n_layers=2, n_heads=4, max_position_embeddings=48, num_labels=3), 769),
    "longformer": ("LongformerModel", bert_sizes(attention_window=[6, 12]), 761),
    "luke": ("LukeModel", bert_sizes(entity_vocab_size=4, entity_emb_size=4), 762),
    "splinter": ("SplinterModel", bert_sizes(), 763),
    "dpr": ("DPRQuestionEncoder", bert_sizes(), 764),
    "embeddinggemma": ("Gemma3TextModel", decoder_sizes(num_hidden_layers=3, sliding_window=8, query_pre_attn_scalar=8,
                                                        use_bidirectional_attention=True, layer_types=[
                                                            "sliding_attention", "full_attention",
                                                            "sliding_attention"]), 765),
    # a decoder whose rows see everything, and the same under the name that NVIDIA's encoders have
    "qwen3-encoder": ("Qwen3Model", decoder_sizes(is_causal=False), 766),
    # a decoder's body, whose last row is the vector (e5-mistral)
    "mistral-body": ("MistralModel", decoder_sizes(sliding_window=9), 776),
    "llama-bidirec": ("LlamaModel", decoder_sizes(is_causal=False), 768),
}
MODELS["t5-encoder"] = ("T5EncoderModel", dict(
    vocab_size=96, d_model=32, d_kv=8, d_ff=44, num_layers=3, num_heads=4, relative_attention_num_buckets=8,
    feed_forward_proj="gated-gelu"), 770)
N_PROMPT = 31
N_TYPES = {"megatron-bert": 2, "big-bird": 2, "rembert": 2, "roformer": 2, "deberta-classifier": 2,
           "bert-classifier": 2, "electra": 2, "nomic-bert": 2, "deberta-v2-own": 2, "albert": 2}


def make_model(class_name, arguments, seed):
    cls = getattr(transformers, class_name)
    config = cls.config_class(**arguments)
    config._attn_implementation = "eager"
    torch.manual_seed(seed)
    model = cls(config).eval()
    with torch.no_grad():
        for name, value in model.named_parameters():
            if not value.requires_grad:  # positions as waves
                continue
            is_norm = "norm" in name.lower() and name.endswith("weight")
            value.normal_(1.0 if is_norm else 0.0, 0.2 if value.dim() > 1 else 0.1)
    return model


class OneForAll(transformers.EncoderDecoderCache):
    """FlauBERT with norms before its parts asks the cache for that of a layer, which it does not give (5.24)."""

    def __getitem__(self, layer):
        return self


def write_published_nomic(folder, source):
    """The names of nomic-ai/nomic-embed-text-v1.5, and its configuration."""
    folder.mkdir(parents=True)
    tensors = load_file(source / "model.safetensors")
    renamed = {}
    for name, value in tensors.items():
        if ".self_attn.q_proj." in name:
            parts = [tensors[name.replace("q_proj", other)] for other in ("q_proj", "k_proj", "v_proj")]
            renamed["encoder." + name.replace("self_attn.q_proj", "attn.Wqkv")] = torch.cat(parts)
        elif ".self_attn.k_proj." in name or ".self_attn.v_proj." in name:
            continue
        elif name.startswith("layers."):
            for ours, theirs in (("self_attn.o_proj", "attn.out_proj"), ("gate_proj", "fc12"), ("up_proj", "fc11"),
                                 ("down_proj", "fc2"), ("post_attention_layernorm", "norm1"),
                                 ("post_mlp_layernorm", "norm2")):
                name = name.replace(ours, theirs)
            renamed["encoder." + name] = value
        else:
            renamed[name.replace("embeddings.LayerNorm", "emb_ln")] = value
    save_file(renamed, folder / "model.safetensors", metadata={"format": "pt"})
    old = json.loads((source / "config.json").read_text())
    config = dict(model_type="nomic_bert", architectures=["NomicBertModel"], activation_function="swiglu",
                  causal=False, n_embd=old["hidden_size"], n_head=old["num_attention_heads"],
                  n_inner=old["intermediate_size"], n_layer=old["num_hidden_layers"],
                  n_positions=old["max_position_embeddings"], layer_norm_epsilon=old["layer_norm_eps"],
                  mlp_fc1_bias=False, mlp_fc2_bias=False, prenorm=False, qkv_proj_bias=False, rotary_emb_base=1000,
                  rotary_emb_fraction=1.0, rotary_emb_interleaved=False, rotary_emb_scale_base=None,
                  type_vocab_size=2, use_rms_norm=False, vocab_size=old["vocab_size"])
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    for name in ("golden.json", "golden.hidden"):
        shutil.copy(source / name, folder / name)


FLASH_NAMES = (("encoder.layer.", "encoder.layers."), ("attention.output.dense", "mixer.out_proj"),
               ("attention.output.LayerNorm", "norm1"), ("intermediate.dense", "mlp.fc1"),
               (".output.dense", ".mlp.fc2"), (".output.LayerNorm", ".norm2"), ("embeddings.LayerNorm", "emb_ln"))


def write_flash_roberta(folder, source):
    """The names of jinaai/jina-reranker-v2-base-multilingual."""
    folder.mkdir(parents=True)
    tensors = load_file(source / "model.safetensors")
    renamed = {}
    for name, value in tensors.items():
        if ".self.query." in name:
            value = torch.cat([tensors[name.replace("query", part)] for part in ("query", "key", "value")])
            name = name.replace("attention.self.query", "mixer.Wqkv")
        elif ".self." in name:
            continue
        for ours, theirs in FLASH_NAMES:
            name = name.replace(ours, theirs)
        renamed[name] = value
    save_file(renamed, folder / "model.safetensors", metadata={"format": "pt"})
    for name in ("config.json", "golden.json"):
        shutil.copy(source / name, folder / name)


def main(names):
    for name, (class_name, arguments, seed) in MODELS.items():
        if names and name not in names:
            continue
        folder = ROOT / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        model = make_model(class_name, arguments, seed)
        # Tables that follow from the sizes lie in the file of RoFormer: rounded, they would count as they are.
        model.to(torch.float32 if "RoFormer" in class_name else torch.bfloat16).save_pretrained(folder)
        model = type(model).from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
        (folder / "generation_config.json").unlink(missing_ok=True)
        if name == "llama-bidirec":
            config = json.loads((folder / "config.json").read_text()) | {"model_type": "llama_bidirec"}
            del config["is_causal"]
            (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
        random = np.random.default_rng(seed)
        prompt = random.integers(4, 96, N_PROMPT).tolist()
        golden = {"prompt": prompt}
        inputs = {"input_ids": torch.tensor([prompt])}
        inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
        if name in N_TYPES:
            golden["types"] = [0] * 12 + [1] * (N_PROMPT - 12)
            inputs["token_type_ids"] = torch.tensor([golden["types"]])
        if class_name == "FlaubertModel":
            inputs["cache"] = OneForAll(transformers.DynamicCache(), transformers.DynamicCache())
        with torch.no_grad():
            output = model(**inputs, output_hidden_states=class_name.startswith("DPR"))
        if "ForSequenceClassification" in class_name:
            golden["scores"] = [float(x) for x in output.logits[0]]
            spread = max(abs(x) for x in golden["scores"])
        else:
            hidden = output.hidden_states[-1] if class_name.startswith("DPR") else output.last_hidden_state
            hidden = hidden[0].float().numpy()
            golden["hidden"] = "golden.hidden"
            hidden.astype("<f4").tofile(folder / "golden.hidden")
            spread = hidden.std()
        (folder / "golden.json").write_text(json.dumps(golden) + "\n")
        if name == "xlm-roberta-classifier":
            flash = ROOT / "xlm-roberta-flash-classifier"
            shutil.rmtree(flash, ignore_errors=True)
            write_flash_roberta(flash, folder)
        if name == "nomic-bert":
            published = ROOT / "nomic-bert-published"
            shutil.rmtree(published, ignore_errors=True)
            write_published_nomic(published, folder)
        size = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())
        print(f"{name}: {size / 1024:.0f} KiB, spread {spread:.2f}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
