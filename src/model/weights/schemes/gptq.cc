// GPTQ: for every linear qweight, qzeros, scales and often g_idx, as AutoGPTQ and GPTQModel write
// them (nn_modules/qlinear in both), with `quantization_config` in config.json. docs/formats.md
// describes the tensors.

#include <algorithm>
#include <array>
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

/// How a module may be stored.
struct GptqSizes {
  int bits = 4;
  int group_size = -1;  // -1: a group is a whole row

  std::int64_t n_groups(std::int64_t n_in) const noexcept {
    return group_size > 0 ? (n_in + group_size - 1) / group_size : 1;
  }
  /// True when both make the same groups of so many inputs.
  bool groups_alike(const GptqSizes& other, std::int64_t n_in) const noexcept {
    return group_size == other.group_size || (n_groups(n_in) == 1 && other.n_groups(n_in) == 1);
  }
};

/// The modules' sizes: those of most, then those that some have of their own. Which ones a module
/// has is told by its tensors, as patterns of names are by the writer's own library.
struct GptqSpec {
  std::vector<GptqSizes> sizes{};
  int zero_offset = 1;
};

class GptqScheme final : public WeightScheme {
 public:
  explicit GptqScheme(GptqSpec spec) : spec_(std::move(spec)) {}

  bool has(const TensorIndex& index, const std::string& module) const override {
    return index.find(module + ".qweight") != nullptr;
  }

  device::WeightPart take(TensorIndex& index, const std::string& module, std::int64_t n_out,
                          std::int64_t n_in, bool /*transposed*/) const override {
    const GptqSizes sizes = sizes_of(index.checkpoint(), module, n_in);
    // Codes of 3 bits fill three words together.
    const std::int64_t unit = sizes.bits == 3 ? 32 : 32 / sizes.bits;
    if (n_out % unit != 0 || n_in % unit != 0) {
      fail(ErrorCode::kCorruptData, index.checkpoint().path(), ": tensor ", module,
           ".qweight: a matrix that does not fill words of ", sizes.bits,
           "-bit codes (expected multiples of ", unit, ", got ", Shape{n_out, n_in}.to_string(),
           ")");
    }
    GroupedCodes grouped;
    grouped.bits = sizes.bits;
    grouped.n_out = n_out;
    grouped.n_in = n_in;
    grouped.zero_offset = spec_.zero_offset;
    grouped.group_size = sizes.group_size > 0 ? sizes.group_size : n_in;
    const std::int64_t n_groups = sizes.n_groups(n_in);
    grouped.scales = {index.take(module + ".scales", {n_groups, n_out}), module + ".scales"};
    grouped.zeros = {index.take(module + ".qzeros", {n_groups, n_out * sizes.bits / 32}),
                     module + ".qzeros"};
    grouped.group_of = take_groups(index, module + ".g_idx", grouped, n_groups);
    take_empty_bias(index, module + ".bias", n_out);
    device::WeightPart part;
    part.name = module + ".qweight";
    part.view = index.take(part.name, {n_in * sizes.bits / 32, n_out});
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
      const std::string module = tensor.name.substr(0, dot);
      const TensorView* groups = checkpoint.find(module + ".g_idx");
      const std::int64_t n_in =
          groups != nullptr && groups->shape.n_dims() == 1 ? groups->shape[0] : 0;
      const int bits = sizes_of(checkpoint, module, n_in).bits;
      return WeightContent{base::cat("GPTQ-", bits), {shape[1], shape[0] * 32 / bits}};
    }
    const bool beside = suffix == ".qzeros" || suffix == ".scales" || suffix == ".g_idx";
    if (!beside || checkpoint.find(tensor.name.substr(0, dot) + ".qweight") == nullptr) {
      return std::nullopt;
    }
    return WeightContent{};
  }

 private:
  /// Those of the configuration that the module's tensors have; the first ones where none fits,
  /// whose tensors are then named. `n_in`: 0 if not known.
  GptqSizes sizes_of(const format::Checkpoint& checkpoint, const std::string& module,
                     std::int64_t n_in) const {
    const TensorView* codes = checkpoint.find(module + ".qweight");
    const TensorView* scales = checkpoint.find(module + ".scales");
    if (spec_.sizes.size() == 1 || codes == nullptr || codes->shape.n_dims() != 2 ||
        scales == nullptr || scales->shape.n_dims() != 2)
      return spec_.sizes.front();
    const GptqSizes* found = nullptr;
    for (const GptqSizes& sizes : spec_.sizes) {
      const std::int64_t inputs = n_in > 0 ? n_in : codes->shape[0] * 32 / sizes.bits;
      const bool fits =
          codes->shape[0] == inputs * sizes.bits / 32 && scales->shape[0] == sizes.n_groups(inputs);
      if (!fits) continue;
      if (found != nullptr && found->bits == sizes.bits && !found->groups_alike(sizes, inputs)) {
        fail(ErrorCode::kUnsupported, checkpoint.path(), ": tensor ", module,
             ".scales: several group sizes of the configuration fit (", found->group_size, " and ",
             sizes.group_size, ")");
      }
      if (found == nullptr) found = &sizes;
    }
    return found != nullptr ? *found : spec_.sizes.front();
  }

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

