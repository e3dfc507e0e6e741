#pragma once

#include <cstddef>

namespace openllm::jinja {

/// Bounds of what a template may use, so that a hostile one ends with an error.
struct Limits {
  std::size_t max_output_bytes = std::size_t{16} << 20U;
  std::size_t max_operations = 20'000'000;
  int max_depth = 128;  ///< Nesting of expressions and blocks, and of calls.
};

}  // namespace openllm::jinja
