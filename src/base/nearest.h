#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace openllm::base {

/// Insertions, deletions, replacements and swaps of neighbours that make `b` of `a`, bytes counted,
/// ASCII letter case ignored.
std::size_t edit_distance(std::string_view a, std::string_view b);

/// The known text that somebody may have meant by `wanted`; nothing when none is near (at most a
/// third of its letters wrong).
std::optional<std::string> nearest(std::string_view wanted, const std::vector<std::string>& known);

}  // namespace openllm::base
