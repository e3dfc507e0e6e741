#pragma once

#include "model/blocks/norm.h"

namespace openllm::model {

namespace role {
inline constexpr Role kHead{"head"};  ///< Output matrix, [vocab, D].
}  // namespace role

/// logits = cap(scale * head(x)).
struct HeadSpec {
  bool tied = false;  ///< The matrix is the table of the embedding.
  float scale = 1.0F;
  float soft_cap = 0.0F;  ///< 0: none.
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
  /// Logits of the rows x, complete when the step is finished.
  void run(Run& run, device::Tensor x, float* host_out) const;

 private:
  const HeadSpec spec_;
  WeightPtr own_{};
  const device::Weight& matrix_;
};

}  // namespace openllm::model
