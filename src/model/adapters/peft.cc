// LoRA adapters as Hugging Face peft writes them. Source: peft 0.19's tuners/lora (config.py,
// layer.py, dora.py), utils/save_and_load.py and utils/other.py.

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <set>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "format/tensor_list.h"
#include "model/adapters/adapter_source.h"
#include "model/adapters/expert_layout.h"
#include "model/adapters/name_pattern.h"
#include "model/config/config.h"

namespace openllm::model {
namespace {

using format::printable;

/// Before the name that a module has in the base model.
constexpr std::string_view kPrefix = "base_model.model.";
/// Behind the name of a module of which several parameters have adapters, for each outer one.
constexpr std::string_view kInner = ".base_layer";
constexpr int kMaxRank = 1 << 20;
constexpr double kMaxScale = 1e9;

/// Members of adapter_config.json that are read here, that only training looks at, or that repeat
/// what the tensors say. fan_in_fan_out turns the base's weight, never a or b.
constexpr std::array<std::string_view, 37> kHarmless{"peft_type",
                                                     "r",
                                                     "lora_alpha",
                                                     "rank_pattern",
                                                     "alpha_pattern",
                                                     "use_rslora",
                                                     "use_dora",
                                                     "lora_bias",
                                                     "bias",
                                                     "modules_to_save",
                                                     "layers_to_transform",
                                                     "layers_pattern",
                                                     "trainable_token_indices",
                                                     "ensure_weight_tying",
                                                     "target_parameters",
                                                     "init_lora_weights",
                                                     "fan_in_fan_out",
                                                     "target_modules",
                                                     "task_type",
                                                     "auto_mapping",
                                                     "peft_version",
                                                     "base_model_name_or_path",
                                                     "revision",
                                                     "inference_mode",
                                                     "lora_dropout",
                                                     "exclude_modules",
                                                     "megatron_core",
                                                     "megatron_config",
                                                     "loftq_config",
                                                     "eva_config",
                                                     "corda_config",
                                                     "lora_ga_config",
                                                     "qalora_group_size",
                                                     "runtime_config",
                                                     "enable_lora",
                                                     "merge_weights",
                                                     "tokenizer_name_or_path"};

/// Null, false, or empty: a setting that is not used.
bool is_off(const base::Json& value) {
  if (const std::string* text = value.if_string()) return text->empty();
  if (const bool* flag = value.if_bool()) return !*flag;
  if (const base::JsonArray* items = value.if_array()) return items->empty();
  if (const base::JsonObject* members = value.if_object()) return members->empty();
  return value.is_null();
}

/// Ways to begin training that leave the base's weights as they are.
bool keeps_the_base(const base::Json& init) {
  if (init.is_bool()) return true;
  const std::string* name = init.if_string();
  return name != nullptr && (*name == "gaussian" || *name == "eva" || *name == "orthogonal");
}

void refuse_unsupported(const Config& config) {
  const std::string type = config.string_or("peft_type", "");
  if (type != "LORA") {
    config.unsupported("peft_type", "unknown kind of adapter (expected LORA, got ", printable(type),
                       ")");
  }
  const std::string bias = config.string_or("bias", "none");
  if (bias != "none" && bias != "all" && bias != "lora_only") {
    config.unsupported("bias", "unknown (expected none, all or lora_only, got ", printable(bias),
                       ")");
  }
  const base::Json* init = config.find("init_lora_weights");
  if (init != nullptr && !keeps_the_base(*init)) {
    config.unsupported("init_lora_weights", "changes the weights of the base model (got ",
                       printable(init->dump()), ")");
  }
  for (const auto& [key, value] : config.members()) {
    const bool harmless = std::find(kHarmless.begin(), kHarmless.end(), key) != kHarmless.end();
    if (harmless || is_off(value)) continue;
    config.unsupported(printable(key), "not supported (expected it to be off, got ",
                       printable(value.dump()), ")");
  }
}

/// What the end of a tensor's name says that it is.
enum class Part : std::uint8_t {
  kA,
  kB,
  kBBias,
  kEmbeddingA,
  kEmbeddingB,
  kMagnitude,
  kTokens,
  kWeight,
  kBias,
};
struct Ending {
  std::string_view text;
  Part part;
};
/// Longer ones first.
constexpr Ending kEndings[] = {
    {".lora_A.weight", Part::kA},
    {".lora_B.weight", Part::kB},
    {".lora_B.bias", Part::kBBias},
    {".lora_embedding_A", Part::kEmbeddingA},
    {".lora_embedding_B", Part::kEmbeddingB},
    {".lora_magnitude_vector", Part::kMagnitude},
    {".lora_magnitude_vector.weight", Part::kMagnitude},
    {".token_adapter.trainable_tokens_delta", Part::kTokens},
    {".base_layer.weight", Part::kWeight},
    {".modules_to_save.weight", Part::kWeight},
    {".base_layer.bias", Part::kBias},
    {".modules_to_save.bias", Part::kBias},
    {".weight", Part::kWeight},
    {".bias", Part::kBias},
};

class PeftReader {
 public:
  explicit PeftReader(const format::Checkpoint& checkpoint)
      : checkpoint_(checkpoint),
        config_(checkpoint.config(), checkpoint.path() + "/adapter_config.json"),
        rank_((refuse_unsupported(config_), config_.int_or("r", 8, 1, kMaxRank))),
        alpha_(config_.not_negative_or("lora_alpha", 8.0)),
        is_rank_stabilised_(config_.bool_or("use_rslora", false)),
        ranks_(config_, "rank_pattern", 1.0, kMaxRank),
        alphas_(config_, "alpha_pattern", 0.0, kMaxScale) {
    (void)scale_of(alpha_, rank_);
  }

