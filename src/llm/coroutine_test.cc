// The forms of `co_await` that users write, with options made in place: g++ 12 copies those byte by
// byte (see co_await_safe.h). Only the address sanitizer sees all that can go wrong.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <cstring>
#include <functional>
#include <map>
#include <new>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "openllm/llm.h"

namespace openllm {
namespace {

using testing::ElementsAre;
using testing::Pair;

const std::string kModel = std::string(OPENLLM_TEST_DATA) + "/stories260K/stories260K.gguf";

Task<std::string> defaults(LLM llm) {
  const GenerationOutput output = co_await llm.async_generate("Once upon a time");
  co_return output.outputs[0].text;
}

Task<GenerationOutput> in_place(LLM llm) {
  const std::vector<std::string> stops = {"no such text in the answer, and too long to be small"};
  std::map<std::int32_t, float> bias = {{7, -1.0F}, {9, -1.0F}, {300, -100.0F}};
  const std::stop_source source;
  co_return co_await llm.async_generate(
      "Once", {.max_new_tokens = 6,
               .temperature = 0.0F,
               .logit_bias = std::move(bias),
               .stop = stops,
               .request_id = "a name too long for the small form of strings",
               .stop_token = source.get_token(),
               .executor = [](const std::function<void()>& resume) { resume(); },
               .adapter_name = ""});
}

Task<GenerationOutput> with_type(LLM llm) {
  const auto first = co_await llm.async_generate(
      "Once", GenerateOptions{.max_new_tokens = 6, .temperature = 0.0F, .request_id = "short"});
  const auto second = co_await llm.async_generate(std::string("Once") + first.outputs[0].text,
                                                  {.max_new_tokens = 1, .temperature = 0.0F});
  co_return second;
}

TEST(Coroutine, OptionsMayBeMadeInPlace) {
  const LLM llm(kModel, {.n_threads = 1});
  EXPECT_FALSE(defaults(llm).get().empty());
  const GenerationOutput output = in_place(llm).get();
  EXPECT_EQ(output.outputs[0].token_ids.size(), 6U);
  EXPECT_EQ(output.request_id, "a name too long for the small form of strings");
  EXPECT_EQ(with_type(llm).get().outputs[0].token_ids.size(), 1U);
}

TEST(Coroutine, PromptsMayStandInBraces) {
  const LLM llm(kModel, {.n_threads = 1, .chat_template = "{{ messages[0].content }}"});
  const GenerateOptions options{.max_new_tokens = 6, .temperature = 0.0F};
  const std::vector<std::int32_t> ids{1, 403, 407};
  EXPECT_EQ(llm.generate({1, 403, 407}, options).outputs[0].text,
            llm.generate(ids, options).outputs[0].text);
  const std::vector<Message> messages{{.role = "user", .content = "Once"}};
  EXPECT_EQ(llm.generate({{.role = "user", .content = "Once"}}, options).outputs[0].text,
            llm.generate(messages, options).outputs[0].text);
  EXPECT_EQ(llm.async_generate({1, 403, 407}, options).get().outputs[0].text,
            llm.generate(ids, options).outputs[0].text);
  EXPECT_EQ(llm.generate({1}, options).prompt_token_ids, std::vector<std::int32_t>{1});
  EXPECT_EQ(llm.generate({0}, options).prompt_token_ids, std::vector<std::int32_t>{0});
}

TEST(Coroutine, OutputsCountAndMeasure) {
  const LLM llm(kModel, {.n_threads = 1});
  const GenerateOptions options{.max_new_tokens = 6, .n = 3, .ignore_eos = true};
  std::int64_t n_seen = 0;
  for (const OutputKind kind :
       {OutputKind::kCumulative, OutputKind::kDelta, OutputKind::kFinalOnly}) {
    GenerateOptions now = options;
    now.output_kind = kind;
    GenerationStream stream = llm.generate_iterator({1, 403, 407}, now);
    GenerationOutput last;
    while (const GenerationOutput* output = stream.next()) last = *output;
    EXPECT_EQ(last.usage.n_prompt_tokens, 3);
    EXPECT_EQ(last.usage.n_completion_tokens, 18);
    EXPECT_EQ(last.usage.n_cached_tokens, last.n_cached_tokens);
    ASSERT_TRUE(last.timing.queued_s && last.timing.first_token_s);
    EXPECT_GE(*last.timing.queued_s, 0.0);
    EXPECT_GE(*last.timing.first_token_s, *last.timing.queued_s);
    EXPECT_GE(last.timing.total_s, *last.timing.first_token_s);
    n_seen += last.usage.n_completion_tokens;
  }
  EXPECT_EQ(llm.stats().n_generated_tokens, n_seen);
}

/// What `accepted` throws, and whether there are outputs after it.
Task<std::pair<std::string, bool>> acceptance(LLM llm, Prompt prompt, GenerateOptions options) {
  AsyncGenerationStream stream = llm.async_generate_iterator(prompt, options);
  std::string error;
  try {
    co_await stream.accepted();
    co_await stream.accepted();
  } catch (const Error& refusal) {
    error = refusal.what();
  }
  const bool has_output = co_await stream.next() != nullptr;
  co_await stream.accepted();
  co_return std::pair(error, has_output);
}

TEST(Coroutine, AcceptanceComesBeforeTheFirstOutput) {
  const LLM llm(kModel, {.n_threads = 1});
  const GenerateOptions options{.max_new_tokens = 4, .output_kind = OutputKind::kFinalOnly};
  EXPECT_THAT(acceptance(llm, "Once", options).get(), Pair("", true));
  const std::vector<std::int32_t> long_prompt(10'000, 5);
  EXPECT_THAT(acceptance(llm, long_prompt, options).get(),
              Pair(testing::HasSubstr("too long"), false));
  const std::vector<std::int32_t> wrong_prompt{1 << 20};
  EXPECT_THAT(acceptance(llm, wrong_prompt, options).get(),
              Pair(testing::HasSubstr("no such id"), false));
  std::stop_source source;
  source.request_stop();
  GenerateOptions stopped = options;
  stopped.stop_token = source.get_token();
  EXPECT_THAT(acceptance(llm, "Once", stopped).get(), Pair("", true)) << "a cancelled output";
}

// What g++ 12 does, by hand: a copy of the bytes, read and destroyed beside the original.
TEST(CoAwaitSafe, ACopyOfBytesOwnsNothing) {
  using Text = CoAwaitSafe<std::string>;
  const Text original("a text that is too long for the small form of strings");
  alignas(Text) std::byte memory[sizeof(Text)];
  std::memcpy(memory, static_cast<const void*>(&original), sizeof(Text));
  {
    Text* const bytes = std::launder(reinterpret_cast<Text*>(memory));
    Text copy(*bytes);
    Text moved(std::move(*bytes));
    copy += "!";
    EXPECT_EQ(moved, original);
    moved = std::move(*bytes);
    EXPECT_EQ(moved + "!", copy);
    bytes->~Text();
  }
  EXPECT_EQ(original, "a text that is too long for the small form of strings");
}

TEST(CoAwaitSafe, IsWhatItHolds) {
  GenerateOptions options{.logit_bias = {{5, -1.0F}}, .stop = {"a", "b"}, .request_id = "x"};
  options.logit_bias[6] = 1.0F;
  options.stop.push_back("c");
  options.request_id += "y";
  const GenerateOptions copy = options;
  GenerateOptions moved = std::move(options);
  EXPECT_THAT(copy.logit_bias, ElementsAre(Pair(5, -1.0F), Pair(6, 1.0F)));
  EXPECT_THAT(moved.stop, ElementsAre("a", "b", "c"));
  EXPECT_EQ("name " + copy.request_id, "name xy");
  moved.stop = {"d"};
  moved.request_id = std::string("z");
  EXPECT_THAT(moved.stop, ElementsAre("d"));
  const std::string& plain = moved.request_id;
  EXPECT_EQ(plain, "z");
}

}  // namespace
}  // namespace openllm
