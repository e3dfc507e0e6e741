#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "chat/context.h"
#include "chat/control_words.h"
#include "jinja/template.h"

namespace openllm::chat {

/// The chat template of a model: makes the prompt of a conversation. Thread safety: const methods
/// from any thread.
class Template {
 public:
  /// `source` is Jinja. Throws kInvalidArgument "PLACE: line N: ...", also for a template that
  /// reads no messages: it would give the same prompt for every conversation.
  static Template parse(std::string source, const std::string& place = "chat template");

  /// Throws kUnsupported for what the template would ignore; see chat/reads.h.
  void require_read(const std::vector<Message>& messages, const GenerateOptions& options,
                    std::string_view model) const;

  /// The prompt of `messages`. Uses `tools_json`, `chat_template_json`, `add_generation_prompt`,
  /// `continue_final_message` and `special_tokens_in_messages` of the options. Throws
  /// kInvalidArgument where the template refuses the messages, and kResourceExhausted where
  /// rendering needs too much work or memory.
  RenderedPrompt render(const std::vector<Message>& messages, const GenerateOptions& options,
                        const base::Json& special_tokens, const ControlRules& rules) const;

  const std::string& source() const noexcept { return source_; }
  /// As jinja::Template.
  std::vector<std::string> sought_texts() const { return code_.sought_texts(); }

 private:
  Template(std::string source, jinja::Template code);
  std::string source_;
  jinja::Template code_;
  bool knows_developers_ = false;  ///< It looks for the role "developer".
};

}  // namespace openllm::chat
