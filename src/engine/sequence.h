#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "engine/beam_search.h"
#include "engine/drafts.h"
#include "engine/policy.h"
#include "engine/request.h"
#include "engine/shares.h"
#include "kv/block_cache.h"

namespace openllm::engine {

struct RequestState;

/// One choice of a request, or one beam of its search. Only blocks and n_computed are lost when it
/// is preempted: tokens, counts and the state of the constraint stay.
struct Sequence {
  enum class State : std::uint8_t {
    kHeld,     ///< Waits for another choice to compute the prompt they share; or for other beams.
    kWaiting,  ///< Holds no blocks.
    kRunning,
    kEnded,
  };

  RequestState* request = nullptr;
  std::int64_t id = 0;  ///< As step::SequenceRows::sequence_id; set by the core.
  State state = State::kHeld;
  sampling::SamplingParams sampling{};
  int choice = 0;                      ///< Of the request.
  std::vector<std::int32_t> tokens{};  ///< Prompt and answer.
  int n_computed = 0;                  ///< Tokens whose keys and values are in the blocks.
  int n_reported = 0;        ///< Prompt rows whose logits were delivered; survives preemption.
  int report_end = 0;        ///< Prompt rows whose logits are to be delivered.
  int hidden_next = 0;       ///< First prompt row of Request::hidden that was not delivered.
  bool has_encoded = false;  ///< The keys and values of its source are in the blocks.
  bool split_counted = false;
  bool was_charged = false;  ///< Its prompt counts as served to its tenant.
  sampling::TokenCounts counts{};
  std::unique_ptr<sampling::Constraint> constraint{};  ///< Null when any token may come.
  kv::SequenceBlocks blocks{};
  std::vector<kv::BlockKey> keys{};  ///< Of its full blocks, as far as they were needed.
  bool is_beam = false;              ///< It is one of the search's running beams.
  bool has_expansions = false;       ///< They are known; its rows wait for those of other beams.
  BeamExpansions expansions{};

  // Set for one step.
  int n_rows = 0;
  Drafts drafts{};       ///< Rows of the step behind n_rows, whose tokens are guesses.
  int first_output = 0;  ///< Index of its first row with logits.
  int first_hidden = 0;  ///< Index of its first row of hidden states.

  int n_generated() const noexcept;
  /// Source tokens to encode together with its next row.
  int n_source_rows() const noexcept;
  /// Tokens to compute before it ends or its next token is sampled.
  int n_target() const noexcept;
  Candidate candidate() const noexcept;
  /// Positions of Request::hidden among its rows of the step, as far as they are still wanted.
  PromptRows hidden_rows() const noexcept;
  /// Computes the keys of the first `n_blocks` blocks, all of which its tokens fill.
  void extend_keys(int n_blocks, int block_size);
};

struct RequestState {
  /// `max_len`: of prompt and answer. Throws what the factories of constraints throw.
  RequestState(Request what, std::int64_t max_len);

  Request request;
  std::int64_t arrival = 0;  ///< Set by the core, as is root.
  int n_prompt = 0;
  int max_new = 0;           ///< As far as there is room.
  int n_open = 0;            ///< Choices not ended.
  bool has_started = false;  ///< A step of it was committed.
  bool is_whole = false;     ///< Its prompt comes in one step. Set by the core.
  bool joins_group = false;  ///< Others of its group were there when it came.
  /// Prompt tokens found in the prefix cache by the first choice to run; < 0: none ran yet.
  int n_cached = -1;
  std::shared_ptr<Tenant> tenant{};  ///< Set by the core, as is `group`.
  std::shared_ptr<Group> group{};
  Sequence* leader = nullptr;  ///< Computes the prompt while other choices are held.
  kv::BlockKey root{};
  /// Of a search its beams, else the choices.
  std::vector<std::unique_ptr<Sequence>> choices{};
  std::unique_ptr<BeamSearch> search{};
  std::vector<Sequence*> beams{};     ///< The running ones, in the search's order.
  std::vector<bool> ended_choices{};  ///< Of a search: what was told of its choices.

  bool reports_prompt() const noexcept {
    return request.n_prompt_logprobs >= 0 || request.prompt_logits;
  }
};

/// Names what begins a prefix that sequences may share: all that changes the numbers, and whose it
/// is.
kv::BlockKey prefix_root(const RequestState& request, bool rope_depends_on_length);

/// Whether `a` runs before `b`: lower priority, then earlier arrival, then lower choice. A total
/// order, so the first is never preempted and always gets on: no two sequences can preempt each
/// other for ever.
bool ranks_before(const Sequence* a, const Sequence* b) noexcept;

}  // namespace openllm::engine
