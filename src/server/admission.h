#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

namespace openllm::server {

/// Who is let in when a model is asked for more than it can do, and when those who are not shall
/// come again.
///
/// A new request may wait `max_wait` for its first step. Those that would wait longer are refused,
/// and each is told a time of its own: the first one when there is room again, each further one
/// later by the time that an answer takes, so that they do not all come in the same second. One
/// that comes back when it was told to may wait twice as long as a new one, so new ones do not take
/// its place; it is known by its bytes and not by what it says of itself. Since the queue is taken
/// from by whoever comes, a place that was promised and not used costs nobody anything; how many
/// places are used is learned, and later promises count only so many.
///
/// Every tenant has a line of its own, so one that asks for much moves nobody's time but its own.
/// Reads no clock. Thread safety: one thread at a time.
class Admission {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;
  using Seconds = std::chrono::duration<double>;

  static constexpr Seconds kLongestPromise{60.0};  ///< Clients ignore longer ones.
  static constexpr Seconds kGrace{5.0};  ///< How much later than promised one may come back.
  static constexpr Seconds kFirstInterval{0.1};  ///< Between answers, before any was seen.
  static constexpr std::size_t kMaxPromises = 8192;

  /// `max_wait` 0: no limit.
  explicit Admission(Seconds max_wait = Seconds(0)) : max_wait_(max_wait) {}

  /// One request: on whose behalf, and a hash of all that it asks for.
  struct Visitor {
    std::string tenant{};
    std::uint64_t fingerprint = 0;
  };

  /// How long the request may wait for its first step; nullopt: as long as it takes.
  std::optional<Seconds> allowed_wait(const Visitor& visitor, TimePoint now);
  /// The most that anyone may wait; nullopt: there is no limit.
  std::optional<Seconds> longest_wait() const noexcept;
  /// The request is on its way to the engine. Each call is followed by one of `left`.
  void entered(const Visitor& visitor);
  /// The engine has taken it: what was promised to it is fulfilled.
  void taken(const Visitor& visitor, TimePoint now);
  /// The request was refused: the time until it shall come again. `earliest`: until there is room
  /// for it if nobody else comes.
  Seconds refused(const Visitor& visitor, Seconds earliest, TimePoint now);
  /// The same for one whose body was not read, so that it will be new to us when it comes.
  Seconds refused_unread(const std::string& tenant, Seconds earliest, TimePoint now);
  /// The request has ended. `others_wait`: the engine had more to do than it could at once, so the
  /// time between two such ends is what an answer takes. `was_answered`: the engine had taken it.
  void left(const Visitor& visitor, bool was_answered, bool others_wait, TimePoint now);

  /// Whether a wait is so long that there is more to do than can be done.
  bool is_long(Seconds wait) const noexcept {
    return max_wait_.count() > 0.0 && 2 * wait >= max_wait_;
  }
  /// Requests of the tenant that have entered and not left.
  std::size_t n_inside(std::string_view tenant) const;
  /// Requests that have entered and were not taken yet: the engine does not know of them.
  std::size_t n_entering() const noexcept { return n_entering_; }
  std::size_t n_promises() const noexcept { return by_due_.size(); }
  /// Mean time between two answers while there is more to do than can be done at once.
  Seconds interval() const noexcept { return interval_.value_or(kFirstInterval); }

 private:
  using Promises = std::multimap<TimePoint, std::uint64_t>;  // when one is due, and whose it is

  Promises::iterator find_promise(std::uint64_t key, TimePoint now);
  void forget(Promises::iterator promise, bool was_used);
  void expire(TimePoint now);
  void promise(std::uint64_t key, TimePoint due);
  TimePoint next_turn(const std::string& tenant, Seconds earliest, TimePoint now);

  const Seconds max_wait_;
  Promises by_due_;
  std::unordered_multimap<std::uint64_t, Promises::iterator> by_key_;
  std::map<std::string, TimePoint, std::less<>> lines_;  // by tenant: the next time to promise
  std::map<std::string, std::size_t, std::less<>> inside_;
  std::size_t n_entering_ = 0;
  double used_share_ = 1.0;  // of the promises, lately
  std::optional<Seconds> interval_{};
  std::optional<TimePoint> last_busy_end_{};
};

/// A hash of all that a request asks for.
std::uint64_t fingerprint(std::string_view path, std::string_view body);

}  // namespace openllm::server
