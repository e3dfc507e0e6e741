#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "model/adapters/adapter_source.h"
#include "model/adapters/mounted_adapter.h"
#include "model/weights/weight_loader.h"

namespace openllm::model {

/// Which rows of a tensor a target takes, and in what order.
struct RowOrder {
  RowRanges ranges{};  ///< Without groups: all.
  int head_dim = 0;    ///< Heads whose rows change places; 0: none do.
  bool to_paired = false;

  /// Whether rows stay as they are.
  bool is_plain() const noexcept { return ranges.n_groups == 0 && head_dim == 0; }
  /// The tensor's row that the target's row `row` is.
  std::int64_t source(std::int64_t row) const noexcept;
  /// How many rows the target takes of `n`.
  std::int64_t count(std::int64_t n) const noexcept {
    return ranges.n_groups == 0 ? n : ranges.n_groups * ranges.n;
  }
};

/// Rows of tokens, in the order of their ids.
struct TokenRows {
  std::vector<std::int32_t> ids{};
  MountedAdapter::Shared table{};
  MountedAdapter::Shared matrix{};  ///< The same for products.
};

/// Brings an adapter's tensors to the device. Throws kInvalidArgument for shapes that do not fit
/// the model, and what the device says; both name file and tensor.
class AdapterTensors {
 public:
  AdapterTensors(const std::string& path, device::Device& device) : path_(path), device_(device) {}

  /// [n_rows, n_cols] of which the target takes rows in that order; `transposed`: the file has
  /// [n_cols, n_rows].
  MountedAdapter::Shared matrix(const format::NamedTensor& tensor, std::int64_t n_rows,
                                std::int64_t n_cols, const RowOrder& order, bool transposed) const;
  /// The same rows as columns.
  MountedAdapter::Shared turned(const format::NamedTensor& tensor, std::int64_t n_rows,
                                std::int64_t n_cols, const RowOrder& order) const;
  std::vector<float> matrix_values(const format::NamedTensor& tensor, std::int64_t n_rows,
                                   std::int64_t n_cols, const RowOrder& order) const;
  /// [n] likewise.
  std::vector<float> vector_values(const format::NamedTensor& tensor, std::int64_t n,
                                   const RowOrder& order) const;
  /// A table of embeddings [n_rows, n_cols], or turned into one.
  MountedAdapter::Shared table(const format::NamedTensor& tensor, std::int64_t n_rows,
                               std::int64_t n_cols, bool turned) const;
  /// Rows [ids, n_cols] of a vocabulary of `n_vocab`.
  TokenRows token_rows(const format::NamedTensor& tensor, const std::vector<std::int32_t>& ids,
                       std::int64_t n_vocab, std::int64_t n_cols) const;
  MountedAdapter::Shared upload(const std::vector<float>& values) const;

 private:
  void require_shape(const format::NamedTensor& tensor, const tensor::Shape& expected) const;
  std::vector<float> values_of(const format::NamedTensor& tensor) const;
  MountedAdapter::Shared upload(device::WeightPart part, device::WeightRole role) const;

  const std::string& path_;
  device::Device& device_;
};

}  // namespace openllm::model
