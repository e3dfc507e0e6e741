#pragma once

#include <memory>

#include "model/blocks/mixer.h"

namespace openllm::model {

namespace role {
inline constexpr Role kCrossQ{"cross.q"};
inline constexpr Role kCrossK{"cross.k"};
inline constexpr Role kCrossV{"cross.v"};
inline constexpr Role kCrossOutput{"cross.output"};
}  // namespace role

/// Attention of a decoder's rows to the source text that the encoder has read.
struct CrossAttentionSpec {
  int n_heads = 0;
  int head_dim = 0;
  float scale = 1.0F;
  bool bias = false;   ///< Of all four linears.
  int n_kv_heads = 0;  ///< 0: n_heads.
  float soft_cap = 0.0F;
};

class CrossAttention : public Mixer {
 public:
  /// Writes the keys and values of the encoded source rows [rows, D] into the cache; the device's
  /// step is the encoder's.
  virtual void remember(Run& run, device::Tensor source, int kv_layer) = 0;
};

std::unique_ptr<CrossAttention> make_cross_attention(const CrossAttentionSpec& spec,
                                                     BlockBuilder& builder, At at);

}  // namespace openllm::model
