#include "llm/model_files.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "format/locate.h"
#include "format/recognise.h"
#include "llm/llm_config.h"
#include "model/weights/contents.h"
#include "openllm/store.h"

namespace openllm::llm {
namespace {

namespace fs = std::filesystem;

std::string expand_home(const std::string& path) {
  const char* home = std::getenv("HOME");
  if (home == nullptr || !(path == "~" || path.starts_with("~/"))) return path;
  return home + path.substr(1);
}

bool is_explicit_path(const std::string& model) {
  return model.starts_with('.') || model.starts_with('/') || model.starts_with('~') ||
         format::has_gguf_ending(model);
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

std::shared_ptr<const tokenizer::Tokenizer> load_gguf_tokenizer(const format::GgufMetadata& gguf,
                                                                const std::string& pre) {
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
  vocab.pre = pre.empty() ? text("tokenizer.ggml.pre") : pre;
  vocab.tokens = *tokens;
  vocab.scores = gguf.float_array("tokenizer.ggml.scores").value_or(std::vector<float>());
  vocab.token_types =
      gguf.int_array("tokenizer.ggml.token_type").value_or(std::vector<std::int64_t>());
  vocab.merges =
      gguf.string_array("tokenizer.ggml.merges").value_or(std::vector<std::string_view>());
  vocab.bos_id = id("tokenizer.ggml.bos_token_id");
  vocab.eos_id = id("tokenizer.ggml.eos_token_id");
  vocab.eot_id = id("tokenizer.ggml.eot_token_id");
  vocab.eom_id = id("tokenizer.ggml.eom_token_id");
  vocab.unk_id = id("tokenizer.ggml.unknown_token_id");
  vocab.sep_id = id("tokenizer.ggml.seperator_token_id");  // as the format spells it
  vocab.pad_id = id("tokenizer.ggml.padding_token_id");
  vocab.cls_id = id("tokenizer.ggml.cls_token_id");
  vocab.mask_id = id("tokenizer.ggml.mask_token_id");
  for (const char* key : {"tokenizer.ggml.fim_pad_token_id", "tokenizer.ggml.fim_rep_token_id",
                          "tokenizer.ggml.fim_sep_token_id"}) {
    if (const auto end = id(key)) vocab.end_ids.push_back(*end);
  }
  vocab.add_bos = flag("tokenizer.ggml.add_bos_token");
  vocab.add_eos = flag("tokenizer.ggml.add_eos_token");
  vocab.add_space_prefix = flag("tokenizer.ggml.add_space_prefix");
  return tokenizer::make_tokenizer(vocab);
}

/// tokenizer_config.json. Files from before it listed added tokens have a part of it beside it.
base::Json read_tokenizer_config(const std::string& folder) {
  base::Json config = format::read_json_file(folder, "tokenizer_config.json");
  if (config.find("added_tokens_decoder") != nullptr) return config;
  const base::Json map = format::read_json_file(folder, "special_tokens_map.json");
  if (const base::JsonObject* members = map.if_object()) {
    if (!config.is_null() && !config.is_object()) return config;
    for (const auto& [key, value] : *members) config[key] = value;
  }
  return config;
}

/// config.json's eos_token_id, where generation_config.json has none.
void apply_model_eos(LLMConfig& config, const format::ModelSource& source) {
  if (!config.eos_token_ids.empty() || source.layout != format::Layout::kHuggingFace) return;
  const base::Json* eos = source.config.find("eos_token_id");
  if (eos == nullptr || eos->is_null()) {
    const base::Json* text_config = source.config.find("text_config");
    eos = text_config == nullptr ? nullptr : text_config->find("eos_token_id");
  }
  if (eos == nullptr || eos->is_null()) return;
  base::Json only_eos;
  only_eos["eos_token_id"] = *eos;
  apply_config_json(config, only_eos, source.path + "/config.json");
}

/// The store, unless the environment says nothing about where it is.
std::optional<ModelStore> find_store() {
  try {
    return ModelStore();
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kNotFound) throw;
    return std::nullopt;
  }
}

/// About a folder or file of that name that is no model.
std::string note_what_is_there(const std::string& model) {
  std::error_code ignored;
  if (fs::is_directory(model, ignored))
    return " (the folder of that name has none: " + format::describe_folder(model) + ")";
  if (!fs::exists(model, ignored)) return {};
  const std::string what = format::recognise_file(model);
  return what.empty() ? " (the file of that name is none)"
                      : base::cat(" (the file of that name is ", what, ")");
}

/// A path that somebody wrote for the name of a stored model. Empty when the store has none.
std::string note_stored(std::string name) {
  while (name.starts_with("./")) name.erase(0, 2);
  while (name.ends_with('/')) name.pop_back();
  try {
    const std::optional<ModelStore> store = find_store();
    const auto stored = store ? store->find(name) : std::nullopt;
    return stored ? base::cat("; the store has ", stored->name, ", without ./ in front")
                  : std::string();
  } catch (const Error&) {
    return {};  // the first error counts
  }
}

/// As ModelStore::find. What is damaged there is not replaced by a folder of the same name, but the
/// message tells of it.
std::optional<StoredModel> find_stored(const ModelStore& store, const std::string& name) {
  try {
    return store.find(name);
  } catch (const Error& error) {
    if (!format::is_model_folder(name)) throw;
    throw Error(error.code(), base::cat(error.what(), "; ./", name, " is a folder with a model"),
                error.where());
  }
}

format::ModelSource open_resolved(const ResolvedModel& resolved, const std::string& model) {
  try {
    return format::open_model(resolved.path);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kNotFound || resolved.version != "local") throw;
    throw Error(error.code(), base::cat(error.what(), note_stored(model)), error.where());
  }
}

[[noreturn]] void fail_not_found(const std::string& model, const std::optional<ModelStore>& store) {
  const std::optional<std::string> meant = store ? store->nearest(model) : std::nullopt;
  base::fail_with(
      ErrorCode::kNotFound, {"model", ErrorReason::kModelNotFound}, "model: ", model,
      " is neither a model in the store (", store ? store->root() : "no variable says where",
      ") nor a folder with config.json nor a GGUF file", note_what_is_there(model), "; ",
      meant ? "did you mean " + *meant + "? " : "", "`openllm models` lists the store");
}

/// Counts and types of the matrices and vectors.
void describe_weights(ModelInfo& info, const format::Checkpoint& checkpoint) {
  std::map<std::string, int> types;
  for (const auto& [type, shape] : model::list_contents(checkpoint)) {
    ++types[type];
    info.n_parameters += shape.n_elems();
    if (shape.n_dims() == 2 && shape[0] == info.vocab_size)
      info.n_embedding_parameters += shape.n_elems();
  }
  for (const format::NamedTensor& tensor : checkpoint.tensors()) {
    info.weight_bytes += static_cast<std::int64_t>(tensor.view.bytes.size());
  }
  std::vector<std::pair<std::string, int>> sorted(types.begin(), types.end());
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const auto& a, const auto& b) { return a.second > b.second; });
  for (const auto& [name, count] : sorted) {
    info.weight_types += base::cat(info.weight_types.empty() ? "" : ", ", name, " (", count, ")");
  }
}

}  // namespace

