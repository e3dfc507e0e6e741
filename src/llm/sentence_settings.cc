// Source of the formats: sentence_transformers, models/Pooling.py, Dense.py, Transformer.py,
// SentenceTransformer.py, cross_encoder/CrossEncoder.py.

#include "llm/sentence_settings.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <limits>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/mapped_file.h"
#include "format/json_file.h"
#include "format/safetensors.h"
#include "format/tensor_list.h"
#include "model/config/config.h"

namespace openllm::llm {
namespace {

using model::Config;

/// "sentence_transformers.models.Pooling" or a later spelling: its last part.
std::string_view last_part(std::string_view name) noexcept {
  return name.substr(name.rfind('.') + 1);
}

std::optional<device::Activation> read_activation(const Config& config, std::string_view key,
                                                  std::string_view otherwise) {
  const std::string name = config.string_or(key, otherwise);
  const std::string_view kind = last_part(name);
  if (kind == "Identity") return std::nullopt;
  if (kind == "Tanh") return device::Activation::kTanh;
  if (kind == "ReLU") return device::Activation::kRelu;
  if (kind == "GELU") return device::Activation::kGelu;
  if (kind == "SiLU") return device::Activation::kSilu;
  config.unsupported(key, "unknown function (expected Identity, Tanh, ReLU, GELU or SiLU, got ",
                     name, ")");
}

/// A module's folder, which must lie below the model's.
std::string folder_of(const Config& config, const std::string& path, std::string_view below) {
  namespace fs = std::filesystem;
  const fs::path part(below);
  const bool leaves =
      std::any_of(part.begin(), part.end(), [](const fs::path& name) { return name == ".."; });
  if (part.is_absolute() || leaves)
    config.corrupt("path", "leaves the model's folder (got ", format::printable(below), ")");
  return (fs::path(path) / part).string();
}

constexpr std::array<std::pair<std::string_view, Pooling>, 6> kPoolings = {{
    {"pooling_mode_cls_token", Pooling::kCls},
    {"pooling_mode_mean_tokens", Pooling::kMean},
    {"pooling_mode_max_tokens", Pooling::kMax},
    {"pooling_mode_mean_sqrt_len_tokens", Pooling::kMeanSqrtLen},
    {"pooling_mode_weightedmean_tokens", Pooling::kWeightedMean},
    {"pooling_mode_lasttoken", Pooling::kLast},
}};

Pooling named_pooling(const Config& config, std::string_view key, const std::string& name) {
  if (name == "lasttoken") return Pooling::kLast;
  if (name == "mean_sqrt_len_tokens") return Pooling::kMeanSqrtLen;
  if (name == "weightedmean") return Pooling::kWeightedMean;
  if (const std::optional<Pooling> found = pooling_named(name)) return *found;
  config.unsupported(key, "unknown kind (got ", name, ")");
}

void read_pooling(const std::string& folder, SentenceSettings& settings) {
  const std::string place = folder + "/config.json";
  const base::Json json = format::read_json_file(folder, "config.json");
  if (!json.is_object()) base::fail_at(ErrorCode::kCorruptData, place, "missing, or no object");
  const Config config(json, place);
  settings.pools_prompt = config.bool_or("include_prompt", true);
  if (const std::string name = config.string_or("pooling_mode", ""); !name.empty()) {
    settings.pooling = named_pooling(config, "pooling_mode", name);
    return;
  }
  for (const auto& [key, pooling] : kPoolings) {
    const bool otherwise = pooling == Pooling::kMean && !config.has(key);
    if (!config.bool_or(key, false) && !otherwise) continue;
    if (otherwise && settings.pooling) continue;
    if (settings.pooling)
      config.unsupported(key, "several poolings side by side are not supported");
    settings.pooling = pooling;
  }
  if (!settings.pooling) config.corrupt("pooling_mode_mean_tokens", "no pooling is on");
}

void read_dense(const std::string& folder, SentenceSettings& settings) {
  const std::string place = folder + "/config.json";
  const base::Json json = format::read_json_file(folder, "config.json");
  if (!json.is_object()) base::fail_at(ErrorCode::kCorruptData, place, "missing, or no object");
  const Config config(json, place);
  const int n_in = config.require_int("in_features", 1, model::kMaxDim);
  const int n_out = config.require_int("out_features", 1, model::kMaxDim);
  const bool has_bias = config.bool_or("bias", true);
  const auto activation = read_activation(config, "activation_function", "Tanh");
  const std::string path = folder + "/model.safetensors";
  const base::MappedFile file(path);
  format::TensorList tensors;
  format::parse_safetensors(path, file.bytes(), tensors);
  const auto take = [&](std::string_view name, const tensor::Shape& shape) {
    const auto found = std::find_if(tensors.readable.begin(), tensors.readable.end(),
                                    [&](const auto& tensor) { return tensor.name == name; });
    if (found == tensors.readable.end() || found->view.shape != shape) {
      base::fail(ErrorCode::kCorruptData, path, ": tensor ", name, ": missing or of a wrong shape");
    }
    return found->view;
  };
  const tensor::TensorView weight = take("linear.weight", {n_out, n_in});
  tensor::TensorView bias;
  if (has_bias) bias = take("linear.bias", {n_out});
  if (tensors.readable.size() + tensors.unreadable.size() != (has_bias ? 2U : 1U))
    base::fail(ErrorCode::kCorruptData, path, ": has tensors besides linear.weight and its bias");
  if (settings.dense.n_out() > 0 && settings.dense.n_out() != n_in) {
    config.corrupt("in_features", "is not what the layer before gives (expected ",
                   settings.dense.n_out(), ", got ", n_in, ")");
  }
  settings.dense.add_linear(weight, has_bias ? &bias : nullptr, activation, path);
}

void read_module(const Config& config, const std::string& path, SentenceSettings& settings) {
  const std::string type = config.string_or("type", "");
  const std::string_view kind = last_part(type);
  const std::string below = config.string_or("path", "");
  const std::string folder = folder_of(config, path, below);
  if (kind == "Transformer") {
    if (!below.empty())
      config.unsupported("path", "only in the model's folder itself (got ", below, ")");
  } else if (kind == "Pooling") {
    read_pooling(folder, settings);
  } else if (kind == "Dense") {
    read_dense(folder, settings);
  } else if (kind == "Normalize") {
    settings.normalize = true;
  } else if (kind != "Dropout") {  // which does nothing outside of training
    config.unsupported("type",
                       "unknown module (expected Transformer, Pooling, Dense or Normalize, got ",
                       type, ")");
  }
}

void read_modules(const std::string& path, SentenceSettings& settings) {
  const std::string place = path + "/modules.json";
  const base::Json json = format::read_json_file(path, "modules.json");
  if (json.is_null()) return;
  const base::JsonArray* modules = json.if_array();
  if (modules == nullptr)
    base::fail_at(ErrorCode::kCorruptData, place, "no list (got ", json.type_name(), ")");
  settings.has_modules = true;
  for (const base::Json& module : *modules) {
    if (!module.is_object()) base::fail_at(ErrorCode::kCorruptData, place, "a module is no object");
    read_module(Config(module, place), path, settings);
  }
}

void read_prompts(const std::string& path, SentenceSettings& settings) {
  const base::Json json = format::read_json_file(path, "config_sentence_transformers.json");
  if (!json.is_object()) return;
  const Config config(json, path + "/config_sentence_transformers.json");
  if (const std::optional<Config> prompts = config.object("prompts")) {
    for (const auto& [name, text] : prompts->members()) {
      const std::string* prompt = text.if_string();
      if (prompt == nullptr) config.corrupt("prompts", "a prompt is no text");
      settings.prompts[name] = *prompt;
    }
  }
  settings.default_prompt = config.string_or("default_prompt_name", "");
  if (!settings.default_prompt.empty() && settings.prompts.count(settings.default_prompt) == 0)
    config.corrupt("default_prompt_name", "no such prompt (got ", settings.default_prompt, ")");
}

void read_limits(const std::string& path, SentenceSettings& settings) {
  const base::Json json = format::read_json_file(path, "sentence_bert_config.json");
  if (!json.is_object()) return;
  const Config config(json, path + "/sentence_bert_config.json");
  settings.max_tokens =
      config.int_or("max_seq_length", 0, 1, std::numeric_limits<std::int32_t>::max());
  if (config.bool_or("do_lower_case", false))
    config.unsupported("do_lower_case", "only false (the tokenizer's files say what it does)");
}

/// What a cross-encoder does with its score, in its config.json.
void read_score_activation(const format::ModelSource& source, SentenceSettings& settings) {
  const std::string place = source.path + "/config.json";
  const Config config(source.config, place);
  const std::optional<Config> own = config.object("sentence_transformers");
  const Config& from = own ? *own : config;
  const std::string_view key =
      from.first_of({"activation_fn", "sbert_ce_default_activation_function"});
  const std::string name = from.string_or(key, "Sigmoid");
  if (last_part(name) != "Sigmoid" && last_part(name) != "Identity")
    from.unsupported(key, "unknown function (expected Sigmoid or Identity, got ", name, ")");
  settings.sigmoid = last_part(name) == "Sigmoid";
}

/// llama.cpp's numbers.
void read_gguf_pooling(const format::ModelSource& source, SentenceSettings& settings) {
  const Config config(source.config, source.path, source.architecture + ".");
  switch (config.int_or("pooling_type", 0, 0, 4)) {
    case 1:
      settings.pooling = Pooling::kMean;
      break;
    case 2:
      settings.pooling = Pooling::kCls;
      break;
    case 3:
      settings.pooling = Pooling::kLast;
      break;
    default:
      break;
  }
}

}  // namespace

std::string SentenceSettings::prompt_for(const EmbedOptions& options) const {
  if (options.prompt) {
    if (!options.prompt_name.empty())
      base::fail_at(ErrorCode::kInvalidArgument, "prompt", "given beside prompt_name");
    return *options.prompt;
  }
  const std::string& name = options.prompt_name.empty() ? default_prompt : options.prompt_name;
  if (name.empty()) return {};
  const auto found = prompts.find(name);
  if (found != prompts.end()) return found->second;
  std::string known;
  for (const auto& [other, text] : prompts) known += (known.empty() ? "" : ", ") + other;
  base::fail_at(ErrorCode::kInvalidArgument, "prompt_name",
                "the model has no such prompt (expected ",
                known.empty() ? "none, for it has none" : known, ", got ", name, ")");
}

std::string SentenceSettings::first_prompt(std::initializer_list<std::string_view> names) const {
  for (const std::string_view name : names) {
    if (prompts.count(std::string(name)) > 0) return std::string(name);
  }
  return {};
}

SentenceSettings read_sentence_settings(const format::ModelSource& source) {
  SentenceSettings settings;
  if (source.layout == format::Layout::kGguf) {
    read_gguf_pooling(source, settings);
    return settings;
  }
  read_modules(source.path, settings);
  read_prompts(source.path, settings);
  read_limits(source.path, settings);
  read_score_activation(source, settings);
  return settings;
}

}  // namespace openllm::llm
