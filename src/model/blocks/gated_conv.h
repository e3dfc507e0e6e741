#pragma once

#include <memory>

#include "model/blocks/mixer.h"

namespace openllm::model {

namespace role {
inline constexpr Role kConvInput{"conv.input"};
inline constexpr Role kConvTaps{"conv.taps"};
inline constexpr Role kConvOutput{"conv.output"};
}  // namespace role

/// A short convolution between two gates: b, c, x = in(row); out(c * conv(b * x)).
struct GatedConvSpec {
  int n_taps = 0;
  bool bias = false;  ///< Of all three.
};

std::unique_ptr<Mixer> make_gated_conv(const GatedConvSpec& spec, BlockBuilder& builder, At at);

}  // namespace openllm::model
