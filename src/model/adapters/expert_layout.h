#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "model/adapters/adapter_source.h"

namespace openllm::model {

/// What the version of peft in adapter_config.json says of a and b of stacked experts.
ExpertLayout expert_layout_of(const std::string& peft_version);

/// Brings a and b of an expert [n_out, n_in] to a [rank, n_in] and b [n_out, rank], whichever way
/// round they are; those of other modules stay as they are.
/// `transposed`: the base stores its experts [in, out]. Throws kUnsupported where neither says it.
class PlainExpert {
 public:
  PlainExpert(const AdapterModule& module, const std::string& path, std::int64_t n_out,
              std::int64_t n_in, bool transposed);

  const AdapterModule& module() const noexcept { return module_; }

 private:
  AdapterModule module_;
  std::vector<std::byte> a_{};
  std::vector<std::byte> b_{};
};

}  // namespace openllm::model
