#include "base/cpu_turns.h"

#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <vector>

namespace openllm::base {

namespace {

using Clock = std::chrono::steady_clock;

// Below the slice of the scheduler (3 ms, seen at ticks of 1 to 4), so that its end rarely comes
// within a piece of work. 0.3 and 1 ms give more turns to others.
constexpr auto kGiveWayEvery = std::chrono::milliseconds(2);
constexpr auto kLookEvery = std::chrono::milliseconds(100);
// After a pause of the caller's, counts say nothing about the time that it worked.
constexpr auto kTooLong = std::chrono::milliseconds(400);
constexpr auto kCrowdLasts = std::chrono::seconds(2);
// Two programs that share a CPU in slices of 4 ms make 125 switches of each a second; the kernel's
// own threads, and a move to another CPU, a few.
constexpr double kCrowdedPerS = 60;

/// Times that the calling thread lost its CPU while it could have gone on.
std::int64_t involuntary_switches() noexcept {
  rusage usage{};
  return ::getrusage(RUSAGE_THREAD, &usage) == 0 ? usage.ru_nivcsw : 0;
}

bool allow(pid_t thread, const cpu_set_t& cpus) noexcept {
  return ::sched_setaffinity(thread, sizeof(cpus), &cpus) == 0;
}

bool bind(pid_t thread, int cpu) noexcept {
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(static_cast<std::size_t>(cpu), &one);
  return allow(thread, one);
}

}  // namespace

bool is_crowded(double switches_per_s) noexcept { return switches_per_s >= kCrowdedPerS; }

int quieter_worker(double caller, std::span<const double> workers) noexcept {
  if (!is_crowded(caller) || workers.empty()) return -1;
  const auto least = std::min_element(workers.begin(), workers.end());
  return *least * 2 <= caller ? static_cast<int>(least - workers.begin()) : -1;
}

struct CpuTurns::Impl {
  struct alignas(64) Worker {
    std::atomic<pid_t> thread{0};
    std::atomic<std::int64_t> switches{0};
    Clock::time_point gave_way{};  // its own
    // The caller's:
    std::int64_t switches_seen = 0;
    std::atomic<int> cpu{-1};
  };

  Impl(int n, SwitchCount count)
      : workers(static_cast<std::size_t>(n)), rates(workers.size()), count_switches(count) {}

  std::vector<Worker> workers;
  std::vector<double> rates;
  SwitchCount count_switches;
  cpu_set_t all{};  // where bound workers could run before
  // Of the caller:
  pid_t caller = 0;
  Clock::time_point looked{};
  Clock::time_point crowd_ends{};
  std::int64_t switches_seen = 0;
  int caller_cpu = -1;  // while workers are bound

  void look(Clock::time_point now) noexcept {
    const double seconds = std::chrono::duration<double>(now - looked).count();
    const bool comparable = now - looked < kTooLong && caller == ::gettid();
    caller = ::gettid();
    looked = now;
    const std::int64_t switches = count_switches();
    const double caller_rate = static_cast<double>(switches - switches_seen) / seconds;
    switches_seen = switches;
    double highest = caller_rate;
    for (std::size_t i = 0; i < workers.size(); ++i) {
      const std::int64_t count = workers[i].switches.load(std::memory_order_relaxed);
      rates[i] = static_cast<double>(count - workers[i].switches_seen) / seconds;
      workers[i].switches_seen = count;
      highest = std::max(highest, rates[i]);
    }
    if (!comparable) return;
    if (is_crowded(highest)) {
      crowd_ends = now + kCrowdLasts;
      if (caller_cpu < 0) bind_workers();
      const int quiet = quieter_worker(caller_rate, rates);
      if (quiet >= 0) change_places(workers[static_cast<std::size_t>(quiet)]);
    } else if (caller_cpu >= 0 && now >= crowd_ends) {
      unbind_workers();
    }
  }

  void bind_to(Worker& worker, int cpu) noexcept {
    const pid_t thread = worker.thread.load(std::memory_order_acquire);
    if (thread != 0 && bind(thread, cpu)) worker.cpu.store(cpu, std::memory_order_relaxed);
  }

  void bind_workers() noexcept {
    const pid_t first = workers.front().thread.load(std::memory_order_acquire);
    if (first == 0 || ::sched_getaffinity(first, sizeof(all), &all) != 0) return;
    if (CPU_COUNT(&all) != static_cast<int>(workers.size()) + 1) return;
    caller_cpu = ::sched_getcpu();
    int cpu = -1;
    for (Worker& worker : workers) {
      do {
        ++cpu;
      } while (cpu < CPU_SETSIZE &&
               (!CPU_ISSET(static_cast<std::size_t>(cpu), &all) || cpu == caller_cpu));
      if (cpu >= CPU_SETSIZE) return;  // the caller is where this process was not allowed to be
      bind_to(worker, cpu);
    }
  }

  void unbind_workers() noexcept {
    for (Worker& worker : workers) {
      if (worker.cpu.load(std::memory_order_relaxed) < 0) continue;
      allow(worker.thread.load(std::memory_order_acquire), all);
      worker.cpu.store(-1, std::memory_order_relaxed);
    }
    caller_cpu = -1;
  }

  void change_places(Worker& worker) noexcept {
    const int cpu = worker.cpu.load(std::memory_order_relaxed);
    cpu_set_t own;
    if (cpu < 0 || ::sched_getaffinity(0, sizeof(own), &own) != 0) return;
    if (!CPU_ISSET(static_cast<std::size_t>(cpu), &own) || !bind(0, cpu)) return;
    allow(0, own);
    follow_caller();
  }

  /// The worker whose CPU the caller came to gets the one that the caller left.
  void follow_caller() noexcept {
    const int cpu = ::sched_getcpu();
    if (cpu == caller_cpu || cpu < 0) return;
    for (Worker& worker : workers) {
      if (worker.cpu.load(std::memory_order_relaxed) == cpu) bind_to(worker, caller_cpu);
    }
    caller_cpu = cpu;
  }
};

CpuTurns::CpuTurns(int n_workers, SwitchCount count)
    : impl_(std::make_unique<Impl>(n_workers, count == nullptr ? involuntary_switches : count)) {}

CpuTurns::~CpuTurns() = default;

void CpuTurns::enter(int worker) noexcept {
  impl_->workers[static_cast<std::size_t>(worker)].thread.store(::gettid(),
                                                                std::memory_order_release);
}

void CpuTurns::give_way(int worker) noexcept {
  Impl::Worker& self = impl_->workers[static_cast<std::size_t>(worker)];
  if (Clock::now() - self.gave_way < kGiveWayEvery) return;
  ::sched_yield();
  self.switches.store(impl_->count_switches(), std::memory_order_relaxed);
  self.gave_way = Clock::now();
}

void CpuTurns::watch() noexcept {
  if (impl_->workers.empty()) return;
  const Clock::time_point now = Clock::now();
  if (now - impl_->looked >= kLookEvery) impl_->look(now);
  if (impl_->caller_cpu >= 0) impl_->follow_caller();
}

int CpuTurns::bound_to(int worker) const noexcept {
  return impl_->workers[static_cast<std::size_t>(worker)].cpu.load(std::memory_order_relaxed);
}

}  // namespace openllm::base
