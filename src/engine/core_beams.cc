// Beam search in the core: beams are sequences of a request that share blocks, and wait for each
// other.

#include <algorithm>
#include <exception>
#include <utility>

#include "base/error.h"
#include "base/reserve.h"
#include "engine/core.h"

namespace openllm::engine {
namespace {

/// What a sequence takes over from the beam that it continues.
struct Inherited {
  kv::SequenceBlocks blocks{};
  std::vector<std::int32_t> tokens{};
  std::vector<kv::BlockKey> keys{};
  sampling::TokenCounts counts{};
  int n_computed = 0;
  bool has_encoded = false;
  bool is_running = false;
};

/// Makes the constraint one that has accepted `tokens`; it has accepted those of the sequence.
void follow(Sequence& sequence, std::span<const std::int32_t> tokens) {
  if (sequence.constraint == nullptr) return;
  const std::span<const std::int32_t> own(sequence.tokens);
  const auto differs = std::mismatch(own.begin(), own.end(), tokens.begin(), tokens.end());
  sequence.constraint->rollback(static_cast<int>(own.end() - differs.first));
  for (auto token = differs.second; token != tokens.end(); ++token)
    sequence.constraint->accept(*token);
}

/// A sequence for each beam that goes on: that of its parent for the first child, a free one for
/// the others.
std::vector<Sequence*> choose_sequences(const RequestState& r) {
  const std::vector<NextBeam>& next = r.search->next();
  for (const auto& choice : r.choices) choice->is_beam = false;
  std::vector<Sequence*> chosen(next.size(), nullptr);
  const auto take = [](Sequence& sequence, Sequence*& place) {
    sequence.is_beam = true;
    place = &sequence;
  };
  for (std::size_t i = 0; i < next.size(); ++i) {
    Sequence& parent = *r.beams[static_cast<std::size_t>(next[i].parent)];
    if (!parent.is_beam) take(parent, chosen[i]);
  }
  for (Sequence*& place : chosen) {
    if (place != nullptr) continue;
    const auto free = std::find_if(r.choices.begin(), r.choices.end(),
                                   [](const auto& choice) { return !choice->is_beam; });
    base::check(free != r.choices.end(), "engine: more beams than sequences");
    take(**free, place);
  }
  return chosen;
}

}  // namespace

/// Places that running sequences hold, and those that the beams of their searches will need; but
/// those of one request.
int Core::n_places_taken(const RequestState* but) const noexcept {
  int n = 0;
  const RequestState* last = nullptr;
  for (const Sequence* s : running_) {
    const RequestState* r = s->request;
    if (r == but || (r->search != nullptr && r == last)) continue;
    n += r->search != nullptr ? n_sequences(r->request) : 1;
    last = r;
  }
  return n;
}

bool Core::has_places(const Sequence& sequence) const noexcept {
  if (running_.empty()) return true;
  const RequestState& r = *sequence.request;
  const bool is_beam = r.search != nullptr;
  return n_places_taken(is_beam ? &r : nullptr) + (is_beam ? n_sequences(r.request) : 1) <=
         static_cast<int>(max_running_);
}

/// A beam that others of its search wait for; it has a place.
Sequence* Core::waiting_beam() const noexcept {
  for (Sequence* s : waiting_) {
    if (s->request->search == nullptr) continue;
    for (const Sequence* other : s->request->beams) {
      if (other->state == Sequence::State::kRunning) return s;
    }
  }
  return nullptr;
}

/// Takes the blocks of the last beam that has nothing to compute, of that request or of any.
bool Core::preempt_idle(const RequestState* of) {
  for (auto s = running_.rbegin(); s != running_.rend(); ++s) {
    if (!(*s)->has_expansions || (of != nullptr && (*s)->request != of)) continue;
    preempt(**s);
    return true;
  }
  return false;
}

bool Core::are_all_idle() const noexcept {
  return std::all_of(running_.begin(), running_.end(),
                     [](const Sequence* s) { return s->has_expansions; });
}

/// Searches all of whose beams are computed go on.
void Core::advance_searches() {
  for (const Sequence* s : batch_) {
    RequestState& r = *s->request;
    if (r.search == nullptr || s->state == Sequence::State::kEnded) continue;
    const bool is_due = std::all_of(r.beams.begin(), r.beams.end(),
                                    [](const Sequence* beam) { return beam->has_expansions; });
    if (!is_due) continue;
    try {
      advance(r);
    } catch (const std::exception& e) {
      end_request(r, FinishReason::kError,
                  std::make_shared<const base::Failure>(base::failure_of(e)));
    }
  }
}

void Core::advance(RequestState& r) {
  std::vector<BeamExpansions> expansions;
  expansions.reserve(r.beams.size());
  for (Sequence* beam : r.beams) {
    expansions.push_back(std::exchange(beam->expansions, {}));
    beam->has_expansions = false;
  }
  r.search->advance(expansions);
  const auto n = static_cast<std::int64_t>(std::max<std::size_t>(1, r.search->next().size()));
  stats_.n_generated_tokens += n;
  r.tenant->served += 2 * n;
  if (r.search->is_over()) return end_search(r, FinishReason::kStop, nullptr);
  place_beams(r);
}

/// Gives every beam that goes on a sequence with its tokens and shares of its blocks.
void Core::place_beams(RequestState& r) {
  const std::vector<NextBeam>& next = r.search->next();
  const std::vector<Sequence*> chosen = choose_sequences(r);
  const auto parent_of = [&](std::size_t i) -> Sequence& {
    return *r.beams[static_cast<std::size_t>(next[i].parent)];
  };
  std::vector<Inherited> inherited(next.size());
  for (std::size_t i = 0; i < next.size(); ++i) {
    const Sequence& parent = parent_of(i);
    Inherited& own = inherited[i];
    const bool is_same = chosen[i] == &parent;
    const bool shares = is_same || runner_.reads_blocks();
    own.is_running = shares && parent.state == Sequence::State::kRunning;
    if (is_same) continue;
    own.tokens = parent.tokens;
    own.counts = parent.counts;
    if (!shares) continue;
    cache_.share(parent.blocks, own.blocks);
    own.keys = parent.keys;
    own.n_computed = parent.n_computed;
    own.has_encoded = parent.has_encoded;
  }
  for (const auto& choice : r.choices) {
    if (!choice->is_beam) hold(*choice);
  }
  for (std::size_t i = 0; i < next.size(); ++i) {
    Sequence& sequence = *chosen[i];
    if (&sequence != &parent_of(i)) {
      hold(sequence);
      follow(sequence, inherited[i].tokens);
      sequence.blocks = std::move(inherited[i].blocks);
      sequence.tokens = std::move(inherited[i].tokens);
      sequence.keys = std::move(inherited[i].keys);
      sequence.counts = std::move(inherited[i].counts);
      sequence.n_computed = inherited[i].n_computed;
      sequence.has_encoded = inherited[i].has_encoded;
    }
    resume(sequence, inherited[i].is_running);
  }
  for (std::size_t i = 0; i < next.size(); ++i) {
    Sequence& sequence = *chosen[i];
    sequence.tokens.push_back(next[i].token);
    if (sampling::uses_counts(sequence.sampling)) sequence.counts.add_output(next[i].token);
    if (sequence.constraint != nullptr) sequence.constraint->accept(next[i].token);
  }
  r.beams = chosen;
}

/// Ends the search and tells of its texts: of the best ones when it is over, of the best so far
/// when its time is, else of none.
void Core::end_search(RequestState& r, FinishReason reason, const FailurePtr& failure) {
  if (r.n_open == 0) return;
  const bool is_over = reason == FinishReason::kStop && r.search->is_over();
  std::vector<BeamText> texts;
  if (is_over || reason == FinishReason::kDeadline) {
    texts = r.search->best(r.ended_choices.size(), !is_over);
    std::size_t n = 0;
    for (const BeamText& text : texts) n += text.tokens.size() + 2;
    base::reserve_more(emissions_, n + r.choices.size());
  }
  for (std::size_t i = 0; i < r.ended_choices.size(); ++i) {
    if (r.ended_choices[i]) continue;
    r.ended_choices[i] = true;
    const Sequence& choice = *r.choices[i];
    FinishReason why = reason;
    if (i < texts.size()) {
      if (is_over && !r.search->ends_with_end(texts[i])) why = FinishReason::kLength;
      emit(choice, ScoreEvent{texts[i].score});
      for (TokenEvent& event : texts[i].tokens) emit(choice, std::move(event));
    }
    emit_end(choice, why, failure);
  }
  for (const auto& choice : r.choices) end(*choice, FinishReason::kCancelled);
}

void Core::end_beam_choice(RequestState& r, int choice, FinishReason reason) {
  const auto i = static_cast<std::size_t>(choice);
  // A stop found above the engine comes when the search has told all and is no more.
  if (i >= r.ended_choices.size() || r.ended_choices[i] || reason == FinishReason::kStop) return;
  r.ended_choices[i] = true;
  emit_end(*r.choices[i], reason, nullptr);
  const bool all =
      std::all_of(r.ended_choices.begin(), r.ended_choices.end(), [](bool ended) { return ended; });
  if (!all) return;
  for (const auto& sequence : r.choices) end(*sequence, FinishReason::kCancelled);
}

}  // namespace openllm::engine
