#pragma once

#include <memory>

#include "model/blocks/mamba2.h"
#include "model/blocks/self_attention.h"

namespace openllm::model {

/// Self attention and a Mamba 2 that read the same rows; what they give is added.
struct AttentionBesideMamba2Spec {
  SelfAttentionSpec attention{};
  float attention_scale = 1.0F;  ///< Of what the attention gives.
  Mamba2Spec mamba{};
};

std::unique_ptr<Mixer> make_attention_beside_mamba2(const AttentionBesideMamba2Spec& spec,
                                                    BlockBuilder& builder, At at);

}  // namespace openllm::model
