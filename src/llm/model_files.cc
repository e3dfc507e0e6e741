#include "llm/model_files.h"

#include <algorithm>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <limits>
#include <map>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "format/locate.h"
#include "format/recognise.h"
#include "hub/reference.h"
#include "llm/hub_models.h"
#include "llm/llm_config.h"
#include "llm/tokenizer_files.h"
#include "model/weights/contents.h"
#include "openllm/hub.h"
#include "openllm/store.h"
#include "store/names.h"

namespace openllm::llm {
namespace {

namespace fs = std::filesystem;

constexpr const char* kRemote = "remote";  ///< Version of a model that only servers have.

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
  for (const std::int64_t byte :
       gguf.int_array("tokenizer.ggml.precompiled_charsmap").value_or(std::vector<std::int64_t>()))
    vocab.charsmap.push_back(static_cast<char>(byte));
  vocab.remove_extra_whitespaces = flag("tokenizer.ggml.remove_extra_whitespaces");
  vocab.escape_whitespaces = flag("tokenizer.ggml.escape_whitespaces");
  vocab.space_is_suffix = flag("tokenizer.ggml.treat_whitespace_as_suffix");
  vocab.lowercase = flag("tokenizer.ggml.normalizer.lowercase");
  vocab.strip_accents = flag("tokenizer.ggml.normalizer.strip_accents");
  return tokenizer::make_tokenizer(vocab);
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

/// A name that the store's rules allow; those of hubs allow more.
bool is_store_name(const std::string& name) {
  return name.find('@') == std::string::npos && name.find("://") == std::string::npos &&
         std::count(name.begin(), name.end(), '/') <= 1;
}

}  // namespace

std::optional<StoredModel> find_here(const std::optional<ModelStore>& store,
                                     const std::string& name) {
  const std::string bare = name.substr(0, name.find_first_of(":@"));
  std::optional<StoredModel> stored;
  std::exception_ptr ambiguous;
  try {
    if (store && is_store_name(name)) stored = find_stored(*store, name);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kInvalidArgument) throw;
    ambiguous = std::current_exception();
  }
  if (stored && (stored->name == bare || !hub::is_repo_name(bare))) return stored;
  auto cached = find_cached(name);
  if (cached && cached->name == bare) return cached;
  if (ambiguous) std::rethrow_exception(ambiguous);
  if (stored && cached && stored->name != cached->name)
    store::fail_ambiguous(name, {stored->name, cached->name});
  return stored ? stored : cached;
}

