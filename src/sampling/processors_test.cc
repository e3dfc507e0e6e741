#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>

#include "base/json.h"
#include "base/mapped_file.h"
#include "sampling/constraint_set.h"
#include "sampling/constraints/min_new_tokens.h"
#include "sampling/constraints/token_rules.h"
#include "sampling/sampler.h"

// Against transformers' logits processors: tools/make_processor_goldens.py.
namespace openllm::sampling {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();

TokenIds ids_of(const base::Json& list) {
  TokenIds ids;
  if (!list.is_array()) return {static_cast<std::int32_t>(list.as_int("id"))};
  for (const base::Json& id : *list.if_array())
    ids.push_back(static_cast<std::int32_t>(id.as_int("id")));
  return ids;
}

std::vector<TokenIds> runs_of(const base::Json& list) {
  std::vector<TokenIds> runs;
  for (const base::Json& run : *list.if_array()) runs.push_back(ids_of(run));
  return runs;
}

/// One case of the file.
struct Case {
  std::vector<float> logits{};
  TokenIds prompt{};
  TokenIds output{};
  std::vector<float> want{};
  SamplingParams params{};
  TokenRules rules{};
  int min_length = 0;
  int max_length = 1000;
  bool is_warped = false;  ///< By more than rules.

  explicit Case(const base::Json& json) {
    for (const base::Json& v : *json.find("logits")->if_array())
      logits.push_back(v.is_string() ? -kInf : static_cast<float>(v.as_double("logit")));
    prompt = ids_of(*json.find("prompt"));
    output = ids_of(*json.find("output"));
    rules.eos = ids_of(*json.find("eos"));
    want.assign(logits.size(), -kInf);
    for (const base::Json& pair : *json.find("scores")->if_array()) {
      want[static_cast<std::size_t>((*pair.if_array())[0].as_int("id"))] =
          static_cast<float>((*pair.if_array())[1].as_double("score"));
    }
    for (const auto& [name, value] : *json.find("fields")->if_object()) set(name, value);
  }

  void set(const std::string& name, const base::Json& value) {
    if (!set_rule(name, value)) set_number(name, value);
  }

  bool set_rule(const std::string& name, const base::Json& value) {
    if (name == "bad_words_ids") {
      rules.bad_words_ids = runs_of(value);
    } else if (name == "bad_words") {
      rules.bad_words = runs_of(value);
    } else if (name == "sequence_bias") {
      for (const base::Json& pair : *value.if_array()) {
        rules.sequence_bias.emplace_back(
            ids_of((*pair.if_array())[0]),
            static_cast<float>((*pair.if_array())[1].as_double("bias")));
      }
    } else if (name == "suppress_tokens") {
      rules.suppressed = ids_of(value);
    } else if (name == "begin_suppress_tokens") {
      rules.suppressed_at_begin = ids_of(value);
    } else if (name == "allowed_token_ids") {
      rules.allowed = ids_of(value);
      std::sort(rules.allowed.begin(), rules.allowed.end());
    } else if (name == "forced_bos_token_id") {
      rules.forced_bos = ids_of(value).front();
    } else if (name == "forced_eos_token_id") {
      rules.forced_eos = ids_of(value);
    } else if (name == "exponential_decay_length_penalty") {
      rules.length_decay = {static_cast<int>((*value.if_array())[0].as_int("start")),
                            static_cast<float>((*value.if_array())[1].as_double("factor"))};
    } else {
      return false;
    }
    return true;
  }

