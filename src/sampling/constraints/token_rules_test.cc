#include "sampling/constraints/token_rules.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

#include "base/error.h"
#include "sampling/sampler.h"

namespace openllm::sampling {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();

std::vector<float> edited(const TokenRules& rules, const TokenHistory& history, std::size_t n) {
  std::vector<float> scores(n, 1.0F);
  apply_rules(rules, history, scores);
  return scores;
}

std::string refused_field(const TokenRules& rules, int vocab_size = 10) {
  try {
    validate(rules, vocab_size);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    return std::string(error.where());
  }
  return "none";
}

TEST(TokenRules, RepeatedRunsAreFoundAsByLookingAtEach) {
  std::mt19937 random(3);
  for (int round = 0; round < 300; ++round) {
    TokenIds tokens(random() % 40);
    for (std::int32_t& token : tokens) token = static_cast<std::int32_t>(random() % 3);
    TokenRules rules;
    rules.no_repeat_ngram_size = 1 + static_cast<int>(random() % 6);
    const auto size = static_cast<std::size_t>(rules.no_repeat_ngram_size);
    std::vector<float> want(3, 1.0F);
    for (std::int32_t next = 0; next < 3; ++next) {
      TokenIds longer = tokens;
      longer.push_back(next);
      if (longer.size() < size) continue;
      const TokenIds run(longer.end() - static_cast<std::ptrdiff_t>(size), longer.end());
      for (std::size_t i = 0; i + size < longer.size(); ++i) {
        if (std::equal(run.begin(), run.end(), longer.begin() + static_cast<std::ptrdiff_t>(i)))
          want[static_cast<std::size_t>(next)] = -kInf;
      }
    }
    ASSERT_EQ(edited(rules, {tokens, tokens.size(), 100}, 3), want) << "round " << round;
  }
}

TEST(TokenRules, AHostileRunIsLookedForInOnePass) {
  const TokenIds tokens(200'000, 1);
  TokenRules rules;
  rules.no_repeat_ngram_size = 100'000;  // 10^10 comparisons, one by one
  EXPECT_EQ(edited(rules, {tokens, tokens.size(), 300'000}, 3), (std::vector{1.0F, -kInf, 1.0F}));
}

TEST(TokenRules, DecayGrowsToTheLargestNumberAndNeverToNaN) {
  TokenRules rules;
  rules.length_decay = {0, 1e30F};
  rules.eos = {0, 1, 2, 3};
  const TokenIds tokens(5000, 4);
  std::vector<float> scores{0.0F, 2.0F, -2.0F, -kInf, 1.0F};
  apply_rules(rules, {tokens, 1, 6000}, scores);
  const float most = std::numeric_limits<float>::max();
  EXPECT_EQ(scores, (std::vector{0.0F, most, most, -kInf, 1.0F}));
}

TEST(TokenRules, StateFollowsTokensBackAndForth) {
  auto rules = std::make_shared<TokenRules>();
  rules->bad_words_ids = {{1, 2}};
  rules->bad_words = {{0, 3}};
  rules->forced_eos = {4};
  const TokenIds prompt{0, 1};
  RuledTokens tokens(rules, {.prompt_ids = prompt, .max_new_tokens = 3});
  const auto scores = [&] {
    std::vector<float> x(5, 1.0F);
    tokens.edit(x);
    return x;
  };
  const std::vector<float> first{1.0F, 1.0F, -kInf, 1.0F, 1.0F};
  EXPECT_EQ(scores(), first);  // {0, 3} begins in the prompt: no bad word of the answer
  tokens.accept(0);
  EXPECT_EQ(scores(), (std::vector{1.0F, 1.0F, 1.0F, -kInf, 1.0F}));
  tokens.accept(4);
  EXPECT_EQ(scores(), (std::vector{-kInf, -kInf, -kInf, -kInf, 0.0F}));
  tokens.rollback(2);
  EXPECT_EQ(scores(), first);
}

TEST(TokenRules, IdsOutsideTheVocabularyNameTheirField) {
  EXPECT_EQ(refused_field({.sequence_bias = {{{1, 10}, 1.0F}}}), "sequence_bias");
  EXPECT_EQ(refused_field({.sequence_bias = {{{}, 1.0F}}}), "sequence_bias");
  EXPECT_EQ(refused_field({.sequence_bias = {{{1}, kInf}}}), "sequence_bias");
  EXPECT_EQ(refused_field({.no_repeat_ngram_size = -1}), "no_repeat_ngram_size");
  EXPECT_EQ(refused_field({.bad_words_ids = {{3}, {-1}}}), "bad_words_ids");
  EXPECT_EQ(refused_field({.bad_words_ids = {{}}}), "bad_words_ids");
  EXPECT_EQ(refused_field({.bad_words = {{10}}}), "bad_words");
  EXPECT_EQ(refused_field({.forced_bos = 10}), "forced_bos_token_id");
  EXPECT_EQ(refused_field({.forced_eos = {1, 10}}), "forced_eos_token_id");
  EXPECT_EQ(refused_field({.length_decay = TokenRules::LengthDecay{-1, 1.0F}}),
            "exponential_decay_length_penalty");
  EXPECT_EQ(refused_field({.length_decay = TokenRules::LengthDecay{1, 0.0F}}),
            "exponential_decay_length_penalty");
  EXPECT_EQ(refused_field({.suppressed = {10}}), "suppress_tokens");
  EXPECT_EQ(refused_field({.suppressed_at_begin = {-2}}), "begin_suppress_tokens");
  EXPECT_EQ(refused_field({.allowed = {10}}), "allowed_token_ids");
  EXPECT_EQ(refused_field({.sequence_bias = {{{9}, -1.0F}}, .suppressed = {0, 9}, .allowed = {1}}),
            "none");
}

TEST(TokenRules, ListsThatLeaveNothingAreRefused) {
  EXPECT_EQ(refused_field({.suppressed = {1, 2}, .allowed = {2, 1}}), "suppress_tokens");
  EXPECT_EQ(refused_field({.suppressed = {0, 1}, .suppressed_at_begin = {2}}, 3),
            "begin_suppress_tokens");
  EXPECT_EQ(refused_field({.forced_bos = 3, .suppressed = {3}}), "forced_bos_token_id");
  EXPECT_EQ(refused_field({.forced_eos = {3}, .allowed = {4}}), "forced_eos_token_id");
}

TEST(TokenRules, NothingLeftInTheMiddleIsAnErrorThatNamesTheField) {
  auto rules = std::make_shared<TokenRules>();
  rules->no_repeat_ngram_size = 1;
  const TokenIds prompt{0, 1, 2};
  const RuledTokens constraint(rules, {.prompt_ids = prompt, .max_new_tokens = 3});
  try {
    Sampler(3).sample(std::vector<float>(3), {}, {}, &constraint, 3, -1);
    FAIL() << "nothing was left";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    EXPECT_EQ(error.where(), "no_repeat_ngram_size");
  }
}

}  // namespace
}  // namespace openllm::sampling
