#include "llm/local_model.h"

#include "base/error.h"
#include "llm/llm_config.h"
#include "llm/model_files.h"

namespace openllm::llm {

LocalModel::LocalModel(const std::string& name, const LoadOptions& options)
    : source_(open_source(name)) {
  ConfigLayers layers;
  apply_model_defaults(layers.model, source_);
  layers.environment = environment_config();
  layers.load = options.config;
  check_config(layers.load, "");
  config_ = resolve_config(layers);
  template_source_ =
      options.chat_template.empty() ? source_.chat_template : std::optional(options.chat_template);
  // What the caller gave is the caller's to mend, now and not with the first messages.
  if (!options.chat_template.empty()) require_template();
}

std::shared_ptr<const tokenizer::Tokenizer> LocalModel::tokenizer() {
  const base::MutexLock lock(tokenizer_mutex_);
  if (!tokenizer_loaded_) {
    try {
      tokenizer_ = load_tokenizer(source_);
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

const chat::Template& LocalModel::require_template() {
  const base::MutexLock lock(template_mutex_);
  if (!template_) {
    if (!template_source_) {
      base::fail_with(ErrorCode::kUnsupported, {"messages", ErrorReason::kTemplateMissing},
                      "messages: ", source_.id,
                      " has no chat template (pass a text prompt, or load it with a template)");
    }
    template_ = chat::Template::parse(*template_source_);
  }
  return *template_;
}

std::string LocalModel::render(const std::vector<Message>& messages,
                               const GenerateOptions& options) {
  if (messages.empty()) base::fail_at(ErrorCode::kInvalidArgument, "messages", "empty");
  const chat::Template& chat_template = require_template();
  chat_template.require_read(messages, options, source_.id);
  const auto tokenizer = require_tokenizer();
  return chat_template.render(messages, options,
                              {.bos = tokenizer->bos_piece(), .eos = tokenizer->eos_piece()});
}

}  // namespace openllm::llm
