#include "llm/model_files.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/mapped_file.h"
#include "format/gguf.h"
#include "llm/llm_config.h"
#include "openllm/store.h"

namespace openllm::llm {
namespace {

namespace fs = std::filesystem;

std::string expand_home(const std::string& path) {
  const char* home = std::getenv("HOME");
  if (home == nullptr || !(path == "~" || path.starts_with("~/"))) return path;
  return home + path.substr(1);
}

bool looks_like_path(const std::string& model) {
  return model.starts_with('.') || model.starts_with('/') || model.starts_with('~') ||
         model.ends_with(".gguf");
}

/// What `read` finds wrong is the file's fault, not the caller's, and the message says which file.
template <typename Read>
auto blame_file(const std::string& path, Read read) {
  try {
    return read();
  } catch (const Error& error) {
    const bool callers = error.code() == ErrorCode::kInvalidArgument;
    const bool names_it = error.where() == path;
    throw Error(callers ? ErrorCode::kCorruptData : error.code(),
                names_it ? error.what() : base::cat(path, ": ", error.what()), path);
  }
}

/// The JSON file beside the model, or null when there is no such file.
base::Json read_json_file(const std::string& folder, const char* name) {
  const fs::path path = fs::path(folder) / name;
  std::error_code ignored;
  if (!fs::exists(path, ignored)) return {};
  return blame_file(path.string(), [&path] {
    return base::Json::parse(base::read_file(path.string()), path.string());
  });
}

std::shared_ptr<const tokenizer::Tokenizer> load_gguf_tokenizer(const format::Gguf& gguf) {
  const auto tokens = gguf.string_array("tokenizer.ggml.tokens");
  if (!tokens) return nullptr;
  const base::Json& config = gguf.config();
  const auto text = [&](const char* key) {
    const base::Json* value = config.find(key);
    return value == nullptr ? std::string() : value->as_string(key);
  };
  const auto id = [&](const char* key) -> std::optional<tokenizer::TokenId> {
    const base::Json* value = config.find(key);
    if (value == nullptr) return std::nullopt;
    const std::int64_t number = value->as_int(key);
    if (number < 0 || number >= static_cast<std::int64_t>(tokens->size()))
      return std::nullopt;  // -1: none
    return static_cast<tokenizer::TokenId>(number);
  };
  const auto flag = [&](const char* key) -> std::optional<bool> {
    const base::Json* value = config.find(key);
    return value == nullptr ? std::nullopt : std::optional<bool>(value->as_bool(key));
  };
  tokenizer::GgufVocab vocab;
  vocab.model = text("tokenizer.ggml.model");
  vocab.pre = text("tokenizer.ggml.pre");
  vocab.tokens = *tokens;
  vocab.scores = gguf.float_array("tokenizer.ggml.scores").value_or(std::vector<float>());
  vocab.token_types =
      gguf.int_array("tokenizer.ggml.token_type").value_or(std::vector<std::int64_t>());
  vocab.merges =
      gguf.string_array("tokenizer.ggml.merges").value_or(std::vector<std::string_view>());
  vocab.bos_id = id("tokenizer.ggml.bos_token_id");
  vocab.eos_id = id("tokenizer.ggml.eos_token_id");
  vocab.eot_id = id("tokenizer.ggml.eot_token_id");
  vocab.unk_id = id("tokenizer.ggml.unknown_token_id");
  vocab.add_bos = flag("tokenizer.ggml.add_bos_token");
  vocab.add_eos = flag("tokenizer.ggml.add_eos_token");
  vocab.add_space_prefix = flag("tokenizer.ggml.add_space_prefix");
  return tokenizer::make_tokenizer(vocab);
}

/// tokenizer_config.json holds a string, or a list of named templates of which "default" counts.
std::optional<std::string> template_of_config(const base::Json& config) {
  const base::Json* value = config.find("chat_template");
  if (value == nullptr || value->is_null()) return std::nullopt;
  if (const std::string* source = value->if_string()) return *source;
  for (const base::Json& entry : value->as_array("tokenizer_config.json: chat_template")) {
    const base::Json* name = entry.find("name");
    const base::Json* source = entry.find("template");
    if (name != nullptr && source != nullptr && name->if_string() != nullptr &&
        *name->if_string() == "default") {
      return source->as_string("tokenizer_config.json: chat_template: template");
    }
  }
  return std::nullopt;
}

/// llama.cpp's metadata under our names. Its mirostat and XTC samplers have no counterpart here.
base::Json gguf_generation_config(const base::Json& metadata) {
  struct Name {
    const char* gguf;
    const char* ours;
  };
  constexpr Name kNames[] = {{"general.sampling.temp", "temperature"},
                             {"general.sampling.top_k", "top_k"},
                             {"general.sampling.top_p", "top_p"},
                             {"general.sampling.min_p", "min_p"},
                             {"general.sampling.penalty_repeat", "repetition_penalty"}};
  base::Json config;
  for (const auto& [gguf, ours] : kNames) {
    if (const base::Json* value = metadata.find(gguf)) config[ours] = *value;
  }
  // There, any temperature below 0 is greedy too, and a penalty over the last 0 tokens is off.
  const auto number = [&](const char* name) {
    const base::Json* value = metadata.find(name);
    return value != nullptr && value->is_number() ? std::optional(value->as_double(name))
                                                  : std::nullopt;
  };
  if (number("general.sampling.temp").value_or(1.0) < 0.0) config["temperature"] = 0;
  if (number("general.sampling.penalty_last_n") == 0.0) config["repetition_penalty"] = 1;
  return config;
}

/// config.json's eos_token_id, where generation_config.json has none.
void apply_model_eos(LLMConfig& config, const format::Checkpoint& checkpoint) {
  if (!config.eos_token_ids.empty() || checkpoint.kind() != format::Checkpoint::Kind::kHuggingFace)
    return;
  const base::Json* eos = checkpoint.config().find("eos_token_id");
  if (eos == nullptr || eos->is_null()) {
    const base::Json* text_config = checkpoint.config().find("text_config");
    eos = text_config == nullptr ? nullptr : text_config->find("eos_token_id");
  }
  if (eos == nullptr || eos->is_null()) return;
  base::Json only_eos;
  only_eos["eos_token_id"] = *eos;
  apply_config_json(config, only_eos, checkpoint.path() + "/config.json");
}

}  // namespace

ResolvedModel resolve_model(const std::string& model) {
  if (model.empty())
    base::fail(ErrorCode::kInvalidArgument,
               "model: empty (expected a name, a folder or a .gguf file)");
  const std::string path = expand_home(model);
  std::error_code ignored;
  const bool exists = fs::exists(path, ignored);
  if (exists && (looks_like_path(model) || fs::is_directory(path, ignored))) {
    std::string name = fs::path(path).lexically_normal().filename().string();
    if (name.empty()) name = fs::path(path).lexically_normal().parent_path().filename().string();
    if (name.ends_with(".gguf")) name.resize(name.size() - 5);
    return {path, name.empty() ? model : name, "local"};
  }
  if (looks_like_path(model))
    base::fail(ErrorCode::kNotFound, "model: no such file or folder: ", path);
  const ModelStore store;
  if (const auto stored = store.find(model)) return {stored->path, stored->name, stored->version};
  const std::optional<std::string> meant = store.nearest(model);
  base::fail_with(ErrorCode::kNotFound, {"model", ErrorReason::kModelNotFound}, "model: ", model,
                  " is neither a folder nor a .gguf file nor a model in the store (", store.root(),
                  "); ", meant ? "did you mean " + *meant + "? " : "",
                  "`openllm models` lists the store");
}

std::shared_ptr<const tokenizer::Tokenizer> load_tokenizer(const format::Checkpoint& checkpoint) {
  if (const auto* gguf = dynamic_cast<const format::Gguf*>(&checkpoint)) {
    return blame_file(checkpoint.path(), [gguf] { return load_gguf_tokenizer(*gguf); });
  }
  const std::string& folder = checkpoint.path();
  const base::Json tokenizer_json = read_json_file(folder, "tokenizer.json");
  if (tokenizer_json.is_null()) return nullptr;
  const base::Json tokenizer_config = read_json_file(folder, "tokenizer_config.json");
  // Messages begin with the file's name.
  return blame_file(folder,
                    [&] { return tokenizer::make_tokenizer(tokenizer_json, tokenizer_config); });
}

std::optional<std::string> find_chat_template(const format::Checkpoint& checkpoint) {
  if (checkpoint.kind() == format::Checkpoint::Kind::kGguf) {
    const base::Json* value = checkpoint.config().find("tokenizer.chat_template");
    if (value == nullptr || value->if_string() == nullptr) return std::nullopt;
    return *value->if_string();
  }
  const std::string& folder = checkpoint.path();
  const fs::path file = fs::path(folder) / "chat_template.jinja";
  std::error_code ignored;
  if (fs::exists(file, ignored)) return base::read_file(file.string());
  if (auto source = template_of_config(read_json_file(folder, "chat_template.json"))) return source;
  return template_of_config(read_json_file(folder, "tokenizer_config.json"));
}

base::Json read_generation_config(const format::Checkpoint& checkpoint) {
  if (checkpoint.kind() == format::Checkpoint::Kind::kGguf)
    return gguf_generation_config(checkpoint.config());
  return read_json_file(checkpoint.path(), "generation_config.json");
}

void apply_model_defaults(LLMConfig& config, const format::Checkpoint& checkpoint) {
  const bool is_gguf = checkpoint.kind() == format::Checkpoint::Kind::kGguf;
  const std::string place = is_gguf
                                ? checkpoint.path() + ": general.sampling"
                                : (fs::path(checkpoint.path()) / "generation_config.json").string();
  try {
    apply_config_json(config, read_generation_config(checkpoint), place);
    check_config(config, place);
    apply_model_eos(config, checkpoint);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kInvalidArgument) throw;
    throw Error(ErrorCode::kCorruptData, error.what(), error.where());
  }
}

