#include "server/text_biases.h"

#include <limits>

#include "base/error.h"
#include "server/offload.h"

namespace openllm::server {

void add_text_biases(
    const fields::TextNumbers& texts, GenerateOptions& options,
    const std::function<std::vector<std::int32_t>(const std::string&, bool)>& tokenize) {
  for (const auto& [text, number, place] : texts) {
    const std::vector<std::int32_t> tokens = tokenize(text, false);
    if (tokens.empty())
      base::fail_at(ErrorCode::kInvalidArgument, place, "no token (expected a text that has some)");
    if (tokenize(text, true) != tokens) {
      base::fail_at(ErrorCode::kInvalidArgument, place,
                    "has a special token, or its text (expected its token id)");
    }
    for (const std::int32_t token : tokens) {
      if (options.logit_bias.emplace(token, number).second) continue;
      base::fail_at(ErrorCode::kInvalidArgument, place, "token ", token,
                    " of it has a bias already (expected each token once)");
    }
  }
}

Task<void> add_text_biases(Call& call, const fields::TextNumbers& texts, GenerateOptions& options,
                           const LLM& llm) {
  if (texts.empty()) co_return;
  const std::function<void()> work = [&] {
    add_text_biases(texts, options, [&llm](const std::string& text, bool parse_special) {
      return llm.tokenize(text, {.add_special_tokens = false, .parse_special = parse_special});
    });
  };
  constexpr std::size_t kAlways = std::numeric_limits<std::size_t>::max();
  co_await Offload(call.app.large_bodies, call.app.executor, kAlways, work);
}

}  // namespace openllm::server
