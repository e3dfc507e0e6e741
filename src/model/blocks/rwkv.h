#pragma once

#include <memory>

#include "model/blocks/mixer.h"

namespace openllm::model {

namespace role {
inline constexpr Role kTimeMixKeyTaps{"time_mix.key_taps"};  ///< A tensor, no module; so the next.
inline constexpr Role kTimeMixValueTaps{"time_mix.value_taps"};
inline constexpr Role kTimeMixGateTaps{"time_mix.gate_taps"};
inline constexpr Role kTimeMixRates{"time_mix.rates"};
inline constexpr Role kTimeMixFirst{"time_mix.first"};
inline constexpr Role kTimeMixKey{"time_mix.key"};
inline constexpr Role kTimeMixValue{"time_mix.value"};
inline constexpr Role kTimeMixGate{"time_mix.gate"};
inline constexpr Role kTimeMixOutput{"time_mix.output"};
inline constexpr Role kChannelMixKeyTaps{"channel_mix.key_taps"};
inline constexpr Role kChannelMixGateTaps{"channel_mix.gate_taps"};
inline constexpr Role kChannelMixKey{"channel_mix.key"};
inline constexpr Role kChannelMixGate{"channel_mix.gate"};
inline constexpr Role kChannelMixValue{"channel_mix.value"};
}  // namespace role

/// The two halves of an RWKV-4 layer (arXiv 2305.13048). Each of their linears reads a blend of a
/// row and the one before it. Time mixing: decaying means of values, times the sigmoid of a gate.
struct TimeMixSpec {
  int n_columns = 0;
};
/// Channel mixing: value(relu(key)^2) times the sigmoid of a gate.
struct ChannelMixSpec {
  int ffn_dim = 0;
};

std::unique_ptr<Mixer> make_time_mix(const TimeMixSpec& spec, BlockBuilder& builder, At at);
std::unique_ptr<Mixer> make_channel_mix(const ChannelMixSpec& spec, BlockBuilder& builder, At at);

}  // namespace openllm::model
