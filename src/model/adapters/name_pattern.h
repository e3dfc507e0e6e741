#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "model/config/config.h"

namespace openllm::model {

/// Numbers by patterns of module names, as peft's rank_pattern and alpha_pattern: a name, or its
/// last parts ("q_proj", "layers.3.mlp.up_proj"), or behind '^' the whole of it.
class NamePatterns {
 public:
  /// `key` of the configuration: an object, or nothing. Throws kCorruptData for numbers outside
  /// [min, max], kUnsupported for a pattern of another kind.
  NamePatterns(const Config& config, std::string_view key, double min, double max);

  /// Of the first pattern that fits the module's name.
  std::optional<double> find(std::string_view module) const;

 private:
  std::vector<std::pair<std::string, double>> patterns_{};
};

/// Whether the last parts of a module's name are `name`.
bool is_name_of(std::string_view name, std::string_view module) noexcept;

}  // namespace openllm::model
