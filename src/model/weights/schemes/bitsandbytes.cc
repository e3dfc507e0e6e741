// bitsandbytes: NF4 and FP4 (functional.py, QuantState) and int8 with a factor for each output
// (nn/modules.py, Linear8bitLt), as transformers saves them. docs/formats.md describes the tensors.

#include <array>
#include <cmath>
#include <cstring>

#include "base/error.h"
#include "model/weights/schemes/coded_rows.h"
#include "model/weights/schemes/scheme.h"
#include "tensor/quant/quant.h"

namespace openllm::model {
namespace {

using base::fail;
using tensor::DType;
using tensor::Shape;
using tensor::TensorView;

constexpr std::array<std::string_view, 2> kStates = {".weight.quant_state.bitsandbytes__nf4",
                                                     ".weight.quant_state.bitsandbytes__fp4"};
constexpr std::size_t kMaxStateBytes = 1 << 16;

/// Factors of blocks of elements, that lie row after row.
struct Absmax {
  TensorView values{};  ///< F32, or codes of the nested table.
  TensorView nested_map{};
  TensorView nested_absmax{};
  std::int64_t nested_block = 256;
  float nested_offset = 0.0F;

  float at(std::int64_t block) const noexcept {
    if (nested_map.bytes.empty()) return element(values, block);
    const auto code = std::to_integer<std::int64_t>(values.bytes[static_cast<std::size_t>(block)]);
    return element(nested_map, code) * element(nested_absmax, block / nested_block) + nested_offset;
  }
};

class FourBitRows final : public CodedRows {
 public:
  FourBitRows(Kind kind, std::int64_t n_in, std::int64_t group_size, std::int64_t block,
              const TensorView& codes, Absmax absmax)
      : CodedRows(kind, n_in, group_size), block_(block), codes_(codes), absmax_(absmax) {}

 private:
  void read_codes(std::int64_t row, std::uint8_t* out) const override {
    for (std::int64_t i = 0; i < n_in(); ++i) {
      const std::int64_t at = row * n_in() + i;
      const auto both = std::to_integer<unsigned>(codes_.bytes[static_cast<std::size_t>(at / 2)]);
      out[i] = static_cast<std::uint8_t>(at % 2 == 0 ? both >> 4U : both & 15U);
    }
  }
  float factor(std::int64_t row, std::int64_t group) const override {
    return absmax_.at((row * n_in() + group * group_size()) / block_);
  }

  const std::int64_t block_;
  const TensorView codes_;
  const Absmax absmax_;
};

/// code * SCB / 127 with SCB the largest of the output.
class Int8Rows final : public CodedRows {
 public:
  Int8Rows(std::int64_t n_in, const TensorView& codes, const TensorView& largest)
      : CodedRows(Kind::kInteger8, n_in, n_in), codes_(codes), largest_(largest) {}

 private:
  void read_codes(std::int64_t row, std::uint8_t* out) const override {
    const auto n = static_cast<std::size_t>(n_in());
    std::memcpy(out, codes_.bytes.data() + static_cast<std::size_t>(row) * n, n);
    for (std::size_t i = 0; i < n; ++i) out[i] ^= 0x80U;
  }
  float factor(std::int64_t row, std::int64_t /*group*/) const override {
    return element(largest_, row) * 7.874015718698502e-3F;
  }
  int zero(std::int64_t /*row*/, std::int64_t /*group*/) const override { return 128; }

  const TensorView codes_;
  const TensorView largest_;
};

/// The name of the tensor that describes the module's codes of 4 bits.
bool find_state(const TensorIndex& index, const std::string& module, std::string& name) {
  for (const std::string_view state : kStates) {
    name = module + std::string(state);
    if (index.find(name) != nullptr) return true;
  }
  return false;
}

class BitsAndBytesScheme final : public WeightScheme {
 public:
  bool has(const TensorIndex& index, const std::string& module) const override {
    const TensorView* weight = index.find(module + ".weight");
    const bool has_codes =
        weight != nullptr && (weight->dtype == DType::kI8 || weight->dtype == DType::kU8);
    return has_codes || index.find(module + ".SCB") != nullptr ||
           index.find(module + ".weight.absmax") != nullptr;
  }

