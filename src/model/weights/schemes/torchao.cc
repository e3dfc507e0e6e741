// torchao, as it flattens its kinds of tensors for safetensors: a module's `_weight_qdata`,
// `_weight_scale` and others. Which kind a module has is told by their types and shapes.
// docs/formats.md describes them.

#include "base/error.h"
#include "model/weights/schemes/coded_rows.h"
#include "model/weights/schemes/scheme.h"

namespace openllm::model {
namespace {

using base::fail;
using tensor::DType;
using tensor::Shape;
using tensor::TensorView;

/// Codes of 4 bits whose value is factor * code + offset; codes go from -8 to 7.
class Int4Rows : public CodedRows {
 public:
  Int4Rows(std::int64_t n_in, std::int64_t group_size)
      : CodedRows(Kind::kAffine4, n_in, group_size) {}

 protected:
  virtual float offset(std::int64_t row, std::int64_t group) const = 0;

 private:
  float zero_value(std::int64_t row, std::int64_t group) const override {
    constexpr float kMiddle = 8.0F;
    const float scale = factor(row, group);
    return scale == 0.0F ? kMiddle : kMiddle - offset(row, group) / scale;
  }
};

/// Int4Tensor: nibbles row by row, the first one low; factors and offsets [groups, n_out].
class PlainRows final : public Int4Rows {
 public:
  PlainRows(std::int64_t n_in, std::int64_t group_size, const TensorView& codes,
            const TensorView& scales, const TensorView& zeros)
      : Int4Rows(n_in, group_size), codes_(codes), scales_(scales), zeros_(zeros) {}

 private:
  void read_codes(std::int64_t row, std::uint8_t* out) const override {
    const std::byte* bytes = codes_.bytes.data() + row * (n_in() / 2);
    for (std::int64_t i = 0; i < n_in(); ++i) {
      const auto both = std::to_integer<unsigned>(bytes[i / 2]);
      const unsigned code = i % 2 == 0 ? both & 15U : both >> 4U;
      out[i] = static_cast<std::uint8_t>(code ^ 8U);
    }
  }
  float factor(std::int64_t row, std::int64_t group) const override {
    return element(scales_, group * scales_.shape[1] + row);
  }
  float offset(std::int64_t row, std::int64_t group) const override {
    return element(zeros_, group * scales_.shape[1] + row);
  }

  const TensorView codes_;
  const TensorView scales_;
  const TensorView zeros_;
};

/// Int4TilePackedTo4dTensor: the order in which a tensor core of CUDA wants them
/// (torch, `_convert_weight_to_int4pack`). Tiles of 8 outputs and `inner` times 16 inputs; in a
/// tile each of 32 lanes has words of 8 codes of one output. [groups, n_out, 2] factors and
/// offsets.
class TiledRows final : public Int4Rows {
 public:
  TiledRows(std::int64_t n_in, std::int64_t group_size, const TensorView& words,
            const TensorView& scales)
      : Int4Rows(n_in, group_size), words_(words), scales_(scales) {}

 private:
  void read_codes(std::int64_t row, std::uint8_t* out) const override {
    for (std::int64_t i = 0; i < n_in(); ++i) out[i] = code(row, i);
  }

  std::uint8_t code(std::int64_t row, std::int64_t input) const {
    const std::int64_t n_words = words_.shape[3];  // of a lane in a tile
    const std::int64_t inner = 2 * n_words;
    const std::int64_t tile = (row / 8) * words_.shape[1] + input / (16 * inner);
    const std::int64_t pair = input / 32 % n_words;
    const std::int64_t in_tile = input % 16;
    const std::int64_t lane = row % 8 * 4 + in_tile % 8 / 2;
    // Of the 8 codes of a word: which half of the pair of tiles, which half of 16, and odd or even.
    const std::int64_t place = input % 32 / 16 * 2 + in_tile / 8 + in_tile % 2 * 4;
    const std::uint32_t packed = word(words_, (tile * 32 + lane) * n_words + pair);
    return static_cast<std::uint8_t>(packed >> static_cast<unsigned>(4 * place) & 15U);
  }
  float factor(std::int64_t row, std::int64_t group) const override {
    return element(scales_, (group * scales_.shape[1] + row) * 2);
  }
  float offset(std::int64_t row, std::int64_t group) const override {
    return element(scales_, (group * scales_.shape[1] + row) * 2 + 1);
  }

