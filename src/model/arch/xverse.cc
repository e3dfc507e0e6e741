// XVERSE, Aquila, Skywork and Yi as first published: llama under other names. Sources: the
// published modeling_xverse.py, modeling_aquila.py, modeling_skywork.py, modeling_yi.py.

#include "model/arch/family.h"
#include "model/arch/gguf_members.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

ModelSpec read_network(const Config& config, hf::Defaults defaults, double theta = 10000.0) {
  if (config.has("num_experts"))
    config.unsupported("num_experts", "mixtures of this architecture are not supported");
  defaults.ignores_head_dim = true;
  ModelSpec spec = hf::read_llama_like(config, defaults);
  hf::read_single_rope(config, spec, {.theta = theta});
  hf::read_attention_bias(config, spec);
  return spec;
}

ModelSpec from_xverse(const Config& config) {
  return read_network(config, {.vocab_size = 100278,
                               .hidden_size = 5120,
                               .n_layers = 40,
                               .n_heads = 40,
                               .ffn_dim = 13824,
                               .max_positions = 8192});
}

ModelSpec from_aquila(const Config& config) { return read_network(config, {.vocab_size = 100008}); }

ModelSpec from_skywork(const Config& config) { return read_network(config, {}); }

ModelSpec from_yi(const Config& config) {
  return read_network(
      config, {.vocab_size = 64000, .n_kv_heads = 4, .max_positions = 4096, .norm_eps = 1e-5},
      5000000.0);
}

ModuleLayout yi_layout() {
  ModuleLayout layout = hf::llama_layout();
  layout.modules.push_back({role::kMixerNorm, "layers.#.ln1"});
  layout.modules.push_back({role::kFfnNorm, "layers.#.ln2"});
  return layout;
}

ModelSpec xverse_from_gguf(const Config& config, const format::Checkpoint& checkpoint) {
  return gguf::Members(config, checkpoint).read(from_xverse, gguf::Members::Heads::kPaired);
}

ModuleLayout gguf_layout() {
  ModuleLayout layout = gguf::layout();
  layout.paired_heads = true;
  return layout;
}

}  // namespace

Family xverse_family() {
  return {"xverse",         {"xverse"},         {"xverse"},   from_xverse,
          xverse_from_gguf, hf::llama_layout(), gguf_layout()};
}

Family aquila_family() {
  return {"aquila", {"aquila"}, {}, from_aquila, nullptr, hf::llama_layout(), {}};
}

Family skywork_family() {
  return {"skywork", {"skywork"}, {}, from_skywork, nullptr, hf::llama_layout(), {}};
}

Family yi_family() { return {"yi", {"Yi"}, {}, from_yi, nullptr, yi_layout(), {}}; }

}  // namespace openllm::model
