// T5, encoder and decoder: RMS norms, no biases, no scale of scores but a bias by distance in
// buckets, whose table the first layer of each stack has. T5 1.1 and Flan-T5 have gated FFNs.
// Sources: transformers models/t5, llama.cpp's "t5" architecture.

#include "model/arch/t5.h"

#include <cmath>
#include <utility>

#include "model/arch/gguf.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

/// feed_forward_proj: "relu", "gated-gelu", ...
DenseFfnSpec read_ffn(const Config& config, const T5Kind& kind) {
  DenseFfnSpec ffn;
  ffn.ffn_dim = hf::read_size(config, "d_ff", kind.d_ff, kMaxFfnDim);
  std::string name = config.string_or("feed_forward_proj", kind.feed_forward);
  constexpr std::string_view kGated = "gated-";
  ffn.gated = name.starts_with(kGated);
  if (ffn.gated) name = name.substr(kGated.size());
  if (ffn.gated && name == "gelu") name = "gelu_new";  // as transformers
  ffn.activation = hf::activation_named(config, "feed_forward_proj", name);
  return ffn;
}

struct Buckets {
  int n = 32;
  int max_distance = 128;
};

StackSpec make_stack(const Buckets& buckets, const SelfAttentionSpec& attention,
                     const DenseFfnSpec& ffn, int n_layers, bool bias_in_each_layer) {
  StackSpec stack;
  device::PositionBiasSpec bias;
  bias.kind = device::PositionBiasSpec::Kind::kBuckets;
  bias.n_heads = attention.n_heads;
  bias.n_buckets = buckets.n;
  bias.max_distance = buckets.max_distance;
  bias.bidirectional = attention.sees_all;
  stack.layers.assign(static_cast<std::size_t>(n_layers), LayerSpec{attention, {}, ffn, {}});
  stack.position_biases.assign(bias_in_each_layer ? stack.layers.size() : 1, bias);
  for (std::size_t i = 0; bias_in_each_layer && i < stack.layers.size(); ++i)
    std::get<SelfAttentionSpec>(stack.layers[i].mixer).position_bias = static_cast<int>(i);
  return stack;
}

/// `attention` has heads and their size.
void set_stacks(SelfAttentionSpec attention, const DenseFfnSpec& ffn, const Buckets& buckets,
                std::pair<int, int> n_layers, bool bias_in_each_layer, ModelSpec& spec) {
  spec.takes_any_length = true;
  attention.scale = 1.0F;
  attention.position_bias = 0;
  static_cast<StackSpec&>(spec) =
      make_stack(buckets, attention, ffn, n_layers.second, bias_in_each_layer);
  for (LayerSpec& layer : spec.layers) {
    layer.cross = CrossAttentionSpec{attention.n_heads, attention.head_dim, 1.0F, false};
  }
  attention.sees_all = true;
  spec.encoder = make_stack(buckets, attention, ffn, n_layers.first, bias_in_each_layer);
}

}  // namespace

ModelSpec read_t5(const Config& config, const T5Kind& kind) {
  hf::refuse_unsupported(config);
  ModelSpec spec;
  spec.vocab_size = hf::read_size(config, "vocab_size", kind.vocab_size, kMaxVocab);
  spec.dim = hf::read_size(config, "d_model", kind.d_model, kMaxDim);
  spec.max_positions = config.int_or("n_positions", 512, 1, kMaxPositions);
  spec.decoder_start = hf::read_decoder_start(config, kind.decoder_start);
  spec.norm.kind = device::NormKind::kRms;
  spec.norm.eps = static_cast<float>(config.not_negative_or("layer_norm_epsilon", 1e-6));
  SelfAttentionSpec attention;
  attention.n_heads = hf::read_size(config, "num_heads", kind.n_heads, kMaxHeads);
  attention.n_kv_heads = attention.n_heads;
  attention.head_dim = hf::read_size(config, "d_kv", 64, kMaxHeadDim);
  const int n_layers = hf::read_size(config, "num_layers", kind.n_layers, kMaxLayers);
  const int n_decoder_layers = config.int_or("num_decoder_layers", n_layers, 1, kMaxLayers);
  Buckets buckets;
  buckets.n = config.int_or("relative_attention_num_buckets", buckets.n, 4, 1 << 16);
  buckets.max_distance = config.int_or("relative_attention_max_distance", buckets.max_distance,
                                       buckets.n, kMaxPositions);
  set_stacks(attention, read_ffn(config, kind), buckets, {n_layers, n_decoder_layers},
             kind.bias_in_each_layer, spec);
  spec.head.emplace();
  // A head of its own in the file wins. Older files say by tie_word_embeddings whether rows are
  // scaled before it.
  spec.head->tied = true;
  if (kind.may_scale_outputs &&
      config.bool_or("scale_decoder_outputs", config.bool_or("tie_word_embeddings", true))) {
    spec.head->scale = 1.0F / std::sqrt(static_cast<float>(spec.dim));
  }
  return spec;
}