ModelInfo describe_model(const ResolvedModel& resolved, const format::Checkpoint& checkpoint,
                         const model::ModelSpec& spec) {
  ModelInfo info;
  info.id = resolved.id;
  info.path = resolved.path;
  info.architecture = spec.architecture;
  info.format = checkpoint.kind() == format::Checkpoint::Kind::kGguf ? "gguf" : "safetensors";
  info.n_layers = spec.n_layers();
  info.vocab_size = spec.vocab_size;
  std::map<std::string_view, int> types;
  for (const format::NamedTensor& tensor : checkpoint.tensors()) {
    ++types[tensor::info(tensor.view.dtype).name];
    const tensor::Shape& shape = tensor.view.shape;
    info.n_parameters += shape.n_elems();
    if (shape.n_dims() == 2 && shape[0] == info.vocab_size)
      info.n_embedding_parameters += shape.n_elems();
    info.weight_bytes += static_cast<std::int64_t>(tensor.view.bytes.size());
  }
  std::vector<std::pair<std::string_view, int>> sorted(types.begin(), types.end());
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const auto& a, const auto& b) { return a.second > b.second; });
  for (const auto& [name, count] : sorted) {
    info.weight_types += base::cat(info.weight_types.empty() ? "" : ", ", name, " (", count, ")");
  }
  return info;
}

}  // namespace openllm::llm
