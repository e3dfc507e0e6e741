#include "sampling/sampler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

#include "base/error.h"
#include "base/json.h"
#include "base/mapped_file.h"
#include "sampling/test_constraints.h"
#include "sampling/vector_ops.h"

namespace openllm::sampling {
namespace {

using testing::HasSubstr;

constexpr float kInf = std::numeric_limits<float>::infinity();

std::vector<float> random_logits(int n, unsigned seed, float spread = 3.0F) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0.0F, spread);
  std::vector<float> x(static_cast<std::size_t>(n));
  for (float& v : x) v = normal(random);
  return x;
}

std::vector<double> distribution(const std::vector<float>& logits, const SamplingParams& params,
                                 const TokenCounts& counts = {},
                                 const Constraint* constraint = nullptr) {
  std::vector<double> out(logits.size());
  Sampler(static_cast<int>(logits.size())).distribution(logits, params, counts, constraint, out);
  return out;
}

/// The definition, by sorting everything.
std::vector<double> sorted_definition(const std::vector<float>& logits,
                                      const SamplingParams& params) {
  const std::size_t n = logits.size();
  std::vector<std::size_t> order(n);
  for (std::size_t i = 0; i < n; ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return logits[a] > logits[b]; });
  std::vector<double> p(n);
  double total = 0.0;
  const auto score = [&](std::size_t i) {
    return static_cast<double>(logits[i] / params.temperature);
  };
  for (std::size_t i = 0; i < n; ++i) total += p[i] = std::exp(score(i) - score(order[0]));
  std::size_t kept = n;
  if (params.top_p < 1.0F) {
    double sum = 0.0;
    for (kept = 0; kept < n && (kept == 0 || sum < static_cast<double>(params.top_p) * total);
         ++kept) {
      sum += p[order[kept]];
    }
  }
  if (params.top_k > 0 && static_cast<std::size_t>(params.top_k) < kept) {
    const float kth = logits[order[static_cast<std::size_t>(params.top_k - 1)]];
    while (kept > 0 && logits[order[kept - 1]] < kth) --kept;
  }
  while (kept > 0 && p[order[kept - 1]] < static_cast<double>(params.min_p)) --kept;
  double weight = 0.0;
  for (std::size_t i = 0; i < kept; ++i) weight += p[order[i]];
  for (std::size_t i = 0; i < n; ++i) p[order[i]] = i < kept ? p[order[i]] / weight : 0.0;
  return p;
}

void expect_near(const std::vector<double>& got, const std::vector<double>& want,
                 double tolerance) {
  ASSERT_EQ(got.size(), want.size());
  for (std::size_t i = 0; i < got.size(); ++i) {
    ASSERT_EQ(got[i] > 0.0, want[i] > 0.0) << "token " << i << ": " << got[i] << " and " << want[i];
    ASSERT_NEAR(got[i], want[i], tolerance) << "token " << i;
  }
}

TEST(Sampler, DistributionsAreThoseOfTransformers) {
  const base::Json cases = base::Json::parse(
      base::read_file(OPENLLM_TEST_DATA "/sampling/warpers.json"), "warpers.json");
  ASSERT_EQ(cases.if_array()->size(), 60U);
  for (std::size_t number = 0; number < cases.if_array()->size(); ++number) {
    SCOPED_TRACE(number);
    const base::Json& c = (*cases.if_array())[number];
    const auto real = [&](const char* name) {
      return static_cast<float>(c.find(name)->as_double(name));
    };
    SamplingParams params;
    params.temperature = real("temperature");
    params.repetition_penalty = real("repetition_penalty");
    params.presence_penalty = real("presence_penalty");
    params.frequency_penalty = real("frequency_penalty");
    params.top_p = real("top_p");
    params.min_p = real("min_p");
    params.top_k = static_cast<int>(c.find("top_k")->as_int("top_k"));
    std::vector<float> logits;
    for (const base::Json& v : *c.find("logits")->if_array()) {
      logits.push_back(v.is_string() ? -kInf : static_cast<float>(v.as_double("logit")));
    }
    TokenCounts counts;
    for (const base::Json& v : *c.find("prompt")->if_array()) {
      const auto token = static_cast<std::int32_t>(v.as_int("prompt"));
      counts.add_prompt({&token, 1});
    }
    for (const base::Json& v : *c.find("output")->if_array()) {
      counts.add_output(static_cast<std::int32_t>(v.as_int("output")));
    }
    std::vector<double> want(logits.size(), 0.0);
    for (const base::Json& pair : *c.find("probs")->if_array()) {
      want[static_cast<std::size_t>((*pair.if_array())[0].as_int("id"))] =
          (*pair.if_array())[1].as_double("p");
    }
    expect_near(distribution(logits, params, counts), want, 2e-6);
  }
}

