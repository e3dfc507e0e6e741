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
