#include "openllm/compare.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "base/error.h"
#include "llm/compare/witness.h"

namespace openllm {
namespace {

using llm::Distribution;
using llm::ForcedTokens;
using llm::GreedyAnswer;
using llm::Witness;

constexpr int kMostTop = 128;

void check(const std::vector<CompareTarget>& targets, const std::vector<Prompt>& prompts,
           const CompareOptions& options) {
  const auto require = [](const char* where, bool holds, const char* expected, std::int64_t got) {
    if (!holds) {
      base::fail_at(ErrorCode::kInvalidArgument, where, "out of range (expected ", expected,
                    ", got ", got, ")");
    }
  };
  require("targets", targets.size() >= 2, "at least 2", static_cast<std::int64_t>(targets.size()));
  require("prompts", !prompts.empty(), "at least 1", 0);
  require("max_new_tokens", options.max_new_tokens >= 0, "at least 0", options.max_new_tokens);
  require("top", options.top >= 1 && options.top <= kMostTop, "1 to 128", options.top);
  require("max_bytes", options.max_bytes >= 0, "at least 0", options.max_bytes);
}

/// A sequence, what the first backend said of it, and its answer.
struct Case {
  Prompt prompt;
  std::vector<std::int32_t> sequence{};
  GreedyAnswer answer{};
  std::unique_ptr<ForcedTokens> forced{};
};

/// Means and maxima over positions.
class Tally {
 public:
  void add(const Distribution& p, const Distribution& q, std::int32_t token) {
    const llm::Divergence here = llm::divergence(p, q);
    ++n_;
    add(here.kl, kl_, report_.kl_max);
    add(here.missing, missing_, report_.missing_max);
    same_top_ += p.top() == q.top() ? 1 : 0;
    const auto log_p = p.logprob(token);
    const auto log_q = q.logprob(token);
    if (!log_p || !log_q) {
      base::fail(ErrorCode::kCorruptData, "logprobs: token ", token,
                 " of the prompt is not among them");
    }
    add(llm::logprob_difference(*log_p, *log_q), difference_, report_.logprob_difference_max);
    all_logits_ = all_logits_ && p.is_whole() && q.is_whole();
  }
  void put_into(ComparedBackend& backend) const {
    backend.n_positions = n_;
    backend.has_all_logits = all_logits_ && n_ > 0;
    backend.missing_max = report_.missing_max;
    backend.kl_max = report_.kl_max;
    backend.logprob_difference_max = report_.logprob_difference_max;
    if (n_ == 0) return;
    const auto n = static_cast<double>(n_);
    backend.missing_mean = missing_ / n;
    backend.kl_mean = kl_ / n;
    backend.logprob_difference_mean = difference_ / n;
    backend.top1_agreement = static_cast<double>(same_top_) / n;
  }

 private:
  static void add(double value, double& sum, double& most) {
    sum += value;
    most = std::max(most, value);
  }

  std::int64_t n_ = 0;
  std::int64_t same_top_ = 0;
  bool all_logits_ = true;
  double kl_ = 0.0;
  double missing_ = 0.0;
  double difference_ = 0.0;
  ComparedBackend report_;  // its maxima
};

/// The token at `position`, which may be behind the end.
ComparedToken token_at(const GreedyAnswer& answer, std::size_t position, const Witness& witness) {
  if (position >= answer.tokens.size()) return {};
  ComparedToken token = answer.tokens[position];
  token.text = witness.text_of(token.token_id);
  return token;
}

/// Asks the targets one after the other.
class Comparer {
 public:
  Comparer(const std::string& model, const std::vector<Prompt>& prompts,
           const CompareOptions& options)
      : model_(model), options_(options) {
    for (const Prompt& prompt : prompts) cases_.push_back({.prompt = prompt});
  }

