#pragma once

#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "model/config/config.h"

namespace openllm::model {

/// Numbers by patterns of module names, as peft's rank_pattern and alpha_pattern: regular
/// expressions of a name, or of its last parts ("q_proj", ".*\\.mlp\\.up_proj"). Source: peft's
/// utils/other.py, get_pattern_key.
class NamePatterns {
 public:
  /// `key` of the configuration: an object, or nothing. Throws kCorruptData for numbers outside
  /// [min, max], kUnsupported for a pattern that PCRE2 does not take.
  NamePatterns(const Config& config, std::string_view key, double min, double max);
  ~NamePatterns();
  NamePatterns(const NamePatterns&) = delete;
  NamePatterns& operator=(const NamePatterns&) = delete;

  /// Of the first pattern that fits the module's name. Throws kUnsupported for one that takes too
  /// many steps.
  std::optional<double> find(std::string_view module) const;

 private:
  struct Entry;
  std::vector<std::unique_ptr<Entry>> entries_;
};

/// Whether the last parts of a module's name are `name`.
bool is_name_of(std::string_view name, std::string_view module) noexcept;

}  // namespace openllm::model