  void set_number(const std::string& name, const base::Json& json) {
    const auto value = static_cast<float>(json.as_double(name));
    if (name == "no_repeat_ngram_size") {
      rules.no_repeat_ngram_size = static_cast<int>(value);
    } else if (name == "min_length") {
      min_length = static_cast<int>(value);
    } else if (name == "max_length") {
      max_length = static_cast<int>(value);
    } else {
      is_warped = true;
      float* number = name == "temperature"          ? &params.temperature
                      : name == "top_p"              ? &params.top_p
                      : name == "min_p"              ? &params.min_p
                      : name == "repetition_penalty" ? &params.repetition_penalty
                      : name == "typical_p"          ? &params.typical_p
                      : name == "epsilon_cutoff"     ? &params.epsilon_cutoff
                      : name == "eta_cutoff"         ? &params.eta_cutoff
                                                     : nullptr;
      if (number != nullptr) *number = value;
      if (number == nullptr) {
        ASSERT_EQ(name, "top_k");
        params.top_k = static_cast<int>(value);
      }
    }
  }

  TokenIds history() const {
    TokenIds all = prompt;
    all.insert(all.end(), output.begin(), output.end());
    return all;
  }

  std::unique_ptr<Constraint> constraint() const {
    std::vector<std::unique_ptr<Constraint>> parts;
    const auto n_prompt = static_cast<int>(prompt.size());
    parts.push_back(std::make_unique<MinNewTokens>(min_length - n_prompt));
    const ConstraintContext context{prompt, rules.eos, 0, max_length - n_prompt};
    parts.push_back(std::make_unique<RuledTokens>(std::make_shared<TokenRules>(rules), context));
    auto set = std::make_unique<ConstraintSet>(std::move(parts), rules.eos);
    for (const std::int32_t token : output) set->accept(token);
    return set;
  }
};

std::vector<Case> cases() {
  const base::Json json = base::Json::parse(
      base::read_file(OPENLLM_TEST_DATA "/sampling/processors.json"), "processors.json");
  std::vector<Case> all;
  for (const base::Json& each : *json.if_array()) all.emplace_back(each);
  return all;
}

TEST(Processors, RulesGiveTransformersScores) {
  std::size_t n_seen = 0;
  const std::vector<Case> all = cases();
  for (std::size_t number = 0; number < all.size(); ++number) {
    const Case& c = all[number];
    if (c.is_warped || c.min_length > 0) continue;
    SCOPED_TRACE(number);
    ++n_seen;
    const TokenIds tokens = c.history();
    const TokenHistory history{tokens, c.prompt.size(), static_cast<std::size_t>(c.max_length)};
    std::vector<float> got = c.logits;
    add_sequence_bias(c.rules, history, got);
    apply_rules(c.rules, history, got);
    for (std::size_t i = 0; i < got.size(); ++i) {
      if (std::isinf(c.want[i])) {
        ASSERT_EQ(got[i], c.want[i]) << "token " << i;
      } else {
        ASSERT_NEAR(got[i], c.want[i], 1e-6F * std::max(1.0F, std::abs(c.want[i]))) << i;
      }
    }
  }
  EXPECT_EQ(n_seen, 136U);
}

TEST(Processors, DistributionsAreThoseOfTransformers) {
  const std::vector<Case> all = cases();
  ASSERT_EQ(all.size(), 301U);
  for (std::size_t number = 0; number < all.size(); ++number) {
    const Case& c = all[number];
    SCOPED_TRACE(number);
    TokenCounts counts;
    counts.add_prompt(c.prompt);
    for (const std::int32_t token : c.output) counts.add_output(token);
    std::vector<double> got(c.logits.size());
    Sampler(static_cast<int>(got.size()))
        .distribution(c.logits, c.params, counts, c.constraint().get(), got);
    const float max = *std::max_element(c.want.begin(), c.want.end());
    double total = 0.0;
    const auto weight = [&](float score) { return std::exp(static_cast<double>(score - max)); };
    for (const float score : c.want) total += weight(score);
    for (std::size_t i = 0; i < got.size(); ++i) {
      ASSERT_EQ(got[i] > 0.0, weight(c.want[i]) > 1e-30) << "token " << i;
      ASSERT_NEAR(got[i], weight(c.want[i]) / total, 1e-6) << "token " << i;
    }
  }
}

}  // namespace
}  // namespace openllm::sampling
