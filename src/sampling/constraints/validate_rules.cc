#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "sampling/constraints/token_rules.h"

namespace openllm::sampling {
namespace {

class Checker {
 public:
  explicit Checker(int vocab_size) : vocab_size_(vocab_size) {}

  void ids(const char* field, std::span<const std::int32_t> ids) const {
    for (const std::int32_t id : ids) {
      require(id >= 0 && id < vocab_size_, field, "no such token (expected 0 to ", vocab_size_ - 1,
              ", got ", id, ")");
    }
  }

  void run(const char* field, std::span<const std::int32_t> run) const {
    require(!run.empty(), field, "an empty list of tokens (expected at least one)");
    ids(field, run);
  }

  template <typename... Parts>
  static void require(bool holds, const char* field, const Parts&... parts) {
    if (!holds)
      base::fail_with(ErrorCode::kInvalidArgument, {field}, "request: ", field, ": ", parts...);
  }

 private:
  int vocab_size_;
};

/// The tokens that the lists leave where every answer comes by.
class Remaining {
 public:
  Remaining(const TokenRules& rules, int vocab_size)
      : may_come_(static_cast<std::size_t>(vocab_size), rules.allowed.empty()) {
    for (const std::int32_t id : rules.allowed) may_come_[static_cast<std::size_t>(id)] = true;
  }
  void remove(std::span<const std::int32_t> ids) {
    for (const std::int32_t id : ids) may_come_[static_cast<std::size_t>(id)] = false;
  }
  bool has(std::int32_t id) const { return may_come_[static_cast<std::size_t>(id)]; }
  bool has_any() const {
    return std::find(may_come_.begin(), may_come_.end(), true) != may_come_.end();
  }

 private:
  std::vector<bool> may_come_;
};

void require_choice(const TokenRules& r, int vocab_size) {
  Remaining remaining(r, vocab_size);
  remaining.remove(r.suppressed);
  Checker::require(remaining.has_any(), "suppress_tokens",
                   "no token is left: all that may come are suppressed");
  const auto require_forced = [&](const char* field, std::int32_t id) {
    Checker::require(remaining.has(id), field, "token ", id,
                     " is suppressed, or not in allowed_token_ids");
  };
  if (r.forced_bos) require_forced("forced_bos_token_id", *r.forced_bos);
  for (const std::int32_t id : r.forced_eos) require_forced("forced_eos_token_id", id);
  remaining.remove(r.suppressed_at_begin);
  Checker::require(remaining.has_any(), "begin_suppress_tokens",
                   "no token is left to begin with: all that may come are suppressed");
}

}  // namespace

void validate(const TokenRules& r, int vocab_size) {
  const Checker check(vocab_size);
  for (const auto& [run, bias] : r.sequence_bias) {
    check.run("sequence_bias", run);
    Checker::require(std::isfinite(bias), "sequence_bias", "expected finite numbers, got ", bias);
  }
  for (const TokenIds& run : r.bad_words_ids) check.run("bad_words_ids", run);
  for (const TokenIds& run : r.bad_words) check.run("bad_words", run);
  Checker::require(r.no_repeat_ngram_size >= 0, "no_repeat_ngram_size",
                   "out of range (expected >= 0, got ", r.no_repeat_ngram_size, ")");
  if (r.forced_bos) check.ids("forced_bos_token_id", std::span(&*r.forced_bos, 1));
  check.ids("forced_eos_token_id", r.forced_eos);
  check.ids("suppress_tokens", r.suppressed);
  check.ids("begin_suppress_tokens", r.suppressed_at_begin);
  check.ids("allowed_token_ids", r.allowed);
  if (r.length_decay) {
    const auto [start, factor] = *r.length_decay;
    Checker::require(start >= 0 && std::isfinite(factor) && factor > 0.0F,
                     "exponential_decay_length_penalty",
                     "out of range (expected a start of at least 0 and a factor above 0, got ",
                     start, " and ", factor, ")");
  }
  require_choice(r, vocab_size);
}

}  // namespace openllm::sampling
