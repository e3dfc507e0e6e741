#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/request.h"
#include "sampling/sampler.h"

namespace openllm::engine {

/// How a beam may go on: its best tokens, falling.
struct BeamExpansions {
  std::vector<sampling::Expansion> tokens{};
  std::vector<TokenLogprob> top{};  ///< Most likely tokens, for the logprobs of the answer.
};

/// A text of the search, without the prompt.
struct BeamText {
  std::vector<TokenEvent> tokens{};
  float score = 0.0F;  ///< Sum of logprobs; of finished ones divided by length^length_penalty.
};

/// A beam that runs on.
struct NextBeam {
  int parent = 0;  ///< Index of the running beam that it continues.
  std::int32_t token = 0;
};

/// Beam search as transformers 5.24 does it (GenerationMixin._beam_search), and in groups, each of
/// which is such a search that keeps from the tokens of those before it (Vijayakumar et al. 2016,
/// arXiv 1610.02424). Knows no model, no blocks and no sequences: a pure thing of numbers.
class BeamSearch {
 public:
  /// `end_ids`: tokens that end a text. A text has at most `max_new` tokens.
  BeamSearch(const BeamOptions& options, std::vector<std::int32_t> end_ids, int max_new);

  /// Best tokens of each beam that `advance` needs; fewer when there are no more.
  std::size_t n_expansions() const noexcept;
  /// Running beams, of all groups. At first there is one: the prompt.
  std::size_t n_running() const noexcept;
  /// `expansions`: of each running beam. What runs on is in `next` afterwards; nothing when the
  /// search is over.
  void advance(std::span<const BeamExpansions> expansions);
  const std::vector<NextBeam>& next() const noexcept { return next_; }
  bool is_over() const noexcept;
  /// The `n` best finished texts, best first. With `with_running` texts that run follow them where
  /// there are fewer.
  std::vector<BeamText> best(std::size_t n, bool with_running) const;
  bool ends_with_end(const BeamText& text) const noexcept;

 private:
  struct Running {
    BeamText text{};
    int index = 0;  ///< Among the running ones.
  };
  struct Group {
    std::vector<Running> running{};    ///< Best first.
    std::vector<BeamText> finished{};  ///< Best first; at most `group_size_`.
    bool is_over = false;
  };
  struct Candidate {
    float score = 0.0F;
    const Running* parent = nullptr;
    const sampling::Expansion* expansion = nullptr;
    const BeamExpansions* of_parent = nullptr;
    bool ends = false;
  };

  bool is_end(std::int32_t token) const noexcept;
  std::vector<Candidate> rank(const Group& group, std::span<const BeamExpansions> expansions) const;
  void finish(Group& group, std::span<const Candidate> candidates) const;
  void run_on(Group& group, std::span<const Candidate> candidates);
  void drop_over();
  bool can_improve(const Group& group) const noexcept;
  float ranked(float score, int length) const noexcept;
  static BeamText extended(const Candidate& candidate);

  BeamOptions options_;
  std::vector<std::int32_t> end_ids_;
  int max_new_;
  std::size_t group_size_;
  std::vector<Group> groups_;
  int length_ = 0;  ///< Tokens of each running text.
  std::vector<NextBeam> next_{};
  std::vector<std::int32_t> taken_{};  ///< Tokens of the groups before, in one step.
};

}  // namespace openllm::engine