  void add(const CompareTarget& target) {
    ComparedBackend backend{.name = target.name};
    try {
      const Witness witness(model_, target, options_);
      backend.info = witness.info();
      if (!result_.first) {
        be_first(witness, backend);
        result_.first = result_.backends.size();
      } else {
        follow(witness, backend);
      }
    } catch (const Error& error) {
      backend = {.name = target.name, .code = error.code(), .error = error.what()};
    }
    result_.backends.push_back(std::move(backend));
  }

  Comparison take() {
    if (result_.first) {
      for (Case& item : cases_)
        result_.prompts.push_back({item.answer.prompt_ids, item.answer.ids, item.answer.text});
    }
    return std::move(result_);
  }

 private:
  void be_first(const Witness& witness, ComparedBackend& backend) {
    std::int64_t n_tokens = 0;
    for (Case& item : cases_) {
      item.answer = witness.answer(item.prompt);
      item.sequence = item.answer.prompt_ids;
      item.sequence.insert(item.sequence.end(), item.answer.ids.begin(), item.answer.ids.end());
      n_tokens += static_cast<std::int64_t>(item.sequence.size());
    }
    constexpr auto kLogit = static_cast<std::int64_t>(sizeof(float));
    const bool fits = n_tokens <= options_.max_bytes / kLogit / std::max(witness.vocab_size(), 1);
    Tally tally;
    for (Case& item : cases_) {
      item.forced = std::make_unique<ForcedTokens>(witness.force(item.sequence, fits));
      tell(*item.forced, item, tally);
    }
    tally.put_into(backend);
    backend.n_same_answers = cases_.size();
  }

  void follow(const Witness& witness, ComparedBackend& backend) {
    Tally tally;
    for (std::size_t i = 0; i < cases_.size(); ++i) {
      const Case& item = cases_[i];
      witness.check_tokens(item.prompt, item.answer.prompt_ids);
      tell(witness.force(item.sequence, item.forced->has_logits()), item, tally);
      compare_answers(i, witness, backend);
    }
    tally.put_into(backend);
    backend.n_same_answers = cases_.size() - backend.differences.size();
  }

  static void tell(const ForcedTokens& here, const Case& item, Tally& tally) {
    for (std::size_t i = 0; i < here.size(); ++i)
      tally.add(item.forced->at(i), here.at(i), item.sequence[i + 1]);
  }

  void compare_answers(std::size_t index, const Witness& witness, ComparedBackend& backend) const {
    const GreedyAnswer& expected = cases_[index].answer;
    const GreedyAnswer got = witness.answer(expected.prompt_ids);
    const auto [at, other] =
        std::mismatch(expected.ids.begin(), expected.ids.end(), got.ids.begin(), got.ids.end());
    if (at == expected.ids.end() && other == got.ids.end()) return;
    const auto position = static_cast<std::size_t>(at - expected.ids.begin());
    backend.differences.push_back({.prompt = index,
                                   .position = position,
                                   .expected = token_at(expected, position, witness),
                                   .got = token_at(got, position, witness)});
  }

  const std::string& model_;
  const CompareOptions& options_;
  std::vector<Case> cases_;
  Comparison result_;
};

}  // namespace

std::vector<Prompt> compare_prompts() {
  return {"The capital of France is",
          "Once upon a time there was a little girl who",
          "def fibonacci(n):\n    \"\"\"Returns the first n numbers.\"\"\"\n",
          "Q: What is 17 + 25?\nA:",
          "{\"name\": \"Ada Lovelace\", \"born\": 1815, \"occupation\":",
          "Die drei h\u00e4ufigsten Fehler beim Kochen von Nudeln sind",
          "\u5317\u4eac\u662f",
          "The opposite of hot is cold. The opposite of tall is short. The opposite of fast is"};
}

Comparison compare(const std::string& model, const std::vector<CompareTarget>& targets,
                   const std::vector<Prompt>& prompts, const CompareOptions& options) {
  check(targets, prompts, options);
  Comparer comparer(model, prompts, options);
  for (const CompareTarget& target : targets) comparer.add(target);
  return comparer.take();
}

}  // namespace openllm
