// The forms of `co_await` that users write, with options made in place: g++ 12 copies those byte by
// byte (see option_values.h). Run under the address sanitizer.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

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
  co_return co_await llm.async_generate("Once", {.max_new_tokens = 6,
                                                 .temperature = 0.0F,
                                                 .request_id = "a name too long for the small form",
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
  EXPECT_EQ(output.request_id, "a name too long for the small form");
  EXPECT_EQ(with_type(llm).get().outputs[0].token_ids.size(), 1U);
}

TEST(OptionText, IsAText) {
  OptionText text;
  EXPECT_TRUE(text.empty());
  EXPECT_EQ(text, "");
  text = std::string("abc");
  const OptionText copy = text;
  text = "";
  EXPECT_TRUE(text.empty());
  EXPECT_EQ(copy, "abc");
  const std::string plain = copy;
  EXPECT_EQ(plain, copy.str());
}

TEST(LogitBias, IsOrderedById) {
  LogitBias bias{{7, 1.5F}, {-1, 2.0F}, {7, 2.5F}};
  bias[5] = -100.0F;
  bias[7] += 1.0F;
  EXPECT_THAT(bias, ElementsAre(Pair(-1, 2.0F), Pair(5, -100.0F), Pair(7, 3.5F)));
  EXPECT_EQ(bias.at(5), -100.0F);
  EXPECT_THROW(bias.at(6), Error);
  const GenerateOptions options{.logit_bias = {{5, -1.0F}}};
  EXPECT_EQ(options.logit_bias.size(), 1U);
  bias = std::map<std::int32_t, float>{{3, 1.0F}};
  EXPECT_THAT(bias, ElementsAre(Pair(3, 1.0F)));
}

}  // namespace
}  // namespace openllm
