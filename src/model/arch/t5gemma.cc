// T5Gemma: an encoder and a decoder of Gemma 2's layers, each with a table of its own; cross
// attention between attention and FFN of the decoder. Source: transformers models/t5gemma.

#include <algorithm>
#include <cmath>

#include "model/arch/gemma.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

ModelSpec read_stack(const Config& config) {
  ModelSpec spec = read_gemma(config, 256000, 8192);
  hf::read_single_rope(config, spec);
  std::vector<bool> windowed;
  for (int i = 0; i < spec.n_layers(); ++i) windowed.push_back(i % 2 == 0);
  hf::read_layer_types(config, spec, hf::read_window(config), windowed);
  const float soft_cap = read_soft_cap(config, "attn_logit_softcapping", 50.0);
  each_attention(spec, [&](SelfAttentionSpec& attention) { attention.soft_cap = soft_cap; });
  return spec;
}

Config require_stack(const Config& config, std::string_view key) {
  std::optional<Config> stack = config.object(key);
  if (!stack) config.corrupt(key, "missing (expected the configuration of a stack)");
  return *stack;
}

ModelSpec from_hf(const Config& config) {
  const Config decoder = require_stack(config, "decoder");
  ModelSpec spec = read_stack(decoder);
  const Config encoder_config = require_stack(config, "encoder");
  ModelSpec encoder = read_stack(encoder_config);
  if (encoder.dim != spec.dim || encoder.vocab_size != spec.vocab_size) {
    encoder_config.unsupported("hidden_size", "encoder and decoder of different sizes (expected ",
                               spec.dim, " and ", spec.vocab_size, " tokens, got ", encoder.dim,
                               " and ", encoder.vocab_size, ")");
  }
  if (encoder.norm.eps != spec.norm.eps)
    encoder_config.unsupported("rms_norm_eps", "encoder and decoder differ in it");
  for (LayerSpec& layer : spec.layers) {
    const auto& attention = std::get<SelfAttentionSpec>(layer.mixer);
    CrossAttentionSpec cross{attention.n_heads, attention.head_dim, attention.scale,
                             attention.bias};
    cross.n_kv_heads = attention.n_kv_heads;
    cross.soft_cap = attention.soft_cap;
    layer.cross = cross;
  }
  each_attention(encoder, [&](SelfAttentionSpec& attention) {
    attention.rope += static_cast<int>(spec.ropes.size());
    attention.sees_all = true;
    // Keys at a distance of the window itself are seen too.
    if (attention.window > 0) ++attention.window;
  });
  spec.ropes.insert(spec.ropes.end(), encoder.ropes.begin(), encoder.ropes.end());
  encoder.embedding.own_table = true;
  spec.encoder = static_cast<const StackSpec&>(encoder);
  spec.max_positions = std::min(spec.max_positions, encoder.max_positions);
  spec.head->tied = config.bool_or("tie_word_embeddings", true);
  spec.head->soft_cap = read_soft_cap(decoder, "final_logit_softcapping", 30.0);
  spec.decoder_start =
      hf::read_decoder_start(config, decoder.find_int("bos_token_id", 0, kMaxVocab).value_or(2));
  return spec;
}

std::vector<ModuleName> stack_modules(bool is_encoder) {
  if (is_encoder) {
    return {
        {role::kMixerNorm, "encoder.layers.#.pre_self_attn_layernorm"},
        {role::kMixerPostNorm, "encoder.layers.#.post_self_attn_layernorm"},
        {role::kQ, "encoder.layers.#.self_attn.q_proj"},
        {role::kK, "encoder.layers.#.self_attn.k_proj"},
        {role::kV, "encoder.layers.#.self_attn.v_proj"},
        {role::kAttentionOutput, "encoder.layers.#.self_attn.o_proj"},
        {role::kFfnNorm, "encoder.layers.#.pre_feedforward_layernorm"},
        {role::kFfnPostNorm, "encoder.layers.#.post_feedforward_layernorm"},
        {role::kGate, "encoder.layers.#.mlp.gate_proj"},
        {role::kUp, "encoder.layers.#.mlp.up_proj"},
        {role::kDown, "encoder.layers.#.mlp.down_proj"},
        {role::kEmbedding, "encoder.embed_tokens"},
        {role::kFinalNorm, "encoder.norm"},
    };
  }
  return {
      {role::kMixerNorm, "decoder.layers.#.pre_self_attn_layernorm"},
      {role::kMixerPostNorm, "decoder.layers.#.post_self_attn_layernorm"},
      {role::kQ, "decoder.layers.#.self_attn.q_proj"},
      {role::kK, "decoder.layers.#.self_attn.k_proj"},
      {role::kV, "decoder.layers.#.self_attn.v_proj"},
      {role::kAttentionOutput, "decoder.layers.#.self_attn.o_proj"},
      {role::kCrossNorm, "decoder.layers.#.pre_cross_attn_layernorm"},
      {role::kCrossPostNorm, "decoder.layers.#.post_cross_attn_layernorm"},
      {role::kCrossQ, "decoder.layers.#.cross_attn.q_proj"},
      {role::kCrossK, "decoder.layers.#.cross_attn.k_proj"},
      {role::kCrossV, "decoder.layers.#.cross_attn.v_proj"},
      {role::kCrossOutput, "decoder.layers.#.cross_attn.o_proj"},
      {role::kFfnNorm, "decoder.layers.#.pre_feedforward_layernorm"},
      {role::kFfnPostNorm, "decoder.layers.#.post_feedforward_layernorm"},
      {role::kGate, "decoder.layers.#.mlp.gate_proj"},
      {role::kUp, "decoder.layers.#.mlp.up_proj"},
      {role::kDown, "decoder.layers.#.mlp.down_proj"},
      {role::kEmbedding, "decoder.embed_tokens"},
      {role::kFinalNorm, "decoder.norm"},
      {role::kHead, "lm_head.out_proj", true},
  };
}

ModuleLayout hf_layout() {
  ModuleLayout layout;
  layout.modules = stack_modules(false);
  layout.encoder_modules = stack_modules(true);
  layout.prefixes = {"model.", ""};
  return layout;
}

}  // namespace

Family t5gemma_family() { return {"t5gemma", {"t5gemma"}, {}, from_hf, nullptr, hf_layout(), {}}; }

}  // namespace openllm::model
