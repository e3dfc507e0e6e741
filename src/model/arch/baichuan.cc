// Baichuan 1 and 2: llama with one QKV; the larger ones have ALiBi instead of RoPE, and those of
// the second generation a head whose rows have length 1. Sources: the published
// modeling_baichuan.py of the four models, llama.cpp's "baichuan" architecture.

#include "model/arch/alibi.h"
#include "model/arch/family.h"
#include "model/arch/gguf_members.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

ModelSpec read_network(const Config& config) {
  ModelSpec spec = hf::read_llama_like(config, {.vocab_size = 64000,
                                                .ignores_head_dim = true,
                                                .max_positions = 4096,
                                                .names = {.max_positions = "model_max_length"}});
  const int n_heads = attention_of(spec, 0).n_heads;
  each_attention(spec, [&](SelfAttentionSpec& attention) { attention.n_kv_heads = n_heads; });
  return spec;
}

ModelSpec with_rope(const Config& config) {
  ModelSpec spec = read_network(config);
  hf::read_single_rope(config, spec);
  return spec;
}

ModelSpec with_alibi(const Config& config) {
  ModelSpec spec = read_network(config);
  spec.position_biases.push_back(alibi(attention_of(spec, 0).n_heads));
  each_attention(spec, [](SelfAttentionSpec& attention) { attention.position_bias = 0; });
  return spec;
}

ModelSpec from_hf(const Config& config) {
  // The configuration class of the models with RoPE knows max_position_embeddings, that of the
  // models with ALiBi only model_max_length.
  ModelSpec spec = config.has("max_position_embeddings") || !config.has("model_max_length")
                       ? with_rope(config)
                       : with_alibi(config);
  // Both generations have the same name. Only the second knows z_loss_weight, but not all of its
  // files have it; its vocabulary is twice as large.
  constexpr int kLargeVocab = 100000;
  if (config.has("z_loss_weight") || spec.vocab_size > kLargeVocab) {
    if (spec.head->tied)
      config.unsupported("tie_word_embeddings", "a normalised head cannot be the embedding");
    spec.head->norm = MatrixNorm::kRows;
  }
  return spec;
}

ModuleLayout hf_layout() {
  ModuleLayout layout = hf::llama_layout();
  std::erase_if(layout.modules, [](const ModuleName& name) {
    return name.role == role::kQ || name.role == role::kK || name.role == role::kV;
  });
  layout.modules.push_back({role::kQkv, "layers.#.self_attn.W_pack"});
  return layout;
}

/// As llama.cpp, which tells the kinds by the number of layers. Whoever writes a file of the second
/// generation normalises the head before.
ModelSpec from_gguf(const Config& config, const format::Checkpoint& checkpoint) {
  constexpr int kRopeLayers = 32;
  constexpr int kAlibiLayers = 40;
  const int n_layers = config.require_int("block_count", 1, kMaxLayers);
  if (n_layers != kRopeLayers && n_layers != kAlibiLayers) {
    config.unsupported("block_count", "unknown kind of Baichuan (expected ", kRopeLayers,
                       " for RoPE or ", kAlibiLayers, " for ALiBi, got ", n_layers, ")");
  }
  return gguf::Members(config, checkpoint)
      .read(n_layers == kAlibiLayers ? with_alibi : with_rope, gguf::Members::Heads::kPaired);
}

ModuleLayout gguf_layout() {
  ModuleLayout layout = gguf::layout();
  layout.paired_heads = true;
  return layout;
}

}  // namespace

Family baichuan_family() {
  return {"baichuan", {"baichuan"}, {"baichuan"}, from_hf, from_gguf, hf_layout(), gguf_layout()};
}

}  // namespace openllm::model
