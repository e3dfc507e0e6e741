#include "model/weights/schemes/coded_rows.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#include "base/error.h"
#include "tensor/quant/quant.h"

namespace openllm::model {
namespace {

using base::fail;
using tensor::DType;
using tensor::Shape;
using tensor::TensorView;

constexpr std::int64_t kBlock = 32;

DType type_of(CodedRows::Kind kind, std::int64_t n_in, std::int64_t group_size) noexcept {
  using Kind = CodedRows::Kind;
  const std::int64_t unit = kind == Kind::kE2M1 ? 16 : kBlock;
  if (n_in % kBlock != 0 || (group_size % unit != 0 && group_size < n_in)) return DType::kF32;
  switch (kind) {
    case Kind::kInteger4:
      return DType::kCodes4By32;
    case Kind::kInteger8:
      return DType::kCodes8By32;
    case Kind::kAffine4:
      return DType::kAffine4By32;
    case Kind::kAffine8:
      return DType::kAffine8By32;
    case Kind::kE4M3:
      return DType::kE4M3By32;
    case Kind::kE5M2:
      return DType::kE5M2By32;
    case Kind::kE2M1:
      return DType::kE2M1By16;
    case Kind::kMxfp4:
      return DType::kMXFP4;
    case Kind::kNf4:
      return DType::kNF4By32;
    case Kind::kFp4:
      return DType::kFP4By32;
  }
  return DType::kF32;
}

template <typename T>
std::byte* put(std::byte* to, const T& value) noexcept {
  std::memcpy(to, &value, sizeof(value));
  return to + sizeof(value);
}

void put_nibbles(std::byte* to, const std::uint8_t* codes) noexcept {
  for (std::size_t i = 0; i < 16; ++i) {
    to[i] = static_cast<std::byte>((codes[i] & 15U) | (codes[i + 16] & 15U) << 4U);
  }
}

}  // namespace

CodedRows::CodedRows(Kind kind, std::int64_t n_in, std::int64_t group_size)
    : kind_(kind), n_in_(n_in), group_size_(group_size), type_(type_of(kind, n_in, group_size)) {}

float CodedRows::value(std::uint8_t code, std::int64_t row, std::int64_t group) const {
  const float scale = factor(row, group);
  switch (kind_) {
    case Kind::kInteger4:
    case Kind::kInteger8:
      return scale * static_cast<float>(code - zero(row, group));
    case Kind::kAffine4:
    case Kind::kAffine8:
      return scale * (static_cast<float>(code) - zero_value(row, group));
    case Kind::kE4M3:
      return scale * tensor::quant::f8_e4m3_to_f32(code);
    case Kind::kE5M2:
      return scale * tensor::quant::f8_e5m2_to_f32(code);
    case Kind::kE2M1:
    case Kind::kMxfp4:
      return scale * 0.5F * static_cast<float>(tensor::quant::kMxfp4Values[code & 15U]);
    case Kind::kNf4:
      return scale * tensor::quant::kNf4Values[code & 15U];
    case Kind::kFp4:
      return scale * tensor::quant::kFp4Values[code & 15U];
  }
  return 0.0F;
}

void CodedRows::write_block(std::int64_t row, std::int64_t column, const std::uint8_t* codes,
                            std::byte* block) const {
  const std::int64_t group = column / group_size_;
  const float scale = factor(row, group);
  switch (kind_) {
    case Kind::kInteger4:
      block = put(put(block, scale), static_cast<std::uint8_t>(zero(row, group)));
      return put_nibbles(block, codes);
    case Kind::kInteger8:
      block = put(put(block, scale), static_cast<std::uint8_t>(zero(row, group)));
      std::memcpy(block, codes, kBlock);
      return;
    case Kind::kAffine4:
      return put_nibbles(put(put(block, scale), zero_value(row, group)), codes);
    case Kind::kAffine8:
      std::memcpy(put(put(block, scale), zero_value(row, group)), codes, kBlock);
      return;
    case Kind::kE4M3:
    case Kind::kE5M2:
      std::memcpy(put(block, scale), codes, kBlock);
      return;
    case Kind::kE2M1:  // values are doubled in blocks
      block = put(block, 0.5F * scale);
      return put_nibbles(put(block, 0.5F * factor(row, (column + 16) / group_size_)), codes);
    case Kind::kMxfp4:
      return put_nibbles(
          put(block, static_cast<std::uint8_t>(std::bit_cast<std::uint32_t>(scale) >> 23U)), codes);
    case Kind::kNf4:
    case Kind::kFp4:
      return put_nibbles(put(block, scale), codes);
  }
}

void CodedRows::read_row(std::int64_t row, std::byte* blocks) const {
  std::vector<std::uint8_t> codes(static_cast<std::size_t>(n_in_));
  read_codes(row, codes.data());
  if (type_ == DType::kF32) {
    for (std::int64_t i = 0; i < n_in_; ++i) {
      blocks = put(blocks, value(codes[static_cast<std::size_t>(i)], row, i / group_size_));
    }
    return;
  }
  const std::size_t size = tensor::byte_size(type_, kBlock);
  for (std::int64_t i = 0; i < n_in_; i += kBlock, blocks += size) {
    write_block(row, i, codes.data() + i, blocks);
  }
}

device::WeightPart coded_part(std::shared_ptr<const CodedRows> rows, std::int64_t n_out,
                              std::int64_t n_in, const TensorView& codes, std::string name) {
  device::WeightPart part;
  part.view = {rows->type(), {n_out, n_in}, codes.bytes};
  part.name = std::move(name);
  part.rows = std::move(rows);
  return part;
}

const TensorView& take_typed(TensorIndex& index, const std::string& name, const Shape& shape,
                             std::initializer_list<DType> types) {
  const TensorView& view = index.take(name, shape);
  if (std::find(types.begin(), types.end(), view.dtype) != types.end()) return view;
  std::string expected;
  for (const DType type : types) {
    expected += (expected.empty() ? "" : ", ") + std::string(tensor::info(type).name);
  }
  fail(ErrorCode::kCorruptData, index.checkpoint().path(), ": tensor ", name,
       ": wrong type (expected ", expected, ", got ", tensor::info(view.dtype).name, ")");
}

float element(const TensorView& view, std::int64_t i) noexcept {
  const tensor::DTypeInfo& type = tensor::info(view.dtype);
  const std::byte* at = view.bytes.data() + i * type.block_bytes;
  if (view.dtype == DType::kU8) {
    return tensor::quant::f8_e8m0_to_f32(std::to_integer<std::uint8_t>(*at));
  }
  float value = 0.0F;
  type.to_f32(at, &value, 1);
  return value;
}

std::uint32_t word(const TensorView& view, std::int64_t i) noexcept {
  std::uint32_t value = 0;
  std::memcpy(&value, view.bytes.data() + 4 * i, 4);
  return value;
}

std::uint8_t field(const TensorView& words, std::int64_t first_word, std::int64_t i,
                   int bits) noexcept {
  const std::int64_t bit = i * bits;
  const std::uint32_t value = word(words, first_word + bit / 32) >> static_cast<unsigned>(bit % 32);
  return static_cast<std::uint8_t>(value & ((1U << static_cast<unsigned>(bits)) - 1));
}

ScaleGrid ScaleGrid::take(TensorIndex& index, const std::string& name, std::int64_t n_out,
                          std::int64_t n_in, std::vector<std::int64_t> block) {
  ScaleGrid grid;
  Shape shape{n_out, 1};
  grid.inputs_ = n_in;
  if (block.size() == 2) {
    grid.outputs_ = block[0];
    grid.inputs_ = block[1];
    grid.n_groups_ = (n_in + block[1] - 1) / block[1];
    shape = Shape{(n_out + block[0] - 1) / block[0], grid.n_groups_};
  } else if (const TensorView* found = index.find(name)) {
    const Shape& own = found->shape;
    if (own.n_elems() == 1) {
      shape = own;
      grid.outputs_ = n_out;
    } else if (own == Shape{n_out}) {
      shape = own;
    }
  }
  grid.view_ = take_typed(
      index, name, shape,
      {DType::kF32, DType::kF16, DType::kBF16, DType::kF8_E8M0, DType::kF8_E4M3, DType::kU8});
  return grid;
}

ScaleGrid ScaleGrid::take_of_expert(TensorIndex& index, const std::string& name, std::int64_t n_out,
                                    std::int64_t n_in, const std::vector<std::int64_t>& block,
                                    At at) {
  ScaleGrid grid;
  grid.inputs_ = n_in;
  Shape shape{at.n_experts, n_out, 1};
  const TensorView* found = index.find(name);
  if (block.size() == 2) {
    grid.outputs_ = block[0];
    grid.inputs_ = block[1];
    grid.n_groups_ = (n_in + block[1] - 1) / block[1];
    shape = Shape{at.n_experts, (n_out + block[0] - 1) / block[0], grid.n_groups_};
  } else if (found != nullptr && found->shape.n_elems() == at.n_experts) {
    shape = found->shape;
    grid.outputs_ = n_out;
  } else if (found != nullptr && n_out % 2 == 0 && found->shape == Shape{at.n_experts, 2, 1}) {
    shape = found->shape;
    grid.outputs_ = n_out / 2;
  } else if (found != nullptr && found->shape == Shape{at.n_experts, n_out}) {
    shape = found->shape;
  }
  TensorView view =
      take_typed(index, name, shape, {DType::kF32, DType::kF16, DType::kBF16, DType::kF8_E8M0});
  const std::size_t size = view.bytes.size() / static_cast<std::size_t>(at.n_experts);
  view.bytes = view.bytes.subspan(size * static_cast<std::size_t>(at.expert), size);
  grid.view_ = view;
  return grid;
}

ByteRows::ByteRows(Kind kind, std::int64_t n_in, const TensorView& codes, const ScaleGrid& scales,
                   const TensorView& zeros)
    : CodedRows(kind, n_in, scales.group_size()),
      codes_(codes),
      scales_(scales),
      zeros_(zeros),
      flip_(static_cast<std::uint8_t>(kind == Kind::kInteger8 ? 0x80 : 0)) {}

void ByteRows::read_codes(std::int64_t row, std::uint8_t* out) const {
  const auto n = static_cast<std::size_t>(n_in());
  std::memcpy(out, codes_.bytes.data() + static_cast<std::size_t>(row) * n, n);
  for (std::size_t i = 0; i < n && flip_ != 0; ++i) out[i] ^= flip_;
}

int ByteRows::zero(std::int64_t row, std::int64_t group) const {
  if (zeros_.bytes.empty()) return flip_;
  const std::int64_t n_groups = (n_in() + group_size() - 1) / group_size();
  const auto at =
      static_cast<std::size_t>(zeros_.shape.n_elems() == 1 ? 0 : row * n_groups + group);
  return flip_ + static_cast<std::int8_t>(zeros_.bytes[at]);
}

device::WeightPart take_float8(TensorIndex& index, const std::string& name,
                               const std::string& scale_name, std::int64_t n_out, std::int64_t n_in,
                               std::vector<std::int64_t> block) {
  const TensorView& codes =
      take_typed(index, name, {n_out, n_in}, {DType::kF8_E4M3, DType::kF8_E5M2});
  const ScaleGrid scales = ScaleGrid::take(index, scale_name, n_out, n_in, std::move(block));
  const auto kind =
      codes.dtype == DType::kF8_E4M3 ? CodedRows::Kind::kE4M3 : CodedRows::Kind::kE5M2;
  return coded_part(std::make_shared<ByteRows>(kind, n_in, codes, scales), n_out, n_in, codes,
                    name);
}

std::optional<device::WeightPart> take_float8_expert(TensorIndex& index, const std::string& module,
                                                     std::int64_t n_out, std::int64_t n_in,
                                                     const std::vector<std::int64_t>& block,
                                                     At at) {
  const bool is_bare = index.find(module + ".weight") == nullptr;
  const std::string name = is_bare ? module : module + ".weight";
  const TensorView* found = index.find(name);
  if (found == nullptr || (found->dtype != DType::kF8_E4M3 && found->dtype != DType::kF8_E5M2))
    return std::nullopt;
  if (index.has_turned_experts()) {
    base::fail(ErrorCode::kUnsupported, index.checkpoint().path(), ": tensor ", name,
               ": stacked experts of F8 as [experts, inputs, outputs] are not supported");
  }
  const std::string inverse = name + "_scale_inv";
  const ScaleGrid scales = ScaleGrid::take_of_expert(
      index, index.find(inverse) != nullptr ? inverse : name + "_scale", n_out, n_in, block, at);
  const std::string activations = module + (is_bare ? "_activation_scale" : ".activation_scale");
  if (const TensorView* view = index.find(activations)) index.take(activations, view->shape);
  TensorView codes = take_typed(index, name, {at.n_experts, n_out, n_in}, {found->dtype});
  const std::size_t size = codes.bytes.size() / static_cast<std::size_t>(at.n_experts);
  codes.bytes = codes.bytes.subspan(size * static_cast<std::size_t>(at.expert), size);
  codes.shape = Shape{n_out, n_in};
  const auto kind =
      codes.dtype == DType::kF8_E4M3 ? CodedRows::Kind::kE4M3 : CodedRows::Kind::kE5M2;
  return coded_part(std::make_shared<ByteRows>(kind, n_in, codes, scales), n_out, n_in, codes,
                    name);
}

bool is_beside(const format::Checkpoint& checkpoint, const std::string& name,
               std::initializer_list<std::string_view> suffixes, std::string_view main) {
  for (const std::string_view suffix : suffixes) {
    if (!name.ends_with(suffix)) continue;
    const std::string module = name.substr(0, name.size() - suffix.size());
    if (checkpoint.find(module + std::string(main)) != nullptr) return true;
  }
  return false;
}

}  // namespace openllm::model
