#pragma once

#include <cstddef>
#include <vector>

#include "engine/request.h"
#include "openllm/embed.h"

namespace openllm::llm {

/// Makes one vector of the hidden states of an input, which come in pieces, in order. The sums do
/// not depend on the pieces.
class Pooler {
 public:
  /// `n_skipped`: tokens at the beginning that do not count.
  Pooler(Pooling pooling, std::size_t n_tokens, std::size_t n_skipped, std::size_t size);

  /// The positions whose states are needed.
  engine::PromptRows rows() const noexcept { return rows_; }
  /// Rows [n, size].
  void add(int n, const float* rows);
  std::vector<float> take() const;

 private:
  const Pooling pooling_;
  engine::PromptRows rows_{};
  std::size_t n_added_ = 0;
  std::vector<double> sum_;
};

/// Makes the vector's length 1; one of zeros stays as it is.
void normalize(std::vector<float>& vector) noexcept;

}  // namespace openllm::llm
