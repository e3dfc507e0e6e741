#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "backend/backend.h"
#include "backend/balance.h"
#include "base/clock.h"
#include "base/mutex.h"

namespace openllm::backend::places {

/// A place: what it is called, and how it is loaded.
struct PlaceSource {
  std::string name{};
  std::string url{};  ///< Of a server, which may go and come; empty: it is in this process.
  std::function<std::unique_ptr<Backend>()> load{};
};

/// What a request has its adapters by, at the places that have them.
struct AdapterUses {
  std::string name{};  ///< Or a sum.
  std::map<std::size_t, AdapterUse> by_place{};
};

/// What a part of a request needs of a place.
struct Needs {
  std::span<const std::string> fields{};
  bool prompt_logits = false;
  bool continues_answers = false;
  bool draws_as_engine = false;
  const AdapterUses* adapters = nullptr;
};

/// The places, which of them are loaded, and what they have to do. Thread safety: every method from
/// any thread.
class Roster {
 public:
  Roster(std::vector<PlaceSource> sources, const base::Clock& clock);

  std::size_t size() const noexcept { return sources_.size(); }
  const PlaceSource& source(std::size_t i) const { return sources_[i]; }

  /// A place is loaded. Throws kInvalidArgument when it has another vocabulary than those before,
  /// and, after `settle`, when its sequences are shorter than theirs; kUnavailable after `close`.
  void admit(std::size_t i, std::unique_ptr<Backend> backend);
  /// It is not, for now, or not wholly.
  void keep_out(std::size_t i, std::string reason);
  /// Those that are loaded now say how long sequences may be.
  void settle();
  /// None is admitted any more. Those that are loaded stay until the end of the roster.
  std::vector<Backend*> close();

  int vocab_size() const;
  int max_model_len() const;
  /// Of the places that know it: the shortest.
  SourceFacts source_facts() const;
  /// What one at least of those that are loaded can do.
  Capabilities capabilities() const;
  std::vector<Backend*> loaded() const;
  bool is_loaded(std::size_t i) const { return backend(i) != nullptr; }
  /// Null while it is not loaded; else it stays until the end of the roster.
  Backend* backend(std::size_t i) const;
  bool is_well(std::size_t i) const;
  std::vector<PlaceStats> stats() const;

  struct Pick {
    std::size_t place = 0;
    Backend* backend = nullptr;
    bool continues_answers = false;
    bool draws_as_engine = false;
  };
  /// The place for `n_choices`, which count as its own until `leave` was called for each. Of those
  /// that are loaded, have what is needed and are not in `tried`; nullopt: none is left.
  std::optional<Pick> pick(const Needs& needs, std::span<const std::int32_t> prompt, int n_choices,
                           const std::set<std::size_t>& tried);
  void leave(std::size_t i, int n_choices);
  /// A choice was made there to its end, in that time.
  void measure(std::size_t i, std::int64_t n_tokens, std::chrono::duration<double> time);
  void count_tokens(std::size_t i, std::int64_t n_tokens);
  /// It failed a part of a request. `is_gone`: nobody is there.
  void count_failure(std::size_t i, bool is_gone, const std::string& reason);
  /// What was found when it was asked. How often in a row it was not well.
  int tell_health(std::size_t i, bool is_well, const std::string& reason);
  /// Whether a place is loaded that has what is needed, whatever was tried.
  bool has(const Needs& needs) const;

 private:
  struct Place {
    std::unique_ptr<Backend> backend{};
    Capabilities capabilities{};
    std::string reason{};
    int n_not_well = 0;  ///< In a row.
    int n_open = 0;
    int n_slots = 0;
    double sum_s = 0.0;  ///< Of choices that ended lately, the later the more.
    double sum_tokens = 0.0;
    base::Clock::TimePoint measured{};
    PlaceStats counts{};
  };

  bool can(std::size_t i, const Needs& needs) const REQUIRES(mutex_);
  double token_s(const Place& place) const;
  void join_capabilities() REQUIRES(mutex_);
  void require_fitting(std::size_t i, const Backend& backend) const REQUIRES(mutex_);

  const std::vector<PlaceSource> sources_;
  const base::Clock& clock_;
  mutable base::Mutex mutex_;
  std::vector<Place> places_ GUARDED_BY(mutex_);
  PrefixMemory memory_ GUARDED_BY(mutex_);
  Capabilities capabilities_ GUARDED_BY(mutex_);
  int max_model_len_ GUARDED_BY(mutex_) = 0;  // 0: not settled
  SourceFacts source_facts_ GUARDED_BY(mutex_) = {};
  bool is_closed_ GUARDED_BY(mutex_) = false;
};

}  // namespace openllm::backend::places
