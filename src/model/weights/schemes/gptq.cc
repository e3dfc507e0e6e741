// GPTQ: for every linear qweight, qzeros, scales and often g_idx, as AutoGPTQ and GPTQModel write
// them (nn_modules/qlinear in both), with `quantization_config` in config.json. docs/formats.md
// describes the tensors.

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/error.h"
#include "model/weights/schemes/scheme.h"

namespace openllm::model {
namespace {

using base::fail;
using device::GroupedCodes;
using tensor::DType;
using tensor::Shape;
using tensor::TensorView;

struct GptqSpec {
  int bits = 4;
  int group_size = -1;  // -1: a group is a whole row
  int zero_offset = 1;
};

class GptqScheme final : public WeightScheme {
 public:
  explicit GptqScheme(GptqSpec spec) : spec_(spec) {}

  bool has(const TensorIndex& index, const std::string& module) const override {
    return index.find(module + ".qweight") != nullptr;
  }

  device::WeightPart take(TensorIndex& index, const std::string& module, std::int64_t n_out,
                          std::int64_t n_in, bool /*transposed*/) const override {
    // Codes of 3 bits fill three words together.
    const std::int64_t unit = spec_.bits == 3 ? 32 : 32 / spec_.bits;
    if (n_out % unit != 0 || n_in % unit != 0) {
      fail(ErrorCode::kCorruptData, index.checkpoint().path(), ": tensor ", module,
           ".qweight: a matrix that does not fill words of ", spec_.bits,
           "-bit codes (expected multiples of ", unit, ", got ", Shape{n_out, n_in}.to_string(),
           ")");
    }
    GroupedCodes grouped;
    grouped.bits = spec_.bits;
    grouped.n_out = n_out;
    grouped.n_in = n_in;
    grouped.zero_offset = spec_.zero_offset;
    grouped.group_size = spec_.group_size > 0 ? spec_.group_size : n_in;
    const std::int64_t n_groups = (n_in + grouped.group_size - 1) / grouped.group_size;
    grouped.scales = {index.take(module + ".scales", {n_groups, n_out}), module + ".scales"};
    grouped.zeros = {index.take(module + ".qzeros", {n_groups, n_out * spec_.bits / 32}),
                     module + ".qzeros"};
    grouped.group_of = take_groups(index, module + ".g_idx", grouped, n_groups);
    take_empty_bias(index, module + ".bias", n_out);
    device::WeightPart part;
    part.name = module + ".qweight";
    part.view = index.take(part.name, {n_in * spec_.bits / 32, n_out});
    part.grouped = std::move(grouped);
    return part;
  }

  std::optional<WeightContent> content_of(const format::Checkpoint& checkpoint,
                                          const format::NamedTensor& tensor) const override {
    const std::size_t dot = tensor.name.rfind('.');
    if (dot == std::string::npos) return std::nullopt;
    const std::string suffix = tensor.name.substr(dot);
    const Shape& shape = tensor.view.shape;
    if (suffix == ".qweight" && shape.n_dims() == 2) {
      return WeightContent{base::cat("GPTQ-", spec_.bits), {shape[1], shape[0] * 32 / spec_.bits}};
    }
    const bool beside = suffix == ".qzeros" || suffix == ".scales" || suffix == ".g_idx";
    if (!beside || checkpoint.find(tensor.name.substr(0, dot) + ".qweight") == nullptr) {
      return std::nullopt;
    }
    return WeightContent{};
  }

 private:
  /// The group of every input; empty when they follow each other, or when nothing was recorded: all
  /// zeros, which writers leave in files without act-order.
  static std::vector<std::int32_t> take_groups(TensorIndex& index, const std::string& name,
                                               const GroupedCodes& grouped, std::int64_t n_groups) {
    if (index.find(name) == nullptr) return {};
    const TensorView& view = index.take(name, {grouped.n_in});
    const std::string& path = index.checkpoint().path();
    if (view.dtype != DType::kI32) {
      fail(ErrorCode::kCorruptData, path, ": tensor ", name, ": wrong type (expected I32, got ",
           tensor::info(view.dtype).name, ")");
    }
    std::vector<std::int32_t> groups(static_cast<std::size_t>(grouped.n_in));
    std::memcpy(groups.data(), view.bytes.data(), groups.size() * sizeof(std::int32_t));
    bool in_order = true;
    bool recorded = false;
    for (std::size_t i = 0; i < groups.size(); ++i) {
      if (groups[i] < 0 || groups[i] >= n_groups) {
        fail(ErrorCode::kCorruptData, path, ": tensor ", name, ": element ", i,
             ": no such group (expected 0 to ", n_groups - 1, ", got ", groups[i], ")");
      }
      in_order = in_order && groups[i] == static_cast<std::int64_t>(i) / grouped.group_size;
      recorded = recorded || groups[i] != 0;
    }
    if (in_order || !recorded) groups.clear();
    return groups;
  }

  /// AutoGPTQ writes a bias of zeros for linears that have none. One that is not zero stays for the
  /// check that every tensor is of use.
  static void take_empty_bias(TensorIndex& index, const std::string& name, std::int64_t n_out) {
    const TensorView* bias = index.find(name);
    if (bias == nullptr || !(bias->shape == Shape{n_out})) return;
    const bool empty = std::all_of(bias->bytes.begin(), bias->bytes.end(),
                                   [](std::byte byte) { return byte == std::byte{0}; });
    if (empty) index.take(name, {n_out});
  }

  GptqSpec spec_;
};

/// "-:pattern" names modules that are not quantised, which their tensors tell too; others may have
/// other numbers of bits and group sizes.
void refuse_dynamic(const Config& config) {
  const std::optional<Config> dynamic = config.object("dynamic");
  if (!dynamic) return;
  for (const auto& [pattern, value] : dynamic->members()) {
    if (!pattern.starts_with("-:")) {
      config.unsupported("dynamic", "modules with settings of their own are not supported (got ",
                         pattern, ")");
    }
  }
}

}  // namespace

std::unique_ptr<WeightScheme> make_gptq_scheme(const Config& config) {
  GptqSpec spec;
  spec.bits = config.require_int("bits", 1, 64);
  if (spec.bits != 2 && spec.bits != 3 && spec.bits != 4 && spec.bits != 8) {
    config.unsupported("bits", "codes of that size are not supported (expected 2, 3, 4 or 8, got ",
                       spec.bits, ")");
  }
  spec.group_size = config.require_int("group_size", -1, kMaxFfnDim);
  if (spec.group_size == 0) {
    config.corrupt("group_size", "bad value (expected -1 or a positive number, got 0)");
  }
  const std::string_view format_key = config.first_of({"checkpoint_format", "format"});
  const std::string format = config.string_or(format_key, "gptq");
  if (format != "gptq" && format != "gptq_v2") {
    config.unsupported(format_key, "unknown order of codes (expected gptq or gptq_v2, got ", format,
                       ")");
  }
  spec.zero_offset = format == "gptq" ? 1 : 0;
  if (config.bool_or("is_marlin_format", false)) {
    config.unsupported("is_marlin_format", "unknown order of codes (expected gptq or gptq_v2)");
  }
  const std::string words = config.string_or("pack_dtype", "int32");
  if (words != "int32") {
    config.unsupported("pack_dtype", "codes in other words are not supported (expected int32, got ",
                       words, ")");
  }
  refuse_dynamic(config);
  return std::make_unique<GptqScheme>(spec);
}

}  // namespace openllm::model
