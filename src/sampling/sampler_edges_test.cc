// The bounds of every sampling parameter, and penalties number by number.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/rng.h"
#include "sampling/constraint_set.h"
#include "sampling/constraints/min_new_tokens.h"
#include "sampling/sampler.h"
#include "sampling/test_constraints.h"

namespace openllm::sampling {
namespace {

using testing::ElementsAre;
using testing::StartsWith;

constexpr float kInf = std::numeric_limits<float>::infinity();
const float kNan = std::numeric_limits<float>::quiet_NaN();

std::vector<double> distribution(const std::vector<float>& logits, const SamplingParams& params,
                                 const TokenCounts& counts = {},
                                 const Constraint* constraint = nullptr) {
  std::vector<double> out(logits.size());
  Sampler(static_cast<int>(logits.size())).distribution(logits, params, counts, constraint, out);
  return out;
}

TEST(SamplerBounds, ValidateAcceptsTheEndsOfEveryRangeAndNothingBeyond) {
  using Change = std::function<void(SamplingParams&)>;
  const auto set = [](float SamplingParams::*field, float value) -> Change {
    return [=](SamplingParams& p) { p.*field = value; };
  };
  const auto bias = [](std::int32_t token, float value) -> Change {
    return [=](SamplingParams& p) { p.logit_bias = {{0, 1.0F}, {token, value}}; };
  };
  const float below_zero = -std::numeric_limits<float>::denorm_min();
  const float above_one = std::nextafter(1.0F, 2.0F);
  struct Case {
    const char* field;
    std::vector<Change> good, bad;
  };
  const std::vector<Case> cases = {
      {"temperature",
       {set(&SamplingParams::temperature, 0.0F), set(&SamplingParams::temperature, 1e30F)},
       {set(&SamplingParams::temperature, below_zero), set(&SamplingParams::temperature, kInf),
        set(&SamplingParams::temperature, kNan)}},
      {"top_p",
       {set(&SamplingParams::top_p, 0.0F), set(&SamplingParams::top_p, 1.0F)},
       {set(&SamplingParams::top_p, below_zero), set(&SamplingParams::top_p, above_one),
        set(&SamplingParams::top_p, kNan)}},
      {"min_p",
       {set(&SamplingParams::min_p, 0.0F), set(&SamplingParams::min_p, 1.0F)},
       {set(&SamplingParams::min_p, below_zero), set(&SamplingParams::min_p, above_one),
        set(&SamplingParams::min_p, kNan)}},
      {"typical_p",
       {set(&SamplingParams::typical_p, 1e-30F), set(&SamplingParams::typical_p, 1.0F)},
       {set(&SamplingParams::typical_p, 0.0F), set(&SamplingParams::typical_p, above_one),
        set(&SamplingParams::typical_p, kNan)}},
      {"epsilon_cutoff",
       {set(&SamplingParams::epsilon_cutoff, 0.0F), set(&SamplingParams::epsilon_cutoff, 0.999F)},
       {set(&SamplingParams::epsilon_cutoff, below_zero),
        set(&SamplingParams::epsilon_cutoff, 1.0F), set(&SamplingParams::epsilon_cutoff, kNan)}},
      {"eta_cutoff",
       {set(&SamplingParams::eta_cutoff, 0.0F), set(&SamplingParams::eta_cutoff, 0.999F)},
       {set(&SamplingParams::eta_cutoff, below_zero), set(&SamplingParams::eta_cutoff, 1.0F),
        set(&SamplingParams::eta_cutoff, kNan)}},
      {"repetition_penalty",
       {set(&SamplingParams::repetition_penalty, 1e-30F)},
       {set(&SamplingParams::repetition_penalty, 0.0F),
        set(&SamplingParams::repetition_penalty, -1.0F),
        set(&SamplingParams::repetition_penalty, kInf)}},
      {"presence_penalty",
       {set(&SamplingParams::presence_penalty, -1e30F)},
       {set(&SamplingParams::presence_penalty, -kInf),
        set(&SamplingParams::presence_penalty, kNan)}},
      {"frequency_penalty",
       {set(&SamplingParams::frequency_penalty, 1e30F)},
       {set(&SamplingParams::frequency_penalty, kInf),
        set(&SamplingParams::frequency_penalty, kNan)}},
      {"logit_bias",
       {bias(0, -1e30F), bias(9, 1.0F)},
       {bias(10, 1.0F), bias(-1, 1.0F), bias(3, kInf), bias(3, kNan)}},
  };
  for (const Case& c : cases) {
    for (const Change& change : c.good) {
      SamplingParams params;
      change(params);
      EXPECT_NO_THROW(validate(params, 10)) << c.field;
    }
    for (std::size_t i = 0; i < c.bad.size(); ++i) {
      SamplingParams params;
      c.bad[i](params);
      try {
        validate(params, 10);
        ADD_FAILURE() << c.field << " " << i;
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
        EXPECT_THAT(error.what(), StartsWith(std::string(c.field) + ": "));
      }
    }
  }
}

TEST(SamplerBounds, GreedyByTemperatureOrTopP) {
  const auto greedy = [](float temperature, float top_p) {
    SamplingParams params;
    params.temperature = temperature;
    params.top_p = top_p;
    return is_greedy(params);
  };
  EXPECT_TRUE(greedy(0.0F, 1.0F));
  EXPECT_TRUE(greedy(1e-5F, 1.0F));
  EXPECT_FALSE(greedy(std::nextafter(1e-5F, 1.0F), 1.0F));
  EXPECT_TRUE(greedy(1.0F, 0.0F));
  EXPECT_TRUE(greedy(1.0F, std::nextafter(1e-8F, 0.0F)));
  EXPECT_FALSE(greedy(1.0F, 1e-8F));
  EXPECT_FALSE(is_greedy({}));
}

// A small temperature may carry a score past the largest number: then it is the one.
TEST(SamplerBounds, AScoreThatOverflowsIsTheAnswer) {
  const std::vector<float> logits = {1.0F, 3e36F, 2.0F};
  SamplingParams params;
  params.temperature = 1e-4F;
  Sampler sampler(3);
  for (std::int64_t position = 0; position < 8; ++position) {
    EXPECT_EQ(sampler.sample(logits, params, {}, nullptr, position, -1).token, 1);
  }
  std::vector<double> all(3);
  sampler.distribution(logits, params, {}, nullptr, all);
  EXPECT_EQ(all, (std::vector<double>{0.0, 1.0, 0.0}));
}

TEST(SamplerBounds, CountsAreOfUseForEachPenalty) {
  SamplingParams params;
  EXPECT_FALSE(uses_counts(params));
  for (float SamplingParams::*field :
       {&SamplingParams::repetition_penalty, &SamplingParams::presence_penalty,
        &SamplingParams::frequency_penalty}) {
    params = {};
    params.*field = 0.5F;
    EXPECT_TRUE(uses_counts(params));
  }
}

TEST(SamplerBounds, MinPOfOneKeepsTheMostLikelyAndItsEquals) {
  SamplingParams params;
  params.min_p = 1.0F;
  EXPECT_THAT(distribution({3.0F, 1.0F, 3.0F, 2.999F}, params), ElementsAre(0.5, 0.0, 0.5, 0.0));
  params.top_k = 2;
  EXPECT_THAT(distribution({3.0F, 1.0F, 4.0F, 2.0F}, params), ElementsAre(0.0, 0.0, 1.0, 0.0));
  params.temperature = 0.5F;
  params.top_p = 0.9F;
  EXPECT_THAT(distribution({3.0F, 1.0F, 4.0F, 2.0F}, params), ElementsAre(0.0, 0.0, 1.0, 0.0));
}

TEST(SamplerBounds, TopKBelowOneAndAboveTheVocabularyKeepsAll) {
  const std::vector<float> logits = {1.0F, 2.0F, 3.0F};
  const auto all = distribution(logits, {});
  for (const int top_k : {-1, 0, 3, 4, 1000}) {
    SamplingParams params;
    params.top_k = top_k;
    EXPECT_EQ(distribution(logits, params), all) << top_k;
  }
  SamplingParams params;
  params.top_k = 2;
  EXPECT_EQ(distribution(logits, params)[0], 0.0);
}

/// The scores behind the penalties: logarithms of the distribution, up to a common term.
std::vector<float> scores(const std::vector<float>& logits, const SamplingParams& params,
                          const TokenCounts& counts) {
  const auto p = distribution(logits, params, counts);
  std::vector<float> out;
  for (const double v : p) out.push_back(static_cast<float>(std::log(v / p.back())));
  return out;
}

TEST(Penalties, NumberByNumber) {
  // Token 5 is never counted and has score 0, so that it is the common term.
  const std::vector<float> logits = {2.0F, -2.0F, 0.0F, 1.0F, 1.0F, 0.0F};
  TokenCounts counts;
  const std::int32_t prompt[] = {0, 1, 2, 0, 1000, -1};  // ids the vocabulary lacks are skipped
  counts.add_prompt(prompt);
  for (const std::int32_t token : {3, 3, 3, 0}) counts.add_output(token);
  struct Case {
    float repetition, presence, frequency, temperature;
    std::vector<float> want;
  };
  const std::vector<Case> cases = {
      {1.0F, 0.0F, 0.0F, 1.0F, {2.0F, -2.0F, 0.0F, 1.0F, 1.0F, 0.0F}},
      {2.0F, 0.0F, 0.0F, 1.0F, {1.0F, -4.0F, 0.0F, 0.5F, 1.0F, 0.0F}},  // prompt and answer
      {0.5F, 0.0F, 0.0F, 1.0F, {4.0F, -1.0F, 0.0F, 2.0F, 1.0F, 0.0F}},
      {1.0F, 0.5F, 0.0F, 1.0F, {1.5F, -2.0F, 0.0F, 0.5F, 1.0F, 0.0F}},   // the answer alone, once
      {1.0F, 0.0F, 0.5F, 1.0F, {1.5F, -2.0F, 0.0F, -0.5F, 1.0F, 0.0F}},  // as often as it came
      {1.0F, -0.5F, 0.25F, 1.0F, {2.25F, -2.0F, 0.0F, 0.75F, 1.0F, 0.0F}},
      {2.0F, 0.5F, 0.5F, 1.0F, {0.0F, -4.0F, 0.0F, -1.5F, 1.0F, 0.0F}},   // factor, then the rest
      {2.0F, 0.5F, 0.0F, 2.0F, {0.0F, -2.0F, 0.0F, -0.25F, 0.5F, 0.0F}},  // temperature before
  };
  for (const Case& c : cases) {
    SamplingParams params;
    params.repetition_penalty = c.repetition;
    params.presence_penalty = c.presence;
    params.frequency_penalty = c.frequency;
    params.temperature = c.temperature;
    const auto got = scores(logits, params, counts);
    for (std::size_t i = 0; i < got.size(); ++i) {
      EXPECT_NEAR(got[i], c.want[i], 1e-5F)
          << c.repetition << " " << c.presence << " " << c.frequency << " token " << i;
    }
  }
}

TEST(Penalties, BiasComesBeforeThemAndAddsUp) {
  SamplingParams params;
  params.logit_bias = {{0, 1.0F}, {0, 2.0F}, {1, -3.0F}};
  params.temperature = 2.0F;
  params.repetition_penalty = 2.0F;
  TokenCounts counts;
  counts.add_output(0);
  counts.add_output(1);
  // (1 + 3) / 2 / 2 and (1 - 3) / 2 * 2
  EXPECT_THAT(scores({1.0F, 1.0F, 0.0F}, params, counts),
              ElementsAre(testing::FloatNear(1.0F, 1e-5F), testing::FloatNear(-2.0F, 1e-5F), 0.0F));
}

TEST(SamplerDraw, SeedChoiceAndPositionEachChangeTheDraw) {
  Sampler sampler(1000);
  const std::vector<float> logits(1000, 0.0F);
  const auto draw = [&](std::uint64_t seed, int choice, std::int64_t position) {
    SamplingParams params;
    params.seed = seed;
    params.choice = choice;
    return sampler.sample(logits, params, {}, nullptr, position, -1).token;
  };
  const std::int32_t first = draw(1, 0, 5);
  int n_equal[3] = {};
  for (int i = 1; i <= 50; ++i) {
    n_equal[0] += draw(1 + static_cast<std::uint64_t>(i), 0, 5) == first ? 1 : 0;
    n_equal[1] += draw(1, i, 5) == first ? 1 : 0;
    n_equal[2] += draw(1, 0, 5 + i) == first ? 1 : 0;
  }
  EXPECT_THAT(n_equal, testing::Each(testing::Lt(3)));
  EXPECT_NE(draw(1ULL << 63U, 0, 5), draw(0, 0, 5));  // all 64 bits of the seed
}

/// mix64 undone.
std::uint64_t unmix64(std::uint64_t x) {
  x = (x ^ (x >> 31U) ^ (x >> 62U)) * 0x319642B2D24D8EC3ULL;
  x = (x ^ (x >> 27U) ^ (x >> 54U)) * 0x96DE1B173F119089ULL;
  return (x ^ (x >> 30U) ^ (x >> 60U)) - 0x9E3779B97F4A7C15ULL;
}

/// The seed with which choice 0 draws this number at position 0.
std::uint64_t seed_of(double unit) {
  const auto bits = static_cast<std::uint64_t>(unit * 0x1.0p53) << 11U;
  const std::uint64_t seed = unmix64(unmix64(unmix64(bits)));
  EXPECT_EQ(base::random_unit(seed, 0, 0), unit);
  return seed;
}

TEST(SamplerDraw, ANumberBetweenTwoTokensIsOfTheSecond) {
  const double largest = 1.0 - 0x1.0p-53;
  const auto draw = [](double unit, int n, const SamplingParams& with) {
    SamplingParams params = with;
    params.seed = seed_of(unit);
    std::vector<float> logits(static_cast<std::size_t>(n), 2.0F);
    if (params.top_k > 0) {  // only the first ones are likely
      std::fill(logits.begin() + params.top_k, logits.end(), 0.0F);
    }
    return Sampler(n).sample(logits, params, {}, nullptr, 0, -1).token;
  };
  SamplingParams four;
  four.top_k = 4;
  for (const auto& [n, params] : {std::pair{4, SamplingParams{}}, std::pair{9, four}}) {
    EXPECT_EQ(draw(0.0, n, params), 0);
    EXPECT_EQ(draw(0.25 - 0x1.0p-53, n, params), 0);
    EXPECT_EQ(draw(0.25, n, params), 1);
    EXPECT_EQ(draw(0.5, n, params), 2);
    EXPECT_EQ(draw(largest, n, params), 3);
  }
  // Of blocks too: the second one begins at a half.
  EXPECT_EQ(draw(0.5 - 0x1.0p-53, 128, {}), 63);
  EXPECT_EQ(draw(0.5, 128, {}), 64);
  EXPECT_EQ(draw(largest, 128, {}), 127);
}

TEST(SamplerDraw, EveryTokenOfEveryBlockMayCome) {
  // Uniform over the first and the last of each block of 64; nothing else.
  std::vector<float> logits(193, -kInf);
  std::vector<std::int32_t> possible = {0, 63, 64, 127, 128, 191, 192};
  for (const std::int32_t id : possible) logits[static_cast<std::size_t>(id)] = 1.0F;
  Sampler sampler(193);
  std::vector<int> seen(193, 0);
  for (int i = 0; i < 700; ++i) {
    ++seen[static_cast<std::size_t>(sampler.sample(logits, {}, {}, nullptr, i, -1).token)];
  }
  for (std::int32_t id = 0; id < 193; ++id) {
    const bool may = std::count(possible.begin(), possible.end(), id) > 0;
    const int n = seen[static_cast<std::size_t>(id)];
    EXPECT_TRUE(may ? n > 50 && n < 150 : n == 0) << id << ": " << n;
  }
}

TEST(SamplerConstraint, WhereNothingMayBeChosenTheBiasIsNamedIfThereIsOne) {
  const auto where = [](const SamplingParams& params) {
    std::vector<std::unique_ptr<Constraint>> parts;
    parts.push_back(std::make_unique<MinNewTokens>(1));
    const ConstraintSet none(std::move(parts), {0, 1, 2});  // each would end it
    try {
      Sampler(3).sample(std::vector<float>(3, 1.0F), params, {}, &none, 0, -1);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
      return std::string(error.where());
    }
    return std::string("nothing thrown");
  };
  SamplingParams params;
  EXPECT_EQ(where(params), "");
  params.logit_bias = {{1, 1.0F}};
  EXPECT_EQ(where(params), "logit_bias");
}

TEST(SamplerConstraint, BoundsOfTheMaskAndOfTheDistribution) {
  // 65 tokens: the second word of the mask has one bit of use.
  std::vector<float> logits(65, 0.0F);
  for (const std::int32_t only : {0, 63, 64}) {
    const ForcedTokens forced({only});
    const auto p = distribution(logits, {}, {}, &forced);
    EXPECT_EQ(p[static_cast<std::size_t>(only)], 1.0);
    SamplingParams greedy;
    greedy.temperature = 0.0F;
    greedy.logit_bias = {{7, 100.0F}};  // a bias does not lift what is forbidden
    EXPECT_EQ(Sampler(65).sample(logits, greedy, {}, &forced, 0, -1).token, only);
  }
  Sampler sampler(65);
  std::vector<double> wrong(64);
  EXPECT_THROW(sampler.distribution(logits, {}, {}, nullptr, wrong), Error);
  EXPECT_THROW(sampler.sample(std::vector<float>(64), {}, {}, nullptr, 0, -1), Error);
  EXPECT_THROW(Sampler(0), Error);
}

}  // namespace
}  // namespace openllm::sampling
