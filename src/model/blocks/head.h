#pragma once

#include <optional>

#include "model/blocks/linear.h"

namespace openllm::model {

namespace role {
inline constexpr Role kHead{"head"};             ///< Output matrix, [vocab, D].
inline constexpr Role kHeadBias{"head_bias"};    ///< Where it is a tensor of its own, [vocab].
inline constexpr Role kHeadInput{"head_input"};  ///< From D to the width of a narrower table.
inline constexpr Role kHeadNorm{"head_norm"};    ///< Behind it.
}  // namespace role

/// What BERT's heads do before the matrix: norm(act(linear(x))).
struct HeadTransformSpec {
  device::Activation activation = device::Activation::kGelu;
  bool bias = true;  ///< Of the linear.
};

/// logits = cap(scale * (head(x) + bias)).
struct HeadSpec {
  bool tied = false;  ///< The matrix is the table of the embedding.
  float scale = 1.0F;
  float soft_cap = 0.0F;                ///< 0: none.
  bool bias = false;                    ///< Of families with a kHeadBias: if the file has it.
  MatrixNorm norm = MatrixNorm::kNone;  ///< Of a matrix that is not tied.
  int width = 0;  ///< Columns of the matrix, where a linear brings x to fewer; 0: D.
  std::optional<HeadTransformSpec> transform{};  ///< In place of that linear.
};

/// A head's matrix in the file: its own, or that of the embedding.
struct HeadSource {
  Role embedding{};  ///< Role of the tensor that the embedding is loaded from.
  bool has_own = false;
};
/// Tied by the configuration but with a different tensor in the file: the file wins, as in
/// transformers 5. A tied file may have only the output's tensor.
HeadSource find_head(const HeadSpec& spec, Role embedding, TensorIndex& index);

class Head {
 public:
  /// `table`: of the embedding, which is used unless the source has a matrix of its own; it must
  /// outlive the head.
  Head(const HeadSpec& spec, BlockBuilder& builder, const HeadSource& source,
       const device::Weight& table, int vocab_size);

  bool is_tied() const noexcept { return own_ == nullptr; }
  /// Floats of scratch that `run` takes for that many rows.
  std::int64_t scratch(std::int64_t n_rows) const noexcept;
  /// Logits of the rows x, complete when the step is finished.
  void run(Run& run, device::Tensor x, float* host_out) const;

 private:
  const HeadSpec spec_;
  std::int64_t width_;  ///< Columns of the matrix.
  std::optional<Linear> input_{};
  std::optional<Norm> norm_{};
  WeightPtr own_{};
  WeightPtr bias_{};
  const device::Weight& matrix_;
  int piece_ = -1;  ///< Number among those that can have adapters.
};

}  // namespace openllm::model
