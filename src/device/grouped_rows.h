#pragma once

#include <cstdint>
#include <vector>

#include "device/weight.h"

namespace openllm::device {

/// Reads a part of grouped codes row by row. Views must outlive it; const methods from any thread.
class GroupedRows {
 public:
  /// Throws kCorruptData naming the tensor whose type or size is wrong, and for scales that are not
  /// finite or give values that are not.
  explicit GroupedRows(const WeightPart& part);

  std::int64_t n_rows() const noexcept { return n_out_; }
  std::int64_t n_columns() const noexcept { return n_in_; }
  int bits() const noexcept { return bits_; }
  std::int32_t group_of(std::int64_t column) const noexcept {
    return group_of_.empty() ? static_cast<std::int32_t>(column / group_size_)
                             : group_of_[static_cast<std::size_t>(column)];
  }
  float scale(std::int32_t group, std::int64_t row) const noexcept {
    return scales_[index(group, row)];
  }
  std::uint8_t zero(std::int32_t group, std::int64_t row) const noexcept {
    return zeros_[index(group, row)];
  }
  /// True when the scales are F16 in the file.
  bool has_f16_scales() const noexcept { return has_f16_scales_; }
  /// True when every zero point is in the middle of the codes, 2^(bits - 1).
  bool is_symmetric() const noexcept { return is_symmetric_; }

  /// The codes of a row, [n_columns].
  void read_codes(std::int64_t row, std::uint8_t* out) const noexcept;
  /// Its values.
  void read_row(std::int64_t row, float* out) const noexcept;

 private:
  std::size_t index(std::int32_t group, std::int64_t row) const noexcept {
    return static_cast<std::size_t>(group * n_out_ + row);
  }
  /// visit(i, code) for every input i of a row.
  template <typename Visit>
  void each_code(std::int64_t row, Visit visit) const noexcept;
  void read_scales(const GroupedCodes& grouped, std::int64_t n_groups);
  void read_zeros(const GroupedCodes& grouped, std::int64_t n_groups);

  std::int64_t n_out_ = 0;
  std::int64_t n_in_ = 0;
  int bits_ = 0;
  std::int64_t group_size_ = 1;
  std::vector<std::int32_t> group_of_;
  const std::byte* codes_ = nullptr;
  std::vector<float> scales_;        // [groups, n_out]
  std::vector<std::uint8_t> zeros_;  // [groups, n_out]
  bool has_f16_scales_ = false;
  bool is_symmetric_ = true;
};

}  // namespace openllm::device