void refuse_other_words(const Config& config) {
  const std::string words = config.string_or("pack_dtype", "int32");
  if (words != "int32") {
    config.unsupported("pack_dtype", "codes in other words are not supported (expected int32, got ",
                       words, ")");
  }
}

GptqSizes read_sizes(const Config& config, const GptqSizes& others) {
  GptqSizes sizes;
  sizes.bits = config.int_or("bits", others.bits, 1, 64);
  if (sizes.bits != 2 && sizes.bits != 3 && sizes.bits != 4 && sizes.bits != 8) {
    config.unsupported("bits", "codes of that size are not supported (expected 2, 3, 4 or 8, got ",
                       sizes.bits, ")");
  }
  sizes.group_size = config.int_or("group_size", others.group_size, -1, kMaxFfnDim);
  if (sizes.group_size == 0) {
    config.corrupt("group_size", "bad value (expected -1 or a positive number, got 0)");
  }
  return sizes;
}

/// Of modules with settings of their own those that tell how they are stored, or only how their
/// codes were found.
void check_override(const Config& settings, std::string_view name) {
  constexpr std::array<std::string_view, 13> kKnown = {"bits",
                                                       "group_size",
                                                       "desc_act",
                                                       "sym",
                                                       "damp_percent",
                                                       "static_groups",
                                                       "damp_auto_increment",
                                                       "true_sequential",
                                                       "mse",
                                                       "act_group_aware",
                                                       "hyb_act",
                                                       "lm_head",
                                                       "pack_dtype"};
  if (std::find(kKnown.begin(), kKnown.end(), name) == kKnown.end()) {
    settings.unsupported(name, "a setting of single modules that is not known");
  }
}

/// `dynamic`: "-:pattern" names modules that are not quantised, which their tensors tell too;
/// "+:pattern", or a bare one, modules with settings of their own.
void read_dynamic(const Config& config, std::vector<GptqSizes>& sizes) {
  const std::optional<Config> dynamic = config.object("dynamic");
  if (!dynamic) return;
  for (const auto& [pattern, value] : dynamic->members()) {
    if (pattern.starts_with("-:")) continue;
    const std::optional<Config> settings = dynamic->object(pattern);
    if (!settings) continue;
    for (const auto& [name, setting] : settings->members()) check_override(*settings, name);
    refuse_other_words(*settings);
    sizes.push_back(read_sizes(*settings, sizes.front()));
  }
}

}  // namespace

std::unique_ptr<WeightScheme> make_gptq_scheme(const Config& config) {
  GptqSpec spec;
  spec.sizes.push_back(
      {config.require_int("bits", 1, 64), config.require_int("group_size", -1, kMaxFfnDim)});
  spec.sizes.front() = read_sizes(config, spec.sizes.front());
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
  refuse_other_words(config);
  read_dynamic(config, spec.sizes);
  return std::make_unique<GptqScheme>(spec);
}

}  // namespace openllm::model
