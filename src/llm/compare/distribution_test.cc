#include "llm/compare/distribution.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/mapped_file.h"
#include "openllm/error.h"

namespace openllm::llm {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

std::vector<float> row_of(const base::Json& list) {
  std::vector<float> row;
  for (const base::Json& value : list.as_array("row"))
    row.push_back(value.is_null() ? -kInf : static_cast<float>(value.as_double("logit")));
  return row;
}

TokenLogprobs list_of(const base::Json& list) {
  TokenLogprobs entries;
  for (const base::Json& pair : list.as_array("list")) {
    const base::JsonArray& both = pair.as_array("pair");
    entries.push_back({static_cast<std::int32_t>(both[0].as_int("id")),
                       static_cast<float>(both[1].as_double("logprob"))});
  }
  return entries;
}

TEST(Distribution, DivergencesAreThoseOfPyTorch) {
  const base::Json cases = base::Json::parse(
      base::read_file(OPENLLM_TEST_DATA "/compare/divergences.json"), "divergences.json");
  ASSERT_EQ(cases.as_array("cases").size(), 4U);
  for (const base::Json& one : *cases.if_array()) {
    const auto number = [&](const char* name) { return one.find(name)->as_double(name); };
    const std::vector<float> p = row_of(*one.find("p"));
    const std::vector<float> q = row_of(*one.find("q"));
    const Distribution whole_p(p);
    const Distribution whole_q(q);
    const Distribution top_p(list_of(*one.find("top_p")));
    const Distribution top_q(list_of(*one.find("top_q")));
    const Divergence all = divergence(whole_p, whole_q);
    EXPECT_NEAR(all.kl, number("kl"), 1e-6 * number("kl") + 1e-12);
    EXPECT_EQ(all.missing, 0.0);
    const Divergence top = divergence(top_p, top_q);
    EXPECT_NEAR(top.kl, number("kl_of_top"), 1e-4 * number("kl_of_top") + 1e-6);
    EXPECT_NEAR(top.missing, number("missing"), 1e-6);
    EXPECT_LE(top.kl, all.kl + 1e-6) << "a lower bound";
    EXPECT_EQ(whole_p.top(), number("first_p"));
    EXPECT_EQ(top_q.top(), number("first_q"));
    // Of a list and of all logits, the tokens of the list count.
    const Divergence mixed = divergence(whole_p, top_q);
    EXPECT_GE(mixed.kl, top.kl - 1e-6);
    EXPECT_LE(mixed.kl, all.kl + 1e-6);
    EXPECT_NEAR(divergence(whole_p, whole_p).kl, 0.0, 1e-15);
    EXPECT_NEAR(divergence(top_p, top_p).kl, 0.0, 1e-15);
  }
}

TEST(Distribution, WhatIsRuledOutIsInfinite) {
  const std::vector<float> p{0.0F, 0.0F, -kInf};
  const std::vector<float> q{0.0F, -kInf, 0.0F};
  EXPECT_EQ(divergence(Distribution(p), Distribution(q)).kl, HUGE_VAL);
  EXPECT_EQ(divergence(Distribution(q), Distribution(q)).kl, 0.0);
  EXPECT_EQ(logprob_difference(-HUGE_VAL, -HUGE_VAL), 0.0);
  EXPECT_EQ(logprob_difference(-HUGE_VAL, -1.0), HUGE_VAL);
}

TEST(Distribution, VocabulariesOfTwoLengthsShareTheFirstIds) {
  const std::vector<float> p{1.0F, 1.0F};
  const std::vector<float> q{1.0F, 1.0F, 1.0F, 1.0F};
  EXPECT_NEAR(divergence(Distribution(p), Distribution(q)).kl, std::log(2.0), 1e-12);
  const Divergence other = divergence(Distribution(q), Distribution(p));
  EXPECT_NEAR(other.missing, 0.5, 1e-12);
  EXPECT_GT(other.kl, 5.0) << "the shorter one rules the rest out";
}

TEST(Distribution, OfEqualTokensTheLowestIsTheTop) {
  const std::vector<float> logits{0.0F, 3.0F, 3.0F};
  EXPECT_EQ(Distribution(logits).top(), 1);
  EXPECT_EQ(Distribution(TokenLogprobs{{7, -1.0F}, {3, -1.0F}}).top(), 3);
}

TEST(Distribution, WhatIsNoDistributionIsRefused) {
  const auto code = [](const auto& values) {
    try {
      (void)Distribution(values);
    } catch (const Error& error) {
      return error.code();
    }
    return ErrorCode::kInternal;
  };
  for (const std::vector<float>& logits : std::vector<std::vector<float>>{
           {}, {1.0F, kNan}, {kNan, 1.0F}, {kInf, 0.0F}, {-kInf, -kInf}})
    EXPECT_EQ(code(std::span(logits)), ErrorCode::kCorruptData);
  for (const TokenLogprobs& list : std::vector<TokenLogprobs>{
           {}, {{1, kNan}}, {{1, 0.5F}}, {{-1, -1.0F}}, {{1, -1.0F}, {1, -2.0F}}})
    EXPECT_EQ(code(list), ErrorCode::kCorruptData);
  EXPECT_EQ(Distribution(TokenLogprobs{{1, 1e-6F}, {1, 1e-7F}}).logprob(1), 0.0) << "rounding";
}

}  // namespace
}  // namespace openllm::llm