namespace {

/// Self attention is sublayer 0; `ffn` is the number of the FFN's.
std::vector<ModuleName> stack_modules(bool is_encoder, bool bias_in_each_layer) {
  const std::string_view encoder_bias =
      bias_in_each_layer ? "encoder.block.#.layer.0.SelfAttention.relative_attention_bias"
                         : "encoder.block.0.layer.0.SelfAttention.relative_attention_bias";
  const std::string_view decoder_bias =
      bias_in_each_layer ? "decoder.block.#.layer.0.SelfAttention.relative_attention_bias"
                         : "decoder.block.0.layer.0.SelfAttention.relative_attention_bias";
  if (is_encoder) {
    return {
        {role::kMixerNorm, "encoder.block.#.layer.0.layer_norm"},
        {role::kQ, "encoder.block.#.layer.0.SelfAttention.q"},
        {role::kK, "encoder.block.#.layer.0.SelfAttention.k"},
        {role::kV, "encoder.block.#.layer.0.SelfAttention.v"},
        {role::kAttentionOutput, "encoder.block.#.layer.0.SelfAttention.o"},
        {role::kPositionBias, encoder_bias},
        {role::kFfnNorm, "encoder.block.#.layer.1.layer_norm"},
        {role::kGate, "encoder.block.#.layer.1.DenseReluDense.wi_0"},
        {role::kUp, "encoder.block.#.layer.1.DenseReluDense.wi_1"},
        {role::kUp, "encoder.block.#.layer.1.DenseReluDense.wi"},
        {role::kDown, "encoder.block.#.layer.1.DenseReluDense.wo"},
        {role::kFinalNorm, "encoder.final_layer_norm"},
    };
  }
  return {
      {role::kMixerNorm, "decoder.block.#.layer.0.layer_norm"},
      {role::kQ, "decoder.block.#.layer.0.SelfAttention.q"},
      {role::kK, "decoder.block.#.layer.0.SelfAttention.k"},
      {role::kV, "decoder.block.#.layer.0.SelfAttention.v"},
      {role::kAttentionOutput, "decoder.block.#.layer.0.SelfAttention.o"},
      {role::kPositionBias, decoder_bias},
      {role::kCrossNorm, "decoder.block.#.layer.1.layer_norm"},
      {role::kCrossQ, "decoder.block.#.layer.1.EncDecAttention.q"},
      {role::kCrossK, "decoder.block.#.layer.1.EncDecAttention.k"},
      {role::kCrossV, "decoder.block.#.layer.1.EncDecAttention.v"},
      {role::kCrossOutput, "decoder.block.#.layer.1.EncDecAttention.o"},
      {role::kFfnNorm, "decoder.block.#.layer.2.layer_norm"},
      {role::kGate, "decoder.block.#.layer.2.DenseReluDense.wi_0"},
      {role::kUp, "decoder.block.#.layer.2.DenseReluDense.wi_1"},
      {role::kUp, "decoder.block.#.layer.2.DenseReluDense.wi"},
      {role::kDown, "decoder.block.#.layer.2.DenseReluDense.wo"},
      {role::kEmbedding, "shared"},
      {role::kEmbedding, "encoder.embed_tokens"},
      {role::kHead, "lm_head"},
      {role::kFinalNorm, "decoder.final_layer_norm"},
  };
}

ModelSpec from_hf(const Config& config) { return read_t5(config, {}); }

ModelSpec from_gguf(const Config& config, const format::Checkpoint& checkpoint) {
  return read_t5_gguf(config, checkpoint, "dec");
}

}  // namespace

