// HQQ (hqq/core/quantize.py), as transformers saves it: codes of 1 to 8 bits, packed in parts that
// lie 1/8 to 1/2 of the matrix apart, with factors and zero points of groups of neighbours.
// docs/formats.md describes the tensors.

#include <array>

#include "base/error.h"
#include "model/weights/schemes/coded_rows.h"
#include "model/weights/schemes/scheme.h"

namespace openllm::model {
namespace {

using base::fail;
using tensor::DType;
using tensor::Shape;
using tensor::TensorView;

/// What an element of W_q holds; the first part is in the highest bits.
struct Packing {
  int bits;
  int per_element;
  DType type;
};
constexpr std::array<Packing, 5> kPackings = {{{8, 1, DType::kU8},
                                               {4, 2, DType::kU8},
                                               {3, 10, DType::kI32},
                                               {2, 4, DType::kU8},
                                               {1, 8, DType::kU8}}};

/// W_q unpacked is [lines, line_size]: a line is a group, or has one element of each group.
struct Layout {
  Packing packing{};
  bool by_line = true;  ///< axis 1: a line shares its factor.
  std::int64_t n_lines = 0;
  std::int64_t line_size = 0;
};

class HqqRows final : public CodedRows {
 public:
  HqqRows(std::int64_t n_in, std::int64_t group_size, const Layout& layout, const TensorView& codes,
          const TensorView& scales, const TensorView& zeros)
      : CodedRows(layout.packing.bits > 4 ? Kind::kAffine8 : Kind::kAffine4, n_in, group_size),
        layout_(layout),
        n_packed_((layout.n_lines + layout.packing.per_element - 1) / layout.packing.per_element),
        codes_(codes),
        scales_(scales),
        zeros_(zeros) {}

 private:
  void read_codes(std::int64_t row, std::uint8_t* out) const override {
    for (std::int64_t i = 0; i < n_in(); ++i) out[i] = code(row * n_in() + i);
  }
  float factor(std::int64_t row, std::int64_t group) const override {
    return element(scales_, group_of(row, group));
  }
  float zero_value(std::int64_t row, std::int64_t group) const override {
    return element(zeros_, group_of(row, group));
  }

  std::int64_t group_of(std::int64_t row, std::int64_t group) const {
    const std::int64_t at = row * n_in() + group * group_size();
    return layout_.by_line ? at / layout_.line_size : at % layout_.line_size;
  }

  std::uint8_t code(std::int64_t at) const {
    const Packing& packing = layout_.packing;
    const std::int64_t line = at / layout_.line_size;
    const std::int64_t place = line % n_packed_ * layout_.line_size + at % layout_.line_size;
    const std::uint32_t packed =
        packing.type == DType::kI32
            ? word(codes_, place)
            : std::to_integer<std::uint32_t>(codes_.bytes[static_cast<std::size_t>(place)]);
    const std::int64_t part = packing.per_element - 1 - line / n_packed_;
    return static_cast<std::uint8_t>((packed >> static_cast<unsigned>(part * packing.bits)) &
                                     ((1U << static_cast<unsigned>(packing.bits)) - 1));
  }

  const Layout layout_;
  const std::int64_t n_packed_;
  const TensorView codes_;
  const TensorView scales_;
  const TensorView zeros_;
};

struct HqqSpec {
  int bits = 4;
  int group_size = 64;  // -1: a group is a whole row
  int axis = 1;
};

class HqqScheme final : public WeightScheme {
 public:
  explicit HqqScheme(HqqSpec spec) : spec_(spec) {}

  bool has(const TensorIndex& index, const std::string& module) const override {
    return index.find(module + ".W_q") != nullptr;
  }

  device::WeightPart take(TensorIndex& index, const std::string& module, std::int64_t n_out,
                          std::int64_t n_in, bool /*transposed*/) const override {
    const std::int64_t n = n_out * n_in;
    const std::int64_t group = spec_.group_size > 0 ? spec_.group_size : n_in;
    if (n % group != 0) {
      fail(ErrorCode::kCorruptData, index.checkpoint().path(), ": tensor ", module,
           ".W_q: a matrix that groups of ", group, " do not fill (got ",
           Shape{n_out, n_in}.to_string(), ")");
    }
    take_notes(index, module);
    Layout layout;
    layout.packing = packing();
    layout.by_line = spec_.axis == 1;
    layout.n_lines = layout.by_line ? n / group : group;
    layout.line_size = n / layout.n_lines;
    const std::int64_t per_element = layout.packing.per_element;
    const std::string name = module + ".W_q";
    const TensorView& codes = take_typed(
        index, name, {(layout.n_lines + per_element - 1) / per_element, layout.line_size},
        {layout.packing.type});
    const Shape factors = layout.by_line ? Shape{n / group, 1} : Shape{1, n / group};
    const TensorView& scales =
        take_typed(index, module + ".scale", factors, {DType::kF16, DType::kBF16, DType::kF32});
    const TensorView& zeros =
        take_typed(index, module + ".zero", factors, {DType::kF16, DType::kBF16, DType::kF32});
    // Groups that go on in the next row, or down the matrix, share nothing within 32 inputs.
    const std::int64_t shared = layout.by_line && n_in % group == 0 ? group : 1;
    return coded_part(std::make_shared<HqqRows>(n_in, shared, layout, codes, scales, zeros), n_out,
                      n_in, codes, name);
  }

