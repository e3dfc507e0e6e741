// Answers that began elsewhere: what follows is the same as if they had begun here.

#include <gtest/gtest.h>

#include "engine/test_bench.h"
#include "sampling/constraints/token_rules.h"

namespace openllm::engine {
namespace {

using namespace test;

/// A request in which nearly everything depends on what is prompt and what is answer.
Request entangled_request() {
  Request r = make_request("whole", 9, 20);
  r.n_choices = 3;
  r.min_new_tokens = 10;
  r.stop_token_ids = {5, 6, 7, 8};
  r.sampling.temperature = 0.8F;
  r.sampling.seed = 11;
  r.sampling.presence_penalty = 0.7F;
  r.sampling.frequency_penalty = 0.4F;
  r.sampling.repetition_penalty = 1.2F;
  sampling::TokenRules rules;
  rules.no_repeat_ngram_size = 2;
  rules.suppressed_at_begin = {1, 2, 3};
  const auto shared = std::make_shared<const sampling::TokenRules>(std::move(rules));
  r.constraints.emplace_back([shared](const sampling::ConstraintContext& context) {
    return std::make_unique<sampling::RuledTokens>(shared, context);
  });
  return r;
}

TEST(AnsweredPrompt, GoesOnAsTheAnswerThatItBegan) {
  const Request whole = entangled_request();
  Bench bench;
  Request r = whole;
  const auto all = bench.submit(r);
  bench.run_all();
  for (int choice = 0; choice < whole.n_choices; ++choice) {
    const std::vector<std::int32_t>& answer = all->tokens[static_cast<std::size_t>(choice)];
    ASSERT_GE(answer.size(), 10U);
    for (const std::size_t n : {std::size_t{1}, std::size_t{4}, answer.size() - 1}) {
      Request rest = whole;
      rest.id = "rest";
      rest.prompt_ids.insert(rest.prompt_ids.end(), answer.begin(),
                             answer.begin() + static_cast<std::ptrdiff_t>(n));
      rest.n_answered = static_cast<int>(n);
      rest.n_choices = 1;
      rest.first_choice = choice;
      rest.max_new_tokens = 20 - rest.n_answered;
      rest.min_new_tokens = std::max(0, 10 - rest.n_answered);
      const auto sink = bench.submit(rest);
      bench.run_all();
      EXPECT_EQ(sink->tokens[0], std::vector<std::int32_t>(
                                     answer.begin() + static_cast<std::ptrdiff_t>(n), answer.end()))
          << "choice " << choice << " from token " << n;
      EXPECT_EQ(sink->reasons[0], all->reasons[static_cast<std::size_t>(choice)]);
    }
  }
}

TEST(AnsweredPrompt, IsAPartOfThePrompt) {
  Bench bench;
  Request r = make_request("r", 3, 4);
  r.n_answered = 3;
  EXPECT_THROW((void)bench.submit(r), Error) << "nothing is left of the prompt itself";
  r.n_answered = -1;
  EXPECT_THROW((void)bench.submit(r), Error);
  r.n_answered = 0;
  r.first_choice = kMaxChoices;
  EXPECT_THROW((void)bench.submit(r), Error);
}

}  // namespace
}  // namespace openllm::engine
