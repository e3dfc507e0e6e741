#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tensor/tensor_view.h"

namespace openllm::device {

/// A tensor beside the one that a part is named after.
struct SideTensor {
  tensor::TensorView view{};
  std::string name{};  ///< For messages.
};

/// What makes a matrix [n_out, n_in] of integer codes, when scales and zero points are tensors of
/// their own:
///
///   w[o, i] = scale[g, o] * (code[o, i] - zero[g, o]),  g the group of input i.
///
/// For GPTQ, whose inputs may be grouped in any order. Other schemes bring codes and factors
/// together as MadeRows.
struct GroupedCodes {
  /// How codes, scales and zero points lie in their tensors.
  enum class Order : std::uint8_t {
    /// Codes: I32 [n_in * bits / 32, n_out], a word has consecutive inputs of one output. Scales:
    /// F16, BF16 or F32 [groups, n_out]. Zero points: I32 [groups, n_out * bits / 32], a word has
    /// consecutive outputs of one group. The first code is in a word's lowest bits.
    kWordsOfInputs,
  };
  Order order = Order::kWordsOfInputs;
  int bits = 4;  ///< Of a code: 2, 3, 4 or 8. Codes of 3 bits go on in the next word.
  std::int64_t n_out = 0;
  std::int64_t n_in = 0;
  SideTensor scales{};
  SideTensor zeros{};  ///< Without bytes: every zero point is 2^(bits - 1).
  /// Added to every stored zero point. Fields carry into their neighbours: the words are sums.
  int zero_offset = 0;
  std::int64_t group_size = 0;           ///< Input i is of group i / group_size,
  std::vector<std::int32_t> group_of{};  ///< or, if not empty, of group_of[i].
};

/// A matrix that the file has in several tensors, as rows of blocks of one type. What it reads must
/// outlive it.
class MadeRows {
 public:
  MadeRows() = default;
  MadeRows(const MadeRows&) = delete;
  MadeRows& operator=(const MadeRows&) = delete;
  virtual ~MadeRows() = default;
  /// Writes row `row`: byte_size(type, n_in) bytes. From any thread.
  virtual void read_row(std::int64_t row, std::byte* blocks) const = 0;
};

/// A matrix or vector, as the file has it.
struct WeightPart {
  tensor::TensorView view;  ///< The values, or the codes.
  std::string name{};       ///< For messages.
  /// The view is [in, out] instead of [out, in] (GPT-2's Conv1D).
  bool transposed = false;
  std::optional<GroupedCodes> grouped{};
  /// If not null, it gives the values: rows of the view's type and shape, [n_out, n_in]. The view's
  /// bytes then are those of the codes in the file.
  std::shared_ptr<const MadeRows> rows{};
};

/// A weight between file and device: parts are stacked along the output dimension (fused QKV, gate
/// and up).
struct WeightSource {
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
