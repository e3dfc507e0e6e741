// compressed-tensors, as llm-compressor and vLLM write it: integers and F8 row by row, packed
// integers, NVFP4 and MXFP4. What a module is tells which tensors it has. docs/formats.md describes
// them.

#include <array>
#include <cmath>

#include "base/error.h"
#include "model/weights/schemes/coded_rows.h"
#include "model/weights/schemes/scheme.h"

namespace openllm::model {
namespace {

using base::fail;
using tensor::DType;
using tensor::Shape;
using tensor::TensorView;

/// How one group of the configuration's modules is stored.
struct GroupSpec {
  int bits = 8;
  std::vector<std::int64_t> block{};  ///< Outputs and inputs that share a factor; else empty.
};

/// Words of codes of one output, with 2^(bits - 1) added; zero points in words of outputs.
class PackedRows final : public CodedRows {
 public:
  PackedRows(int bits, std::int64_t n_in, const TensorView& words, const ScaleGrid& scales,
             const TensorView& zeros)
      : CodedRows(bits > 4 ? Kind::kInteger8 : Kind::kInteger4, n_in, scales.group_size()),
        bits_(bits),
        words_(words),
        scales_(scales),
        zeros_(zeros) {}

 private:
  void read_codes(std::int64_t row, std::uint8_t* out) const override {
    for (std::int64_t i = 0; i < n_in(); ++i) {
      out[i] = field(words_, row * words_.shape[1], i, bits_);
    }
  }
  float factor(std::int64_t row, std::int64_t group) const override {
    return scales_.at(row, group);
  }
  int zero(std::int64_t row, std::int64_t group) const override {
    if (zeros_.bytes.empty()) return 1 << (bits_ - 1);
    const std::int64_t per_word = 32 / bits_;
    const std::uint32_t packed = word(zeros_, row / per_word * zeros_.shape[1] + group);
    return static_cast<int>((packed >> static_cast<unsigned>(row % per_word * bits_)) &
                            ((1U << static_cast<unsigned>(bits_)) - 1));
  }

  const int bits_;
  const TensorView words_;
  const ScaleGrid scales_;
  const TensorView zeros_;
};

/// Nibbles of E2M1, the first one low, under factors of F8 times one of all (NVFP4), or under
/// exponents (MXFP4).
class Float4Rows final : public CodedRows {
 public:
  Float4Rows(Kind kind, std::int64_t n_in, const TensorView& codes, const ScaleGrid& scales,
             float divisor)
      : CodedRows(kind, n_in, scales.group_size()),
        codes_(codes),
        scales_(scales),
        divisor_(divisor) {}

 private:
  void read_codes(std::int64_t row, std::uint8_t* out) const override {
    const std::byte* bytes = codes_.bytes.data() + row * (n_in() / 2);
    for (std::int64_t i = 0; i < n_in(); ++i) {
      const auto both = std::to_integer<unsigned>(bytes[i / 2]);
      out[i] = static_cast<std::uint8_t>(i % 2 == 0 ? both & 15U : both >> 4U);
    }
  }
  float factor(std::int64_t row, std::int64_t group) const override {
    return scales_.at(row, group) / divisor_;
  }

  const TensorView codes_;
  const ScaleGrid scales_;
  const float divisor_;
};

class CompressedTensorsScheme final : public WeightScheme {
 public:
  explicit CompressedTensorsScheme(std::vector<GroupSpec> groups) : groups_(std::move(groups)) {}

  bool has(const TensorIndex& index, const std::string& module) const override {
    const TensorView* weight = index.find(module + ".weight");
    const bool has_codes =
        weight != nullptr && (weight->dtype == DType::kI8 || weight->dtype == DType::kF8_E4M3);
    return has_codes || index.find(module + ".weight_scale") != nullptr ||
           index.find(module + ".weight_packed") != nullptr;
  }

  device::WeightPart take(TensorIndex& index, const std::string& module, std::int64_t n_out,
                          std::int64_t n_in, bool /*transposed*/) const override {
    for (const char* suffix : {".input_scale", ".input_zero_point", ".input_global_scale"}) {
      const std::string name = module + suffix;
      if (const TensorView* view = index.find(name)) index.take(name, view->shape);
    }
    if (const TensorView* packed = index.find(module + ".weight_packed")) {
      return packed->dtype == DType::kU8 ? take_float4(index, module, n_out, n_in)
                                         : take_packed(index, module, n_out, n_in);
    }
    const std::string name = module + ".weight";
    const TensorView* codes = index.find(name);
    if (codes != nullptr && codes->dtype == DType::kI8) {
      return take_integers(index, module, n_out, n_in);
    }
    return take_float8(index, name, module + ".weight_scale", n_out, n_in,
                       block_of(index, module, n_out, n_in, 8));
  }