/// T5, mT5 and UMT5 have one name there; what they differ in is told by the tensors. How far
/// buckets reach is not in the file.
ModelSpec read_t5_gguf(const Config& config, const format::Checkpoint& checkpoint,
                       std::string_view stack) {
  ModelSpec spec = gguf::read_common(config, checkpoint, device::NormKind::kRms);
  spec.decoder_start = config.find_int("decoder_start_token_id", 0, kMaxVocab).value_or(-1);
  DenseFfnSpec ffn = std::get<DenseFfnSpec>(spec.layers[0].ffn);
  ffn.gated = gguf::has_tensor(checkpoint, base::cat(stack, ".blk.0.ffn_gate.weight"));
  ffn.activation = ffn.gated ? device::Activation::kGeluTanh : device::Activation::kRelu;
  Buckets buckets;
  buckets.n = config.int_or("attention.relative_buckets_count", buckets.n, 4, buckets.max_distance);
  const int n_layers = spec.n_layers();
  const int n_decoder_layers = config.int_or("decoder_block_count", n_layers, 1, kMaxLayers);
  set_stacks(attention_of(spec, 0), ffn, buckets, {n_layers, n_decoder_layers},
             gguf::has_tensor(checkpoint, base::cat(stack, ".blk.1.attn_rel_b.weight")), spec);
  // The first T5 alone has no head of its own; it scales rows before the table.
  if (spec.head->tied && !ffn.gated)
    spec.head->scale = 1.0F / std::sqrt(static_cast<float>(spec.dim));
  return spec;
}

ModuleLayout t5_gguf_layout() {
  ModuleLayout layout;
  layout.modules = {
      {role::kEmbedding, "token_embd"},
      {role::kHead, "output"},
      {role::kFinalNorm, "dec.output_norm"},
      {role::kMixerNorm, "dec.blk.#.attn_norm"},
      {role::kQ, "dec.blk.#.attn_q"},
      {role::kK, "dec.blk.#.attn_k"},
      {role::kV, "dec.blk.#.attn_v"},
      {role::kAttentionOutput, "dec.blk.#.attn_o"},
      {role::kPositionBias, "dec.blk.#.attn_rel_b"},
      {role::kCrossNorm, "dec.blk.#.cross_attn_norm"},
      {role::kCrossQ, "dec.blk.#.cross_attn_q"},
      {role::kCrossK, "dec.blk.#.cross_attn_k"},
      {role::kCrossV, "dec.blk.#.cross_attn_v"},
      {role::kCrossOutput, "dec.blk.#.cross_attn_o"},
      {role::kFfnNorm, "dec.blk.#.ffn_norm"},
      {role::kGate, "dec.blk.#.ffn_gate"},
      {role::kUp, "dec.blk.#.ffn_up"},
      {role::kDown, "dec.blk.#.ffn_down"},
  };
  layout.encoder_modules = {
      {role::kFinalNorm, "enc.output_norm"},
      {role::kMixerNorm, "enc.blk.#.attn_norm"},
      {role::kQ, "enc.blk.#.attn_q"},
      {role::kK, "enc.blk.#.attn_k"},
      {role::kV, "enc.blk.#.attn_v"},
      {role::kAttentionOutput, "enc.blk.#.attn_o"},
      {role::kPositionBias, "enc.blk.#.attn_rel_b"},
      {role::kFfnNorm, "enc.blk.#.ffn_norm"},
      {role::kGate, "enc.blk.#.ffn_gate"},
      {role::kUp, "enc.blk.#.ffn_up"},
      {role::kDown, "enc.blk.#.ffn_down"},
  };
  layout.ignored = {"dec.blk.#.cross_attn_rel_b.weight"};
  return layout;
}

ModuleLayout t5_layout(const T5Kind& kind) {
  ModuleLayout layout;
  layout.modules = stack_modules(false, kind.bias_in_each_layer);
  layout.encoder_modules = stack_modules(true, kind.bias_in_each_layer);
  // Copies of the shared table, and a table that old files have where it is not used.
  layout.ignored = {"encoder.embed_tokens.weight", "decoder.embed_tokens.weight",
                    "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"};
  return layout;
}

Family t5_family() {
  return {"t5", {"t5"}, {"t5"}, from_hf, from_gguf, t5_layout({}), t5_gguf_layout()};
}

}  // namespace openllm::model
