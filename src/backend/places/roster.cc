#include "backend/places/roster.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "base/error.h"

namespace openllm::backend::places {
namespace {

/// What a choice that ended weighs when the next one has.
constexpr double kKept = 0.9;
/// What was measured longer ago says nothing of now.
constexpr std::chrono::seconds kMeasureAge{30};

/// Backends of servers that do not say their vocabulary have the largest number.
bool is_known(int vocab_size) { return vocab_size < std::numeric_limits<int>::max(); }

std::string words_for(const Backend& backend) {
  std::string words = backend.device();
  const std::string isa = backend.isa();
  if (!isa.empty()) words += ", " + isa;
  return base::cat(words, ", context ", backend.max_model_len());
}

void add_fields(Capabilities& all, const Capabilities& one) {
  for (const std::string& field : one.fields) {
    if (!all.honours(field)) all.fields.push_back(field);
  }
}

}  // namespace

Roster::Roster(std::vector<PlaceSource> sources, const base::Clock& clock)
    : sources_(std::move(sources)), clock_(clock), places_(sources_.size()) {}

void Roster::require_fitting(std::size_t i, const Backend& backend) const {
  const int vocab_size = backend.vocab_size();
  for (std::size_t k = 0; k < places_.size(); ++k) {
    if (places_[k].backend == nullptr || !is_known(vocab_size)) continue;
    const int other = places_[k].backend->vocab_size();
    if (!is_known(other) || other == vocab_size) continue;
    base::fail_at(ErrorCode::kInvalidArgument, "places", sources_[i].name,
                  " has another vocabulary (expected ", other, " tokens as ", sources_[k].name,
                  ", got ", vocab_size, ")");
  }
  const int source_len = backend.source().max_len;
  if (source_len > 0 && source_len < source_facts_.max_len) {
    base::fail_at(ErrorCode::kInvalidArgument, "places", sources_[i].name,
                  " has shorter sources than the others (expected ", source_facts_.max_len,
                  " tokens, got ", source_len, ")");
  }
  if (backend.max_model_len() >= max_model_len_) return;
  base::fail_at(ErrorCode::kInvalidArgument, "places", sources_[i].name,
                " has shorter sequences than the others (expected ", max_model_len_,
                " tokens, got ", backend.max_model_len(), ")");
}

void Roster::admit(std::size_t i, std::unique_ptr<Backend> backend) {
  const base::MutexLock lock(mutex_);
  if (is_closed_) base::fail(ErrorCode::kUnavailable, "places: are shutting down");
  require_fitting(i, *backend);
  Place& place = places_[i];
  place.reason = words_for(*backend);
  place.capabilities = backend->capabilities();
  place.n_slots = backend->n_slots();
  place.n_not_well = 0;
  place.backend = std::move(backend);
  join_capabilities();
}

void Roster::keep_out(std::size_t i, std::string reason) {
  const base::MutexLock lock(mutex_);
  places_[i].reason = std::move(reason);
}

void Roster::settle() {
  const base::MutexLock lock(mutex_);
  for (const Place& place : places_) {
    if (place.backend == nullptr) continue;
    const int length = place.backend->max_model_len();
    max_model_len_ = max_model_len_ == 0 ? length : std::min(max_model_len_, length);
    const SourceFacts one = place.backend->source();
    if (one.max_len == 0) continue;
    const bool is_first = source_facts_.max_len == 0;
    if (is_first || one.max_len < source_facts_.max_len) source_facts_ = one;
  }
}

std::vector<Backend*> Roster::close() {
  {
    const base::MutexLock lock(mutex_);
    is_closed_ = true;
  }
  return loaded();
}

std::vector<Backend*> Roster::loaded() const {
  const base::MutexLock lock(mutex_);
  std::vector<Backend*> list;
  for (const Place& place : places_) {
    if (place.backend != nullptr) list.push_back(place.backend.get());
  }
  return list;
}

Backend* Roster::backend(std::size_t i) const {
  const base::MutexLock lock(mutex_);
  return places_[i].backend.get();
}

bool Roster::is_well(std::size_t i) const {
  const base::MutexLock lock(mutex_);
  return places_[i].backend != nullptr && places_[i].n_not_well == 0;
}

int Roster::vocab_size() const {
  int vocab_size = std::numeric_limits<int>::max();
  for (const Backend* backend : loaded()) vocab_size = std::min(vocab_size, backend->vocab_size());
  return vocab_size;
}

int Roster::max_model_len() const {
  const base::MutexLock lock(mutex_);
  return max_model_len_;
}

SourceFacts Roster::source_facts() const {
  const base::MutexLock lock(mutex_);
  return source_facts_;
}

Capabilities Roster::capabilities() const {
  const base::MutexLock lock(mutex_);
  return capabilities_;
}

void Roster::join_capabilities() {
  Capabilities all{.is_repeatable = false, .continues_answers = false};
  const Capabilities* first = nullptr;
  for (const Place& place : places_) {
    if (place.backend == nullptr) continue;
    const Capabilities& one = place.capabilities;
    all.prompt_logits = all.prompt_logits || one.prompt_logits;
    all.draws_as_engine = all.draws_as_engine && one.draws_as_engine;
    all.adapters = all.adapters || one.adapters;
    all.all_fields = all.all_fields || one.all_fields;
    add_fields(all, one);
    if (first == nullptr) first = &one;
    all.is_mixed = all.is_mixed || one.is_mixed || one.all_fields != first->all_fields ||
                   one.fields != first->fields;
  }
  capabilities_ = std::move(all);
}

bool Roster::can(std::size_t i, const Needs& needs) const {
  const Place& place = places_[i];
  if (place.backend == nullptr) return false;
  if (needs.adapters != nullptr && !needs.adapters->by_place.contains(i)) return false;
  const Capabilities& has = place.capabilities;
  if ((needs.prompt_logits && !has.prompt_logits) ||
      (needs.continues_answers && !has.continues_answers) ||
      (needs.draws_as_engine && !has.draws_as_engine))
    return false;
  return std::all_of(needs.fields.begin(), needs.fields.end(),
                     [&](const std::string& field) { return has.honours(field); });
}

bool Roster::has(const Needs& needs) const {
  const base::MutexLock lock(mutex_);
  for (std::size_t i = 0; i < places_.size(); ++i) {
    if (can(i, needs)) return true;
  }
  return false;
}

double Roster::token_s(const Place& place) const {
  if (place.sum_tokens == 0.0 || clock_.now() - place.measured > kMeasureAge) return 0.0;
  return place.sum_s / place.sum_tokens;
}

std::optional<Roster::Pick> Roster::pick(const Needs& needs, std::span<const std::int32_t> prompt,
                                         int n_choices, const std::set<std::size_t>& tried) {
  const base::MutexLock lock(mutex_);
  std::set<std::size_t> excluded = tried;
  std::vector<PlaceLoad> loads;
  for (std::size_t i = 0; i < places_.size(); ++i) {
    const Place& place = places_[i];
    if (!can(i, needs)) excluded.insert(i);
    loads.push_back({place.n_not_well == 0, place.n_open, place.n_slots, token_s(place)});
  }
  std::string_view adapter;
  if (needs.adapters != nullptr) adapter = needs.adapters->name;
  const auto chosen =
      choose_place(loads, memory_, PrefixMemory::key_of(prompt, adapter), n_choices, excluded);
  if (!chosen) return std::nullopt;
  Place& place = places_[*chosen];
  place.n_open += n_choices;
  ++place.counts.n_requests;
  return Pick{*chosen, place.backend.get(), place.capabilities.continues_answers,
              place.capabilities.draws_as_engine};
}

void Roster::leave(std::size_t i, int n_choices) {
  const base::MutexLock lock(mutex_);
  places_[i].n_open -= n_choices;
}

void Roster::measure(std::size_t i, std::int64_t n_tokens, std::chrono::duration<double> time) {
  if (n_tokens == 0) return;
  const base::MutexLock lock(mutex_);
  Place& place = places_[i];
  const base::Clock::TimePoint now = clock_.now();
  const double kept = now - place.measured > kMeasureAge ? 0.0 : kKept;
  place.sum_s = kept * place.sum_s + time.count();
  place.sum_tokens = kept * place.sum_tokens + static_cast<double>(n_tokens);
  place.measured = now;
}

void Roster::count_tokens(std::size_t i, std::int64_t n_tokens) {
  const base::MutexLock lock(mutex_);
  places_[i].counts.n_generated_tokens += n_tokens;
}

void Roster::count_failure(std::size_t i, bool is_gone, const std::string& reason) {
  const base::MutexLock lock(mutex_);
  Place& place = places_[i];
  ++place.counts.n_failures;
  if (!is_gone) return;
  ++place.n_not_well;
  place.reason = reason;
}

int Roster::tell_health(std::size_t i, bool is_well, const std::string& reason) {
  const base::MutexLock lock(mutex_);
  Place& place = places_[i];
  if (place.backend == nullptr) return 0;
  if (is_well) {
    if (place.n_not_well > 0) place.reason = words_for(*place.backend);
    place.n_not_well = 0;
  } else {
    ++place.n_not_well;
    place.reason = reason;
  }
  return place.n_not_well;
}

std::vector<PlaceStats> Roster::stats() const {
  const base::MutexLock lock(mutex_);
  std::vector<PlaceStats> list;
  for (std::size_t i = 0; i < places_.size(); ++i) {
    const Place& place = places_[i];
    PlaceStats stats = place.counts;
    stats.name = sources_[i].name;
    stats.is_up = place.backend != nullptr && place.n_not_well == 0;
    stats.reason = place.reason;
    stats.n_open = place.n_open;
    stats.n_slots = place.n_slots;
    stats.token_s = token_s(place);
    list.push_back(std::move(stats));
  }
  return list;
}

}  // namespace openllm::backend::places
