#pragma once

#include <memory>
#include <optional>
#include <string>

#include "format/model_source.h"
#include "openllm/llm.h"
#include "openllm/store.h"
#include "tokenizer/tokenizer.h"

namespace openllm::llm {

/// What a caller said of the model that it wants: LLM's argument, and the options that name it.
struct WantedModel {
  std::string model{};
  std::string name{};                  ///< LoadOptions::model_name.
  std::string version{};               ///< LoadOptions::model_version.
  std::string tag{};                   ///< LoadOptions::model_tag.
  std::string serialisation = "auto";  ///< LoadOptions::serialisation.
  bool ensure_available = true;        ///< Fetch what is not on this machine.
  bool offline = false;
  ProgressCallback progress{};  ///< Of fetching.
  bool refresh = false;         ///< LoadOptions::refresh.
  PullCallback pull_progress{};
  std::stop_token stop_token{};
  std::string tokenizer{};  ///< LoadOptions::tokenizer: the model itself is not looked for.
  bool texts_only = false;  ///< Of what is not here, fetch configuration, tokenizer and templates.
};

/// Where a model lies and what it is called.
struct ResolvedModel {
  std::string path{};     ///< Folder or .gguf file.
  std::string id{};       ///< Public name; empty: the last part of the path.
  std::string version{};  ///< Store version, "local", or "remote": the path has no weights.
  std::optional<StoredModel> stored{};
  std::string asked{};  ///< WantedModel::model.
};
/// One meaning per string: a string that begins with '.', '/' or '~' or ends in ".gguf" is a path;
/// any other is a name or tag in the store, else a model in the Hugging Face cache (of exactly that
/// name in either, else of one that differs in letter case only), else a folder
/// that holds a model or a GGUF file of any name, else a model that the hub has, which is fetched.
/// Throws kNotFound saying where was looked; kInvalidArgument for options that contradict the
/// string; what Hub::pull throws.
ResolvedModel resolve_model(const WantedModel& wanted);
/// What the store or the Hugging Face cache has of a name: exactly that name in either, else the
/// one that differs in letter case only. Throws kInvalidArgument naming both when there are two;
/// what ModelStore::find throws.
std::optional<StoredModel> find_here(const std::optional<ModelStore>& store,
                                     const std::string& name);
/// What `resolve_model` found, opened without its tensors. `serialisation`: as LoadOptions has it;
/// throws kInvalidArgument for another word.
format::ModelSource open_source(const ResolvedModel& resolved,
                                const std::string& serialisation = {});

/// The model's tokenizer; null when its files have none. `pre`, unless empty, is the name of the
/// pre-tokenizer instead of what a GGUF file says.
std::shared_ptr<const tokenizer::Tokenizer> load_tokenizer(const format::ModelSource& source,
                                                           const std::string& pre = {});
/// Sets the fields of `config` that the model's files have: its defaults for requests, and
/// config.json's eos_token_id where those have none. Throws kCorruptData naming the place.
void apply_model_defaults(LLMConfig& config, const format::ModelSource& source);

/// Token that the answers of an encoder-decoder model begin with: `decoder_start_token_id` of the
/// defaults of requests, else what the model's configuration says (`of_model`, -1: nothing), else
/// `bos_token_id`. Throws kUnsupported when there is none.
std::int32_t decoder_start(const format::ModelSource& source, std::int32_t of_model);

/// Sizes and types of the weights, and the outline of the configuration, so far as they can be
/// read; nothing about tokenizer and backend. `vocab_size` > 0 is a better one than the outline's.
ModelInfo describe_files(const format::ModelSource& source, int vocab_size = 0);

}  // namespace openllm::llm