namespace {

/// `reason`: why it was not fetched either; empty for what no hub can have.
[[noreturn]] void fail_not_found(const std::string& model, const std::optional<ModelStore>& store,
                                 const std::string& reason) {
  const std::optional<std::string> meant = store ? store->nearest(model) : std::nullopt;
  std::string near = note_near_names(model);
  if (near.empty() && meant) near = "; did you mean " + *meant + "?";
  base::fail_with(ErrorCode::kNotFound, {"model", ErrorReason::kModelNotFound}, "model: ", model,
                  " is neither a model in the store (",
                  store ? store->root() : "no variable says where",
                  ") nor in the Hugging Face cache nor a folder with config.json nor a GGUF file",
                  note_what_is_there(model), reason.empty() ? "" : "; " + reason, near,
                  near.empty() ? "; " : " ", "`openllm models` lists what is here");
}

/// What `check` of the store's rules throws, about an option.
template <typename Check>
void name_rules(const char* option, Check check, const std::string& value) {
  try {
    (void)check(value);
  } catch (const Error& error) {
    base::fail_at(ErrorCode::kInvalidArgument, option, error.what());
  }
}

format::Serialisation parse_serialisation(std::string_view name) {
  using format::Serialisation;
  if (name.empty()) return Serialisation::kAuto;
  for (const Serialisation form :
       {Serialisation::kAuto, Serialisation::kSafetensors, Serialisation::kGguf,
        Serialisation::kLegacy, Serialisation::kFlax, Serialisation::kTensorflow}) {
    if (name == format::to_string(form)) return form;
  }
  base::fail_at(ErrorCode::kInvalidArgument, "serialisation",
                "unknown (expected auto, safetensors, gguf, legacy, flax or tensorflow, got ", name,
                ")");
}

/// The name with the version of LoadOptions::model_version. Throws when both have one, and not the
/// same.
std::string with_version(const std::string& model, const std::string& version) {
  const std::size_t scheme = model.find("://");
  const std::size_t begin = scheme == std::string::npos ? 0 : scheme + 3;
  const std::size_t mark = model.find_first_of(begin == 0 ? ":@" : "@", begin);
  if (version.empty()) return model;
  if (mark == std::string::npos) return base::cat(model, begin == 0 ? ":" : "@", version);
  // "owner/name:Q4_K_M" names a file, not a version.
  if (hub::is_variant(std::string_view(model).substr(mark + 1)))
    return base::cat(model.substr(0, mark), "@", version, model.substr(mark));
  if (model.substr(mark + 1) != version) {
    base::fail_at(ErrorCode::kInvalidArgument, "model_version",
                  "is not that of the model's name (got ", version, " and ", model, ")");
  }
  return model;
}

ResolvedModel resolve_string(const WantedModel& wanted, bool may_be_family);

/// The model that a family's name stands for.
ResolvedModel resolve_family(WantedModel wanted, const std::string& model) {
  const std::string family = std::exchange(wanted.model, model);
  try {
    return resolve_string(wanted, false);
  } catch (const Error& error) {
    throw Error(error.code(), base::cat(error.what(), " (", family, " stands for ", model, ")"),
                error.where(), error.reason(), error.retry_after());
  }
}

/// The model of LoadOptions::model_tag.
ResolvedModel resolve_tag(const WantedModel& wanted) {
  if (wanted.refresh) {
    base::fail_at(ErrorCode::kInvalidArgument, "refresh",
                  "asks a hub what is new, but a tag names one commit");
  }
  const std::optional<ModelStore> store = find_store();
  ResolvedModel resolved;
  if (store) resolved.stored = store->find(wanted.tag);
  if (!resolved.stored) resolved.stored = find_cached_tag(wanted.tag);
  const bool is_exact =
      resolved.stored && wanted.tag.ends_with(":" + resolved.stored->version) &&
      wanted.tag.substr(wanted.tag.find('-') + 1) ==
          base::cat(store::name_in_tag(resolved.stored->name), ":", resolved.stored->version);
  if (!is_exact) {
    base::fail_with(ErrorCode::kNotFound, {"model_tag", ErrorReason::kModelNotFound},
                    "model_tag: no model in the store has the tag ", wanted.tag,
                    " (expected <backend>-<name>:<version>, as `openllm models` lists them)");
  }
  if (!wanted.model.empty()) {
    const auto named =
        resolved.stored->origin == "store" ? store->find(wanted.model) : find_cached(wanted.model);
    if (!named || named->name != resolved.stored->name) {
      base::fail_at(ErrorCode::kInvalidArgument, "model_tag", "is not that of the model (got ",
                    wanted.tag, " and ", wanted.model, ")");
    }
  }
  return resolved;
}

[[noreturn]] void fail_refresh(const std::string& why) {
  base::fail_at(ErrorCode::kInvalidArgument, "refresh", "asks a hub what is new, but ", why);
}

/// The model of a hub.
StoredModel fetch(const WantedModel& wanted, const std::string& name,
                  const std::optional<ModelStore>& store) {
  if (wanted.refresh && (wanted.offline || !wanted.ensure_available))
    fail_refresh("offline, or ensure_available = false, forbids that");
  // What was fetched before without weights is found by asking for it in the same way.
  if (wanted.texts_only) {
    if (auto here = find_texts(name)) return *std::move(here);
  }
  std::string reason = reason_not_to_fetch(wanted.ensure_available, wanted.offline);
  std::optional<StoredModel> fetched;
  if (reason.empty()) {
    PullOptions options;
    if (!wanted.serialisation.empty()) options.serialisation = wanted.serialisation;
    if (wanted.texts_only) options.serialisation = "none";
    options.stop_token = wanted.stop_token;
    options.progress = wanted.pull_progress ? wanted.pull_progress : as_stages(wanted.progress);
    fetched = fetch_from_hub(name, options, reason);
  }
  if (fetched) return std::move(*fetched);
  if (wanted.refresh)
    base::fail_at(ErrorCode::kUnavailable, "refresh", "what ", name,
                  " is now is not known: ", reason);
  fail_not_found(name, store, reason);
}

/// The model that LLM's argument means.
ResolvedModel resolve_string(const WantedModel& wanted, bool may_be_family) {
  const std::string& model = wanted.model;
  if (model.empty())
    base::fail_at(ErrorCode::kInvalidArgument, "model",
                  "empty (expected a name, a folder or a .gguf file)");
  if (store::is_path(model)) {
    const std::string path = store::expand_home(model);
    std::error_code ignored;
    if (!fs::exists(path, ignored))
      base::fail_with(ErrorCode::kNotFound, {"model", ErrorReason::kModelNotFound},
                      "model: no such file or folder: ", path, note_stored(model));
    if (wanted.refresh) fail_refresh("a path is what it is");
    return {path, {}, {}, {}};
  }
  const std::string name = with_version(model, wanted.version);
  const std::optional<ModelStore> store = find_store();
  if (auto here = find_here(store, name)) {
    if (!wanted.refresh) return {{}, {}, {}, std::move(here)};
    if (here->origin == "store")
      fail_refresh(base::cat(here->name, " is in the store, whose models stay as they were added"));
  }
  const bool is_of_hub = wanted.refresh && is_hub_name(name);
  // Behind those, and only if it is a model's: a folder must not hide a stored model by its name.
  if (!is_of_hub && (format::is_model_folder(model) || format::starts_with_gguf_magic(model))) {
    if (wanted.refresh) fail_refresh("a folder or file is what it is");
    return {model, {}, {}, {}};
  }
  const auto family = may_be_family ? model_of_family(model) : std::nullopt;
  if (family) return resolve_family(wanted, *family);
  if (!is_hub_name(name)) fail_not_found(name, store, {});
  return {{}, {}, {}, fetch(wanted, name, store)};
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

namespace {

/// A model that only servers have, with a tokenizer that is here.
ResolvedModel resolve_remote(const WantedModel& wanted) {
  if (wanted.model.empty() || !wanted.tag.empty() || !wanted.version.empty()) {
    base::fail_at(ErrorCode::kInvalidArgument, "tokenizer",
                  "stands beside the name that servers have for the model (expected one, and "
                  "neither version nor tag)");
  }
  const fs::path folder(wanted.tokenizer);
  std::error_code ignored;
  ResolvedModel resolved;
  if (fs::is_regular_file(folder / "tokenizer.json", ignored)) {
    resolved.path = wanted.tokenizer;
  } else {
    WantedModel local = wanted;
    local.model = std::exchange(local.tokenizer, {});
    local.name.clear();
    resolved.path = resolve_model(local).path;
  }
  resolved.id = wanted.model;
  resolved.version = kRemote;
  return resolved;
}

}  // namespace

ResolvedModel resolve_model(const WantedModel& wanted) {
  if (!wanted.tokenizer.empty()) {
    ResolvedModel remote = resolve_remote(wanted);
    if (!wanted.name.empty()) remote.id = wanted.name;
    remote.asked = wanted.model;
    return remote;
  }
  ResolvedModel resolved = wanted.tag.empty() ? resolve_string(wanted, true) : resolve_tag(wanted);
  if (resolved.stored) {
    resolved.path = resolved.stored->path;
    resolved.id = resolved.stored->name;
    resolved.version = resolved.stored->version;
  } else {
    resolved.version = wanted.version.empty() ? "local" : wanted.version;
    if (!wanted.version.empty()) name_rules("model_version", store::check_version, wanted.version);
  }
  if (!wanted.name.empty()) {
    name_rules("model_name", store::parse_name, wanted.name);
    resolved.id = wanted.name;
  }
  resolved.asked = wanted.model;
  return resolved;
}

format::ModelSource open_source(const ResolvedModel& resolved, const std::string& serialisation) {
  const format::Serialisation wanted = parse_serialisation(serialisation);
  format::ModelSource source = [&] {
    try {
      return resolved.version == kRemote && !resolved.stored
                 ? format::open_tokenizer(resolved.path)
                 : format::open_model(resolved.path, wanted);
    } catch (const Error& error) {
      if (error.code() != ErrorCode::kNotFound || resolved.stored) throw;
      throw Error(error.code(), base::cat(error.what(), note_stored(resolved.path)), error.where());
    }
  }();
  if (!resolved.id.empty()) source.id = resolved.id;
  source.version = resolved.version;
  source.asked = resolved.asked;
  return source;
}

std::shared_ptr<const tokenizer::Tokenizer> load_tokenizer(const format::ModelSource& source,
                                                           const std::string& pre) {
  if (source.gguf != nullptr) {
    const base::Json* kind = source.gguf->config().find("tokenizer.ggml.model");
    const std::string* name = kind == nullptr ? nullptr : kind->if_string();
    if (!pre.empty() && name != nullptr && *name != "gpt2") {
      base::fail_at(ErrorCode::kInvalidArgument, "tokenizer_pre",
                    "only byte-level BPE has a pre-tokenizer (got ", pre,
                    " for a tokenizer of the kind ", *name, ")");
    }
    return blame_file(source.gguf->path(), [&] { return load_gguf_tokenizer(*source.gguf, pre); });
  }
  if (!pre.empty()) {
    base::fail_at(ErrorCode::kInvalidArgument, "tokenizer_pre", "only GGUF files need one (got ",
                  pre, " for ", source.path, ")");
  }
  return load_folder_tokenizer(source.path);
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

std::int32_t decoder_start(const format::ModelSource& source, std::int32_t of_model) {
  const auto id_of = [](const base::Json& object, std::string_view key) -> std::int32_t {
    const base::Json* value = object.find(key);
    const std::int64_t* id = value == nullptr ? nullptr : value->if_int();
    const bool is_id = id != nullptr && *id >= 0 && *id <= std::numeric_limits<std::int32_t>::max();
    return is_id ? static_cast<std::int32_t>(*id) : -1;
  };
  const base::Json& defaults = source.generation_defaults;
  if (const std::int32_t id = id_of(defaults, "decoder_start_token_id"); id >= 0) return id;
  if (of_model >= 0) return of_model;
  if (const std::int32_t id = id_of(defaults, "bos_token_id"); id >= 0) return id;
  if (const std::int32_t id = id_of(source.config, "bos_token_id"); id >= 0) return id;
  base::fail_at(ErrorCode::kUnsupported, source.path,
                "nothing says what answers begin with (expected decoder_start_token_id in "
                "generation_config.json or config.json)");
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
