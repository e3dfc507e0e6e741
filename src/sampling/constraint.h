#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string_view>

namespace openllm::sampling {

/// Says which tokens the answer of one choice may continue with, and how likely. Follows the answer
/// token by token: the engine asks for the mask, samples, and passes the sampled token to `accept`.
///
/// 1. The state depends on the accepted tokens alone, so that an answer is the same in any batch.
/// 2. A constraint belongs to one choice. Preemption takes the choice's keys and values, not its
///    tokens, so the state stays right and nothing is accepted twice.
/// 3. Called by one thread at a time, not always the same one.
/// 4. An exception of a method ends the request with that error.
class Constraint {
 public:
  Constraint() = default;
  Constraint(const Constraint&) = delete;
  Constraint& operator=(const Constraint&) = delete;
  virtual ~Constraint() = default;

  /// Clears the bits of tokens that may not come next: bit t % 64 of words[t / 64], [ceil(V / 64)].
  /// Sets none, so that the masks of several constraints add up. Bits past the vocabulary do not
  /// matter.
  virtual void mask(std::span<std::uint64_t> words) const = 0;
  /// `token` continues the answer.
  virtual void accept(std::int32_t token) = 0;
  /// Takes back the last `n` accepted tokens; `n` is at most their number.
  virtual void rollback(int n) = 0;
  /// Whether `add_bias` or `edit` may change scores; they are not called else.
  virtual bool edits_scores() const noexcept { return false; }
  /// Adds to raw logits [V], before everything else. Finite numbers.
  virtual void add_bias(std::span<float> /*logits*/) const {}
  /// Changes scores [V] that have their mask, temperature and penalties: also sets some to -inf,
  /// or takes what a mask has forbidden back. Makes no NaN of any number.
  virtual void edit(std::span<float> /*scores*/) const {}
  /// The request's field that it comes from, for the error that nothing is left; may be empty.
  virtual std::string_view field() const noexcept { return {}; }
  /// Whether the answer may end here. Until then its end tokens are masked; the length limit, a
  /// deadline and a cancellation end it all the same.
  virtual bool may_end() const noexcept = 0;
};

/// The request that a constraint is made for. The spans are valid during the call.
struct ConstraintContext {
  std::span<const std::int32_t> prompt_ids{};
  std::span<const std::int32_t> end_token_ids{};  ///< Tokens that end the answer.
  int choice = 0;
  int max_new_tokens = 0;  ///< Within the context.
};

/// Makes the constraint of one choice, with no token accepted yet. Called once for each choice when
/// the request is submitted; an exception refuses the request.
using ConstraintFactory = std::function<std::unique_ptr<Constraint>(const ConstraintContext&)>;

/// Clears the bit of `token` in a mask; ids outside are ignored.
inline void forbid(std::span<std::uint64_t> words, std::int32_t token) noexcept {
  const auto t = static_cast<std::size_t>(token);
  if (token >= 0 && t / 64 < words.size()) words[t / 64] &= ~(std::uint64_t{1} << (t % 64));
}

}  // namespace openllm::sampling
