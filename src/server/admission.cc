#include "server/admission.h"

#include <algorithm>
#include <functional>

namespace openllm::server {
namespace {

using Seconds = Admission::Seconds;
using TimePoint = Admission::TimePoint;

constexpr double kLearnInterval = 1.0 / 16;
constexpr double kLearnShare = 1.0 / 32;
constexpr double kPatience = 2;  // of those that come when they were told to
constexpr double kLeastShare = 1.0 / 16;

TimePoint after(TimePoint now, Seconds wait) {
  return now + std::chrono::duration_cast<TimePoint::duration>(wait);
}

std::uint64_t mix(std::uint64_t a, std::uint64_t b) {
  return a ^ (b + 0x9E3779B97F4A7C15U + (a << 6U) + (a >> 2U));
}

std::uint64_t key_of(const Admission::Visitor& visitor) {
  return mix(visitor.fingerprint, std::hash<std::string>{}(visitor.tenant));
}

}  // namespace

std::uint64_t fingerprint(std::string_view path, std::string_view body) {
  const std::hash<std::string_view> hash;
  return mix(hash(path), hash(body));
}

/// The promise to that request which is due, else the next one; the end if there is none. Clients
/// with equal requests share what was promised to them, each promise serves one.
Admission::Promises::iterator Admission::find_promise(std::uint64_t key, TimePoint now) {
  Promises::iterator best = by_due_.end();
  const auto [first, last] = by_key_.equal_range(key);
  for (auto it = first; it != last; ++it) {
    if (best == by_due_.end() || it->second->first < best->first) best = it->second;
    if (best->first <= now) break;
  }
  return best;
}

void Admission::forget(Promises::iterator promise, bool was_used) {
  used_share_ += kLearnShare * ((was_used ? 1.0 : 0.0) - used_share_);
  const auto [first, last] = by_key_.equal_range(promise->second);
  const auto entry =
      std::find_if(first, last, [&](const auto& known) { return known.second == promise; });
  if (entry != last) by_key_.erase(entry);
  by_due_.erase(promise);
}

void Admission::expire(TimePoint now) {
  while (!by_due_.empty() && after(by_due_.begin()->first, kGrace) < now)
    forget(by_due_.begin(), false);
  std::erase_if(lines_, [&](const auto& line) { return line.second <= now; });
}

void Admission::promise(std::uint64_t key, TimePoint due) {
  if (by_due_.size() >= kMaxPromises) return;
  by_key_.emplace(key, by_due_.emplace(due, key));
}

std::optional<Seconds> Admission::allowed_wait(const Visitor& visitor, TimePoint now) {
  expire(now);
  if (max_wait_.count() <= 0.0) return std::nullopt;
  const auto promise = find_promise(key_of(visitor), now);
  const bool is_expected = promise != by_due_.end() && promise->first <= now;
  return is_expected ? kPatience * max_wait_ : max_wait_;
}

std::optional<Seconds> Admission::longest_wait() const noexcept {
  return max_wait_.count() <= 0.0 ? std::nullopt : std::optional(kPatience * max_wait_);
}

void Admission::entered(const Visitor& visitor) {
  ++inside_[visitor.tenant];
  ++n_entering_;
}

void Admission::taken(const Visitor& visitor, TimePoint now) {
  --n_entering_;
  if (const auto promise = find_promise(key_of(visitor), now); promise != by_due_.end())
    forget(promise, true);
}

Seconds Admission::refused(const Visitor& visitor, Seconds earliest, TimePoint now) {
  expire(now);
  earliest = std::clamp(earliest, interval(), kLongestPromise);
  const std::uint64_t key = key_of(visitor);
  const auto kept = find_promise(key, now);
  if (kept != by_due_.end() && kept->first <= now) {  // it came when it should: not behind others
    forget(kept, true);
    promise(key, after(now, earliest));
    return earliest;
  }
  const TimePoint due = next_turn(visitor.tenant, earliest, now);
  const Seconds wait = due - now;
  if (wait > kLongestPromise) return kLongestPromise;
  promise(key, due);
  return wait;
}

Seconds Admission::refused_unread(const std::string& tenant, Seconds earliest, TimePoint now) {
  expire(now);
  earliest = std::clamp(earliest, interval(), kLongestPromise);
  return std::min<Seconds>(next_turn(tenant, earliest, now) - now, kLongestPromise);
}

/// The end of the tenant's line, which grows by that unless it is longer than anyone waits.
TimePoint Admission::next_turn(const std::string& tenant, Seconds earliest, TimePoint now) {
  TimePoint& line = lines_[tenant];
  const TimePoint due = std::max(after(now, earliest), line);
  if (due - now > kLongestPromise) return due;
  // The lines of several tenants move at the same time, each at its share of the speed.
  const double turns = static_cast<double>(lines_.size()) * std::max(used_share_, kLeastShare);
  line = after(due, interval() * turns);
  return due;
}

void Admission::left(const Visitor& visitor, bool was_answered, bool others_wait, TimePoint now) {
  if (const auto inside = inside_.find(visitor.tenant);
      inside != inside_.end() && --inside->second == 0) {
    inside_.erase(inside);
  }
  if (!was_answered) {
    --n_entering_;
    return;
  }
  if (others_wait && last_busy_end_) {
    const Seconds latest = now - *last_busy_end_;
    interval_ = interval_ ? *interval_ + kLearnInterval * (latest - *interval_) : latest;
  }
  last_busy_end_ = others_wait ? std::optional(now) : std::nullopt;
}

std::size_t Admission::n_inside(std::string_view tenant) const {
  const auto inside = inside_.find(tenant);
  return inside == inside_.end() ? 0 : inside->second;
}

}  // namespace openllm::server