  AdapterSource read() {
    if (!checkpoint_.unreadable().empty()) {
      const format::UnreadableTensor& tensor = checkpoint_.unreadable()[0];
      refuse(tensor.name, tensor.reason);
    }
    std::set<std::string_view> names;
    for (const format::NamedTensor& tensor : checkpoint_.tensors()) names.insert(tensor.name);
    for (const format::NamedTensor& tensor : checkpoint_.tensors()) {
      if (!is_left_over(tensor.name, names)) place(tensor);
    }
    AdapterSource source{checkpoint_.path(), checkpoint_.kind(), {}, {}};
    for (auto& [name, module] : modules_) {
      if (is_parameter(module)) {
        add_parameter(module, source);
      } else {
        finish(module);
        source.modules.push_back(std::move(module));
      }
    }
    if (source.modules.empty()) {
      base::fail(ErrorCode::kCorruptData, checkpoint_.path(), ": an adapter without tensors");
    }
    return source;
  }

 private:
  [[noreturn]] void refuse(const std::string& name, std::string_view why) const {
    base::fail(ErrorCode::kUnsupported, checkpoint_.path(), ": tensor ", printable(name), ": ",
               why);
  }
  [[noreturn]] void corrupt(const std::string& name, std::string_view why) const {
    base::fail(ErrorCode::kCorruptData, checkpoint_.path(), ": tensor ", printable(name), ": ",
               why);
  }

  /// With bias "all", files have a module's biases beside those of its copy that was trained, and
  /// those once more under the name that they have in memory; peft reads back neither.
  static bool is_left_over(const std::string& name, const std::set<std::string_view>& names) {
    for (const std::string_view inner : {".modules_to_save", ".original_module"}) {
      const std::size_t at = name.rfind(inner);
      if (at == std::string::npos) continue;
      if (names.contains(name.substr(0, at) + name.substr(at + inner.size()))) return true;
    }
    return false;
  }

  void place(const format::NamedTensor& tensor) {
    const std::string_view name = tensor.name;
    const auto* const ending =
        std::find_if(std::begin(kEndings), std::end(kEndings),
                     [&](const Ending& candidate) { return name.ends_with(candidate.text); });
    const std::size_t n_fixed =
        kPrefix.size() + (ending == std::end(kEndings) ? 0 : ending->text.size());
    if (!name.starts_with(kPrefix) || ending == std::end(kEndings) || name.size() <= n_fixed) {
      refuse(tensor.name,
             "not supported (expected base_model.model.MODULE.lora_A.weight or lora_B, or another "
             "part of a LoRA adapter)");
    }
    const std::string module(name.substr(kPrefix.size(), name.size() - n_fixed));
    AdapterModule& to = modules_[module];
    to.module = module;
    std::optional<format::NamedTensor>& part = member(to, ending->part);
    if (part) corrupt(tensor.name, "a second one for this module");
    part = tensor;
    to.is_table |= ending->part == Part::kEmbeddingA || ending->part == Part::kEmbeddingB;
  }

  static std::optional<format::NamedTensor>& member(AdapterModule& module, Part part) {
    switch (part) {
      case Part::kA:
      case Part::kEmbeddingA:
        return module.a;
      case Part::kB:
      case Part::kEmbeddingB:
        return module.b;
      case Part::kBBias:
        return module.b_bias;
      case Part::kMagnitude:
        return module.magnitude;
      case Part::kTokens:
        return module.tokens;
      case Part::kWeight:
        return module.weight;
      case Part::kBias:
        break;
    }
    return module.bias;
  }

