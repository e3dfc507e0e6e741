// DeciLM and Nemotron-NAS: llama whose layers differ in heads and in the width of their FFN, and
// may lack one of the two. Sources: the published modeling_decilm.py of both, llama.cpp's "deci"
// architecture.

#include <cmath>

#include "model/arch/family.h"
#include "model/arch/gguf_members.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

void refuse_attention_variants(const Config& attention) {
  for (const std::string_view key : {"replace_with_linear", "unshifted_sink"}) {
    if (attention.bool_or(key, false))
      attention.unsupported(key, "this kind of attention is not supported");
  }
  for (const std::string_view key : {"sparsify", "window_length", "num_sink_tokens"}) {
    if (attention.has(key))
      attention.unsupported(key, "this kind of attention is not supported (expected null)");
  }
}

void read_block(const Config& block, std::size_t i, ModelSpec& spec) {
  LayerSpec& layer = spec.layers[i];
  const std::optional<Config> attention = block.object("attention");
  const std::optional<Config> ffn = block.object("ffn");
  if (!attention || !ffn) block.corrupt("attention", "missing (expected attention and ffn)");
  refuse_attention_variants(*attention);
  if (attention->bool_or("no_op", false)) {
    layer.mixer = NoMixerSpec{};
  } else {
    auto& heads = std::get<SelfAttentionSpec>(layer.mixer);
    const int group = attention->require_int("n_heads_in_group", 1, heads.n_heads);
    if (heads.n_heads % group != 0) {
      attention->corrupt("n_heads_in_group", "does not divide num_attention_heads (expected a ",
                         "divisor of ", heads.n_heads, ", got ", group, ")");
    }
    heads.n_kv_heads = heads.n_heads / group;
  }
  if (ffn->bool_or("replace_with_linear", false) || ffn->has("sparsify"))
    ffn->unsupported("replace_with_linear", "this kind of FFN is not supported");
  if (ffn->bool_or("no_op", false)) {
    layer.ffn = NoFfnSpec{};
    return;
  }
  const std::optional<double> factor = ffn->find_positive("ffn_mult");
  if (!factor) ffn->corrupt("ffn_mult", "missing (expected a positive number)");
  constexpr int kMultiple = 256;
  const double width = std::floor(2.0 * *factor * spec.dim / 3.0);
  if (width > static_cast<double>(kMaxFfnDim))
    ffn->corrupt("ffn_mult", "bad value (expected a size, got ", *factor, ")");
  std::get<DenseFfnSpec>(layer.ffn).ffn_dim =
      static_cast<int>(std::ceil(width / kMultiple)) * kMultiple;
}

void read_heads_of_layers(const Config& config, ModelSpec& spec) {
  const auto keys = config.numbers("num_key_value_heads_per_layer");
  if (!keys) return;
  if (keys->size() != spec.layers.size()) {
    config.corrupt("num_key_value_heads_per_layer", "wrong length (expected ", spec.layers.size(),
                   ", got ", keys->size(), ")");
  }
  for (std::size_t i = 0; i < keys->size(); ++i) {
    auto& attention = std::get<SelfAttentionSpec>(spec.layers[i].mixer);
    const double n = (*keys)[i];
    if (!(n >= 1.0 && n <= attention.n_heads) || std::fmod(attention.n_heads, n) != 0.0) {
      config.corrupt("num_key_value_heads_per_layer", "bad value (expected a divisor of ",
                     attention.n_heads, ", got ", n, ")");
    }
    attention.n_kv_heads = static_cast<int>(n);
  }
}

ModelSpec from_hf(const Config& config) {
  ModelSpec spec = hf::read_llama_like(config, {.norm_eps = 1e-5});
  spec.norm.eps = static_cast<float>(config.not_negative_or("rms_norm_eps", 1e-5));
  hf::read_single_rope(config, spec);
  hf::read_attention_bias(config, spec);
  const bool ffn_bias = config.bool_or("mlp_bias", false);
  each_ffn(spec, [&](DenseFfnSpec& ffn) { ffn.bias = ffn_bias; });
  read_heads_of_layers(config, spec);
  const base::Json* blocks = config.find("block_configs");
  if (blocks == nullptr) return spec;
  const base::JsonArray* list = blocks->if_array();
  if (list == nullptr || list->size() != spec.layers.size()) {
    config.corrupt("block_configs", "wrong type or length (expected an array of ",
                   spec.layers.size(), ")");
  }
  for (std::size_t i = 0; i < list->size(); ++i) {
    const std::string where = config.place("block_configs") + "[" + std::to_string(i) + "]";
    read_block(Config((*list)[i], where), i, spec);
  }
  return spec;
}

ModuleLayout hf_layout() {
  ModuleLayout layout = hf::llama_layout();
  // Layers may lack either half: any of their tensors shows that they are there.
  layout.modules.insert(layout.modules.begin(), {Role{"layer"}, "layers.#"});
  return layout;
}

/// Heads and widths of layers; 0 for those that have none.
struct LayerSizes {
  std::vector<int> heads, kv_heads, widths;
};

void set_sizes(const Config& config, const LayerSizes& sizes, ModelSpec& spec) {
  for (std::size_t i = 0; i < spec.layers.size(); ++i) {
    LayerSpec& layer = spec.layers[i];
    auto& attention = std::get<SelfAttentionSpec>(layer.mixer);
    attention.n_heads = sizes.heads[i];
    attention.n_kv_heads = sizes.kv_heads[i];
    std::get<DenseFfnSpec>(layer.ffn).ffn_dim = sizes.widths[i];
    if (sizes.widths[i] == 0) layer.ffn = NoFfnSpec{};
    if (sizes.heads[i] == 0) {
      layer.mixer = NoMixerSpec{};
    } else if (sizes.kv_heads[i] == 0) {
      config.unsupported("attention.head_count_kv", "layers with a linear instead of attention");
    } else if (sizes.heads[i] % sizes.kv_heads[i] != 0) {
      config.corrupt("attention.head_count_kv", "does not divide attention.head_count (expected a ",
                     "divisor of ", sizes.heads[i], ", got ", sizes.kv_heads[i], ")");
    }
  }
}

ModelSpec from_gguf(const Config& config, const format::Checkpoint& checkpoint) {
  gguf::Members members(config, checkpoint);
  members.layers_differ();
  const LayerSizes sizes{members.each_layer("attention.head_count", 0, kMaxHeads),
                         members.each_layer("attention.head_count_kv", 0, kMaxHeads),
                         members.each_layer("feed_forward_length", 0, kMaxFfnDim)};
  // Those of all layers, which the file does not have.
  members.set("num_attention_heads", 1).set("num_key_value_heads", 1).set("intermediate_size", 1);
  const auto read = [&](const Config& as_hf) {
    ModelSpec spec = from_hf(as_hf);
    set_sizes(config, sizes, spec);
    return spec;
  };
  return members.read(read, gguf::Members::Heads::kPaired);
}

ModuleLayout gguf_layout() {
  ModuleLayout layout = gguf::layout_with({});
  layout.modules.insert(layout.modules.begin(), {Role{"layer"}, "blk.#"});
  layout.paired_heads = true;
  return layout;
}

}  // namespace

Family deci_family() {
  return {
      "deci",       {"deci", "decilm", "nemotron-nas"}, {"deci"}, from_hf, from_gguf, hf_layout(),
      gguf_layout()};
}

}  // namespace openllm::model
