// Phi 3 and 4: llama with one QKV and one gate-and-up, a RoPE that may turn a part of each head and
// may be of the long kind. Source: transformers models/phi3.

#include "model/arch/family.h"
#include "model/arch/gguf_members.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

ModelSpec from_hf(const Config& config) {
  ModelSpec spec = hf::read_llama_like(config, {.vocab_size = 32064,
                                                .hidden_size = 3072,
                                                .ffn_dim = 8192,
                                                .max_positions = 4096,
                                                .norm_eps = 1e-5});
  hf::read_single_rope(config, spec, {.partial = 1.0});
  if (const std::optional<int> window = config.find_int("sliding_window", 1, kMaxPositions)) {
    each_attention(spec, [&](SelfAttentionSpec& attention) { attention.window = *window; });
  }
  return spec;
}

ModuleLayout hf_layout() {
  ModuleLayout layout = hf::llama_layout();
  hf::remove_ffn(layout);
  std::erase_if(layout.modules, [](const ModuleName& name) {
    return name.role == role::kQ || name.role == role::kK || name.role == role::kV;
  });
  layout.modules.push_back({role::kQkv, "layers.#.self_attn.qkv_proj"});
  layout.modules.push_back({role::kGateUp, "layers.#.mlp.gate_up_proj"});
  layout.modules.push_back({role::kDown, "layers.#.mlp.down_proj"});
  return layout;
}

ModelSpec from_gguf(const Config& config, const format::Checkpoint& checkpoint) {
  gguf::Members members(config, checkpoint);
  members.copy("attention.sliding_window", "sliding_window");
  return members.read(from_hf);
}

}  // namespace

Family phi3_family() {
  return {"phi3",
          {"phi3"},
          {"phi3"},
          from_hf,
          from_gguf,
          hf_layout(),
          gguf::layout_with({{role::kQkv, "blk.#.attn_qkv"},
                             {role::kGateUp, "blk.#.ffn_up"},
                             {role::kDown, "blk.#.ffn_down"}},
                            {role::kQ, role::kK, role::kV, role::kGate, role::kUp})};
}

}  // namespace openllm::model