TEST(Sampler, SelectionAgreesWithSorting) {
  std::mt19937 random(11);
  const auto pick = [&](int low, int high) {
    return std::uniform_int_distribution<int>(low, high)(random);
  };
  for (int round = 0; round < 400; ++round) {
    SCOPED_TRACE(round);
    const int sizes[] = {1, 2, 63, 64, 65, 1000, 5000};
    std::vector<float> logits =
        random_logits(sizes[pick(0, 6)], static_cast<unsigned>(round), pick(0, 1) ? 0.01F : 4.0F);
    if (pick(0, 3) == 0) {
      for (float& v : logits) v = std::round(v);  // ties, also at the edge of top-p and top-k
    }
    SamplingParams params;
    params.temperature = pick(0, 1) ? 1.0F : 0.6F;
    const float top_ps[] = {1.0F, 0.9999F, 0.95F, 0.5F, 1e-6F};
    params.top_p = top_ps[pick(0, 4)];
    const int top_ks[] = {0, 1, 7, 600, 4000};
    params.top_k = top_ks[pick(0, 4)];
    params.min_p = pick(0, 2) == 0 ? 0.1F : 0.0F;
    expect_near(distribution(logits, params), sorted_definition(logits, params), 1e-6);
    if (HasFatalFailure()) return;
  }
}

TEST(Sampler, TopPKeepsOneTokenAndEqualOnesByLowerId) {
  SamplingParams params;
  params.top_p = 0.5F;
  EXPECT_EQ(distribution({1.0F, 1.0F, 1.0F, 1.0F}, params), (std::vector{0.5, 0.5, 0.0, 0.0}));
  params.top_p = 1e-7F;
  EXPECT_EQ(distribution({0.0F, 1.0F, 1.0F}, params), (std::vector{0.0, 1.0, 0.0}));
  params.top_p = 1.0F;
  params.top_k = 1;
  EXPECT_EQ(distribution({0.0F, 1.0F, 1.0F}, params)[2], 0.5);  // top-k keeps ties
}

TEST(Sampler, GreedyTakesTheLowerIdOfEqualOnes) {
  Sampler sampler(5);
  SamplingParams params;
  params.temperature = 0.0F;
  const std::vector<float> logits{1.0F, 3.0F, 2.0F, 3.0F, -kInf};
  EXPECT_EQ(sampler.sample(logits, params, {}, nullptr, 0, -1).token, 1);
  params.logit_bias = {{1, -1.0F}, {2, 5.0F}};
  EXPECT_EQ(sampler.sample(logits, params, {}, nullptr, 0, -1).token, 2);
  params.logit_bias.clear();
  params.repetition_penalty = 2.0F;
  TokenCounts counts;
  const std::int32_t prompt[] = {1, 3};
  counts.add_prompt(prompt);
  EXPECT_EQ(sampler.sample(logits, params, counts, nullptr, 0, -1).token, 2);
  params = {};
  params.top_p = 0.0F;
  EXPECT_EQ(sampler.sample(logits, params, {}, nullptr, 0, -1).token, 1);
}

