// Fields that requests had alone, as defaults of a configuration: each has its effect end to end.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "openllm/llm.h"

namespace openllm {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::SizeIs;
using Ids = std::vector<std::int32_t>;

const std::string kModel = std::string(OPENLLM_TEST_DATA) + "/stories260K/stories260K.gguf";
constexpr const char* kPrompt = "Once upon a time";

LLMConfig greedy(int max_new_tokens = 24) {
  return {.max_new_tokens = max_new_tokens,
          .temperature = 0.0F,
          .presence_penalty = 0.0F,
          .ignore_eos = true};
}
LLM load(const LLMConfig& config) { return LLM(kModel, {.n_threads = 1, .config = config}); }

TEST(ConfigDefaults, ChoicesSeedAndBest) {
  LLMConfig config = greedy();
  config.temperature = 1.0F;
  config.n = 3;
  config.seed = 5;
  const LLM llm = load(config);
  const GenerationOutput output = llm.generate(kPrompt);
  ASSERT_THAT(output.outputs, SizeIs(3));
  EXPECT_EQ(llm.generate(kPrompt).outputs[2].text, output.outputs[2].text) << "one seed";
  EXPECT_THAT(llm.generate(kPrompt, {.n = 1}).outputs, SizeIs(1)) << "the request decides";
  EXPECT_NE(llm.generate(kPrompt, {.seed = 6}).outputs[0].text, output.outputs[0].text);
  EXPECT_NE(llm.generate(kPrompt, {.seed = kRandomSeed}).outputs[0].text,
            llm.generate(kPrompt, {.seed = kRandomSeed}).outputs[0].text)
      << "a random one each time, over the default";
  config.n = 1;
  config.best_of = 3;
  const GenerationOutput best = load(config).generate(kPrompt);
  ASSERT_THAT(best.outputs, SizeIs(1));
  for (const CompletionChunk& chunk : output.outputs)
    EXPECT_GE(best.outputs[0].cumulative_logprob, chunk.cumulative_logprob);
}

TEST(ConfigDefaults, StopsAndTheirText) {
  LLMConfig config = greedy();
  config.stop = {"was"};
  const std::string cut = load(config).generate(kPrompt).outputs[0].text;
  EXPECT_THAT(cut, Not(HasSubstr("was")));
  config.include_stop_in_output = true;
  const LLM including = load(config);
  EXPECT_EQ(including.generate(kPrompt).outputs[0].text, cut + "was");
  EXPECT_EQ(including.generate(kPrompt, {.include_stop_in_output = false}).outputs[0].text, cut);
  EXPECT_THAT(
      including.generate(kPrompt, {.stop = std::vector<std::string>{"zzz"}}).outputs[0].token_ids,
      SizeIs(24));
}

TEST(ConfigDefaults, StopTokensAndRulesOnTokens) {
  const Ids plain = load(greedy()).generate(kPrompt).outputs[0].token_ids;
  LLMConfig config = greedy();
  config.stop_token_ids = {plain[4]};
  EXPECT_EQ(load(config).generate(kPrompt).outputs[0].finish_reason, FinishReason::kStop);
  config = greedy();
  config.logit_bias = {{plain[0], -1e6F}};
  EXPECT_NE(load(config).generate(kPrompt).outputs[0].token_ids[0], plain[0]);
  config = greedy();
  config.allowed_token_ids = {plain[1]};
  EXPECT_EQ(load(config).generate(kPrompt).outputs[0].token_ids, Ids(24, plain[1]));
  config = greedy();
  config.bad_words = {"was"};
  EXPECT_THAT(load(config).generate(kPrompt).outputs[0].text, Not(HasSubstr("was")));
}

TEST(ConfigDefaults, FormOfTheOutput) {
  LLMConfig config = greedy(6);
  config.logprobs = 2;
  config.prompt_logprobs = 1;
  config.stream_interval = 4;
  const LLM llm = load(config);
  const GenerationOutput output = llm.generate(kPrompt);
  EXPECT_THAT(*output.outputs[0].logprobs, SizeIs(6));
  EXPECT_TRUE(output.prompt_logprobs.has_value());
  int n_outputs = 0;
  for (const GenerationOutput& each : llm.generate_iterator(kPrompt))
    n_outputs += each.outputs[0].n_delta_tokens > 0 ? 1 : 0;
  EXPECT_LE(n_outputs, 3);
}

TEST(ConfigDefaults, PromptsAndTime) {
  const Ids longest(600, 5);
  LLMConfig config = greedy(4);
  EXPECT_THROW((void)load(config).generate(longest), Error);
  config.truncate_prompt = true;
  const LLM llm = load(config);
  EXPECT_THAT(llm.generate(longest).outputs[0].token_ids, SizeIs(4));
  EXPECT_THROW((void)llm.generate(longest, {.truncate_prompt = false}), Error);
  config = greedy(-1);
  config.timeout = std::chrono::milliseconds(1);
  EXPECT_EQ(load(config).generate(kPrompt, {.n = 64}).outputs[0].finish_reason,
            FinishReason::kDeadline);
}

TEST(NotInherited, N11OptionsOfLoadingOverrideOnlyWhatTheySet) {
  const LLM llm(kModel, {.config = {.top_k = 3}});
  const LLMConfig own = LLM(kModel).config();
  LLMConfig expected = own;
  expected.top_k = 3;
  EXPECT_EQ(llm.config(), expected);
  EXPECT_NE(own.top_k, 3);
}

/// As on vocabularies of Llama 2, where "</s>" may also be written in letters.
TEST(NotInherited, N46TheTextOfAnEndTokenIsNoStopText) {
  constexpr std::int32_t kBefore = 5;
  constexpr std::int32_t kEos = 2;
  const LLM llm = load({.temperature = 0.0F, .presence_penalty = 0.0F});
  const Ids letters = llm.tokenize("</s>", {.add_special_tokens = false, .parse_special = false});
  ASSERT_GT(letters.size(), 1U) << "several tokens, none of them the end";
  // Makes the answer these tokens, one after the other.
  const auto answer = [&](const Ids& tokens, const std::vector<std::string>& stop) {
    GenerateOptions options;
    options.max_new_tokens = static_cast<int>(tokens.size()) + 1;
    options.stop = stop;
    Ids run{kBefore};
    for (const std::int32_t id : tokens) {
      options.sequence_bias[{run.back(), id}] = 1000.0F;
      run.push_back(id);
    }
    return llm.generate(Ids{1, kBefore}, options).outputs[0];
  };
  EXPECT_THAT(answer(letters, {}).text, HasSubstr("</s>")) << "letters are text";
  EXPECT_EQ(answer(letters, {}).finish_reason, FinishReason::kLength);
  const CompletionChunk cut = answer(letters, {"</s>"});
  EXPECT_THAT(cut.text, Not(HasSubstr("</s>")));
  EXPECT_EQ(cut.finish_reason, FinishReason::kStop);
  const CompletionChunk ended = answer({letters[0], kEos}, {});
  EXPECT_EQ(ended.finish_reason, FinishReason::kStop) << "the id ends it";
}

TEST(NotInherited, N47ListsOfACallerStayAsTheyAre) {
  const LLM llm = load(greedy(4));
  const LLMConfig before = llm.config();
  GenerateOptions options;
  options.stop = std::vector<std::string>{"b", "a", "b"};
  options.stop_token_ids = Ids{9, 3, 9};
  options.allowed_token_ids = Ids{8, 5, 4};
  options.eos_token_ids = Ids{7, 6};
  const GenerateOptions given = options;
  (void)llm.generate(kPrompt, options);
  EXPECT_THAT(options.stop, ElementsAre("b", "a", "b"));
  EXPECT_THAT(options.stop_token_ids, ElementsAre(9, 3, 9));
  EXPECT_THAT(options.allowed_token_ids, ElementsAre(8, 5, 4));
  EXPECT_THAT(options.eos_token_ids, ElementsAre(7, 6));
  EXPECT_EQ(llm.config(), before);
}

TEST(FamilyDefaults, GreedyAnswersAreTheModelsOwn) {
  const LLM llm(OPENLLM_TEST_DATA "/stories260K/hf");
  ASSERT_EQ(llm.config().presence_penalty, 0.5F);
  const auto text = [&](float temperature, std::optional<float> penalty) {
    GenerateOptions options{.max_new_tokens = 60, .temperature = temperature, .seed = 1};
    options.presence_penalty = penalty;
    return llm.generate("Once", options).outputs[0].text;
  };
  EXPECT_EQ(text(0, std::nullopt), text(0, 0.0F));
  EXPECT_NE(text(0, std::nullopt), text(0, 0.5F));
  EXPECT_EQ(text(1, std::nullopt), text(1, 0.5F));
  EXPECT_NE(text(1, std::nullopt), text(1, 0.0F));
}

}  // namespace
}  // namespace openllm
