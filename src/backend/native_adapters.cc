#include "backend/native_adapters.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <utility>

#include "backend/backend.h"
#include "backend/check_options.h"
#include "base/error.h"
#include "format/checkpoint.h"
#include "model/adapters/adapter_source.h"

namespace openllm::backend {
namespace {

constexpr std::size_t kMaxTerms = 16;
/// Sums that nobody uses are kept for their prefixes in the cache, up to so many.
constexpr std::size_t kMaxSums = 64;
constexpr float kMaxFactor = 1e6F;

[[noreturn]] void fail_sum(std::string_view text, const char* what) {
  base::fail_at(ErrorCode::kInvalidArgument, "adapter_name", what,
                " (expected a name, or a sum as name*0.5+name*2; got ", text, ")");
}

AdapterTerm parse_term(std::string_view text, std::string_view term) {
  const std::size_t star = term.rfind('*');
  AdapterTerm parsed{std::string(term.substr(0, star)), 1.0F};
  if (parsed.name.empty()) fail_sum(text, "a part without a name");
  if (star == std::string_view::npos) return parsed;
  const std::string_view number = term.substr(star + 1);
  const auto [end, error] =
      std::from_chars(number.data(), number.data() + number.size(), parsed.factor);
  if (error != std::errc() || end != number.data() + number.size() ||
      !(std::fabs(parsed.factor) <= kMaxFactor)) {
    fail_sum(text, "a factor that is no number");
  }
  return parsed;
}

}  // namespace

std::vector<AdapterTerm> parse_adapter_sum(std::string_view text) {
  std::vector<AdapterTerm> terms;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find('+', begin), text.size());
    terms.push_back(parse_term(text, text.substr(begin, end - begin)));
    const auto same = [&](const AdapterTerm& term) { return term.name == terms.back().name; };
    if (std::count_if(terms.begin(), terms.end(), same) > 1)
      fail_sum(text, "one adapter given twice");
    if (terms.size() > kMaxTerms) fail_sum(text, "more than 16 adapters");
    begin = end + 1;
  }
  return terms;
}

class NativeAdapters::Mounted {
 public:
  Mounted(model::Model& model, std::int32_t number, std::vector<std::string> names,
          std::vector<Loaded> parts)
      : model_(model), number_(number), names_(std::move(names)), parts_(std::move(parts)) {}
  ~Mounted() {
    if (is_mounted_) model_.unmount_adapter(number_);
  }
  Mounted(const Mounted&) = delete;
  Mounted& operator=(const Mounted&) = delete;

  void mount(std::unique_ptr<const model::AdapterMix> mix) {
    model_.mount_adapter(number_, std::move(mix));
    is_mounted_ = true;
  }
  std::int32_t number() const noexcept { return number_; }
  bool has(const std::string& name) const {
    return std::find(names_.begin(), names_.end(), name) != names_.end();
  }

  std::uint64_t last_use = 0;

 private:
  model::Model& model_;
  const std::int32_t number_;
  const std::vector<std::string> names_;
  const std::vector<Loaded> parts_;
  bool is_mounted_ = false;
};

void NativeAdapters::fail_unknown(const std::string& name) const { fail_no_adapter(name, list()); }

NativeAdapters::Loaded NativeAdapters::load(const std::string& id) const {
  return model_.prepare_adapter(model::read_adapter(*format::open_adapter(id)));
}

/// The adapter's weights; read again if they are not in memory.
NativeAdapters::Loaded NativeAdapters::loaded(const std::string& name, std::uint64_t use) {
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
  Loaded adapter = load(id);
  const base::MutexLock lock(mutex_);
  const auto found = entries_.find(name);
  if (found != entries_.end() && found->second.id == id && found->second.adapter == nullptr)
    found->second.adapter = adapter;
  return adapter;
}

void NativeAdapters::mount(const AdapterOptions& adapter) {
  const std::string& name = name_of(adapter);
  if (name == "none" || name.find_first_of("+*") != std::string::npos) {
    base::fail_at(ErrorCode::kInvalidArgument, "adapters",
                  "a name that requests cannot have (expected neither + nor *, and not none; got ",
                  name, ")");
  }
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
  Loaded weights = load(adapter.id);
  const base::MutexLock lock(mutex_);
  if (is_there()) return;
  entries_.emplace(name, Entry{adapter.id, std::move(weights), ++n_uses_});
  make_room();
}

void NativeAdapters::unmount(const std::string& name) {
  {
    const base::MutexLock lock(mutex_);
    if (entries_.erase(name) > 0) return drop_sums_with(name);
  }
  fail_unknown(name);
}

std::vector<AdapterOptions> NativeAdapters::list() const {
  std::vector<AdapterOptions> adapters;
  const base::MutexLock lock(mutex_);
  for (const auto& [name, entry] : entries_) adapters.push_back({entry.id, name});
  return adapters;
}

std::size_t NativeAdapters::n_loaded() const {
  const base::MutexLock lock(mutex_);
  return static_cast<std::size_t>(
      std::count_if(entries_.begin(), entries_.end(),
                    [](const auto& entry) { return entry.second.adapter != nullptr; }));
}

AdapterUse NativeAdapters::find(const std::string& sum) {
  std::uint64_t use = 0;
  std::vector<AdapterTerm> terms;
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
  terms = parse_adapter_sum(sum);
  std::vector<model::AdapterPart> parts;
  std::vector<std::string> names;
  std::vector<Loaded> held;
  for (const AdapterTerm& term : terms) {
    names.push_back(term.name);
    held.push_back(loaded(term.name, use));
    parts.push_back({held.back(), term.factor});
  }
  std::unique_ptr<const model::AdapterMix> mix = model_.mix_adapters(parts);
  {
    const base::MutexLock lock(mutex_);
    if (const auto found = sums_.find(sum); found != sums_.end())
      return {found->second->number(), found->second};
    const auto is_gone = [&](const std::string& name)
                             REQUIRES(mutex_) { return !entries_.contains(name); };
    const auto gone = std::find_if(names.begin(), names.end(), is_gone);
    if (gone == names.end()) {
      base::check(last_number_ < std::numeric_limits<std::int32_t>::max(),
                  "adapters: there are no more numbers");
      auto mounted = std::make_shared<Mounted>(model_, ++last_number_, names, std::move(held));
      mounted->mount(std::move(mix));
      mounted->last_use = use;
      sums_.emplace(sum, mounted);
      trim_sums();
      make_room();
      return {mounted->number(), mounted};
    }
    names = {*gone};
  }
  fail_unknown(names[0]);
}

void NativeAdapters::drop_sums_with(const std::string& name) {
  std::erase_if(sums_, [&](const auto& sum) { return sum.second->has(name); });
}

/// Forgets sums that no request uses, beyond what is kept for prefixes.
void NativeAdapters::trim_sums() {
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
void NativeAdapters::make_room() {
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
