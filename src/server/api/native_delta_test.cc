#include "server/api/native_delta.h"

#include <gtest/gtest.h>

#include "base/json.h"

namespace openllm::server {
namespace {

/// Two choices after `n` tokens each; the second ends after two. Of the last step only `n_new`.
GenerationOutput after(int n, int n_new) {
  const std::string texts = "abcdefgh";
  GenerationOutput output;
  output.prompt = "p";
  output.prompt_token_ids = {1, 2};
  for (int i = 0; i < 2; ++i) {
    const int length = i == 1 ? std::min(n, 2) : n;
    const int gained = std::max(0, length - std::max(0, n - n_new));
    CompletionChunk chunk;
    chunk.index = i;
    chunk.text = texts.substr(0, static_cast<std::size_t>(length));
    chunk.delta = chunk.text.substr(static_cast<std::size_t>(length - gained));
    chunk.n_delta_tokens = static_cast<std::size_t>(gained);
    chunk.logprobs.emplace();
    for (int t = 0; t < length; ++t) {
      chunk.token_ids.push_back(10 * (i + 1) + t);
      chunk.logprobs->push_back({{10 * (i + 1) + t, -1.0F}});
    }
    if (i == 1 && n >= 2) chunk.finish_reason = FinishReason::kStop;
    output.outputs.push_back(std::move(chunk));
  }
  return output;
}

base::Json event(const std::optional<std::string>& text) {
  EXPECT_TRUE(text.has_value());
  return base::Json::parse(text.value_or("null"), "event");
}

const base::Json& choice(const base::Json& event, std::size_t i) {
  return event.find("outputs")->if_array()->at(i);
}

TEST(NativeDeltas, HaveOnlyWhatIsNew) {
  NativeDeltas deltas;
  const base::Json first = event(deltas.next(after(1, 1)));
  EXPECT_EQ(first.find("prompt")->dump(), "\"p\"");
  EXPECT_EQ(first.find("prompt_token_ids")->dump(), "[1,2]");
  EXPECT_EQ(choice(first, 1).find("token_ids")->dump(), "[20]");
  const base::Json second = event(deltas.next(after(3, 2)));
  EXPECT_EQ(second.find("prompt")->dump(), "\"\"");
  EXPECT_EQ(choice(second, 0).find("text")->dump(), "\"bc\"");
  EXPECT_EQ(choice(second, 0).find("token_ids")->dump(), "[11,12]");
  EXPECT_EQ(choice(second, 0).find("logprobs")->if_array()->size(), 2U);
  EXPECT_EQ(choice(second, 1).find("text")->dump(), "\"b\"");
  EXPECT_EQ(choice(second, 1).find("finish_reason")->dump(), "\"stop\"");
}

TEST(NativeDeltas, TellTheEndOfAChoiceOnceAndNothingWithoutNews) {
  NativeDeltas deltas;
  (void)deltas.next(after(2, 2));
  const base::Json later = event(deltas.next(after(3, 1)));
  EXPECT_EQ(later.find("outputs")->if_array()->size(), 1U);
  EXPECT_EQ(deltas.next(after(3, 0)), std::nullopt);
  GenerationOutput last = after(3, 0);
  last.finished = true;
  last.outputs[0].finish_reason = FinishReason::kLength;
  const base::Json end = event(deltas.next(last));
  EXPECT_EQ(end.find("finished")->dump(), "true");
  EXPECT_EQ(choice(end, 0).find("finish_reason")->dump(), "\"length\"");
  EXPECT_EQ(choice(end, 0).find("text")->dump(), "\"\"");
}

}  // namespace
}  // namespace openllm::server
