// Qwen 3.5, text, dense and MoE: Qwen 3 Next with other projections before the delta rule. The
// outer model's vision tower is left out. Sources: transformers models/qwen3_5, models/qwen3_5_moe.

#include "model/arch/family.h"
#include "model/arch/hybrid.h"
#include "model/arch/qwen3_next.h"
#include "model/blocks/gated_delta_rounds.h"

namespace openllm::model {
namespace {

ModelSpec read_dense(const Config& config) {
  return read_qwen3_next(config, {.vocab_size = 248320,
                                  .n_heads = 16,
                                  .n_kv_heads = 4,
                                  .head_dim = 256,
                                  .ffn_dim = 12288,
                                  .max_positions = 32768});
}

ModelSpec read_moe(const Config& config) {
  // It has no dense FFNs: the size of one counts for nothing.
  ModelSpec spec = read_qwen3_next(config, {.vocab_size = 248320,
                                            .hidden_size = 2048,
                                            .n_layers = 40,
                                            .n_heads = 16,
                                            .n_kv_heads = 2,
                                            .head_dim = 256,
                                            .max_positions = 32768});
  read_qwen3_next_moe(config, spec, 256, 8);
  return spec;
}

/// The outer model's configuration has that of the text in it.
template <ModelSpec (*kRead)(const Config&)>
ModelSpec from_hf(const Config& config) {
  const std::optional<Config> text = config.object("text_config");
  return kRead(text ? *text : config);
}

ModuleLayout hf_layout() {
  ModuleLayout layout = qwen3_next_layout();
  hf::add(layout, {{role::kDeltaQkv, "layers.#.linear_attn.in_proj_qkv"},
                   {role::kDeltaGate, "layers.#.linear_attn.in_proj_z"},
                   {role::kDeltaBeta, "layers.#.linear_attn.in_proj_b"},
                   {role::kDeltaStep, "layers.#.linear_attn.in_proj_a"}});
  layout.prefixes = {"model.", "model.language_model.", "language_model.model.", ""};
  layout.ignored.insert(layout.ignored.end(), {"model.visual.*", "visual.*"});
  return layout;
}

template <ModelSpec (*kRead)(const Config&)>
ModelSpec from_gguf(const Config& config, const format::Checkpoint& checkpoint) {
  return read_qwen3_next_gguf(config, checkpoint, kRead);
}

ModuleLayout gguf_layout() {
  ModuleLayout layout = qwen3_next_gguf_layout();
  hf::add(layout, {{role::kDeltaRoundsQkv, "blk.#.attn_qkv"},
                   {role::kDeltaBeta, "blk.#.ssm_beta"},
                   {role::kDeltaStep, "blk.#.ssm_alpha"}});
  return layout;
}

}  // namespace

Family qwen3_5_family() {
  return {"qwen3_5",           {"qwen3_5_text", "qwen3_5"}, {"qwen35"},
          from_hf<read_dense>, from_gguf<read_dense>,       hf_layout(),
          gguf_layout()};
}

Family qwen3_5_moe_family() {
  return {"qwen3_5_moe",       {"qwen3_5_moe_text", "qwen3_5_moe"},
          {"qwen35moe"},       from_hf<read_moe>,
          from_gguf<read_moe>, hf_layout(),
          gguf_layout()};
}

}  // namespace openllm::model
