#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/mutex.h"
#include "chat/template.h"
#include "format/model_source.h"
#include "llm/model_files.h"
#include "llm/sentence_settings.h"
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
  /// Its entry in the store; none for a path.
  const std::optional<StoredModel>& stored() const noexcept { return resolved_.stored; }
  /// Defaults of requests.
  const LLMConfig& config() const noexcept { return config_; }
  /// Those of a request. What the family says of penalties, repetitions and the least length is
  /// for answers that are drawn: a greedy one, and what a search finds, is the model's own.
  const LLMConfig& defaults_for(const GenerateOptions& options) const noexcept;

  /// Null when the model has none, or one that is not supported. Loaded at first use.
  std::shared_ptr<const tokenizer::Tokenizer> tokenizer();
  /// Throws kUnsupported when there is none.
  std::shared_ptr<const tokenizer::Tokenizer> require_tokenizer();
  /// Frees the tokenizer once nobody else holds it; the next use loads it again.
  void drop_tokenizer();

  /// How it makes vectors of texts. Read at first use; throws what is wrong with the files.
  const SentenceSettings& sentence_settings();

  bool has_chat_template() const noexcept { return !templates_.empty(); }
  /// Throws kCorruptData naming the file or key of a chat template that cannot be used; so a broken
  /// one shows when the model loads and not with the first conversation.
  void check_chat_templates();
  /// The prompt that the chat template makes of the messages: of several templates "tool_use" when
  /// there are tools, else "default". Throws kUnsupported when there is no such template.
  chat::RenderedPrompt render_guarded(const std::vector<Message>& messages,
                                      const GenerateOptions& options);
  /// Its text.
  std::string render(const std::vector<Message>& messages, const GenerateOptions& options) {
    return render_guarded(messages, options).text;
  }

 private:
  /// A template of the model, parsed at its first use.
  struct LazyTemplate {
    format::NamedTemplate file;
    std::optional<chat::Template> code{};
    std::optional<chat::ControlRules> rules{};
  };
  struct UsableTemplate {
    const chat::Template& code;
    const chat::ControlRules& rules;
  };
  const LazyTemplate* find_template(std::string_view name) const noexcept;
  /// The one for a request.
  std::size_t choose_template(const GenerateOptions& options) const;
  const chat::Template& parse_template(LazyTemplate& lazy) REQUIRES(template_mutex_);
  UsableTemplate require_template(const GenerateOptions& options,
                                  const tokenizer::Tokenizer& tokenizer);

  const ResolvedModel resolved_;
  const format::ModelSource source_;
  const std::string tokenizer_pre_;  // LoadOptions::tokenizer_pre
  bool is_callers_template_;         // LoadOptions::chat_template
  LLMConfig config_;
  LLMConfig greedy_config_;

  base::Mutex tokenizer_mutex_;
  bool tokenizer_loaded_ GUARDED_BY(tokenizer_mutex_) = false;
  std::shared_ptr<const tokenizer::Tokenizer> tokenizer_ GUARDED_BY(tokenizer_mutex_);
  /// Why there is none, if the files have one.
  std::string unsupported_tokenizer_ GUARDED_BY(tokenizer_mutex_);
  base::Mutex sentence_mutex_;
  std::optional<SentenceSettings> sentence_ GUARDED_BY(sentence_mutex_);  // stays once it is there
  base::Mutex template_mutex_;
  std::vector<LazyTemplate> templates_;  // the list stays as it is; what was parsed is guarded
};

}  // namespace openllm::llm
