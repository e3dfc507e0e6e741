#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "openllm/error.h"

namespace openllm {

/// A copy of a model's weights as a device wants them. Loading makes it, so that the next load of
/// the same files maps it instead of packing them: in `$OPENLLM_HOME/packed`, limited by
/// $OPENLLM_PACKED_COPIES (docs/performance.md).
struct PackedCopy {
  std::string path{};
  std::string source{};  ///< The model's file, or the first of several; empty when it is damaged.
  std::int64_t bytes = 0;
  std::int64_t used_ns = 0;  ///< When it was last loaded or made, since 1970.
  /// Why no load will take it: damaged, or of a file that is gone or was changed. Empty: one may.
  std::string unusable{};
};

/// Those on this machine, the last used one first; none when there is no folder for them.
OPENLLM_API std::vector<PackedCopy> packed_copies();
/// Deletes one of them. What has it loaded keeps it until the end. False when it is gone.
OPENLLM_API bool remove_packed_copy(const PackedCopy& copy);

/// Whether loading makes them, and why not; the limit and what is there, a sentence. Throws
/// kInvalidArgument for a value of $OPENLLM_PACKED_COPIES that means nothing.
OPENLLM_API std::string describe_packed_copies();

}  // namespace openllm