  std::optional<WeightContent> content_of(const format::Checkpoint& checkpoint,
                                          const format::NamedTensor& tensor) const override {
    constexpr std::string_view kCodes = ".W_q";
    if (tensor.name.ends_with(kCodes)) {
      return WeightContent{base::cat("HQQ-", spec_.bits), shape_of(checkpoint, tensor)};
    }
    const std::size_t dot = tensor.name.rfind('.');
    if (dot == std::string::npos || tensor.name.ends_with(".bias")) return std::nullopt;
    const std::string module = tensor.name.substr(0, dot);
    if (checkpoint.find(module + std::string(kCodes)) == nullptr) return std::nullopt;
    return WeightContent{};
  }

 private:
  Packing packing() const {
    for (const Packing& known : kPackings) {
      if (known.bits == spec_.bits) return known;
    }
    return kPackings[1];  // not reached: the configuration was checked
  }

  /// What the module was told besides: its own settings must be those of the configuration.
  void take_notes(TensorIndex& index, const std::string& module) const {
    for (const char* key : {"shape", "packing", "unpack_view_dtype", "quant_scale", "quant_zero",
                            "compute_dtype", "offload_meta", "encoded_state_dict",
                            "stores_quant_config", "channel_wise", "optimize", "round_zero"}) {
      const std::string name = base::cat(module, ".", key);
      if (const TensorView* view = index.find(name)) index.take(name, view->shape);
    }
    check_note(index, module + ".nbits", spec_.bits);
    check_note(index, module + ".group_size", spec_.group_size);
    check_note(index, module + ".axis", spec_.axis);
    check_note(index, module + ".view_as_float", 0);
  }

  static void check_note(TensorIndex& index, const std::string& name, std::int64_t expected) {
    const TensorView* view = index.find(name);
    if (view == nullptr) return;
    take_typed(index, name, {}, {DType::kI32, DType::kU8});
    const std::int64_t got = view->dtype == DType::kU8
                                 ? std::to_integer<std::int64_t>(view->bytes[0])
                                 : static_cast<std::int32_t>(word(*view, 0));
    if (got != expected) {
      fail(ErrorCode::kUnsupported, index.checkpoint().path(), ": tensor ", name,
           ": modules with settings of their own are not supported (expected ", expected, ", got ",
           got, ")");
    }
  }

  static Shape shape_of(const format::Checkpoint& checkpoint, const format::NamedTensor& tensor) {
    const std::string module = tensor.name.substr(0, tensor.name.rfind('.'));
    const TensorView* shape = checkpoint.find(module + ".shape");
    if (shape == nullptr || shape->dtype != DType::kI64 || !(shape->shape == Shape{2})) return {};
    const auto rows = static_cast<std::int64_t>(word(*shape, 0));
    const auto columns = static_cast<std::int64_t>(word(*shape, 2));
    return {rows, columns};
  }

  HqqSpec spec_;
};

}  // namespace

std::unique_ptr<WeightScheme> make_hqq_scheme(const Config& config) {
  const std::optional<Config> all = config.object("quant_config");
  const std::optional<Config> weights = all ? all->object("weight_quant_params") : std::nullopt;
  if (!weights) {
    config.unsupported("quant_config",
                       "modules with settings of their own are not supported (expected "
                       "weight_quant_params)");
  }
  HqqSpec spec;
  spec.bits = weights->require_int("nbits", 1, 64);
  if (spec.bits != 1 && spec.bits != 2 && spec.bits != 3 && spec.bits != 4 && spec.bits != 8) {
    weights->unsupported("nbits",
                         "codes of that size are not supported (expected 1, 2, 3, 4 or 8, "
                         "got ",
                         spec.bits, ")");
  }
  spec.group_size = weights->int_or("group_size", -1, 1, kMaxFfnDim);
  spec.axis = weights->int_or("axis", 1, 0, 1);
  if (weights->bool_or("view_as_float", false)) {
    weights->unsupported("view_as_float", "codes in floats are not supported (expected false)");
  }
  return std::make_unique<HqqScheme>(spec);
}

}  // namespace openllm::model
