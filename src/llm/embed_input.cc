#include "llm/embed_input.h"

#include <algorithm>
#include <utility>

#include "base/error.h"

namespace openllm::llm {
namespace {

using tokenizer::Tokenizer;

void require_room(std::size_t n_tokens, int room, const char* bound = "") {
  if (n_tokens <= static_cast<std::size_t>(room)) return;
  base::fail_with(ErrorCode::kInvalidArgument, {"input", ErrorReason::kContextTooLong},
                  "input: too long for the model (expected at most ", room, " tokens, got ", bound,
                  n_tokens, "): this model's maximum context length is ", room,
                  " tokens; set truncate to keep its beginning");
}

TokenizedInput tokenize_pair(const Tokenizer& tokenizer, const EmbedInput& input, int room) {
  const std::string& first = *input.prompt.text();
  tokenizer::PairOptions options;
  options.max_tokens = input.truncate ? static_cast<std::size_t>(room) : 0;
  if (!input.truncate)
    require_room(tokenizer.min_tokens(first) + tokenizer.min_tokens(*input.second), room,
                 "at least ");
  tokenizer::PairEncoding pair = tokenizer.encode_pair(first, *input.second, options);
  const bool has_types = std::any_of(pair.types.begin(), pair.types.end(),
                                     [](std::int32_t type) { return type != 0; });
  if (!has_types) pair.types.clear();
  return {std::move(pair.ids), std::move(pair.types), 0};
}

TokenizedInput tokenize_text(const Tokenizer& tokenizer, const EmbedInput& input, int room) {
  const std::string text = input.prefix + *input.prompt.text();
  if (!input.truncate) require_room(tokenizer.min_tokens(text), room, "at least ");
  TokenizedInput result;
  result.ids = tokenizer.encode(text, {.add_special_tokens = input.add_special_tokens});
  const std::size_t n_after = input.add_special_tokens ? tokenizer.n_tokens_after() : 0;
  if (!input.prefix.empty()) {
    // As sentence-transformers counts them: the prompt alone, without what comes behind a text.
    const std::size_t n =
        tokenizer.encode(input.prefix, {.add_special_tokens = input.add_special_tokens}).size();
    result.n_prefix = n - std::min(n, n_after);
  }
  const auto most = static_cast<std::size_t>(room);
  if (input.truncate && result.ids.size() > most && most > n_after) {
    const auto end = result.ids.end() - static_cast<std::ptrdiff_t>(n_after);
    result.ids.erase(end - static_cast<std::ptrdiff_t>(result.ids.size() - most), end);
  }
  return result;
}

}  // namespace

TokenizedInput tokenize_input(LocalModel& model, const EmbedInput& input, int max_model_len) {
  int room = max_model_len;
  if (input.truncate && input.max_tokens > 0) room = std::min(room, input.max_tokens);
  TokenizedInput result;
  if (const auto* ids = input.prompt.token_ids()) {
    result.ids = *ids;
    if (input.truncate && result.ids.size() > static_cast<std::size_t>(room))
      result.ids.resize(static_cast<std::size_t>(room));
  } else if (input.prompt.text() == nullptr) {
    base::fail_at(ErrorCode::kUnsupported, "input",
                  "messages cannot be embedded (expected a text)");
  } else {
    const auto tokenizer = model.require_tokenizer();
    result = input.second ? tokenize_pair(*tokenizer, input, room)
                          : tokenize_text(*tokenizer, input, room);
  }
  if (result.ids.empty())
    base::fail_at(ErrorCode::kInvalidArgument, "input", "empty (expected at least one token)");
  require_room(result.ids.size(), room);
  return result;
}

}  // namespace openllm::llm