  void finish(AdapterModule& module) const {
    if (module.tokens) module.token_ids = token_ids(module);
    if (!module.a && !module.b) {
      if (module.b_bias || module.magnitude)
        corrupt(module.tensor_name(), "of a module without lora_A and lora_B");
      return;
    }
    if (!module.a || !module.b) {
      corrupt(module.tensor_name(), "alone (expected lora_A and lora_B of a module)");
    }
    require_as_configured(module, "use_dora", module.magnitude.has_value());
    require_as_configured(module, "lora_bias", module.b_bias.has_value());
    const double rank = ranks_.find(module.module).value_or(rank_);
    require_rank(*module.a, 0, rank);
    require_rank(*module.b, 1, rank);
    module.scale = scale_of(alphas_.find(module.module).value_or(alpha_), rank);
  }

  /// Names of the parameters of a module that have adapters, in the order in which they are
  /// wrapped: that of the module's parameters, which is the alphabet's but for what comes last of
  /// an expert.
  std::vector<std::string> parameters_of(std::string_view module) const {
    std::vector<std::string> names;
    for (const std::string& target :
         config_.strings("target_parameters").value_or(std::vector<std::string>())) {
      const std::size_t dot = target.rfind('.');
      const bool is_anywhere = dot == std::string::npos;
      if (is_anywhere || is_name_of(std::string_view(target).substr(0, dot), module))
        names.push_back(is_anywhere ? target : target.substr(dot + 1));
    }
    std::sort(names.begin(), names.end(), [](const std::string& a, const std::string& b) {
      return std::pair(a.starts_with("down"), a) < std::pair(b.starts_with("down"), b);
    });
    names.erase(std::unique(names.begin(), names.end()), names.end());
    return names;
  }

  bool is_parameter(const AdapterModule& module) const {
    if (module.module.ends_with(kInner)) return true;
    const double rank = ranks_.find(module.module).value_or(rank_);
    return module.a && module.a->view.shape.n_dims() == 2 &&
           static_cast<double>(module.a->view.shape[0]) != rank &&
           !parameters_of(module.module).empty();
  }

  /// Of a parameter [experts, ...] instead of a module: a has rows for one expert after the other,
  /// b columns for one rank after the other.
  void add_parameter(AdapterModule& module, AdapterSource& source) const {
    std::size_t depth = 0;
    std::string_view name = module.module;
    for (; name.ends_with(kInner); ++depth) name.remove_suffix(kInner.size());
    const std::vector<std::string> names = parameters_of(name);
    if (depth >= names.size() || !module.a || !module.b || module.b_bias || module.magnitude ||
        module.weight || module.bias || module.tokens) {
      corrupt(module.tensor_name(),
              "does not fit target_parameters (expected lora_A and lora_B of each of them)");
    }
    const std::string& own = names[names.size() - 1 - depth];
    const std::string parameter = own == "weight" ? std::string(name) : base::cat(name, ".", own);
    const tensor::Shape& a = module.a->view.shape;
    const tensor::Shape& b = module.b->view.shape;
    const auto rank = static_cast<std::int64_t>(ranks_.find(parameter).value_or(rank_));
    if (a.n_dims() != 2 || b.n_dims() != 2 || a[0] != b[1] || a[0] % rank != 0 || a[0] == 0) {
      corrupt(module.a->name,
              base::cat("wrong shape (expected a multiple of the rank ", rank,
                        " as lora_B has, got ", a.to_string(), " and ", b.to_string(), ")"));
    }
    const std::int64_t n_experts = a[0] / rank;
    // A parameter of one matrix is [out, in] in every version.
    const ExpertLayout layout = n_experts == 1
                                    ? ExpertLayout::kSquarePlain
                                    : expert_layout_of(config_.string_or("peft_version", ""));
    for (std::int64_t e = 0; e < n_experts; ++e) {
      AdapterModule& expert = source.modules.emplace_back();
      expert.module = parameter;
      expert.expert = static_cast<int>(e);
      expert.layout = layout;
      expert.scale = scale_of(alphas_.find(parameter).value_or(alpha_), static_cast<double>(rank));
      expert.a = rows_of(*module.a, e * rank, rank);
      expert.b = columns_of(*module.b, e, n_experts, source);
    }
  }

