#include "cli/responder.h"

#include <algorithm>

#include "fields/access.h"

namespace openllm::cli {

GenerationOutput LocalResponder::respond(const Prompt& prompt, const GenerateOptions& options,
                                         const OnOutput& on_output) const {
  GenerationOutput last;
  for (const GenerationOutput& output : llm_.generate_iterator(prompt, options)) {
    const bool goes_on = on_output(output);
    if (output.finished || !goes_on) last = output;
    if (!goes_on) break;
  }
  return last;
}

std::optional<int> LocalResponder::completion_tokens() const {
  // A limit from the environment or the model's files counts as asked for.
  const bool is_set = llm_.config().max_new_tokens != fields::initial_config().max_new_tokens;
  return is_set ? std::nullopt : std::optional<int>(kCompletionTokens);
}

std::optional<Responder::Room> LocalResponder::room(const std::vector<Message>& messages,
                                                    const GenerateOptions& options) const {
  const std::string prompt = llm_.apply_chat_template(messages, options);
  const auto context = static_cast<std::size_t>(std::max(llm_.info().max_context, 0));
  return Room{.context = context,
              .used = llm_.tokenize(prompt, {.add_special_tokens = false}).size()};
}

}  // namespace openllm::cli