  std::optional<device::WeightPart> take_expert(TensorIndex& index, const std::string& module,
                                                std::int64_t n_out, std::int64_t n_in,
                                                At at) const override {
    std::vector<std::int64_t> block;
    for (const GroupSpec& group : groups_) {
      if (group.bits == 8 && block.empty()) block = group.block;
    }
    return take_float8_expert(index, module, n_out, n_in, block, at);
  }

  std::optional<WeightContent> content_of(const format::Checkpoint& checkpoint,
                                          const format::NamedTensor& tensor) const override {
    constexpr std::string_view kPacked = ".weight_packed";
    const Shape& shape = tensor.view.shape;
    if (tensor.name.ends_with(kPacked) && shape.n_dims() == 2) {
      if (tensor.view.dtype == DType::kU8) {
        return WeightContent{"FP4", {shape[0], shape[1] * 2}};
      }
      const int bits = groups_.front().bits;
      return WeightContent{base::cat("INT-", bits), {shape[0], shape[1] * 32 / bits}};
    }
    for (const std::string_view main : {std::string_view(".weight"), kPacked}) {
      if (is_beside(checkpoint, tensor.name,
                    {".weight_scale", ".weight_zero_point", ".weight_shape", ".weight_global_scale",
                     ".weight_g_idx", ".input_scale", ".input_zero_point", ".input_global_scale"},
                    main)) {
        return WeightContent{};
      }
    }
    return is_beside(checkpoint, tensor.name, {"_scale", "_scale_inv"}, "")
               ? std::optional(WeightContent{})
               : std::nullopt;
  }

 private:
  /// The outputs and inputs that share a factor, by the groups of the configuration and the
  /// factors' shape: a grid that no group of that many bits has is told by the first one's.
  std::vector<std::int64_t> block_of(const TensorIndex& index, const std::string& module,
                                     std::int64_t n_out, std::int64_t n_in, int bits) const {
    const TensorView* scales = index.find(module + ".weight_scale");
    std::vector<std::int64_t> first;
    for (const GroupSpec& group : groups_) {
      if (group.bits != bits) continue;
      if (group.block.empty()) {
        const bool fits = scales != nullptr &&
                          (scales->shape.n_elems() == 1 || scales->shape == Shape{n_out, 1} ||
                           scales->shape == Shape{n_out});
        if (fits) return {};
        continue;
      }
      const Shape grid{(n_out + group.block[0] - 1) / group.block[0],
                       (n_in + group.block[1] - 1) / group.block[1]};
      if (scales != nullptr && scales->shape == grid) return group.block;
      if (first.empty()) first = group.block;
    }
    return first;
  }

  device::WeightPart take_integers(TensorIndex& index, const std::string& module,
                                   std::int64_t n_out, std::int64_t n_in) const {
    const std::string name = module + ".weight";
    const TensorView& codes = take_typed(index, name, {n_out, n_in}, {DType::kI8});
    const ScaleGrid scales = ScaleGrid::take(index, module + ".weight_scale", n_out, n_in,
                                             block_of(index, module, n_out, n_in, 8));
    TensorView zeros;
    const std::string zero_name = module + ".weight_zero_point";
    if (index.find(zero_name) != nullptr) {
      zeros = take_typed(index, zero_name, scales.shape(), {DType::kI8});
    }
    return coded_part(
        std::make_shared<ByteRows>(CodedRows::Kind::kInteger8, n_in, codes, scales, zeros), n_out,
        n_in, codes, name);
  }

  device::WeightPart take_packed(TensorIndex& index, const std::string& module, std::int64_t n_out,
                                 std::int64_t n_in) const {
    const std::string name = module + ".weight_packed";
    if (index.find(module + ".weight_g_idx") != nullptr) {
      fail(ErrorCode::kUnsupported, index.checkpoint().path(), ": tensor ", module,
           ".weight_g_idx: inputs that are grouped in an order of their own are not supported in "
           "compressed-tensors (expected groups that follow each other)");
    }
    const int bits = packed_bits(index, name, n_in);
    take_typed(index, module + ".weight_shape", {2}, {DType::kI64, DType::kI32});
    const TensorView& words =
        take_typed(index, name, {n_out, (n_in * bits + 31) / 32}, {DType::kI32});
    const ScaleGrid scales = ScaleGrid::take(index, module + ".weight_scale", n_out, n_in,
                                             block_of(index, module, n_out, n_in, bits));
    TensorView zeros;
    const std::string zero_name = module + ".weight_zero_point";
    if (index.find(zero_name) != nullptr) {
      const std::int64_t n_groups = (n_in + scales.group_size() - 1) / scales.group_size();
      zeros = take_typed(index, zero_name, {(n_out * bits + 31) / 32, n_groups}, {DType::kI32});
    }
    return coded_part(std::make_shared<PackedRows>(bits, n_in, words, scales, zeros), n_out, n_in,
                      words, name);
  }

