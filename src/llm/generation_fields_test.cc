// Each field that rules or cuts the choice of tokens has its effect end to end, or is refused by
// name.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "openllm/llm.h"

namespace openllm {
namespace {

using testing::Contains;
using testing::Each;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Not;
using Ids = std::vector<std::int32_t>;

const std::string kModel = std::string(OPENLLM_TEST_DATA) + "/stories260K/stories260K.gguf";
constexpr const char* kPrompt = "Once upon a time";
constexpr std::int32_t kEos = 2;

class GenerationFields : public testing::Test {
 protected:
  CompletionChunk answer(const GenerateOptions& options, const Prompt& prompt = kPrompt) const {
    return llm_.generate(prompt, options).outputs.at(0);
  }
  Ids ids(const GenerateOptions& options, const Prompt& prompt = kPrompt) const {
    return answer(options, prompt).token_ids;
  }
  /// The field that the error is about.
  std::string refused(const GenerateOptions& options, const Prompt& prompt = kPrompt) const {
    try {
      answer(options, prompt);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument) << error.what();
      return std::string(error.where());
    }
    return "none";
  }
  static GenerateOptions greedy(int n = 24) {
    return {.max_new_tokens = n, .temperature = 0.0F, .ignore_eos = true};
  }
  static GenerateOptions sampled(std::uint64_t seed) {
    return {
        .max_new_tokens = 24, .temperature = 1.0F, .top_k = 0, .seed = seed, .ignore_eos = true};
  }
  std::int32_t id_of(const std::string& text) const {
    for (std::int32_t id = 3; id < 512; ++id) {
      if (llm_.token_text(id) == text) return id;
    }
    return -1;
  }

