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

/// visit(i, code) for n codes of `bits` (n * bits a multiple of 32) in words `stride` apart, from
/// the lowest bits on.
template <typename Visit>
void each_field(const std::byte* words, std::int64_t n, std::int64_t stride, int bits,
                Visit visit) noexcept {
  const std::uint32_t mask = (1U << static_cast<unsigned>(bits)) - 1;
  std::uint64_t rest = 0;
  int n_rest = 0;
  for (std::int64_t i = 0; i < n; ++i) {
    if (n_rest < bits) {
      rest |= static_cast<std::uint64_t>(word_at(words, 0)) << static_cast<unsigned>(n_rest);
      words += 4 * stride;
      n_rest += 32;
    }
    visit(i, static_cast<std::uint8_t>(rest & mask));
    rest >>= static_cast<unsigned>(bits);
    n_rest -= bits;
  }
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
  base::check(bits_ == 2 || bits_ == 3 || bits_ == 4 || bits_ == 8,
              "device: bits of a code must be 2, 3, 4 or 8");
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
  const auto mask = static_cast<std::uint8_t>((1U << static_cast<unsigned>(bits_)) - 1);
  for (std::int64_t g = 0; g < n_groups; ++g) {
    unsigned carry = 0;
    each_field(view.bytes.data() + 4 * g * n_words, n_out_, 1, bits_,
               [&](std::int64_t i, std::uint8_t stored) {
                 // Words of whole fields are sums: a field's carry goes to the next one.
                 if (bits_ != 3 && i * bits_ % 32 == 0) carry = 0;
                 const unsigned sum = stored + static_cast<unsigned>(grouped.zero_offset) + carry;
                 carry = bits_ == 3 ? 0 : sum >> static_cast<unsigned>(bits_);
                 std::uint8_t& zero = zeros_[index(static_cast<std::int32_t>(g), i)];
                 zero = static_cast<std::uint8_t>(sum & mask);
                 is_symmetric_ = is_symmetric_ && zero == middle;
               });
  }
}

template <typename Visit>
void GroupedRows::each_code(std::int64_t row, Visit visit) const noexcept {
  each_field(codes_ + 4 * row, n_in_, n_out_, bits_, visit);
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
