#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/error.h"
#include "base/nearest.h"
#include "model/arch/family.h"
#include "model/arch/hf.h"
#include "model/arch/wrapper.h"
#include "model/model.h"
#include "model/network.h"
#include "model/weights/tensor_index.h"

namespace openllm::model {
namespace {

struct Found {
  Layouts layouts{};
  std::unique_ptr<ModuleLayout> own_layout{};  ///< Of a classifier, or of a wrapped text.
  ModelSpec spec{};
};

/// " (did you mean llama?)" where a name is near one that is known.
std::string near_name(std::string_view name) {
  std::vector<std::string> known;
  for (const Family& family : families()) {
    known.insert(known.end(), family.hf_model_types.begin(), family.hf_model_types.end());
    known.insert(known.end(), family.gguf_names.begin(), family.gguf_names.end());
  }
  const std::optional<std::string> nearest = base::nearest(name, known);
  return nearest ? base::cat("; did you mean ", *nearest, "?") : std::string();
}

bool contains(const std::vector<std::string_view>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

/// What a model calls itself. The class of its network counts where a family is only of that.
std::string name_of(const Config& config, bool is_gguf) {
  const std::string_view key = is_gguf ? "general.architecture" : "model_type";
  const auto classes = is_gguf ? std::nullopt : config.strings("architectures");
  for (const Family& family : families()) {
    if (classes && !classes->empty() && contains(family.hf_model_types, classes->front()))
      return classes->front();
  }
  std::string name = config.string_or(key, "");
  if (name.empty()) config.corrupt(key, "missing (expected the name of an architecture)");
  return name;
}

const Family* find_by_name(std::string_view name, bool is_gguf) {
  for (const Family& family : families()) {
    if (contains(is_gguf ? family.gguf_names : family.hf_model_types, name)) return &family;
  }
  return nullptr;
}

[[noreturn]] void refuse(const Config& config, std::string_view key, std::string_view name) {
  config.unsupported(key, "unknown architecture (expected one of the ", families().size(),
                     " families that docs/models.md lists, got ", name, near_name(name), ")");
}

/// What transformers makes of a decoder with `is_causal` false: an encoder.
void see_everything(const Config& config, const Family& family, Found& found) {
  ModelSpec& spec = found.spec;
  for (LayerSpec& layer : spec.layers) {
    auto* const attention = std::get_if<SelfAttentionSpec>(&layer.mixer);
    const bool is_encoder = std::holds_alternative<DisentangledAttentionSpec>(layer.mixer);
    if (is_encoder || (attention != nullptr && attention->sees_all)) continue;
    if (attention == nullptr || attention->window > 0 || attention->chunk > 0 || spec.encoder)
      config.unsupported("is_causal", "rows that see everything in this network (expected true)");
    attention->sees_all = true;
  }
  spec.head.reset();
  if (found.own_layout == nullptr)
    found.own_layout = std::make_unique<ModuleLayout>(family.hf_layout);
  found.own_layout->ignored.emplace_back("lm_head.weight");
  found.layouts.hf = found.own_layout.get();
}

/// Whether the file is of a decoder's body alone, whose rows are embeddings (MistralModel of
/// e5-mistral). One that shares its head's matrix with the embedding continues texts all the same.
bool is_body_alone(const Config& config, const ModelSpec& spec, const ModuleLayout& layout,
                   const format::Checkpoint& checkpoint) {
  const auto classes = config.strings("architectures").value_or(std::vector<std::string>());
  if (!spec.head || spec.head->tied || spec.encoder || classes.empty()) return false;
  const std::string& name = classes.front();
  if (!name.ends_with("Model") || name.ends_with("HeadModel")) return false;
  return !TensorIndex(checkpoint, layout).has(role::kHead);
}

/// The text of a model that has towers beside it.
Found find_text(const std::string& name, const Config& config) {
  const TextPart text = text_part_of(name, config);
  const Family* const family = find_by_name(text.model_type, false);
  if (family == nullptr) refuse(text.config, "model_type", text.model_type);
  Found found;
  found.own_layout = std::make_unique<ModuleLayout>(wrapped_layout(family->hf_layout));
  found.layouts = {found.own_layout.get(), &family->gguf_layout};
  found.spec = family->hf_spec(text.config);
  use_outer_head(found.spec);
  found.spec.architecture = name;
  return found;
}

Found find_family(const format::Checkpoint& checkpoint) {
  const bool is_gguf = checkpoint.kind() == format::Checkpoint::Kind::kGguf;
  const std::string where = is_gguf ? checkpoint.path() : checkpoint.path() + "/config.json";
  const Config config(checkpoint.config(), where);
  const std::string_view key = is_gguf ? "general.architecture" : "model_type";
  const std::string name = name_of(config, is_gguf);
  if (!is_gguf && is_wrapper(name)) return find_text(name, config);
  const Family* const family = find_by_name(name, is_gguf);
  if (family == nullptr) refuse(config, key, name);
  Found found{{&family->hf_layout, &family->gguf_layout}, {}, {}};
  found.spec = is_gguf
                   ? family->gguf_spec(Config(checkpoint.config(), where, name + "."), checkpoint)
                   : family->hf_spec(config);
  found.spec.architecture = name;
  if (!is_gguf && found.spec.head && hf::is_classifier(config)) {
    found.own_layout = std::make_unique<ModuleLayout>(family->hf_layout);
    hf::make_classifier(config, found.spec, *found.own_layout);
    found.layouts.hf = found.own_layout.get();
  }
  if (!is_gguf && is_body_alone(config, found.spec, family->hf_layout, checkpoint))
    found.spec.head.reset();
  if (!is_gguf && !config.bool_or("is_causal", true)) see_everything(config, *family, found);
  return found;
}

/// Tables and heads cost quality first: they keep eight bits.
LoadTypes load_types(const ModelOptions& options) {
  LoadTypes types{options.weight_type, options.quantise_to, options.quantise_to};
  if (types.tables == tensor::DType::kQ4_1) types.tables = tensor::DType::kQ8_0;
  return types;
}

}  // namespace

std::unique_ptr<Model> Model::load(const format::Checkpoint& checkpoint, device::Device& device,
                                   const ModelOptions& options) {
  base::check(options.max_rows > 0 && options.max_output_rows > 0 && options.kv_block_size > 0,
              "model: options must be positive");
  Found found = find_family(checkpoint);
  WeightLoader loader(checkpoint, found.layouts, device, options.progress, load_types(options));
  auto model = std::make_unique<Network>(std::move(found.spec), loader, options);
  loader.finish();
  return model;
}

ModelSpec read_spec(const format::Checkpoint& checkpoint) { return find_family(checkpoint).spec; }

std::vector<std::string> left_out_parts(const format::Checkpoint& checkpoint) {
  constexpr std::string_view kBelow = ".*";
  const Found found = find_family(checkpoint);
  std::vector<std::string> parts;
  if (!found.spec.head) return parts;  // what encoders were trained with is no part of them
  for (const std::string_view pattern : found.layouts.of(checkpoint.kind()).ignored) {
    if (!pattern.ends_with(kBelow) || pattern.find('#') != std::string_view::npos) continue;
    const bool is_there = std::any_of(
        checkpoint.tensors().begin(), checkpoint.tensors().end(),
        [&](const format::NamedTensor& tensor) { return matches(tensor.name, pattern); });
    if (is_there) parts.emplace_back(pattern.substr(0, pattern.size() - kBelow.size()));
  }
  return parts;
}

std::vector<std::string> architectures() {
  std::vector<std::string> names;
  for (const Family& family : families()) names.emplace_back(family.name);
  return names;
}

}  // namespace openllm::model