  const TensorView words_;
  const TensorView scales_;
};

constexpr std::initializer_list<DType> kFloats = {DType::kF32, DType::kF16, DType::kBF16};

class TorchaoScheme final : public WeightScheme {
 public:
  bool has(const TensorIndex& index, const std::string& module) const override {
    return index.find(module + "._weight_qdata") != nullptr;
  }

  device::WeightPart take(TensorIndex& index, const std::string& module, std::int64_t n_out,
                          std::int64_t n_in, bool /*transposed*/) const override {
    refuse_scaled_activations(index, module);
    const std::string name = module + "._weight_qdata";
    const TensorView& codes = *index.find(name);
    const bool has_offsets = index.find(module + "._weight_zero_point") != nullptr;
    if (codes.dtype == DType::kI32 && codes.shape.n_dims() == 4) {
      return take_tiled(index, module, n_out, n_in);
    }
    if (codes.dtype == DType::kF8_E4M3 || codes.dtype == DType::kF8_E5M2) {
      return take_float8(index, name, module + "._weight_scale", n_out, n_in,
                         groups_of(index, module, n_out, n_in));
    }
    if (codes.dtype == DType::kI8 && codes.shape == Shape{n_out, n_in}) {
      return take_integers(index, module, n_out, n_in);
    }
    const bool is_byte = codes.dtype == DType::kI8 || codes.dtype == DType::kU8;
    if (is_byte && has_offsets) return take_plain(index, module, n_out, n_in);
    fail(ErrorCode::kUnsupported, index.checkpoint().path(), ": tensor ", name,
         ": a kind of torchao's tensors that is not supported (expected Int4Tensor, "
         "Int4TilePackedTo4dTensor, IntxUnpackedToInt8Tensor, Int8Tensor or Float8Tensor, got ",
         tensor::info(codes.dtype).name, " ", codes.shape.to_string(), ")");
  }

  std::optional<WeightContent> content_of(const format::Checkpoint& checkpoint,
                                          const format::NamedTensor& tensor) const override {
    constexpr std::string_view kCodes = "._weight_qdata";
    const Shape& shape = tensor.view.shape;
    if (tensor.name.ends_with(kCodes)) {
      const std::string module = tensor.name.substr(0, tensor.name.size() - kCodes.size());
      if (shape.n_dims() == 4) {
        return WeightContent{"INT-4", {shape[0] * 8, shape[1] * shape[3] * 32}};
      }
      if (shape.n_dims() != 2 || tensor.view.dtype != DType::kI8) return std::nullopt;
      const TensorView* zeros = checkpoint.find(module + "._weight_zero_point");
      const bool is_plain = zeros != nullptr && zeros->dtype != DType::kI8;
      return is_plain ? WeightContent{"INT-4", {shape[0], shape[1] * 2}}
                      : WeightContent{"INT-8", shape};
    }
    return is_beside(checkpoint, tensor.name,
                     {"._weight_scale", "._weight_zero_point", "._weight_scale_and_zero",
                      "._weight_act_quant_scale", "._weight_act_quant_zero_point"},
                     kCodes)
               ? std::optional(WeightContent{})
               : std::nullopt;
  }

 private:
  static void refuse_scaled_activations(TensorIndex& index, const std::string& module) {
    const std::string name = module + "._weight_act_pre_scale";
    if (index.find(name) != nullptr) {
      fail(ErrorCode::kUnsupported, index.checkpoint().path(), ": tensor ", name,
           ": activations that are scaled first are not supported");
    }
    // Activations are not rounded here, so nothing of how that is done is of use.
    for (const char* suffix : {"._weight_act_quant_scale", "._weight_act_quant_zero_point"}) {
      if (const TensorView* view = index.find(module + suffix))
        index.take(module + suffix, view->shape);
    }
  }

  /// The outputs and inputs that share a factor, by the shape of the factors; empty where
  /// ScaleGrid tells it.
  static std::vector<std::int64_t> groups_of(const TensorIndex& index, const std::string& module,
                                             std::int64_t n_out, std::int64_t n_in) {
    const TensorView* scales = index.find(module + "._weight_scale");
    const bool has_groups = scales != nullptr && scales->shape.n_dims() == 2 &&
                            scales->shape[0] == n_out && scales->shape[1] > 1 &&
                            n_in % scales->shape[1] == 0;
    return has_groups ? std::vector<std::int64_t>{1, n_in / scales->shape[1]}
                      : std::vector<std::int64_t>{};
  }