TEST(Sampler, DrawDependsOnSeedChoiceAndPositionOnly) {
  Sampler sampler(300);
  SamplingParams params;
  params.seed = 4;
  const auto logits = random_logits(300, 1, 0.5F);
  const std::int32_t first = sampler.sample(logits, params, {}, nullptr, 7, -1).token;
  int n_other = 0;
  for (int i = 0; i < 20; ++i) {
    params.choice = i;
    n_other += sampler.sample(logits, params, {}, nullptr, 7, -1).token != first ? 1 : 0;
    params.choice = 0;
    EXPECT_EQ(sampler.sample(logits, params, {}, nullptr, 7, i % 3 - 1).token, first);
  }
  EXPECT_GT(n_other, 15);
}

/// Pearson's statistic of n draws against the distribution.
double chi_square(const std::vector<float>& logits, SamplingParams params, int n, int& n_classes) {
  Sampler sampler(static_cast<int>(logits.size()));
  const std::vector<double> p = distribution(logits, params);
  std::vector<int> seen(logits.size(), 0);
  for (int i = 0; i < n; ++i) {
    ++seen[static_cast<std::size_t>(sampler.sample(logits, params, {}, nullptr, i, -1).token)];
  }
  double sum = 0.0;
  n_classes = 0;
  for (std::size_t t = 0; t < p.size(); ++t) {
    if (p[t] <= 0.0) {
      EXPECT_EQ(seen[t], 0);
      continue;
    }
    ++n_classes;
    const double want = p[t] * n;
    sum += (seen[t] - want) * (seen[t] - want) / want;
  }
  return sum;
}

TEST(Sampler, DrawsFollowTheDistribution) {
  const auto logits = random_logits(100, 2, 0.8F);
  for (const std::uint64_t seed : {1ULL, 2ULL, 3ULL}) {
    for (const float top_p : {1.0F, 0.8F}) {
      SamplingParams params;
      params.seed = seed;
      params.top_p = top_p;
      int n = 0;
      const double statistic = chi_square(logits, params, 40000, n);
      const double freedom = n - 1;
      EXPECT_LT(statistic,
                freedom + 4.0 * std::sqrt(2.0 * freedom));  // mean and deviation of chi-square
      EXPECT_GT(statistic, freedom - 4.0 * std::sqrt(2.0 * freedom));
    }
  }
}

class Only final : public Constraint {
 public:
  explicit Only(std::vector<std::int32_t> allowed) : allowed_(std::move(allowed)) {}
  void mask(std::span<std::uint64_t> words) const override { keep_only(words, allowed_); }
  void accept(std::int32_t /*token*/) override {}
  void rollback(int /*n*/) override {}
  bool may_end() const noexcept override { return true; }

 private:
  std::vector<std::int32_t> allowed_;
};

std::string failure(const std::vector<float>& logits, const SamplingParams& params,
                    const Constraint* constraint, ErrorCode code = ErrorCode::kInternal) {
  try {
    Sampler(static_cast<int>(logits.size())).sample(logits, params, {}, constraint, 0, 0);
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), code);
    return e.what();
  }
  return "none";
}

TEST(Sampler, ConstraintsAndBadLogits) {
  const Only only({70, 3});
  const Only nothing({});
  auto logits = random_logits(100, 3);
  const auto p = distribution(logits, {}, {}, &only);
  EXPECT_NEAR(p[3] + p[70], 1.0, 1e-12);
  EXPECT_THAT(failure(logits, {}, &nothing, ErrorCode::kInvalidArgument),
              HasSubstr("no token may be chosen"));
  logits[3] = logits[70] = -kInf;
  EXPECT_THAT(failure(logits, {}, &only, ErrorCode::kInvalidArgument),
              HasSubstr("no token may be chosen"));
  EXPECT_EQ(failure(logits, {}, nullptr), "none");
  logits[99] = kInf;
  EXPECT_THAT(failure(logits, {}, nullptr), HasSubstr("infinite"));
  logits[99] = std::nanf("");
  EXPECT_THAT(failure(logits, {}, nullptr), HasSubstr("NaN"));
  EXPECT_THAT(failure({-kInf, -kInf}, {}, nullptr), HasSubstr("every logit is -inf"));
}

