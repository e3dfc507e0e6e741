#pragma once

#include <memory>
#include <optional>

#include "model/blocks/dense_ffn.h"

namespace openllm::model {

namespace role {
inline constexpr Role kRouter{"moe.router"};
inline constexpr Role kExpertGate{"moe.expert.gate"};
inline constexpr Role kExpertUp{"moe.expert.up"};
inline constexpr Role kExpertDown{"moe.expert.down"};
inline constexpr Role kSharedGate{"moe.shared.gate"};
inline constexpr Role kSharedUp{"moe.shared.up"};
inline constexpr Role kSharedDown{"moe.shared.down"};
}  // namespace role

/// A mixture of experts: a router sends each row to some of them and adds what they give, weighed.
struct MoeFfnSpec {
  device::RouterSpec router{};
  DenseFfnSpec expert{};
  std::optional<DenseFfnSpec> shared{};  ///< An FFN for every row, added to the experts' sum.
};

std::unique_ptr<Ffn> make_moe_ffn(const MoeFfnSpec& spec, BlockBuilder& builder, At at);

}  // namespace openllm::model