  /// Rows [begin, begin + n) of a matrix.
  format::NamedTensor rows_of(const format::NamedTensor& tensor, std::int64_t begin,
                              std::int64_t n) const {
    const std::size_t row =
        tensor.view.bytes.size() / static_cast<std::size_t>(tensor.view.shape[0]);
    return {tensor.name,
            {tensor.view.dtype, tensor::Shape{n, tensor.view.shape[1]},
             tensor.view.bytes.subspan(static_cast<std::size_t>(begin) * row,
                                       static_cast<std::size_t>(n) * row)}};
  }

  /// Every `step`-th column from `first` on.
  format::NamedTensor columns_of(const format::NamedTensor& tensor, std::int64_t first,
                                 std::int64_t step, AdapterSource& source) const {
    const tensor::DTypeInfo& type = tensor::info(tensor.view.dtype);
    if (type.block_elems != 1) refuse(tensor.name, "of experts in a quantised type");
    const std::int64_t n_rows = tensor.view.shape[0];
    const std::int64_t n_cols = tensor.view.shape[1];
    const auto size = static_cast<std::ptrdiff_t>(type.block_bytes);
    auto made = std::make_shared<std::vector<std::byte>>();
    made->reserve(tensor.view.bytes.size() / static_cast<std::size_t>(step));
    for (std::int64_t row = 0; row < n_rows; ++row) {
      for (std::int64_t col = first; col < n_cols; col += step) {
        const auto from = tensor.view.bytes.begin() + (row * n_cols + col) * size;
        made->insert(made->end(), from, from + size);
      }
    }
    source.made.push_back(made);
    return {tensor.name,
            {tensor.view.dtype, tensor::Shape{n_rows, n_cols / step}, std::span(*made)}};
  }

  /// What the configuration says of every module, and whether this one has the tensor of it.
  void require_as_configured(const AdapterModule& module, std::string_view key, bool has) const {
    if (module.is_table || config_.bool_or(key, false) == has) return;
    config_.corrupt(key, "contradicts the tensors of ", printable(module.module), " (expected ",
                    has ? "true" : "false", ")");
  }

  void require_rank(const format::NamedTensor& tensor, int dim, double rank) const {
    const tensor::Shape& shape = tensor.view.shape;
    if (shape.n_dims() == 2 && static_cast<double>(shape[dim]) == rank) return;
    base::fail(ErrorCode::kCorruptData, checkpoint_.path(), ": tensor ", printable(tensor.name),
               ": wrong shape (expected rank ", rank, " as dimension ", dim, " of 2, got ",
               shape.to_string(), ")");
  }

  float scale_of(double alpha, double rank) const {
    const double scale = alpha / (is_rank_stabilised_ ? std::sqrt(rank) : rank);
    if (scale > kMaxScale) {
      config_.corrupt("lora_alpha", "bad value (expected a scale of at most ", kMaxScale, ", got ",
                      scale, ")");
    }
    return static_cast<float>(scale);
  }

  /// The tokens whose rows were trained: a list, or one for each name of an embedding.
  std::vector<std::int32_t> token_ids(const AdapterModule& module) const {
    constexpr std::string_view kKey = "trainable_token_indices";
    const base::Json* value = config_.find(kKey);
    if (value != nullptr && value->if_object() != nullptr) {
      const base::JsonObject& by_name = *value->if_object();
      value = nullptr;
      for (const auto& [name, ids] : by_name) {
        if (is_name_of(name, module.module)) value = &ids;
      }
    }
    std::vector<std::int32_t> ids;
    const base::JsonArray* items = value == nullptr ? nullptr : value->if_array();
    if (items == nullptr)
      config_.corrupt(kKey, "missing (expected the tokens of ", printable(module.module), ")");
    for (const base::Json& item : *items) {
      const std::int64_t* id = item.if_int();
      if (id == nullptr || *id < 0 || *id >= kMaxVocab)
        config_.corrupt(kKey, "bad value (expected tokens, got ", printable(item.dump()), ")");
      ids.push_back(static_cast<std::int32_t>(*id));
    }
    return ids;
  }

  const format::Checkpoint& checkpoint_;
  const Config config_;
  const int rank_;
  const double alpha_;
  const bool is_rank_stabilised_;
  const NamePatterns ranks_;
  const NamePatterns alphas_;
  std::map<std::string, AdapterModule> modules_{};
};

}  // namespace

AdapterSource read_peft_adapter(const format::Checkpoint& checkpoint) {
  return PeftReader(checkpoint).read();
}

}  // namespace openllm::model