  /// Of the group whose codes take up so many words.
  int packed_bits(const TensorIndex& index, const std::string& name, std::int64_t n_in) const {
    const TensorView* words = index.find(name);
    for (const GroupSpec& group : groups_) {
      if (words != nullptr && words->shape.n_dims() == 2 &&
          words->shape[1] == (n_in * group.bits + 31) / 32) {
        return group.bits;
      }
    }
    return groups_.front().bits;
  }

  static device::WeightPart take_float4(TensorIndex& index, const std::string& module,
                                        std::int64_t n_out, std::int64_t n_in) {
    const std::string name = module + ".weight_packed";
    const TensorView& codes = take_typed(index, name, {n_out, (n_in + 1) / 2}, {DType::kU8});
    const std::string global = module + ".weight_global_scale";
    const bool is_nvfp4 = index.find(global) != nullptr;
    const ScaleGrid scales =
        ScaleGrid::take(index, module + ".weight_scale", n_out, n_in, {1, is_nvfp4 ? 16 : 32});
    float divisor = 1.0F;
    if (is_nvfp4) divisor = element(take_typed(index, global, {1}, {DType::kF32}), 0);
    if (!std::isfinite(divisor) || divisor == 0.0F) {
      fail(ErrorCode::kCorruptData, index.checkpoint().path(), ": tensor ", global,
           ": bad value (expected a finite number that is not zero)");
    }
    const auto kind = is_nvfp4 ? CodedRows::Kind::kE2M1 : CodedRows::Kind::kMxfp4;
    return coded_part(std::make_shared<Float4Rows>(kind, n_in, codes, scales, divisor), n_out, n_in,
                      codes, name);
  }

  std::vector<GroupSpec> groups_;
};

GroupSpec read_group(const Config& weights) {
  GroupSpec group;
  group.bits = weights.require_int("num_bits", 1, 64);
  const std::string type = weights.string_or("type", "int");
  const bool known = type == "int" ? group.bits == 2 || group.bits == 4 || group.bits == 8
                                   : type == "float" && (group.bits == 4 || group.bits == 8);
  if (!known) {
    weights.unsupported("num_bits",
                        "codes of that kind are not supported (expected int of 2, 4 or "
                        "8 bits or float of 4 or 8, got ",
                        type, " of ", group.bits, ")");
  }
  const std::string strategy = weights.string_or("strategy", "tensor");
  if (strategy == "group" || strategy == "tensor_group") {
    group.block = {1, weights.require_int("group_size", 1, kMaxFfnDim)};
  } else if (strategy == "block") {
    const auto sizes = weights.numbers("block_structure");
    if (!sizes || sizes->size() != 2) {
      weights.corrupt("block_structure", "missing (expected two numbers)");
    }
    for (const double size : *sizes) {
      if (!(size >= 1 && size <= static_cast<double>(kMaxFfnDim))) {
        weights.corrupt("block_structure", "bad value (expected two positive numbers)");
      }
      group.block.push_back(static_cast<std::int64_t>(size));
    }
  } else if (strategy != "tensor" && strategy != "channel") {
    weights.unsupported("strategy",
                        "unknown (expected tensor, channel, group, tensor_group or "
                        "block, got ",
                        strategy, ")");
  }
  return group;
}

void refuse_other_formats(const Config& config) {
  constexpr std::array<std::string_view, 8> kFormats = {
      "dense",          "int-quantized",   "float-quantized",      "naive-quantized",
      "pack-quantized", "mixed-precision", "nvfp4-pack-quantized", "mxfp4-pack-quantized"};
  const std::string format = config.string_or("format", "dense");
  std::string known;
  for (const std::string_view name : kFormats) {
    if (format == name) return;
    known += (known.empty() ? "" : ", ") + std::string(name);
  }
  config.unsupported("format", "unknown (expected one of ", known, "; got ", format, ")");
}

}  // namespace

std::unique_ptr<WeightScheme> make_compressed_tensors_scheme(const Config& config) {
  refuse_other_formats(config);
  if (const auto transform = config.object("transform_config"); transform && !transform->empty()) {
    config.unsupported("transform_config", "transformed weights are not supported");
  }
  if (const auto sparsity = config.object("sparsity_config")) {
    const std::string format = sparsity->string_or("format", "dense");
    if (format != "dense") {
      sparsity->unsupported("format", "sparse weights are not supported (expected dense, got ",
                            format, ")");
    }
  }
  std::vector<GroupSpec> groups;
  if (const auto named = config.object("config_groups")) {
    for (const auto& [name, value] : named->members()) {
      const std::optional<Config> group = named->object(name);
      const std::optional<Config> weights = group ? group->object("weights") : std::nullopt;
      if (weights) groups.push_back(read_group(*weights));
    }
  }
  if (groups.empty()) config.corrupt("config_groups", "missing (expected groups with weights)");
  return std::make_unique<CompressedTensorsScheme>(std::move(groups));
}

}  // namespace openllm::model
