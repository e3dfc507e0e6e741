// Lists of targets come from command lines: reading ends with targets or an Error that says what is
// wrong.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "openllm/compare.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  try {
    const auto targets = openllm::parse_compare_targets(text);
    std::string names;
    for (const auto& target : targets) {
      if (target.load.backend.empty()) std::abort();
      names += (names.empty() ? "" : ",") + target.name;
    }
    if (names != text) std::abort();
  } catch (const openllm::Error& error) {
    if (error.code() != openllm::ErrorCode::kInvalidArgument) std::abort();
  }
  return 0;
}