  /// IntxUnpackedToInt8Tensor and Int8Tensor: a byte for each code, however few bits it has.
  static device::WeightPart take_integers(TensorIndex& index, const std::string& module,
                                          std::int64_t n_out, std::int64_t n_in) {
    const std::string name = module + "._weight_qdata";
    const TensorView& codes = take_typed(index, name, {n_out, n_in}, {DType::kI8});
    const ScaleGrid scales = ScaleGrid::take(index, module + "._weight_scale", n_out, n_in,
                                             groups_of(index, module, n_out, n_in));
    TensorView zeros;
    const std::string zero_name = module + "._weight_zero_point";
    if (index.find(zero_name) != nullptr) {
      zeros = take_typed(index, zero_name, scales.shape(), {DType::kI8});
    }
    return coded_part(
        std::make_shared<ByteRows>(CodedRows::Kind::kInteger8, n_in, codes, scales, zeros), n_out,
        n_in, codes, name);
  }

  /// Inputs of a group, of factors [groups, ...].
  static std::int64_t group_size(const TensorIndex& index, const std::string& name,
                                 std::int64_t n_in) {
    const TensorView* scales = index.find(name);
    const std::int64_t n_groups =
        scales != nullptr && scales->shape.n_dims() > 0 ? scales->shape[0] : 1;
    if (n_groups < 1 || n_in % n_groups != 0) {
      fail(ErrorCode::kCorruptData, index.checkpoint().path(), ": tensor ", name,
           ": groups that do not fill a row (expected a divisor of ", n_in, " groups, got ",
           n_groups, ")");
    }
    return n_in / n_groups;
  }

  static device::WeightPart take_plain(TensorIndex& index, const std::string& module,
                                       std::int64_t n_out, std::int64_t n_in) {
    const std::string name = module + "._weight_qdata";
    const TensorView& codes =
        take_typed(index, name, {n_out, (n_in + 1) / 2}, {DType::kI8, DType::kU8});
    const std::int64_t size = group_size(index, module + "._weight_scale", n_in);
    const Shape shape{n_in / size, n_out};
    const TensorView& scales = take_typed(index, module + "._weight_scale", shape, kFloats);
    const TensorView& zeros = take_typed(index, module + "._weight_zero_point", shape, kFloats);
    require_pairs(index, name, n_in);
    return coded_part(std::make_shared<PlainRows>(n_in, size, codes, scales, zeros), n_out, n_in,
                      codes, name);
  }

  static void require_pairs(const TensorIndex& index, const std::string& name, std::int64_t n_in) {
    if (n_in % 2 == 0) return;
    fail(ErrorCode::kCorruptData, index.checkpoint().path(), ": tensor ", name,
         ": two codes in a byte need an even number of inputs (got ", n_in, ")");
  }

  static device::WeightPart take_tiled(TensorIndex& index, const std::string& module,
                                       std::int64_t n_out, std::int64_t n_in) {
    const std::string name = module + "._weight_qdata";
    const std::int64_t n_words = index.find(name)->shape[3];
    if (n_words != 1 && n_words != 2 && n_words != 4) {
      fail(ErrorCode::kCorruptData, index.checkpoint().path(), ": tensor ", name,
           ": bad shape (expected 1, 2 or 4 words of a lane, got ", n_words, ")");
    }
    // torchao fills rows and columns up with zeros.
    const std::int64_t all_in = (n_in + kPaddedInputs - 1) / kPaddedInputs * kPaddedInputs;
    const std::int64_t n_rows = (n_out + 7) / 8;
    const TensorView& words =
        take_typed(index, name, {n_rows, all_in / (32 * n_words), 32, n_words}, {DType::kI32});
    const std::string scale_name = module + "._weight_scale_and_zero";
    const std::int64_t size = group_size(index, scale_name, all_in);
    const TensorView& scales =
        take_typed(index, scale_name, {all_in / size, n_rows * 8, 2}, kFloats);
    return coded_part(std::make_shared<TiledRows>(n_in, size, words, scales), n_out, n_in, words,
                      name);
  }

  static constexpr std::int64_t kPaddedInputs = 1024;
};

}  // namespace

std::unique_ptr<WeightScheme> make_torchao_scheme(const Config& /*config*/) {
  return std::make_unique<TorchaoScheme>();
}

}  // namespace openllm::model
