// BART, encoder and decoder: learned positions from row 2 on, LayerNorm behind every sum and behind
// the embedding, plain FFNs with biases. Source: transformers models/bart.

#include "model/arch/bart.h"

#include <cmath>
#include <string>

#include "model/arch/hf.h"

namespace openllm::model {
namespace {

constexpr BartKind kKind{.decoder_start = 2, .norms_embedding = true, .position_offset = 2};

EmbeddingSpec read_embedding(const Config& config, const BartKind& kind, const ModelSpec& spec) {
  EmbeddingSpec embedding;
  if (config.bool_or("scale_embedding", kind.scales_embedding))
    embedding.scale = static_cast<float>(std::sqrt(static_cast<double>(spec.dim)));
  embedding.position_offset = kind.position_offset;
  if (kind.offset_is_pad)
    embedding.position_offset = config.int_or("pad_token_id", 1, 0, kMaxVocab) + 1;
  embedding.n_positions = spec.max_positions + embedding.position_offset;
  embedding.has_norm = kind.norms_embedding;
  if (kind.positions == BartKind::Positions::kLearned) return embedding;
  if (spec.dim % 2 != 0 || spec.dim < 4) {
    config.unsupported("d_model",
                       "positions as waves need pairs of columns (expected an even "
                       "number of at least 4, got ",
                       spec.dim, ")");
  }
  const bool in_f32 = kind.positions == BartKind::Positions::kFairseqWaves;
  embedding.waves = {spec.dim / 2.0 - (in_f32 ? 1.0 : 0.0), in_f32};
  return embedding;
}

StackSpec read_stack(const Config& config, const BartKind& kind, const ModelSpec& spec,
                     bool is_encoder) {
  const std::string prefix = is_encoder ? "encoder_" : "decoder_";
  SelfAttentionSpec attention;
  const std::string heads_key = prefix + "attention_heads";
  attention.n_heads = hf::read_size(config, heads_key, kind.n_heads, kMaxHeads);
  if (spec.dim % attention.n_heads != 0) {
    config.corrupt(heads_key, "does not divide d_model (expected a divisor of ", spec.dim, ", got ",
                   attention.n_heads, ")");
  }
  attention.n_kv_heads = attention.n_heads;
  attention.head_dim = spec.dim / attention.n_heads;
  attention.scale = 1.0F / std::sqrt(static_cast<float>(attention.head_dim));
  attention.bias = true;
  attention.output_bias = true;
  attention.sees_all = is_encoder;
  DenseFfnSpec ffn;
  ffn.ffn_dim = hf::read_size(config, prefix + "ffn_dim", kind.ffn_dim, kMaxFfnDim);
  ffn.gated = false;
  ffn.bias = true;
  ffn.activation = hf::read_activation(config, "activation_function", kind.activation);
  LayerSpec layer{attention, {}, ffn, {}};
  if (!is_encoder)
    layer.cross = CrossAttentionSpec{attention.n_heads, attention.head_dim, attention.scale, true};
  layer.residual.norm_before = kind.norms_before;
  layer.residual.norm_sum = !kind.norms_before;
  StackSpec stack;
  const int n_layers =
      hf::read_size(config, prefix + "layers",
                    is_encoder ? kind.n_encoder_layers : kind.n_decoder_layers, kMaxLayers);
  stack.layers.assign(static_cast<std::size_t>(n_layers), layer);
  stack.embedding = read_embedding(config, kind, spec);
  if (!is_encoder && kind.norms_decoder_tokens) {
    stack.embedding.has_norm = false;
    stack.embedding.norms_tokens = true;
  }
  stack.has_final_norm = kind.norms_before;
  return stack;
}

std::vector<ModuleName> stack_modules(const BartKind& kind, bool is_encoder) {
  const bool before = kind.norms_before;
  const Role mixer_norm = before ? role::kMixerNorm : role::kMixerPostNorm;
  const Role ffn_norm = before ? role::kFfnNorm : role::kFfnPostNorm;
  if (is_encoder) {
    return {
        {role::kEmbedding, "encoder.embed_tokens"},
        {role::kEmbedding, "shared"},
        {role::kPositions, "encoder.embed_positions"},
        {role::kEmbeddingNorm, "encoder.layernorm_embedding"},
        {role::kFinalNorm, "encoder.layer_norm"},
        {mixer_norm, "encoder.layers.#.self_attn_layer_norm"},
        {role::kQ, "encoder.layers.#.self_attn.q_proj"},
        {role::kK, "encoder.layers.#.self_attn.k_proj"},
        {role::kV, "encoder.layers.#.self_attn.v_proj"},
        {role::kAttentionOutput, "encoder.layers.#.self_attn.out_proj"},
        {ffn_norm, "encoder.layers.#.final_layer_norm"},
        {role::kUp, "encoder.layers.#.fc1"},
        {role::kDown, "encoder.layers.#.fc2"},
    };
  }
  return {
      {role::kEmbedding, "decoder.embed_tokens"},
      {role::kEmbedding, "shared"},
      {role::kEmbedding, "encoder.embed_tokens"},
      {role::kHead, "lm_head", true},
      {role::kPositions, "decoder.embed_positions"},
      {role::kEmbeddingNorm, "decoder.layernorm_embedding"},
      {role::kFinalNorm, "decoder.layer_norm"},
      {mixer_norm, "decoder.layers.#.self_attn_layer_norm"},
      {role::kQ, "decoder.layers.#.self_attn.q_proj"},
      {role::kK, "decoder.layers.#.self_attn.k_proj"},
      {role::kV, "decoder.layers.#.self_attn.v_proj"},
      {role::kAttentionOutput, "decoder.layers.#.self_attn.out_proj"},
      {before ? role::kCrossNorm : role::kCrossPostNorm,
       "decoder.layers.#.encoder_attn_layer_norm"},
      {role::kCrossQ, "decoder.layers.#.encoder_attn.q_proj"},
      {role::kCrossK, "decoder.layers.#.encoder_attn.k_proj"},
      {role::kCrossV, "decoder.layers.#.encoder_attn.v_proj"},
      {role::kCrossOutput, "decoder.layers.#.encoder_attn.out_proj"},
      {ffn_norm, "decoder.layers.#.final_layer_norm"},
      {role::kUp, "decoder.layers.#.fc1"},
      {role::kDown, "decoder.layers.#.fc2"},
  };
}

/// A causal language model: the decoder without its cross attention (BartForCausalLM, ...).
bool is_decoder_alone(const Config& config) {
  const auto names = config.strings("architectures").value_or(std::vector<std::string>());
  return !names.empty() && names[0].ends_with("ForCausalLM");
}

ModelSpec from_hf(const Config& config) { return read_bart(config, kKind); }

}  // namespace

ModelSpec read_bart(const Config& config, const BartKind& kind) {
  hf::refuse_unsupported(config);
  ModelSpec spec;
  spec.vocab_size = hf::read_size(config, "vocab_size", kind.vocab_size, kMaxVocab);
  spec.dim = hf::read_size(config, "d_model", kind.dim, kMaxDim);
  spec.max_positions =
      config.int_or("max_position_embeddings", kind.max_positions, 1, kMaxPositions);
  spec.norm.kind = device::NormKind::kLayer;
  spec.norm.eps = 1e-5F;
  spec.decoder_start = hf::read_decoder_start(config, kind.decoder_start);
  static_cast<StackSpec&>(spec) = read_stack(config, kind, spec, false);
  spec.head.emplace();
  spec.head->tied = config.bool_or("tie_word_embeddings", true);
  if (is_decoder_alone(config)) {
    for (LayerSpec& layer : spec.layers) layer.cross.reset();
    spec.decoder_start = -1;
    return spec;
  }
  spec.encoder = read_stack(config, kind, spec, true);
  spec.encoder->embedding.own_table = !spec.head->tied;
  spec.head->bias = kind.has_output_bias;
  return spec;
}

ModuleLayout bart_layout(const BartKind& kind) {
  ModuleLayout layout;
  layout.modules = stack_modules(kind, false);
  layout.encoder_modules = stack_modules(kind, true);
  if (kind.has_output_bias) layout.modules.push_back({role::kHeadBias, "final_logits_bias", true});
  layout.prefixes = {"model.", ""};
  // Copies of the shared table; what old files have of fairseq; and what decoders alone do not run.
  layout.ignored = {"shared.weight",
                    "decoder.layers.#.encoder_attn.*",
                    "decoder.layers.#.encoder_attn_layer_norm.*",
                    "encoder.embed_tokens.weight",
                    "decoder.embed_tokens.weight",
                    "encoder.version",
                    "decoder.version",
                    "encoder.embed_positions._float_tensor",
                    "decoder.embed_positions._float_tensor"};
  if (kind.positions == BartKind::Positions::kFairseqWaves) {
    layout.ignored.emplace_back("encoder.embed_positions.weights");
    layout.ignored.emplace_back("decoder.embed_positions.weights");
  }
  return layout;
}

Family bart_family() { return {"bart", {"bart"}, {}, from_hf, nullptr, bart_layout(kKind), {}}; }

}  // namespace openllm::model
