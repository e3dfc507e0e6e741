#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace openllm::backend {

/// A part of a sum of adapters as requests name it: "style", or "style*0.5+facts".
struct AdapterTerm {
  std::string name{};
  float factor = 1.0F;
  friend bool operator==(const AdapterTerm&, const AdapterTerm&) = default;
};
/// Throws kInvalidArgument where "adapter_name" for what is no such sum.
std::vector<AdapterTerm> parse_adapter_sum(std::string_view text);

/// Throws kInvalidArgument where "adapters" for a name that a sum cannot have.
void require_adapter_name(const std::string& name);

}  // namespace openllm::backend
