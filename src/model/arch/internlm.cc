// InternLM 1: llama with biases in attention, and a member of its own for RoPE. Source: the
// published modeling_internlm.py.

#include <algorithm>

#include "model/arch/family.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

void read_rope(const Config& config, ModelSpec& spec) {
  const std::optional<Config> rotary = config.object("rotary");
  if (!rotary) {
    hf::read_single_rope(config, spec);
    return;
  }
  RopeParameters rope;
  rope.theta = rotary->positive_or("base", 10000.0);
  const std::string type = rotary->string_or("type", "origin");
  if (type == "dynamic") {
    rope.type = RopeParameters::Type::kDynamic;
    rope.factor = rotary->positive_or("scaling_factor", 1.0);
  } else if (type != "origin") {
    rotary->unsupported("type", "unknown kind of RoPE (expected origin or dynamic, got ", type,
                        ")");
  }
  hf::use_rope(config, spec, rope);
  const double positions = spec.max_positions * rope.factor;
  spec.max_positions = static_cast<int>(std::min(positions, static_cast<double>(kMaxPositions)));
}

ModelSpec from_hf(const Config& config) {
  ModelSpec spec = hf::read_llama_like(config, {.vocab_size = 103168, .ignores_head_dim = true});
  const bool bias = config.bool_or("bias", true);
  hf::set_attention_biases(spec, bias, bias);
  read_rope(config, spec);
  return spec;
}

}  // namespace

Family internlm_family() {
  return {"internlm", {"internlm"}, {}, from_hf, nullptr, hf::llama_layout(), {}};
}

}  // namespace openllm::model