  device::WeightPart take(TensorIndex& index, const std::string& module, std::int64_t n_out,
                          std::int64_t n_in, bool /*transposed*/) const override {
    const std::string name = module + ".weight";
    std::string state;
    if (find_state(index, module, state)) {
      return take_four_bits(index, module, state, n_out, n_in);
    }
    if (index.find(name + ".absmax") != nullptr) {
      fail(ErrorCode::kCorruptData, index.checkpoint().path(), ": tensor ", module,
           std::string(kStates[0]), ": missing (or its like for fp4)");
    }
    const std::string format = module + ".weight_format";
    if (const TensorView* view = index.find(format)) {
      take_typed(index, format, view->shape, {DType::kU8});
      if (view->shape.n_elems() != 1 || view->bytes[0] != std::byte{0}) {
        fail(ErrorCode::kUnsupported, index.checkpoint().path(), ": tensor ", format,
             ": unknown order of codes (expected 0, rows)");
      }
    }
    const TensorView& codes = take_typed(index, name, {n_out, n_in}, {DType::kI8});
    const TensorView& largest = take_typed(index, module + ".SCB", {n_out}, {DType::kF32});
    return coded_part(std::make_shared<Int8Rows>(n_in, codes, largest), n_out, n_in, codes, name);
  }

  std::optional<WeightContent> content_of(const format::Checkpoint& checkpoint,
                                          const format::NamedTensor& tensor) const override {
    if (is_beside(checkpoint, tensor.name,
                  {".SCB", ".weight_format", ".weight.absmax", ".weight.quant_map",
                   ".weight.nested_absmax", ".weight.nested_quant_map", kStates[0], kStates[1]},
                  ".weight")) {
      return WeightContent{};
    }
    for (const std::string_view state : kStates) {
      const std::size_t size = tensor.name.size();
      constexpr std::string_view kWeight = ".weight";
      if (!tensor.name.ends_with(kWeight)) break;
      const std::string module = tensor.name.substr(0, size - kWeight.size());
      const TensorView* json = checkpoint.find(module + std::string(state));
      if (json == nullptr) continue;
      const base::Json values = parse_state(checkpoint.path(), module + std::string(state), *json);
      return WeightContent{state.ends_with("nf4") ? "NF4" : "FP4", shape_of(values)};
    }
    return std::nullopt;
  }

 private:
  static base::Json parse_state(const std::string& path, const std::string& name,
                                const TensorView& view) {
    if (view.dtype != DType::kU8 || view.shape.n_dims() != 1 ||
        view.bytes.size() > kMaxStateBytes) {
      fail(ErrorCode::kCorruptData, path, ": tensor ", name, ": not the text of a state");
    }
    const std::string_view text(reinterpret_cast<const char*>(view.bytes.data()),
                                view.bytes.size());
    return base::Json::parse(text, path + ": tensor " + name, 8);
  }

  static Shape shape_of(const base::Json& state) {
    const base::Json* shape = state.find("shape");
    const base::JsonArray* sizes = shape == nullptr ? nullptr : shape->if_array();
    if (sizes == nullptr || sizes->size() != 2) return {};
    const std::int64_t* rows = (*sizes)[0].if_int();
    const std::int64_t* columns = (*sizes)[1].if_int();
    if (rows == nullptr || columns == nullptr || *rows < 0 || *rows > kMaxFfnDim || *columns < 0 ||
        *columns > kMaxFfnDim) {
      return {};
    }
    return {*rows, *columns};
  }

