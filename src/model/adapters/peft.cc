// LoRA adapters as Hugging Face peft writes them. Source: peft's tuners/lora (config.py, layer.py)
// and utils/save_and_load.py.

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>

#include "base/error.h"
#include "format/tensor_list.h"
#include "model/adapters/adapter_source.h"
#include "model/config/config.h"

namespace openllm::model {
namespace {

using format::printable;

/// Before the name that a module has in the base model.
constexpr std::string_view kPrefix = "base_model.model.";
constexpr std::string_view kA = ".lora_A.weight";
constexpr std::string_view kB = ".lora_B.weight";
constexpr int kMaxRank = 1 << 20;
constexpr double kMaxScale = 1e9;

/// Members of adapter_config.json that are read here, that only training looks at, or that repeat
/// what the tensors say. fan_in_fan_out turns the base's weight, never a or b.
constexpr std::array<std::string_view, 23> kHarmless{"peft_type",
                                                     "r",
                                                     "lora_alpha",
                                                     "use_rslora",
                                                     "bias",
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
                                                     "qalora_group_size"};

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
  if (bias != "none") {
    config.unsupported("bias", "adapters of biases are not supported (expected none, got ",
                       printable(bias), ")");
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

float read_scale(const Config& config, int rank) {
  const double alpha = config.not_negative_or("lora_alpha", 8.0);
  const auto r = static_cast<double>(rank);
  const double scale = alpha / (config.bool_or("use_rslora", false) ? std::sqrt(r) : r);
  if (scale > kMaxScale) {
    config.corrupt("lora_alpha", "bad value (expected a scale of at most ", kMaxScale, ", got ",
                   scale, ")");
  }
  return static_cast<float>(scale);
}

/// The adapter's tensor `name`, which must be a matrix with `rank` rows (columns for b).
format::NamedTensor require_matrix(const format::Checkpoint& checkpoint, const std::string& name,
                                   int rank_dim, int rank) {
  const tensor::TensorView* view = checkpoint.find(name);
  if (view == nullptr) {
    base::fail(ErrorCode::kCorruptData, checkpoint.path(), ": tensor ", printable(name),
               ": missing (expected lora_A and lora_B of a module)");
  }
  const tensor::Shape& shape = view->shape;
  if (shape.n_dims() != 2 || shape[rank_dim] != rank) {
    base::fail(ErrorCode::kCorruptData, checkpoint.path(), ": tensor ", printable(name),
               ": wrong shape (expected rank ", rank, " as dimension ", rank_dim, " of 2, got ",
               shape.to_string(), ")");
  }
  return {name, *view};
}

[[noreturn]] void refuse_tensor(const format::Checkpoint& checkpoint, const std::string& name,
                                std::string_view why) {
  base::fail(ErrorCode::kUnsupported, checkpoint.path(), ": tensor ", printable(name), ": ", why);
}

}  // namespace

AdapterSource read_adapter(const format::Checkpoint& checkpoint) {
  if (checkpoint.kind() != format::Checkpoint::Kind::kHuggingFace) {
    base::fail(ErrorCode::kUnsupported, checkpoint.path(),
               ": adapters are read from peft's folders only");
  }
  const Config config(checkpoint.config(), checkpoint.path() + "/adapter_config.json");
  refuse_unsupported(config);
  const int rank = config.int_or("r", 8, 1, kMaxRank);
  const float scale = read_scale(config, rank);
  if (!checkpoint.unreadable().empty()) {
    const format::UnreadableTensor& tensor = checkpoint.unreadable()[0];
    refuse_tensor(checkpoint, tensor.name, tensor.reason);
  }
  AdapterSource source{checkpoint.path(), checkpoint.kind(), {}};
  for (const format::NamedTensor& tensor : checkpoint.tensors()) {
    const std::string& name = tensor.name;
    const bool is_a = name.ends_with(kA);
    if (!name.starts_with(kPrefix) || (!is_a && !name.ends_with(kB))) {
      refuse_tensor(checkpoint, name,
                    "not supported (expected base_model.model.MODULE.lora_A.weight or lora_B)");
    }
    const std::string stem = name.substr(0, name.size() - kA.size());
    format::NamedTensor a = require_matrix(checkpoint, stem + std::string(kA), 0, rank);
    if (!is_a) continue;
    source.modules.push_back({stem.substr(std::min(kPrefix.size(), stem.size())), std::move(a),
                              require_matrix(checkpoint, stem + std::string(kB), 1, rank), scale});
  }
  if (source.modules.empty()) {
    base::fail(ErrorCode::kCorruptData, checkpoint.path(), ": an adapter without tensors");
  }
  return source;
}

}  // namespace openllm::model