  const LLM llm_{kModel, {.n_threads = 1}};
  const int n_prompt_ = static_cast<int>(llm_.tokenize(kPrompt).size());
};

TEST_F(GenerationFields, CutOffsOfTheDistribution) {
  GenerateOptions options = sampled(1);
  options.typical_p = 1e-6F;  // the most typical token, whatever is drawn
  const Ids typical = ids(options);
  options.seed = 2;
  EXPECT_EQ(ids(options), typical);
  EXPECT_NE(ids(sampled(1)), ids(sampled(2)));
  options = sampled(1);
  options.epsilon_cutoff = 0.999F;
  EXPECT_EQ(ids(options), ids(greedy()));
  options = sampled(1);
  options.eta_cutoff = 0.999F;
  EXPECT_NE(ids(options), ids(sampled(1)));
}

TEST_F(GenerationFields, NoRunOfTokensTwice) {
  GenerateOptions options = greedy(100);
  options.no_repeat_ngram_size = 1;
  Ids all = llm_.tokenize(kPrompt);
  const std::size_t n_different = std::set<std::int32_t>(all.begin(), all.end()).size();
  const Ids made = ids(options);
  EXPECT_EQ(std::set<std::int32_t>(made.begin(), made.end()).size(), 100U);
  all.insert(all.end(), made.begin(), made.end());
  EXPECT_EQ(std::set<std::int32_t>(all.begin(), all.end()).size(), n_different + 100);
}

TEST_F(GenerationFields, BadWordsSuppressedAndAllowedTokens) {
  const Ids plain = ids(greedy());
  GenerateOptions options = greedy();
  options.bad_words_ids = std::vector<Ids>{{plain[0], plain[1]}};
  EXPECT_EQ(ids(options)[0], plain[0]);
  EXPECT_NE(ids(options)[1], plain[1]);

  options = greedy();
  ASSERT_THAT(answer(options).text, testing::HasSubstr("there"));
  options.bad_words = std::vector<std::string>{"there", "  girl"};
  EXPECT_THAT(answer(options).text, Not(testing::HasSubstr("there")));
  EXPECT_THAT(answer(options).text, Not(testing::HasSubstr("girl")));

  options = greedy();
  options.suppress_tokens = Ids{plain[0], plain[2]};
  EXPECT_THAT(ids(options), Not(Contains(plain[0])));
  EXPECT_THAT(ids(options), Not(Contains(plain[2])));
  options = greedy();
  options.begin_suppress_tokens = Ids{plain[0]};
  EXPECT_NE(ids(options)[0], plain[0]);
  options = greedy();
  options.allowed_token_ids = Ids{300, 7, 300};
  EXPECT_THAT(ids(options), Each(testing::AnyOf(300, 7)));
  options = greedy(2);
  options.sequence_bias = std::map<Ids, float>{{{300}, 100.0F}, {{300, 7}, 200.0F}};
  EXPECT_THAT(ids(options), ElementsAre(300, 7));
}

TEST_F(GenerationFields, ForcedTokens) {
  GenerateOptions options = greedy(4);
  options.forced_bos_token_id = 300;
  EXPECT_EQ(ids(options, Ids{1})[0], 300);
  EXPECT_EQ(ids(options), ids(greedy(4)));  // a longer prompt has begun already
  options = {.max_new_tokens = 4, .temperature = 0.0F};
  options.forced_eos_token_id = Ids{kEos};
  const CompletionChunk ended = answer(options);
  EXPECT_EQ(ended.token_ids.size(), 4U);
  EXPECT_EQ(ended.token_ids[3], kEos);
  EXPECT_EQ(ended.finish_reason, FinishReason::kStop);
}

TEST_F(GenerationFields, Lengths) {
  GenerateOptions options{.max_length = n_prompt_ + 3, .temperature = 0.0F};
  EXPECT_EQ(ids(options).size(), 3U);
  EXPECT_EQ(answer(options).finish_reason, FinishReason::kLength);
  options = {.max_new_tokens = 40, .temperature = 0.0F};
  options.logit_bias = std::map<std::int32_t, float>{{kEos, 100.0F}};
  EXPECT_EQ(ids(options).size(), 1U);
  options.min_length = n_prompt_ + 6;
  EXPECT_EQ(ids(options).size(), 7U);
  options.min_length = n_prompt_;
  EXPECT_EQ(ids(options).size(), 1U);
  options = {.max_new_tokens = 40, .temperature = 0.0F};
  EXPECT_GT(ids(options).size(), 20U);
  options.exponential_decay_length_penalty = LengthDecay{3, 1000.0F};
  EXPECT_GT(ids(options).size(), 3U);
  EXPECT_LT(ids(options).size(), 8U);
}

TEST_F(GenerationFields, ATruncatedPromptLeavesRoomWithinItsLength) {
  GenerateOptions options{.max_length = 4, .temperature = 0.0F, .truncate_prompt = true};
  const GenerationOutput output = llm_.generate(kPrompt, options);
  EXPECT_EQ(output.prompt_token_ids->size() + output.outputs[0].token_ids.size(), 4U);
}

TEST_F(GenerationFields, TheBestOfMoreAnswers) {
  GenerateOptions options = sampled(3);
  options.n = 6;
  std::vector<CompletionChunk> all = llm_.generate(kPrompt, options).outputs;
  std::stable_sort(all.begin(), all.end(), [](const CompletionChunk& a, const CompletionChunk& b) {
    return a.cumulative_logprob > b.cumulative_logprob;
  });
  options.n = 2;
  options.best_of = 6;
  const GenerationOutput best = llm_.generate(kPrompt, options);
  ASSERT_EQ(best.outputs.size(), 2U);
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(best.outputs[i].index, static_cast<int>(i));
    EXPECT_EQ(best.outputs[i].text, all[i].text);
    EXPECT_EQ(best.outputs[i].cumulative_logprob, all[i].cumulative_logprob);
  }
  EXPECT_EQ(best.usage.n_completion_tokens, 6 * 24);
  EXPECT_THROW(llm_.generate_iterator(kPrompt, options), Error);
  options.best_of = 2;
  EXPECT_NO_THROW(llm_.generate_iterator(kPrompt, options));
  options.best_of = 1;
  EXPECT_EQ(refused(options), "best_of");
}

TEST_F(GenerationFields, SpacesBeforePunctuationGo) {
  GenerateOptions options = sampled(5);
  options.allowed_token_ids = Ids{id_of(" "), id_of("."), id_of("a")};
  ASSERT_THAT(options.allowed_token_ids, Not(Contains(-1)));
  std::string want = answer(options).text;
  ASSERT_THAT(want, testing::HasSubstr(" ."));
  for (std::size_t at = want.find(" ."); at != std::string::npos; at = want.find(" .", at + 1))
    want.erase(at, 1);
  options.clean_up_tokenization_spaces = true;
  EXPECT_EQ(answer(options).text, want);
  std::string streamed;
  for (const GenerationOutput& output : llm_.generate_iterator(kPrompt, options))
    streamed += output.outputs[0].delta;
  EXPECT_EQ(streamed, want);
}

