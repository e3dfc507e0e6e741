#include "device/cpu/grouped_part.h"

#include <algorithm>
#include <numeric>

namespace openllm::device::cpu {

using kernels::kGroup;
using kernels::PackFormat;

GroupedPart::GroupedPart(const WeightPart& part) : rows_(part) {
  sort_columns();
  if (is_uniform_by_32()) {
    format_ = smallest_format();
  } else {
    order_.clear();
  }
}

void GroupedPart::sort_columns() {
  order_.resize(static_cast<std::size_t>(rows_.n_columns()));
  std::iota(order_.begin(), order_.end(), 0);
  const auto by_group = [&](std::int32_t a, std::int32_t b) {
    return rows_.group_of(a) < rows_.group_of(b);
  };
  if (std::is_sorted(order_.begin(), order_.end(), by_group)) {
    order_.clear();
  } else {
    std::stable_sort(order_.begin(), order_.end(), by_group);
  }
}

bool GroupedPart::is_uniform_by_32() const noexcept {
  if (rows_.n_columns() % kGroup != 0) return false;
  for (std::int64_t k = 0; k < rows_.n_columns(); k += kGroup) {
    // Sorted: a run with equal ends is of one group.
    if (rows_.group_of(file_column(k)) != rows_.group_of(file_column(k + kGroup - 1))) return false;
  }
  return true;
}

PackFormat GroupedPart::smallest_format() const noexcept {
  const bool as_in_gguf = rows_.is_symmetric() && rows_.has_f16_scales();
  if (rows_.bits() == 8) return as_in_gguf ? PackFormat::kQ8_0 : PackFormat::kU8;
  return rows_.bits() == 4 && as_in_gguf ? PackFormat::kQ4_0 : PackFormat::kU4;
}

void GroupedPart::pack_row(std::int64_t row, const kernels::PackedMatrix& matrix,
                           unsigned char* data, std::int64_t to) const {
  const auto n = static_cast<std::size_t>(rows_.n_columns());
  if (format_ == PackFormat::kF32) {
    std::vector<float> values(n);
    rows_.read_row(row, values.data());
    kernels::pack_row(matrix, data, to, reinterpret_cast<const unsigned char*>(values.data()));
    return;
  }
  std::vector<std::uint8_t> file_codes(n);
  rows_.read_codes(row, file_codes.data());
  std::vector<std::uint8_t> codes(n);
  std::vector<float> scales(n / kGroup);
  std::vector<std::uint8_t> zeros(n / kGroup);
  for (std::size_t k = 0; k < n; ++k) {
    const std::int64_t column = file_column(static_cast<std::int64_t>(k));
    codes[k] = file_codes[static_cast<std::size_t>(column)];
    if (k % kGroup != 0) continue;
    const std::int32_t group = rows_.group_of(column);
    scales[k / kGroup] = rows_.scale(group, row);
    zeros[k / kGroup] = rows_.zero(group, row);
  }
  kernels::pack_codes(matrix, data, to, {codes.data(), scales.data(), zeros.data()});
}

}  // namespace openllm::device::cpu