TEST(Sampler, LogprobsAreOfRawLogits) {
  const auto logits = random_logits(1000, 4);
  double sum = 0.0;
  for (const float v : logits) sum += std::exp(static_cast<double>(v));
  Sampler sampler(1000);
  SamplingParams params;
  params.temperature = 0.3F;
  params.logit_bias = {{17, 50.0F}};
  const Sample s = sampler.sample(logits, params, {}, nullptr, 0, 5);
  EXPECT_EQ(s.token, 17);
  EXPECT_NEAR(s.logprob, static_cast<double>(logits[17]) - std::log(sum), 1e-5);
  ASSERT_EQ(s.top.size(), 5U);
  std::vector<float> falling = logits;
  std::sort(falling.rbegin(), falling.rend());
  for (std::size_t i = 0; i < 5; ++i) {
    EXPECT_EQ(logits[static_cast<std::size_t>(s.top[i].token_id)], falling[i]);
    EXPECT_NEAR(s.top[i].logprob, static_cast<double>(falling[i]) - std::log(sum), 1e-5);
  }
  EXPECT_EQ(sampler.score(logits, 17, 2000).top.size(), 1000U);

  const std::vector<float> ties{1.0F, 2.0F, 2.0F, 1.0F, 2.0F};
  const Sample t = Sampler(5).score(ties, 3, 4);
  std::vector<std::int32_t> ids;
  for (const TokenLogprob& e : t.top) ids.push_back(e.token_id);
  EXPECT_EQ(ids, (std::vector<std::int32_t>{1, 2, 4, 0}));
}

TEST(Sampler, LogprobsDoNotDependOnHowTheTokenWasChosen) {
  for (const int n : {1, 63, 64, 65, 1000, 4097}) {
    const auto logits = random_logits(n, static_cast<unsigned>(n));
    Sampler sampler(n);
    for (const int top_k : {0, 3}) {
      for (const float top_p : {1.0F, 0.9F}) {
        for (const float temperature : {0.0F, 0.7F, 1.0F}) {
          SamplingParams params;
          params.temperature = temperature;
          params.top_p = top_p;
          params.top_k = top_k;
          const Sample s = sampler.sample(logits, params, {}, nullptr, 5, 0);
          EXPECT_EQ(s.logprob, sampler.score(logits, s.token, 0).logprob) << n;
        }
      }
    }
  }
}

TEST(VectorOps, ExpIsAccurate) {
  std::vector<float> x;
  for (int i = 0; i < 90000; ++i) x.push_back(-static_cast<float>(i) * 1e-3F);
  std::vector<float> p(x.size());
  std::vector<double> sums((x.size() + kBlock - 1) / kBlock);
  exp_blocks(x, 0.0F, p.data(), sums.data());
  double total = 0.0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double want = std::exp(static_cast<double>(x[i]));
    ASSERT_NEAR(p[i], x[i] < -87.0F ? 0.0 : want, 2e-7 * want);
    total += static_cast<double>(p[i]);
  }
  double blocks = 0.0;
  for (const double s : sums) blocks += s;
  EXPECT_NEAR(blocks, total, 1e-9 * total);
  EXPECT_EQ(sum_exp(x, 0.0F), blocks);
  const float far[] = {-kInf, -1e30F, 0.0F};
  exp_blocks(far, 0.0F, p.data(), sums.data());
  EXPECT_EQ(p[0], 0.0F);
  EXPECT_EQ(p[1], 0.0F);
  EXPECT_EQ(p[2], 1.0F);
}

TEST(TokenCounts, CountsPromptAndOutputApart) {
  TokenCounts counts;
  std::vector<std::int32_t> prompt;
  for (int i = 0; i < 500; ++i) prompt.push_back(i % 200);
  counts.add_prompt(prompt);
  counts.add_output(7);
  counts.add_output(7);
  counts.add_output(9000);
  EXPECT_EQ(counts.entries().size(), 201U);
  for (const TokenCounts::Entry& e : counts.entries()) {
    EXPECT_EQ(e.in_prompt, e.token >= 200 ? 0 : (e.token < 100 ? 3 : 2));
    EXPECT_EQ(e.in_output, e.token == 7 ? 2 : (e.token == 9000 ? 1 : 0));
  }
}

}  // namespace
}  // namespace openllm::sampling
