#include "llm/local_model.h"

#include <algorithm>
#include <cstdlib>

#include "backend/places/places.h"
#include "backend/registry.h"
#include "base/error.h"
#include "llm/family_defaults.h"
#include "llm/greedy.h"
#include "llm/llm_config.h"
#include "llm/model_files.h"

namespace openllm::llm {

namespace {

constexpr const char* kDefault = "default";
constexpr const char* kToolUse = "tool_use";

/// Whether LoadOptions::chat_template names a template: source has a "{", or it shows no messages.
bool is_name(std::string_view chat_template) noexcept {
  return !chat_template.empty() && chat_template.find('{') == std::string_view::npos;
}

/// The model's own template of that name.
const format::NamedTemplate& named_template(const format::ModelSource& source,
                                            std::string_view name) {
  const auto found = std::find_if(source.chat_templates.begin(), source.chat_templates.end(),
                                  [&](const auto& known) { return known.name == name; });
  if (found != source.chat_templates.end()) return *found;
  constexpr std::size_t kMaxShown = 60;
  const std::string names = format::list_names(source.chat_templates);
  base::fail_at(ErrorCode::kInvalidArgument, "chat_template",
                "neither a template, which has a \"{\", nor the name of one that ", source.id,
                " has (expected ", names.empty() ? "a template, for it has none" : names, ", got ",
                name.substr(0, kMaxShown), ")");
}

const std::string& version_of(const LoadOptions& options) {
  const std::string& version = options.model_version;
  if (options.revision.empty() || options.revision == version) return version;
  if (version.empty()) return options.revision;
  base::fail_at(ErrorCode::kInvalidArgument, "revision", "is not the model_version (got ",
                options.revision, " and ", version, ")");
}

/// Whether servers may have the model, so that its weights are not needed here.
bool may_be_at_servers(const LoadOptions& options) {
  const char* variable = std::getenv("OPENLLM_BACKEND");
  const std::string_view backend =
      options.backend.empty() && variable != nullptr ? variable : options.backend.c_str();
  if (!options.places.empty())
    return std::all_of(options.places.begin(), options.places.end(), backend::is_server_place);
  return (backend == "vllm" || backend.empty()) && !options.vllm.urls.empty();
}

/// Whether the backend that needs no weights here is the one. (A server that was asked by name may
/// be away for now.)
bool is_at_servers(const ResolvedModel& resolved, const LoadOptions& options) {
  if (!options.backend.empty() || !options.places.empty() ||
      std::getenv("OPENLLM_BACKEND") != nullptr)
    return true;
  for (const backend::BackendEntry& entry : backend::backends()) {
    if (entry.name == "vllm") return !entry.supports(open_source(resolved), options);
  }
  return false;
}

/// Of a model that servers have, what is not here comes without its weights, large as they may be.
ResolvedModel resolve(const std::string& name, const LoadOptions& options) {
  const bool at_servers = may_be_at_servers(options);
  WantedModel wanted{name,
                     options.model_name,
                     version_of(options),
                     options.model_tag,
                     options.serialisation,
                     options.ensure_available,
                     options.offline,
                     options.progress,
                     options.refresh,
                     options.pull_progress,
                     options.stop_token,
                     options.tokenizer,
                     at_servers};
  try {
    ResolvedModel resolved = resolve_model(wanted);
    const bool lacks_weights = resolved.stored && resolved.stored->format == "none";
    if (!lacks_weights || is_at_servers(resolved, options)) return resolved;
    wanted.texts_only = false;
    return resolve_model(wanted);
  } catch (const Error& error) {
    if (!at_servers || error.code() != ErrorCode::kNotFound) throw;
    throw Error(error.code(),
                base::cat(error.what(),
                          "; for a model that only servers have, `tokenizer` (--tokenizer) names a "
                          "tokenizer that is here"),
                error.where(), error.reason());
  }
}

}  // namespace

LocalModel::LocalModel(const std::string& name, const LoadOptions& options)
    : resolved_(resolve(name, options)),
      source_(open_source(resolved_, options.serialisation)),
      tokenizer_pre_(options.tokenizer_pre),
      is_callers_template_(!options.chat_template.empty()) {
  ConfigLayers layers;
  layers.family = family_defaults(source_).config;
  apply_model_defaults(layers.model, source_);
  layers.environment = environment_config();
  layers.load = options.config;
  check_config(layers.load, "");
  config_ = resolve_config(layers);
  layers.family.presence_penalty.reset();
  layers.family.repetition_penalty.reset();
  layers.family.no_repeat_ngram_size.reset();
  layers.family.min_new_tokens.reset();
  greedy_config_ = resolve_config(layers);
  if (is_name(options.chat_template)) {
    templates_.push_back({named_template(source_, options.chat_template)});
    templates_.back().file.name = kDefault;
    is_callers_template_ = false;
  } else if (is_callers_template_) {
    templates_.push_back({{kDefault, options.chat_template, "chat_template"}});
    // What the caller gave is the caller's to mend, now and not with the first messages.
    check_chat_templates();
  } else {
    for (const format::NamedTemplate& file : source_.chat_templates) templates_.push_back({file});
  }
}

const LLMConfig& LocalModel::defaults_for(const GenerateOptions& options) const noexcept {
  const float temperature = options.temperature.value_or(config_.temperature.value_or(1.0F));
  const float top_p = options.top_p.value_or(config_.top_p.value_or(1.0F));
  const bool is_search = options.num_beams.value_or(config_.num_beams.value_or(1)) > 1;
  return is_search || is_greedy(temperature, top_p) ? greedy_config_ : config_;
}

std::shared_ptr<const tokenizer::Tokenizer> LocalModel::tokenizer() {
  const base::MutexLock lock(tokenizer_mutex_);
  if (!tokenizer_loaded_) {
    try {
      tokenizer_ = load_tokenizer(source_, tokenizer_pre_);
    } catch (const Error& error) {
      if (error.code() != ErrorCode::kUnsupported) throw;
      unsupported_tokenizer_ = error.what();  // whoever sends token ids does not need it
    }
    tokenizer_loaded_ = true;
  }
  return tokenizer_;
}

std::shared_ptr<const tokenizer::Tokenizer> LocalModel::require_tokenizer() {
  auto found = tokenizer();
  if (found != nullptr) return found;
  const base::MutexLock lock(tokenizer_mutex_);
  if (!unsupported_tokenizer_.empty()) {
    base::fail(ErrorCode::kUnsupported, unsupported_tokenizer_,
               "; token ids instead of text would do");
  }
  base::fail(ErrorCode::kUnsupported, source_.id,
             ": has no tokenizer (expected tokenizer.json or a vocabulary in ", source_.path,
             "); pass token ids instead of text");
}

void LocalModel::drop_tokenizer() {
  const base::MutexLock lock(tokenizer_mutex_);
  tokenizer_.reset();
  tokenizer_loaded_ = false;
}

const LocalModel::LazyTemplate* LocalModel::find_template(std::string_view name) const noexcept {
  const auto found = std::find_if(templates_.begin(), templates_.end(),
                                  [name](const auto& lazy) { return lazy.file.name == name; });
  return found == templates_.end() ? nullptr : &*found;
}

std::size_t LocalModel::choose_template(const GenerateOptions& options) const {
  if (templates_.empty()) {
    base::fail_with(ErrorCode::kUnsupported, {"messages", ErrorReason::kTemplateMissing},
                    "messages: ", source_.id,
                    " has no chat template (pass a text prompt, or load it with a template)");
  }
  const LazyTemplate* chosen =
      options.tools_json.empty() || options.tools_json == "[]" ? nullptr : find_template(kToolUse);
  if (chosen == nullptr) chosen = find_template(kDefault);
  if (chosen == nullptr) {
    base::fail_with(ErrorCode::kUnsupported, {"messages", ErrorReason::kTemplateMissing},
                    "messages: ", source_.id, " has the chat templates ",
                    format::list_names(source_.chat_templates),
                    ", and none of them is its default (load it with one of them)");
  }
  return static_cast<std::size_t>(chosen - templates_.data());
}

const chat::Template& LocalModel::parse_template(LazyTemplate& lazy) {
  if (!lazy.code) {
    try {
      lazy.code = chat::Template::parse(lazy.file.source, lazy.file.place);
    } catch (const Error& error) {
      if (is_callers_template_ || error.code() != ErrorCode::kInvalidArgument) throw;
      throw Error(ErrorCode::kCorruptData, error.what(), lazy.file.place);
    }
  }
  return *lazy.code;
}

void LocalModel::check_chat_templates() {
  const base::MutexLock lock(template_mutex_);
  for (LazyTemplate& lazy : templates_) parse_template(lazy);
}

const SentenceSettings& LocalModel::sentence_settings() {
  const base::MutexLock lock(sentence_mutex_);
  if (!sentence_) sentence_.emplace(read_sentence_settings(source_));
  return *sentence_;
}

LocalModel::UsableTemplate LocalModel::require_template(const GenerateOptions& options,
                                                        const tokenizer::Tokenizer& tokenizer) {
  const std::size_t index = choose_template(options);
  const base::MutexLock lock(template_mutex_);
  LazyTemplate& lazy = templates_[index];
  const chat::Template& code = parse_template(lazy);
  if (!lazy.rules) {
    std::vector<chat::ControlToken> tokens;
    for (const tokenizer::AddedText& token : tokenizer.added_tokens())
      tokens.push_back({std::string(token.text), token.special});
    lazy.rules = chat::make_control_rules(tokens, code.source(), code.sought_texts());
  }
  return {code, *lazy.rules};
}

chat::RenderedPrompt LocalModel::render_guarded(const std::vector<Message>& messages,
                                                const GenerateOptions& options) {
  if (messages.empty()) base::fail_at(ErrorCode::kInvalidArgument, "messages", "empty");
  choose_template(options);
  const auto tokenizer = require_tokenizer();
  const UsableTemplate usable = require_template(options, *tokenizer);
  usable.code.require_read(messages, options, source_.id);
  return usable.code.render(messages, options, tokenizer->special_tokens_map(), usable.rules);
}

}  // namespace openllm::llm
