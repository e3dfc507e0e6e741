#include "chat/template.h"

#include <algorithm>
#include <optional>

#include "base/error.h"
#include "chat/continuation.h"
#include "chat/reads.h"

namespace openllm::chat {
namespace {

/// OpenAI's newer name of the role system.
constexpr std::string_view kDeveloper = "developer";

/// Templates that do not look for the role would print its name, which no model of theirs knows.
void rename_developers(base::Json& messages) {
  for (base::Json& message : *messages.if_array()) {
    const base::Json* role = message.find("role");
    if (role != nullptr && *role == base::Json(kDeveloper)) message["role"] = "system";
  }
}

}  // namespace

Template Template::parse(std::string source, const std::string& place) {
  jinja::Template code = jinja::Template::parse(source, place);
  if (!code.reads("messages")) {
    base::fail_at(ErrorCode::kInvalidArgument, place,
                  source.empty() ? "empty" : "reads no messages",
                  " (expected a template of conversations; this one would swallow them)");
  }
  return {std::move(source), std::move(code)};
}

Template::Template(std::string source, jinja::Template code)
    : source_(std::move(source)), code_(std::move(code)) {
  const std::vector<std::string> texts = code_.sought_texts();
  knows_developers_ = std::find(texts.begin(), texts.end(), kDeveloper) != texts.end();
}

void Template::require_read(const std::vector<Message>& messages, const GenerateOptions& options,
                            std::string_view model) const {
  chat::require_read(code_, messages, options, model);
}

RenderedPrompt Template::render(const std::vector<Message>& messages,
                                const GenerateOptions& options, const base::Json& special_tokens,
                                const ControlRules& rules) const {
  if (options.continue_final_message && options.add_generation_prompt) {
    base::fail_at(
        ErrorCode::kInvalidArgument, "continue_final_message",
        "cannot be set together with add_generation_prompt, which begins another message");
  }
  base::Json context = request_context(messages, options);
  if (!knows_developers_) rename_developers(context["messages"]);
  ControlMarks marks;
  if (!options.special_tokens_in_messages) marks = ControlMarks::put(rules, source_, context);
  std::optional<Continuation> continuation;
  if (options.continue_final_message) continuation = Continuation::put(source_, context);
  add_model_context(context, options, special_tokens);
  std::string rendered = code_.render(context);
  if (continuation) continuation->cut(rendered);
  return marks.take(std::move(rendered));
}

}  // namespace openllm::chat
