#include "backend/adapter_book.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "backend/adapter_sum.h"
#include "backend/check_options.h"
#include "base/error.h"

namespace openllm::backend {
namespace {

/// Sums that nobody uses are kept for their prefixes in the cache, up to so many.
constexpr std::size_t kMaxSums = 64;

}  // namespace

class AdapterBook::Mounted {
 public:
  Mounted(std::int32_t number, std::vector<std::string> names, std::vector<Loaded> parts,
          std::unique_ptr<AdapterHost::Sum> sum)
      : number_(number), names_(std::move(names)), parts_(std::move(parts)), sum_(std::move(sum)) {
    sum_->mount(number_);
  }

  std::int32_t number() const noexcept { return number_; }
  bool has(const std::string& name) const {
    return std::find(names_.begin(), names_.end(), name) != names_.end();
  }

  std::uint64_t last_use = 0;

 private:
  const std::int32_t number_;
  const std::vector<std::string> names_;
  const std::vector<Loaded> parts_;
  const std::unique_ptr<AdapterHost::Sum> sum_;  // last: it goes before what it is made of
};

void AdapterBook::fail_unknown(const std::string& name) const { fail_no_adapter(name, list()); }

/// The adapter's weights; read again if they are not in memory.
AdapterBook::Loaded AdapterBook::loaded(const std::string& name, std::uint64_t use) {
  std::string id;
  {
    const base::MutexLock lock(mutex_);
    const auto found = entries_.find(name);
    if (found != entries_.end()) {
      found->second.last_use = use;
      if (found->second.adapter != nullptr) return found->second.adapter;
      id = found->second.id;
    }
  }
  if (id.empty()) fail_unknown(name);
  Loaded adapter = host_.load(id);
  const base::MutexLock lock(mutex_);
  const auto found = entries_.find(name);
  if (found != entries_.end() && found->second.id == id && found->second.adapter == nullptr)
    found->second.adapter = adapter;
  return adapter;
}

void AdapterBook::mount(const AdapterOptions& adapter) {
  const std::string& name = name_of(adapter);
  require_adapter_name(name);
  const auto is_there = [&]() REQUIRES(mutex_) {
    const auto found = entries_.find(name);
    if (found == entries_.end()) return false;
    if (found->second.id == adapter.id) return true;
    base::fail_at(ErrorCode::kInvalidArgument, "adapters", "the name ", name,
                  " is taken (expected another one, or ", found->second.id, "; got ", adapter.id,
                  ")");
  };
  {
    const base::MutexLock lock(mutex_);
    if (is_there()) return;
  }
  Loaded weights = host_.load(adapter.id);
  const base::MutexLock lock(mutex_);
  if (is_there()) return;
  entries_.emplace(name, Entry{adapter.id, std::move(weights), ++n_uses_});
  make_room();
}

void AdapterBook::unmount(const std::string& name) {
  {
    const base::MutexLock lock(mutex_);
    if (entries_.erase(name) > 0) return drop_sums_with(name);
  }
  fail_unknown(name);
}

std::vector<AdapterOptions> AdapterBook::list() const {
  std::vector<AdapterOptions> adapters;
  const base::MutexLock lock(mutex_);
  for (const auto& [name, entry] : entries_) adapters.push_back({entry.id, name});
  return adapters;
}

std::size_t AdapterBook::n_loaded() const {
  const base::MutexLock lock(mutex_);
  return static_cast<std::size_t>(
      std::count_if(entries_.begin(), entries_.end(),
                    [](const auto& entry) { return entry.second.adapter != nullptr; }));
}

AdapterUse AdapterBook::find(const std::string& sum) {
  std::uint64_t use = 0;
  {
    const base::MutexLock lock(mutex_);
    use = ++n_uses_;
    if (const auto found = sums_.find(sum); found != sums_.end()) {
      found->second->last_use = use;
      for (auto& [name, entry] : entries_) {
        if (found->second->has(name)) entry.last_use = use;
      }
      return {found->second->number(), found->second};
    }
  }
  std::vector<AdapterHost::Part> parts;
  std::vector<std::string> names;
  std::vector<Loaded> held;
  for (const AdapterTerm& term : parse_adapter_sum(sum)) {
    names.push_back(term.name);
    held.push_back(loaded(term.name, use));
    parts.push_back({held.back(), term.factor});
  }
  std::unique_ptr<AdapterHost::Sum> mix = host_.mix(parts);
  {
    const base::MutexLock lock(mutex_);
    if (const auto found = sums_.find(sum); found != sums_.end())
      return {found->second->number(), found->second};
    std::string gone;
    bool is_current = true;  // not another one under its name since
    for (std::size_t i = 0; i < names.size(); ++i) {
      const auto entry = entries_.find(names[i]);
      if (entry == entries_.end()) gone = names[i];
      is_current = is_current && entry != entries_.end() &&
                   (entry->second.adapter == nullptr || entry->second.adapter == held[i]);
    }
    if (is_current) {
      base::check(last_number_ < std::numeric_limits<std::int32_t>::max(),
                  "adapters: there are no more numbers");
      auto mounted =
          std::make_shared<Mounted>(++last_number_, names, std::move(held), std::move(mix));
      mounted->last_use = use;
      sums_.emplace(sum, mounted);
      trim_sums();
      make_room();
      return {mounted->number(), mounted};
    }
    names = {gone};
  }
  if (!names[0].empty()) fail_unknown(names[0]);
  return find(sum);
}

void AdapterBook::drop_sums_with(const std::string& name) {
  std::erase_if(sums_, [&](const auto& sum) { return sum.second->has(name); });
}

/// Forgets sums that no request uses, beyond what is kept for prefixes.
void AdapterBook::trim_sums() {
  while (sums_.size() > kMaxSums) {
    auto oldest = sums_.end();
    for (auto sum = sums_.begin(); sum != sums_.end(); ++sum) {
      if (sum->second.use_count() > 1) continue;
      if (oldest == sums_.end() || sum->second->last_use < oldest->second->last_use) oldest = sum;
    }
    if (oldest == sums_.end()) return;
    sums_.erase(oldest);
  }
}

/// Drops weights that no request uses, the least recently used first, until no more than wanted are
/// in memory.
void AdapterBook::make_room() {
  if (max_loaded_ == 0) return;
  const auto is_used = [&](const std::string& name) REQUIRES(mutex_) {
    return std::any_of(sums_.begin(), sums_.end(), [&](const auto& sum) {
      return sum.second.use_count() > 1 && sum.second->has(name);
    });
  };
  while (true) {
    std::size_t n_loaded = 0;
    auto oldest = entries_.end();
    for (auto entry = entries_.begin(); entry != entries_.end(); ++entry) {
      if (entry->second.adapter == nullptr) continue;
      ++n_loaded;
      if (entry->second.last_use == n_uses_ || is_used(entry->first)) continue;
      if (oldest == entries_.end() || entry->second.last_use < oldest->second.last_use)
        oldest = entry;
    }
    if (n_loaded <= max_loaded_ || oldest == entries_.end()) return;
    drop_sums_with(oldest->first);
    oldest->second.adapter = nullptr;
  }
}

}  // namespace openllm::backend
