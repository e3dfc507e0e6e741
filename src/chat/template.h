#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "chat/context.h"
#include "jinja/template.h"

namespace openllm::chat {

/// The chat template of a model: makes the prompt of a conversation. Thread safety: const methods
/// from any thread.
class Template {
 public:
  /// `source` is Jinja. Throws kInvalidArgument "chat template: line N: ...".
  static Template parse(std::string_view source);

  /// Throws kUnsupported for what the template would ignore; see chat/reads.h.
  void require_read(const std::vector<Message>& messages, const GenerateOptions& options,
                    std::string_view model) const;

  /// The prompt of `messages`. Uses `tools_json`, `chat_template_json` and `add_generation_prompt`
  /// of the options. Throws kInvalidArgument where the template refuses the messages, and
  /// kResourceExhausted where rendering needs too much work or memory.
  std::string render(const std::vector<Message>& messages, const GenerateOptions& options,
                     const SpecialTokens& tokens) const;

 private:
  explicit Template(jinja::Template code) : code_(std::move(code)) {}
  jinja::Template code_;
};

}  // namespace openllm::chat