TEST_F(GenerationFields, StreamsTellEverySoManyTokens) {
  GenerateOptions options = greedy(10);
  options.stream_interval = 4;
  options.output_kind = OutputKind::kDelta;
  std::vector<std::size_t> sizes;
  std::string text;
  for (const GenerationOutput& output : llm_.generate_iterator(kPrompt, options)) {
    sizes.push_back(output.outputs[0].n_delta_tokens);
    text += output.outputs[0].delta;
  }
  // 1, 4, 4, 1; a reader that was late got several at once.
  EXPECT_LE(sizes.size(), 4U);
  EXPECT_EQ(text, answer(greedy(10)).text);
  std::size_t n_told = 0;
  for (std::size_t i = 0; i + 1 < sizes.size(); ++i) {
    n_told += sizes[i];
    EXPECT_GE(n_told, 1 + 4 * i);
  }
}

TEST_F(GenerationFields, DefaultsOfTheModelActToo) {
  const Ids plain = ids(greedy(4));
  LoadOptions load{.n_threads = 1};
  load.config.suppress_tokens = {plain[0]};
  load.config.max_length = n_prompt_ + 5;
  const LLM other(kModel, load);
  const CompletionChunk chunk =
      other.generate(kPrompt, {.temperature = 0.0F, .ignore_eos = true}).outputs[0];
  EXPECT_EQ(chunk.token_ids.size(), 5U);
  EXPECT_NE(chunk.token_ids[0], plain[0]);
  EXPECT_EQ(other.generate(kPrompt, greedy(7)).outputs[0].token_ids.size(), 7U);
}

TEST_F(GenerationFields, WhatMakesNoSenseIsRefusedByName) {
  EXPECT_EQ(refused({.max_new_tokens = 5, .max_length = 9}), "max_length");
  EXPECT_EQ(refused({.max_length = n_prompt_}), "max_length");
  EXPECT_EQ(refused({.min_new_tokens = 1, .min_length = 9}), "min_length");
  EXPECT_EQ(refused({.max_length = 20, .min_length = 21}), "min_length");
  EXPECT_EQ(refused({.typical_p = 0.0F}), "typical_p");
  EXPECT_EQ(refused({.epsilon_cutoff = 1.0F}), "epsilon_cutoff");
  EXPECT_EQ(refused({.eta_cutoff = -0.1F}), "eta_cutoff");
  EXPECT_EQ(refused({.no_repeat_ngram_size = -1}), "no_repeat_ngram_size");
  EXPECT_EQ(refused({.suppress_tokens = Ids{512}}), "suppress_tokens");
  EXPECT_EQ(refused({.begin_suppress_tokens = Ids{-1}}), "begin_suppress_tokens");
  EXPECT_EQ(refused({.forced_bos_token_id = 512}), "forced_bos_token_id");
  EXPECT_EQ(refused({.forced_eos_token_id = Ids{512}}), "forced_eos_token_id");
  EXPECT_EQ(refused({.suppress_tokens = Ids{5}, .allowed_token_ids = Ids{5}}), "suppress_tokens");
  EXPECT_EQ(refused({.bad_words = std::vector<std::string>{"  "}}), "bad_words");
  EXPECT_EQ(refused({.bad_words_ids = std::vector<Ids>{{1, 999}}}), "bad_words_ids");
  EXPECT_EQ(refused({.exponential_decay_length_penalty = LengthDecay{1, 2.0F}, .ignore_eos = true}),
            "exponential_decay_length_penalty");
  EXPECT_EQ(refused({.stream_interval = 0}), "stream_interval");
  // Found out while the answer is made: the only tokens that may come have come.
  EXPECT_EQ(
      refused({.no_repeat_ngram_size = 1, .allowed_token_ids = Ids{5, 6}, .ignore_eos = true}),
      "allowed_token_ids");
}

}  // namespace
}  // namespace openllm