ResolvedModel resolve_model(const std::string& model) {
  if (model.empty())
    base::fail(ErrorCode::kInvalidArgument,
               "model: empty (expected a name, a folder or a .gguf file)");
  if (is_explicit_path(model)) {
    const std::string path = expand_home(model);
    std::error_code ignored;
    if (!fs::exists(path, ignored))
      base::fail(ErrorCode::kNotFound, "model: no such file or folder: ", path, note_stored(model));
    return {path, {}, "local"};
  }
  const std::optional<ModelStore> store = find_store();
  if (store) {
    if (const auto stored = find_stored(*store, model))
      return {stored->path, stored->name, stored->version};
  }
  // Last, and only if it is a model's: a folder must not hide a stored model by its name.
  if (format::is_model_folder(model) || format::starts_with_gguf_magic(model))
    return {model, {}, "local"};
  fail_not_found(model, store);
}

format::ModelSource open_source(const std::string& model) {
  const ResolvedModel resolved = resolve_model(model);
  format::ModelSource source = open_resolved(resolved, model);
  if (!resolved.id.empty()) source.id = resolved.id;
  source.version = resolved.version;
  return source;
}

std::shared_ptr<const tokenizer::Tokenizer> load_tokenizer(const format::ModelSource& source,
                                                           const std::string& pre) {
  if (source.gguf != nullptr) {
    return blame_file(source.gguf->path(), [&] { return load_gguf_tokenizer(*source.gguf, pre); });
  }
  if (!pre.empty()) {
    base::fail_at(ErrorCode::kInvalidArgument, "tokenizer_pre", "only GGUF files need one (got ",
                  pre, " for ", source.path, ")");
  }
  const base::Json tokenizer_json = format::read_json_file(source.path, "tokenizer.json");
  if (tokenizer_json.is_null()) return nullptr;
  const base::Json tokenizer_config = read_tokenizer_config(source.path);
  // Messages begin with the file's name.
  return blame_file(source.path,
                    [&] { return tokenizer::make_tokenizer(tokenizer_json, tokenizer_config); });
}

void apply_model_defaults(LLMConfig& config, const format::ModelSource& source) {
  const std::string& place = source.generation_defaults_place;
  try {
    apply_config_json(config, source.generation_defaults, place);
    check_config(config, place);
    apply_model_eos(config, source);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kInvalidArgument) throw;
    throw Error(ErrorCode::kCorruptData, error.what(), error.where());
  }
}

ModelInfo describe_files(const format::ModelSource& source, int vocab_size) {
  const format::ModelOutline outline = source.outline();
  ModelInfo info;
  info.id = source.id;
  info.path = source.path;
  info.architecture = source.architecture;
  info.format = format::to_string(source.weights);
  info.n_layers = outline.n_layers;
  info.vocab_size = vocab_size > 0 ? vocab_size : outline.vocab_size;
  info.max_context = info.wanted_context = outline.max_positions;
  try {
    if (source.has_weights()) describe_weights(info, *source.open_weights());
  } catch (const Error&) {
    // Weights in a format that nothing here reads: the numbers stay 0.
  }
  return info;
}

}  // namespace openllm::llm
