// MPT: ALiBi, LayerNorm without biases, one QKV that may be clipped, plain FFNs. Source:
// transformers models/mpt, which takes ALiBi whatever the configuration says.

#include "model/arch/alibi.h"
#include "model/arch/family.h"
#include "model/arch/gguf_members.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

ModelSpec from_hf(const Config& config) {
  ModelSpec spec = hf::read_llama_like(config, {.vocab_size = 50368,
                                                .hidden_size = 2048,
                                                .n_layers = 24,
                                                .n_heads = 16,
                                                .ignores_head_dim = true,
                                                .ffn_dim = 1,
                                                .max_positions = 2048,
                                                .tied = true,
                                                .names = {.hidden_size = "d_model",
                                                          .n_layers = "n_layers",
                                                          .n_heads = "n_heads",
                                                          .max_positions = "max_seq_len"}});
  hf::use_layer_norm(config, spec, "layer_norm_epsilon", 1e-5);
  spec.norm.has_bias = false;
  hf::use_plain_ffn(spec, false);
  each_ffn(spec, [&](DenseFfnSpec& ffn) {
    ffn.ffn_dim = 4 * spec.dim;  // whatever expansion_ratio says
    ffn.activation = device::Activation::kGelu;
  });
  const std::optional<Config> own = config.object("attn_config");
  const int n_heads = attention_of(spec, 0).n_heads;
  spec.position_biases.push_back(
      alibi_of_mpt(n_heads, own ? own->positive_or("alibi_bias_max", 8.0) : 8.0));
  each_attention(spec, [&](SelfAttentionSpec& attention) {
    attention.position_bias = 0;
    if (!own) return;
    attention.scale =
        static_cast<float>(own->find_positive("softmax_scale").value_or(attention.scale));
    attention.clip_qkv = static_cast<float>(own->find_positive("clip_qkv").value_or(0.0));
  });
  return spec;
}

ModuleLayout hf_layout() {
  ModuleLayout layout;
  layout.modules = {
      {role::kEmbedding, "wte"},
      {role::kFinalNorm, "norm_f"},
      {role::kHead, "lm_head", true},
      {role::kMixerNorm, "blocks.#.norm_1"},
      {role::kQkv, "blocks.#.attn.Wqkv"},
      {role::kAttentionOutput, "blocks.#.attn.out_proj"},
      {role::kFfnNorm, "blocks.#.norm_2"},
      {role::kUp, "blocks.#.ffn.up_proj"},
      {role::kDown, "blocks.#.ffn.down_proj"},
  };
  layout.prefixes = {"transformer.", ""};
  return layout;
}

ModelSpec from_gguf(const Config& config, const format::Checkpoint& checkpoint) {
  gguf::Members members(config, checkpoint);
  base::Json own = base::Json::object();
  own["alibi_bias_max"] = config.not_negative_or("attention.max_alibi_bias", 0.0);
  if (const base::Json* clip = config.find("attention.clamp_kqv")) own["clip_qkv"] = *clip;
  if (config.not_negative_or("attention.max_alibi_bias", 0.0) == 0.0)
    config.unsupported("attention.max_alibi_bias", "positions other than ALiBi (expected > 0)");
  members.set("attn_config", std::move(own)).leave({"attention.max_alibi_bias"});
  return members.read(from_hf);
}

ModuleLayout gguf_layout() {
  return gguf::layout_with({{role::kQkv, "blk.#.attn_qkv"}},
                           {role::kQ, role::kK, role::kV, role::kGate});
}

}  // namespace

Family mpt_family() {
  return {"mpt", {"mpt"}, {"mpt"}, from_hf, from_gguf, hf_layout(), gguf_layout()};
}

}  // namespace openllm::model
