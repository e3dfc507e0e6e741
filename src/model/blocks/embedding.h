#pragma once

#include <optional>

#include "model/blocks/norm.h"

namespace openllm::model {

namespace role {
inline constexpr Role kEmbedding{"embedding"};
inline constexpr Role kPositions{"positions"};  ///< Learned positions.
}  // namespace role

/// Where a network's rows come from.
struct EmbeddingSpec {
  float scale = 1.0F;
  /// Learned positions: rows of their table; 0: none.
  int n_positions = 0;
  int position_offset = 0;  ///< Added to a position to get its row.
};

class Embedding {
 public:
  /// `role`: of the table of tokens, [vocab, D]. `is_output`: the table is the head's as well, so
  /// that every step reads all of it.
  Embedding(const EmbeddingSpec& spec, BlockBuilder& builder, Role role, int vocab_size,
            bool is_output);

  void run(Run& run, device::Tensor x) const;
  const device::Weight& table() const noexcept { return *tokens_; }

 private:
  const EmbeddingSpec spec_;
  WeightPtr tokens_;
  WeightPtr positions_{};
};

}  // namespace openllm::model
