#pragma once

#include <cstdint>
#include <vector>

#include "device/grouped_rows.h"
#include "kernels/packing.h"

namespace openllm::device::cpu {

/// A part of grouped codes on its way into a packed layout. Kernels want one scale and zero point
/// for every 32 inputs that follow each other, so inputs are sorted by group, and activations are
/// brought into the same order. Where a run of 32 still has several groups (a group size that is no
/// multiple of 32), the part becomes plain F32.
///
/// The layout is the smallest that holds the part exactly: Q4_0 or Q8_0 when every zero point is in
/// the middle and the scales are F16, else U4 or U8.
class GroupedPart {
 public:
  explicit GroupedPart(const WeightPart& part);

  const GroupedRows& rows() const noexcept { return rows_; }
  kernels::PackFormat format() const noexcept { return format_; }
  /// Input k of the packed matrix is input order[k] of the file; empty: the same one.
  const std::vector<std::int32_t>& column_order() const noexcept { return order_; }

  /// Packs row `row` of the part as row `to` of a matrix of that format.
  void pack_row(std::int64_t row, const kernels::PackedMatrix& matrix, unsigned char* data,
                std::int64_t to) const;

 private:
  std::int64_t file_column(std::int64_t k) const noexcept {
    return order_.empty() ? k : order_[static_cast<std::size_t>(k)];
  }
  void sort_columns();
  bool is_uniform_by_32() const noexcept;
  kernels::PackFormat smallest_format() const noexcept;

  GroupedRows rows_;
  kernels::PackFormat format_ = kernels::PackFormat::kF32;
  std::vector<std::int32_t> order_;
};

}  // namespace openllm::device::cpu
