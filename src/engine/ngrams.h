#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace openllm::engine {

/// Finds how a text went on the last time its end stood in it: where a model copies from its
/// prompt, or repeats itself, that is what comes next (prompt lookup decoding, Saxena 2023).
class Ngrams {
 public:
  /// Tokens whose repetition is looked for.
  static constexpr std::size_t kLength = 3;

  /// Puts up to `n` tokens that may follow `tokens` into `out`; none if its end is new. `tokens`
  /// are those of the last call and more.
  void propose(std::span<const std::int32_t> tokens, int n, std::vector<std::int32_t>& out);

 private:
  void add_until(std::span<const std::int32_t> tokens, std::size_t end);
  std::size_t find(std::span<const std::int32_t> tokens, std::size_t end) const;

  /// Open addressing: the position behind the last occurrence of some kLength tokens, plus one; 0:
  /// free. A power of two, at most half full.
  std::vector<std::int32_t> places_{};
  std::size_t n_added_ = 0;  ///< Positions that `places_` knows.
  std::size_t n_used_ = 0;   ///< Of places_.
};

}  // namespace openllm::engine
