#include <gtest/gtest.h>

#include <array>
#include <memory>

#include "sampling/constraint_set.h"
#include "sampling/constraints/min_new_tokens.h"
#include "sampling/sampler.h"
#include "sampling/test_constraints.h"

namespace openllm::sampling {
namespace {

constexpr int kVocab = 100;
constexpr std::int32_t kEnd = 7;

std::vector<std::int32_t> allowed(const Constraint& constraint) {
  std::array<std::uint64_t, (kVocab + 63) / 64> words{};
  words.fill(~std::uint64_t{0});
  constraint.mask(words);
  std::vector<std::int32_t> tokens;
  for (std::int32_t t = 0; t < kVocab; ++t) {
    const auto i = static_cast<std::size_t>(t);
    if ((words[i / 64] >> (i % 64) & 1U) != 0) tokens.push_back(t);
  }
  return tokens;
}

template <typename... Parts>
ConstraintSet set_of(std::vector<std::int32_t> end_token_ids, Parts... parts) {
  std::vector<std::unique_ptr<Constraint>> all;
  (all.push_back(std::move(parts)), ...);
  return {std::move(all), std::move(end_token_ids)};
}

TEST(ConstraintSet, MinNewTokensMasksTheEndTokensUntilThen) {
  ConstraintSet set = set_of({kEnd, 99, -1, 100000}, std::make_unique<MinNewTokens>(2));
  EXPECT_EQ(allowed(set).size(), kVocab - 2U);
  EXPECT_FALSE(set.may_end());
  set.accept(1);
  EXPECT_FALSE(set.may_end());
  set.accept(2);
  EXPECT_TRUE(set.may_end());
  EXPECT_EQ(allowed(set).size(), std::size_t{kVocab});
  set.rollback(1);
  EXPECT_FALSE(set.may_end());
  EXPECT_EQ(allowed(set).size(), kVocab - 2U);
}

TEST(ConstraintSet, ATokenMustSatisfyAllAndAllMustAllowTheEnd) {
  ConstraintSet set = set_of({kEnd}, std::make_unique<ForcedTokens>(std::vector{3, kEnd}),
                             std::make_unique<MinNewTokens>(1));
  EXPECT_EQ(allowed(set), std::vector{3});
  set.accept(3);
  // The minimum is reached, the forced tokens are not: no token is left.
  EXPECT_FALSE(set.may_end());
  EXPECT_TRUE(allowed(set).empty());

  ConstraintSet both =
      set_of({}, std::make_unique<HashConstraint>(1), std::make_unique<HashConstraint>(2));
  const std::vector<std::int32_t> first = allowed(HashConstraint(1));
  const std::vector<std::int32_t> second = allowed(HashConstraint(2));
  std::vector<std::int32_t> common;
  std::set_intersection(first.begin(), first.end(), second.begin(), second.end(),
                        std::back_inserter(common));
  EXPECT_EQ(allowed(both), common);
}

TEST(ConstraintSet, RollbackGivesTheEarlierStatesBack) {
  ConstraintSet set = set_of({kEnd}, std::make_unique<HashConstraint>(5),
                             std::make_unique<ForcedTokens>(std::vector{1, 2, 3, 4}));
  std::vector<std::vector<std::int32_t>> masks;
  for (const std::int32_t token : {1, 2, 3, 4}) {
    masks.push_back(allowed(set));
    set.accept(token);
  }
  const std::vector<std::int32_t> last = allowed(set);
  set.rollback(0);
  EXPECT_EQ(allowed(set), last);
  set.rollback(3);
  EXPECT_EQ(allowed(set), masks[1]);
  for (const std::int32_t token : {2, 3, 4}) set.accept(token);
  EXPECT_EQ(allowed(set), last);
  set.rollback(4);
  EXPECT_EQ(allowed(set), masks[0]);
}

TEST(ConstraintSet, WithoutPartsItAllowsEverything) {
  const ConstraintSet set = set_of({kEnd});
  EXPECT_TRUE(set.may_end());
  EXPECT_EQ(allowed(set).size(), std::size_t{kVocab});
}

TEST(Sampler, AConstraintThatMasksNothingChangesNothing) {
  std::vector<float> logits(kVocab);
  for (std::size_t i = 0; i < logits.size(); ++i) {
    logits[i] = static_cast<float>(base::mix64(i) % 1000) / 250.0F;
  }
  const MinNewTokens constraint(0);
  Sampler sampler(kVocab);
  for (const float temperature : {0.0F, 0.7F, 1.0F}) {
    SamplingParams params;
    params.temperature = temperature;
    for (std::int64_t position = 0; position < 20; ++position) {
      const Sample free = sampler.sample(logits, params, {}, nullptr, position, 0);
      const Sample same = sampler.sample(logits, params, {}, &constraint, position, 0);
      EXPECT_EQ(free.token, same.token);
      EXPECT_EQ(free.logprob, same.logprob);
    }
  }
}

}  // namespace
}  // namespace openllm::sampling
