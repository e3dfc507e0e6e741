#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "tensor/tensor_view.h"

namespace openllm::device {

/// One tensor of a weight, as the file has it.
struct WeightPart {
  tensor::TensorView view;
  std::string name{};  ///< For messages.
  /// The view is [in, out] instead of [out, in] (GPT-2's Conv1D).
  bool transposed = false;
};

/// A weight between file and device: parts are stacked along the output dimension (fused QKV, gate
/// and up). `scheme` leaves room for weights whose codes, scales and zero points are separate
/// tensors.
struct WeightSource {
  enum class Scheme { kDense };
  Scheme scheme = Scheme::kDense;
  std::vector<WeightPart> parts{};
};

enum class WeightRole {
  kLinear,     ///< [out, in] matrix multiplied with activations.
  kEmbedding,  ///< [vocab, dim] table; rows are looked up. May also be used by `logits` (tied
               ///< embeddings).
  kVector,     ///< Norm weights and biases, [n]; kept in f32.
};

/// A weight in the device's own layout.
class Weight {
 public:
  virtual ~Weight() = default;
  virtual std::int64_t out_features() const noexcept = 0;  ///< Rows; 1 for vectors.
  virtual std::int64_t in_features() const noexcept = 0;
  virtual std::size_t bytes() const noexcept = 0;  ///< Memory one pass over it reads.
};

}  // namespace openllm::device