  static Absmax take_absmax(TensorIndex& index, const std::string& weight, const Config& state,
                            std::int64_t n_blocks) {
    Absmax absmax;
    absmax.values = take_typed(index, weight + ".absmax", {n_blocks}, {DType::kF32, DType::kU8});
    if (absmax.values.dtype == DType::kF32) return absmax;
    absmax.nested_block = state.require_int("nested_blocksize", 1, 1 << 24);
    const base::Json* offset = state.find("nested_offset");
    const double value =
        offset != nullptr && offset->is_number() ? offset->as_double("nested_offset") : NAN;
    if (!std::isfinite(value)) {
      state.corrupt("nested_offset", "missing (expected a number)");
    }
    absmax.nested_offset = static_cast<float>(value);
    absmax.nested_map = take_typed(index, weight + ".nested_quant_map", {256}, {DType::kF32});
    const std::int64_t n_nested = (n_blocks + absmax.nested_block - 1) / absmax.nested_block;
    absmax.nested_absmax = take_typed(index, weight + ".nested_absmax", {n_nested}, {DType::kF32});
    return absmax;
  }

  /// The table in the file must be the one that the kind names.
  static void check_map(TensorIndex& index, const std::string& name,
                        const std::array<float, 16>& expected) {
    const TensorView& map = take_typed(index, name, {16}, {DType::kF32});
    for (std::int64_t i = 0; i < 16; ++i) {
      if (std::abs(element(map, i) - expected[static_cast<std::size_t>(i)]) > 0.0F) {
        fail(ErrorCode::kUnsupported, index.checkpoint().path(), ": tensor ", name, ": element ", i,
             ": another table than bitsandbytes has (expected ",
             expected[static_cast<std::size_t>(i)], ", got ", element(map, i), ")");
      }
    }
  }

  static device::WeightPart take_four_bits(TensorIndex& index, const std::string& module,
                                           const std::string& state_name, std::int64_t n_out,
                                           std::int64_t n_in) {
    const std::string weight = module + ".weight";
    const std::string& path = index.checkpoint().path();
    const TensorView& text = index.take(state_name, index.find(state_name)->shape);
    const base::Json json = parse_state(path, state_name, text);
    const Config state(json, path + ": tensor " + state_name);
    if (const Shape shape = shape_of(json); !(shape == Shape{n_out, n_in})) {
      fail(ErrorCode::kCorruptData, path, ": tensor ", weight, ": wrong shape (expected ",
           Shape{n_out, n_in}.to_string(), ", got ", shape.to_string(), ")");
    }
    const std::int64_t block = state.require_int("blocksize", 1, 1 << 24);
    const std::int64_t n_blocks = (n_out * n_in + block - 1) / block;
    const bool is_nf4 = state_name.ends_with("nf4");
    check_map(index, weight + ".quant_map",
              is_nf4 ? tensor::quant::kNf4Values : tensor::quant::kFp4Values);
    const std::int64_t n_bytes = (n_out * n_in + 1) / 2;
    const TensorView* found = index.find(weight);
    const bool is_flat = found != nullptr && found->shape == Shape{1, n_bytes};
    const TensorView& codes =
        take_typed(index, weight, is_flat ? Shape{1, n_bytes} : Shape{n_bytes, 1}, {DType::kU8});
    // Blocks begin where rows do, or at least 32 elements share one.
    const std::int64_t group = n_in % block == 0                   ? block
                               : block % 32 == 0 && n_in % 32 == 0 ? 32
                                                                   : 1;
    return coded_part(std::make_shared<FourBitRows>(
                          is_nf4 ? CodedRows::Kind::kNf4 : CodedRows::Kind::kFp4, n_in, group,
                          block, codes, take_absmax(index, weight, state, n_blocks)),
                      n_out, n_in, codes, weight);
  }
};

}  // namespace

std::unique_ptr<WeightScheme> make_bitsandbytes_scheme(const Config& config) {
  const std::string storage = config.string_or("bnb_4bit_quant_storage", "uint8");
  if (storage != "uint8") {
    config.unsupported("bnb_4bit_quant_storage",
                       "codes in other elements are not supported (expected uint8, got ", storage,
                       ")");
  }
  return std::make_unique<BitsAndBytesScheme>();
}

}  // namespace openllm::model
