#include "cli/responder.h"

#include <algorithm>

#include "fields/access.h"

namespace openllm::cli {

GenerationOutput LocalResponder::respond(const Prompt& prompt, const GenerateOptions& options,
                                         const OnOutput& on_output) const {
  GenerationOutput last;
  GenerateOptions asked = options;
  // No stream has the best ones, nor those of a beam search.
  if (options.best_of || llm_.config().best_of || options.num_beams.value_or(1) > 1)
    asked.output_kind = OutputKind::kFinalOnly;
  for (const GenerationOutput& output : llm_.generate_iterator(prompt, asked)) {
    const bool goes_on = on_output(output);
    if (output.finished || !goes_on) last = output;
    if (!goes_on) break;
  }
  return last;
}

std::optional<int> LocalResponder::completion_tokens() const {
  // A limit of the configuration counts as asked for.
  const LLMConfig config = llm_.config();
  if (!fields::has_length(config)) return kCompletionTokens;
  return config.max_length ? std::nullopt : config.max_new_tokens;
}

std::optional<Responder::Room> LocalResponder::room(const std::vector<Message>& messages,
                                                    const GenerateOptions& options) const {
  const std::string prompt = llm_.apply_chat_template(messages, options);
  const auto context = static_cast<std::size_t>(std::max(llm_.info().max_context, 0));
  return Room{.context = context,
              .used = llm_.tokenize(prompt, {.add_special_tokens = false}).size()};
}

}  // namespace openllm::cli
