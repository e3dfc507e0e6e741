#pragma once

#include <optional>
#include <vector>

#include "model/blocks/linear.h"

namespace openllm::model {

namespace role {
inline constexpr Role kEmbedding{"embedding"};
inline constexpr Role kPositions{"positions"};  ///< Learned positions.
inline constexpr Role kTokenTypes{"token_types"};
inline constexpr Role kEmbeddingNorm{"embedding_norm"};
inline constexpr Role kEmbeddingOutput{"embedding_output"};  ///< From a narrower table to D.
}  // namespace role

/// Positions as waves: sin(position * w_i) for the first half of the columns, cos for the other,
/// with w_i = 10000^(-i / denominator).
struct WaveSpec {
  double denominator = 1.0;
  bool in_f32 = false;  ///< All of it is computed in f32.
};

/// Where a network's rows come from.
struct EmbeddingSpec {
  float scale = 1.0F;
  /// Learned positions, or waves where the file has no table: its rows; 0: none.
  int n_positions = 0;
  std::optional<WaveSpec> waves{};
  int position_offset = 0;    ///< Added to a position to get its row.
  int n_token_types = 0;      ///< Rows of their table, by the token's type; 0: none.
  bool has_norm = false;      ///< A norm behind the sum,
  bool norms_tokens = false;  ///< or of the tokens' embeddings alone, before positions are added.
  int width = 0;              ///< Columns of the table of tokens, where a linear follows; 0: D.
  /// The other tables and the norm have that width too, and the linear, which has a bias, comes
  /// last.
  bool is_narrow = false;
  /// Of an encoder beside a decoder: its table of tokens is not the decoder's.
  bool own_table = false;
};

class Embedding {
 public:
  /// `role`: of the table of tokens, [vocab, D]. `is_output`: the table is the head's as well, so
  /// that every step reads all of it.
  Embedding(const EmbeddingSpec& spec, BlockBuilder& builder, Role role, int vocab_size,
            bool is_output);
  /// With the table of another embedding, which must outlive this one.
  Embedding(const EmbeddingSpec& spec, BlockBuilder& builder, const Embedding& other);

  /// Floats of scratch that `run` takes for that many rows.
  std::int64_t scratch(std::int64_t n_rows) const noexcept {
    return output_ ? Scratch::size_of(n_rows, spec_.width) : 0;
  }
  void run(Run& run, device::Tensor x) const;
  const device::Weight& table() const noexcept { return *table_; }

 private:
  void load_rest(BlockBuilder& builder);
  void embed(Run& run, device::Tensor x) const;
  /// Adds the other tables, and normalises.
  void add_rest(Run& run, device::Tensor x) const;

  const EmbeddingSpec spec_;
  WeightPtr own_table_{};
  const device::Weight* table_;
  std::optional<Linear> output_{};
  WeightPtr positions_{};
  WeightPtr token_types_{};
  std::optional<Norm> norm_{};
  int piece_ = -1;  ///< Number of the table among those that can have adapters.
};

}  // namespace openllm::model
