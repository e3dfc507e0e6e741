#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "chat/template.h"
#include "format/model_source.h"
#include "openllm/llm.h"
#include "tokenizer/tokenizer.h"

namespace openllm::llm {

/// A model on disk as requests see it: configuration, tokenizer and chat template. Needs neither
/// weights nor a backend. Thread safety: every method from any thread.
class LocalModel {
 public:
  /// Opens what `name` stands for (`resolve_model`) and puts the defaults of requests together from
  /// its files, the environment and `options`.
  LocalModel(const std::string& name, const LoadOptions& options);
  LocalModel(const LocalModel&) = delete;
  LocalModel& operator=(const LocalModel&) = delete;

  const format::ModelSource& source() const noexcept { return source_; }
  const std::string& id() const noexcept { return source_.id; }
  /// Defaults of requests.
  const LLMConfig& config() const noexcept { return config_; }

  /// Null when the model has none, or one that is not supported. Loaded at first use.
  std::shared_ptr<const tokenizer::Tokenizer> tokenizer();
  /// Throws kUnsupported when there is none.
  std::shared_ptr<const tokenizer::Tokenizer> require_tokenizer();
  /// Frees the tokenizer once nobody else holds it; the next use loads it again.
  void drop_tokenizer();

  bool has_chat_template() const noexcept { return template_source_.has_value(); }
  /// The prompt that the chat template makes of the messages. Throws kUnsupported when there is no
  /// template.
  std::string render(const std::vector<Message>& messages, const GenerateOptions& options);

 private:
  const chat::Template& require_template();

  const format::ModelSource source_;
  LLMConfig config_;
  std::optional<std::string> template_source_;

  base::Mutex tokenizer_mutex_;
  bool tokenizer_loaded_ GUARDED_BY(tokenizer_mutex_) = false;
  std::shared_ptr<const tokenizer::Tokenizer> tokenizer_ GUARDED_BY(tokenizer_mutex_);
  /// Why there is none, if the files have one.
  std::string unsupported_tokenizer_ GUARDED_BY(tokenizer_mutex_);
  base::Mutex template_mutex_;
  std::optional<chat::Template> template_ GUARDED_BY(template_mutex_);
};

}  // namespace openllm::llm
