#pragma once

#include <memory>

#include "model/blocks/mixer.h"

namespace openllm::model {

namespace role {
inline constexpr Role kRgLruGate{"rg_lru.gate"};  ///< Of what the recurrence gives.
inline constexpr Role kRgLruInput{"rg_lru.input"};
inline constexpr Role kRgLruTaps{"rg_lru.taps"};
inline constexpr Role kRgLruInputGate{"rg_lru.input_gate"};  ///< A tensor, no module; so the next.
inline constexpr Role kRgLruInputGateBias{"rg_lru.input_gate_bias"};
inline constexpr Role kRgLruDecayGate{"rg_lru.decay_gate"};
inline constexpr Role kRgLruDecayGateBias{"rg_lru.decay_gate_bias"};
inline constexpr Role kRgLruRates{"rg_lru.rates"};
inline constexpr Role kRgLruOutput{"rg_lru.output"};
}  // namespace role

/// The recurrent block of Griffin (arXiv 2402.19427): a short convolution, then RG-LRU, whose gates
/// come from linears of each head; times the activation of another linear of the input.
struct RgLruSpec {
  int n_columns = 0;
  int n_heads = 0;
  int n_taps = 0;
  device::Activation activation = device::Activation::kGeluTanh;
};

std::unique_ptr<Mixer> make_rg_lru(const RgLruSpec& spec, BlockBuilder& builder, At at);

}  // namespace openllm::model
