#pragma once

#include <memory>

#include "model/blocks/ffn.h"

namespace openllm::model {

namespace role {
inline constexpr Role kGate{"ffn.gate"};
inline constexpr Role kUp{"ffn.up"};
inline constexpr Role kDown{"ffn.down"};
}  // namespace role

/// down(act(gate(x)) * up(x)), or down(act(up(x))) without a gate.
struct DenseFfnSpec {
  int ffn_dim = 0;
  bool gated = true;
  device::Activation activation = device::Activation::kSilu;
  bool bias = false;
};

std::unique_ptr<Ffn> make_dense_ffn(const DenseFfnSpec& spec, BlockBuilder& builder, At at);

}  // namespace openllm::model
