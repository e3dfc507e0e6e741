#include "model/adapters/adapter_tensor.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <utility>

#include "base/error.h"
#include "format/tensor_list.h"

namespace openllm::model {
namespace {

using device::WeightPart;
using device::WeightRole;
using format::NamedTensor;
using tensor::Shape;

tensor::TensorView view_of(const std::vector<float>& values, Shape shape) {
  return {tensor::DType::kF32, shape, std::as_bytes(std::span(values))};
}

}  // namespace

std::int64_t RowOrder::source(std::int64_t row) const noexcept {
  if (head_dim > 0) {
    const std::int64_t half = head_dim / 2;
    const std::int64_t i = row % head_dim;
    row = row - i + (to_paired ? i % 2 * half + i / 2 : i % half * 2 + i / half);
  }
  if (ranges.n_groups == 0) return row;
  return row / ranges.n * ranges.group_rows + ranges.begin + row % ranges.n;
}

void AdapterTensors::require_shape(const NamedTensor& tensor, const Shape& expected) const {
  if (tensor.view.shape == expected) return;
  base::fail(ErrorCode::kInvalidArgument, path_, ": tensor ", format::printable(tensor.name),
             ": does not fit the model (expected shape ", expected.to_string(), ", got ",
             tensor.view.shape.to_string(), ")");
}

std::vector<float> AdapterTensors::values_of(const NamedTensor& tensor) const {
  const tensor::DTypeInfo& type = tensor::info(tensor.view.dtype);
  if (type.to_f32 == nullptr) {
    base::fail(ErrorCode::kUnsupported, path_, ": tensor ", format::printable(tensor.name),
               ": dtype ", type.name, " holds no weights");
  }
  std::vector<float> values(static_cast<std::size_t>(tensor.view.shape.n_elems()));
  type.to_f32(tensor.view.bytes.data(), values.data(), values.size());
  return values;
}

MountedAdapter::Shared AdapterTensors::upload(WeightPart part, WeightRole role) const {
  try {
    return device_.upload_beside({.parts = {std::move(part)}}, role);
  } catch (const Error& error) {
    throw Error(error.code(), base::cat(path_, ": ", error.what()));
  }
}

MountedAdapter::Shared AdapterTensors::upload(const std::vector<float>& values) const {
  return upload({view_of(values, Shape{static_cast<std::int64_t>(values.size())}), "vector"},
                WeightRole::kVector);
}

MountedAdapter::Shared AdapterTensors::matrix(const NamedTensor& tensor, std::int64_t n_rows,
                                              std::int64_t n_cols, const RowOrder& order,
                                              bool transposed) const {
  const bool has_values = tensor::info(tensor.view.dtype).block_elems == 1;
  if (order.is_plain() && has_values) {
    require_shape(tensor, transposed ? Shape{n_cols, n_rows} : Shape{n_rows, n_cols});
    return upload({tensor.view, tensor.name, transposed}, WeightRole::kLinear);
  }
  if (transposed) {
    base::fail(ErrorCode::kUnsupported, path_, ": tensor ", format::printable(tensor.name),
               ": outputs that are used in parts cannot be taken from it");
  }
  const std::vector<float> values = matrix_values(tensor, n_rows, n_cols, order);
  return upload({view_of(values, Shape{order.count(n_rows), n_cols}), tensor.name},
                WeightRole::kLinear);
}

MountedAdapter::Shared AdapterTensors::turned(const NamedTensor& tensor, std::int64_t n_rows,
                                              std::int64_t n_cols, const RowOrder& order) const {
  const std::vector<float> values = matrix_values(tensor, n_rows, n_cols, order);
  return upload({view_of(values, Shape{order.count(n_rows), n_cols}), tensor.name, true},
                WeightRole::kLinear);
}

std::vector<float> AdapterTensors::matrix_values(const NamedTensor& tensor, std::int64_t n_rows,
                                                 std::int64_t n_cols, const RowOrder& order) const {
  require_shape(tensor, Shape{n_rows, n_cols});
  std::vector<float> all = values_of(tensor);
  if (order.is_plain()) return all;
  const std::int64_t n = order.count(n_rows);
  std::vector<float> taken(static_cast<std::size_t>(n * n_cols));
  for (std::int64_t row = 0; row < n; ++row) {
    std::copy_n(all.begin() + order.source(row) * n_cols, n_cols, taken.begin() + row * n_cols);
  }
  return taken;
}

std::vector<float> AdapterTensors::vector_values(const NamedTensor& tensor, std::int64_t n,
                                                 const RowOrder& order) const {
  require_shape(tensor, Shape{n});
  const std::vector<float> all = values_of(tensor);
  std::vector<float> taken;
  for (std::int64_t row = 0; row < order.count(n); ++row)
    taken.push_back(all[static_cast<std::size_t>(order.source(row))]);
  return taken;
}

MountedAdapter::Shared AdapterTensors::table(const NamedTensor& tensor, std::int64_t n_rows,
                                             std::int64_t n_cols, bool turned) const {
  require_shape(tensor, turned ? Shape{n_cols, n_rows} : Shape{n_rows, n_cols});
  return upload({tensor.view, tensor.name, turned}, WeightRole::kEmbedding);
}

TokenRows AdapterTensors::token_rows(const NamedTensor& tensor,
                                     const std::vector<std::int32_t>& ids, std::int64_t n_vocab,
                                     std::int64_t n_cols) const {
  const auto n = static_cast<std::int64_t>(ids.size());
  require_shape(tensor, Shape{n, n_cols});
  std::vector<std::size_t> order(ids.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(),
            [&](std::size_t a, std::size_t b) { return ids[a] < ids[b]; });
  const std::vector<float> all = values_of(tensor);
  std::vector<float> sorted;
  TokenRows rows;
  for (const std::size_t i : order) {
    const std::int32_t id = ids[i];
    if (id >= n_vocab || (!rows.ids.empty() && rows.ids.back() == id)) {
      base::fail(ErrorCode::kInvalidArgument, path_, ": tensor ", format::printable(tensor.name),
                 ": bad token (expected different ones below ", n_vocab, ", got ", id, ")");
    }
    rows.ids.push_back(id);
    const auto first = all.begin() + static_cast<std::ptrdiff_t>(i) * n_cols;
    sorted.insert(sorted.end(), first, first + n_cols);
  }
  const WeightPart part{view_of(sorted, Shape{n, n_cols}), tensor.name};
  rows.table = upload(part, WeightRole::kEmbedding);
  rows.matrix = upload(part, WeightRole::kLinear);
  return rows;
}

}  // namespace openllm::model
