#include "device/grouped_rows.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/error.h"
#include "device/upload_error.h"

namespace openllm::device {
namespace {

using base::fail;
using tensor::DType;

std::uint32_t word_at(const std::byte* words, std::int64_t i) noexcept {
  std::uint32_t word = 0;
  std::memcpy(&word, words + i * 4, 4);
  return word;
}

void check_tensor(const tensor::TensorView& view, const std::string& name,
                  const tensor::Shape& shape) {
  if (!(view.shape == shape)) {
    fail(ErrorCode::kCorruptData, "tensor ", name, ": wrong shape (expected ", shape.to_string(),
         ", got ", view.shape.to_string(), ")");
  }
  const std::size_t size = tensor::byte_size(view.dtype, static_cast<std::size_t>(shape.n_elems()));
  if (view.bytes.size() != size) {
    fail(ErrorCode::kCorruptData, "tensor ", name, ": wrong size (expected ", size, " bytes, got ",
         view.bytes.size(), ")");
  }
}

void check_words(const tensor::TensorView& view, const std::string& name,
                 const tensor::Shape& shape) {
  if (view.dtype != DType::kI32) {
    fail(ErrorCode::kCorruptData, "tensor ", name, ": wrong type (expected I32, got ",
         tensor::info(view.dtype).name, ")");
  }
  check_tensor(view, name, shape);
}

/// The word that has `value` in each of its fields.
std::uint32_t in_every_field(int value, int bits) noexcept {
  std::uint32_t word = 0;
  for (int shift = 0; shift < 32; shift += bits) word |= static_cast<std::uint32_t>(value) << shift;
  return word;
}

}  // namespace

GroupedRows::GroupedRows(const WeightPart& part) {
  base::check(part.grouped.has_value(), "device: a part without grouped codes");
  const GroupedCodes& grouped = *part.grouped;
  bits_ = grouped.bits;
  n_out_ = grouped.n_out;
  n_in_ = grouped.n_in;
  group_size_ = grouped.group_size;
  group_of_ = grouped.group_of;
  base::check(bits_ == 2 || bits_ == 4 || bits_ == 8, "device: bits of a code must be 2, 4 or 8");
  base::check(n_out_ > 0 && n_in_ > 0 && n_out_ * bits_ % 32 == 0 && n_in_ * bits_ % 32 == 0,
              "device: codes must fill whole words");
  switch (grouped.order) {
    case GroupedCodes::Order::kWordsOfInputs:
      check_words(part.view, part.name, {n_in_ * bits_ / 32, n_out_});
      break;
  }
  codes_ = part.view.bytes.data();
  std::int64_t n_groups = 0;
  if (group_of_.empty()) {
    base::check(group_size_ > 0, "device: the size of a group must be positive");
    n_groups = (n_in_ + group_size_ - 1) / group_size_;
  } else {
    const auto [least, largest] = std::minmax_element(group_of_.begin(), group_of_.end());
    base::check(static_cast<std::int64_t>(group_of_.size()) == n_in_ && *least >= 0,
                "device: every input must have a group");
    const tensor::Shape& shape = grouped.scales.view.shape;
    n_groups = shape.n_dims() == 2 ? shape[0] : 0;
    base::check(*largest < n_groups, "device: a group without scales");
  }
  read_scales(grouped, n_groups);
  read_zeros(grouped, n_groups);
}

void GroupedRows::read_scales(const GroupedCodes& grouped, std::int64_t n_groups) {
  const tensor::TensorView& view = grouped.scales.view;
  const std::string& name = grouped.scales.name;
  if (view.dtype != DType::kF16 && view.dtype != DType::kBF16 && view.dtype != DType::kF32) {
    fail(ErrorCode::kCorruptData, "tensor ", name, ": wrong type (expected F16, BF16 or F32, got ",
         tensor::info(view.dtype).name, ")");
  }
  check_tensor(view, name, {n_groups, n_out_});
  has_f16_scales_ = view.dtype == DType::kF16;
  scales_.resize(static_cast<std::size_t>(n_groups * n_out_));
  tensor::info(view.dtype).to_f32(view.bytes.data(), scales_.data(), scales_.size());
  const float largest_code = std::ldexp(1.0F, bits_);
  for (std::size_t i = 0; i < scales_.size(); ++i) {
    if (!std::isfinite(scales_[i] * largest_code)) {
      fail_not_finite(name, static_cast<std::int64_t>(i), scales_[i] * largest_code);
    }
  }
}

void GroupedRows::read_zeros(const GroupedCodes& grouped, std::int64_t n_groups) {
  const auto middle = static_cast<std::uint8_t>(1U << static_cast<unsigned>(bits_ - 1));
  zeros_.assign(scales_.size(), middle);
  const tensor::TensorView& view = grouped.zeros.view;
  if (view.bytes.empty()) return;
  const std::int64_t n_words = n_out_ * bits_ / 32;
  check_words(view, grouped.zeros.name, {n_groups, n_words});
  const std::uint32_t offset = in_every_field(grouped.zero_offset, bits_);
  const std::uint32_t mask = (1U << static_cast<unsigned>(bits_)) - 1;
  std::size_t at = 0;
  for (std::int64_t i = 0; i < n_groups * n_words; ++i) {
    const std::uint32_t word = word_at(view.bytes.data(), i) + offset;
    for (int shift = 0; shift < 32; shift += bits_) {
      zeros_[at] = static_cast<std::uint8_t>((word >> static_cast<unsigned>(shift)) & mask);
      is_symmetric_ = is_symmetric_ && zeros_[at] == middle;
      ++at;
    }
  }
}

template <typename Visit>
void GroupedRows::each_code(std::int64_t row, Visit visit) const noexcept {
  const std::int64_t per_word = 32 / bits_;
  const std::uint32_t mask = (1U << static_cast<unsigned>(bits_)) - 1;
  for (std::int64_t i = 0; i < n_in_; i += per_word) {
    std::uint32_t word = word_at(codes_, i / per_word * n_out_ + row);
    for (std::int64_t j = 0; j < per_word; ++j) {
      visit(i + j, static_cast<std::uint8_t>(word & mask));
      word >>= static_cast<unsigned>(bits_);
    }
  }
}

void GroupedRows::read_codes(std::int64_t row, std::uint8_t* out) const noexcept {
  each_code(row, [out](std::int64_t i, std::uint8_t code) { out[i] = code; });
}

void GroupedRows::read_row(std::int64_t row, float* out) const noexcept {
  each_code(row, [&](std::int64_t i, std::uint8_t code) {
    const std::int32_t group = group_of(i);
    out[i] = scale(group, row) * static_cast<float>(code - zero(group, row));
  });
}

}  // namespace openllm::device
