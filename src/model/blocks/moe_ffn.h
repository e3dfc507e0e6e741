#pragma once

#include <memory>
#include <optional>

#include "model/blocks/dense_ffn.h"

namespace openllm::model {

namespace role {
inline constexpr Role kRouter{"moe.router"};
inline constexpr Role kRouterCorrection{"moe.router_correction"};  ///< A tensor, no module.
inline constexpr Role kExpertGateUp{"moe.expert.gate_up"};
inline constexpr Role kExpertGate{"moe.expert.gate"};
inline constexpr Role kExpertUp{"moe.expert.up"};
inline constexpr Role kExpertDown{"moe.expert.down"};
inline constexpr Role kSharedGate{"moe.shared.gate"};
inline constexpr Role kSharedUp{"moe.shared.up"};
inline constexpr Role kSharedDown{"moe.shared.down"};
inline constexpr Role kSharedGateUp{"moe.shared.gate_up"};
inline constexpr Role kSharedScore{"moe.shared.score"};
inline constexpr Role kMoePostNorm{"moe.post_norm"};
inline constexpr Role kMoeBias{"moe.bias"};              ///< A tensor, no module.
inline constexpr Role kRouterScale{"moe.router_scale"};  ///< A tensor, no module; so the next.
inline constexpr Role kExpertGains{"moe.expert_gains"};
inline constexpr Role kExpertNorm{"moe.expert_norm"};  ///< Before the experts.
inline constexpr Role kExpertPostNorm{"moe.expert_post_norm"};
inline constexpr Role kSharedPostNorm{"moe.shared_post_norm"};
}  // namespace role

/// A mixture of experts: a router sends each row to some of them and adds what they give, weighed.
struct MoeFfnSpec {
  device::RouterSpec router{};
  bool router_bias = false;
  bool router_correction = false;  ///< Scores are shifted for the choice, not for the weights.
  DenseFfnSpec expert{};
  std::optional<DenseFfnSpec> shared{};  ///< An FFN for every row, added to the experts' sum.
  bool shared_score = false;             ///< Times the sigmoid of a linear of the row.
  bool post_norm = false;                ///< A norm behind the sum.
  bool output_bias = false;              ///< Added to the sum, whatever the weights.
  /// Router and experts read the layer's row by norms of their own, the router by one without
  /// weights times its scale / sqrt(D); each expert's weight has a gain; and what the experts give
  /// is normalised before the sum, and so is the shared part's.
  bool own_norms = false;
};

std::unique_ptr<Ffn> make_moe_ffn(const MoeFfnSpec& spec, BlockBuilder& builder, At at);

}  // namespace openllm::model
