// What a core guesses ahead of its sequences, and what it learns from that.

#include <algorithm>

#include "engine/core.h"

namespace openllm::engine {

/// Steps of decodes alone wait for memory, not for arithmetic, while they are few: rows for tokens
/// that probably come next cost them little. What a text repeats is guessed for nothing, so the
/// draft model is for the others.
void Core::propose_drafts(const StepCosts& costs) {
  const StepShape decodes = shape();
  if (decodes.prompt_rows > 0 || decodes.decode_rows == 0) return;
  DraftTerms terms{.step_s = seconds(costs, decodes),
                   .n_decodes = static_cast<int>(decodes.decode_rows),
                   .costs = costs,
                   .rows = std::min(options_.max_step_tokens, options_.max_output_rows) -
                           static_cast<int>(decodes.decode_rows),
                   .n_most = max_draft_tokens_,
                   .lengths = lengths_};
  for (Sequence* sequence : batch_) {
    const RequestState& r = *sequence->request;
    if (r.search != nullptr || r.max_new == 0) continue;
    propose_repeats(*sequence, terms);
    terms.rows -= sequence->drafts.n();
  }
  if (draft_model_ != nullptr) draft_model_->propose(batch_, terms);
}

void Core::propose_repeats(Sequence& sequence, const DraftTerms& terms) {
  Drafts& drafts = sequence.drafts;
  const int n_left = sequence.request->max_new - sequence.n_generated() - 1;
  const DraftBudget budget{
      .rows = terms.rows,
      .token_s = terms.step_s / terms.n_decodes,
      .row_s = terms.costs.decode_row + terms.costs.decode_key * (sequence.n_computed + 1)};
  drafts.propose(sequence.tokens, std::min(terms.n_most, n_left), budget);
  if (draft_model_ == nullptr || drafts.n() == 0 || !drafts.are_tested()) return;
  if (draft_model_->beats(sequence, drafts.n(), drafts.likely(), terms)) drafts.pass();
}

void Core::learn_drafts(Sequence& sequence, int n_right) {
  Drafts& drafts = sequence.drafts;
  if (drafts.n() == 0) return;
  stats_.n_draft_tokens += drafts.n();
  stats_.n_accepted_drafts += n_right;
  if (!drafts.are_of_model()) return drafts.learn(n_right);
  stats_.n_model_draft_tokens += drafts.n();
  stats_.n_accepted_model_drafts += n_right;
  draft_model_->learn(sequence, n_right);
  drafts.clear();
}

}  // namespace openllm::engine
