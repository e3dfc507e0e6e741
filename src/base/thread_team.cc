#include "base/thread_team.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <climits>
#include <cstdint>
#include <exception>
#include <thread>
#include <vector>

#include "base/cpu_turns.h"
#include "base/system_limits.h"

namespace openllm::base {

namespace {

using SteadyTime = std::chrono::steady_clock::time_point;

// Between two steps of an engine lie the sampling and the planning: tens of microseconds.
constexpr auto kSpinIdle = std::chrono::microseconds(100);
constexpr auto kSpinFinish = std::chrono::microseconds(50);

void relax() noexcept {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#else
  std::atomic_signal_fence(std::memory_order_seq_cst);
#endif
}

std::uint32_t* word(std::atomic<std::uint32_t>& value) noexcept {
  static_assert(sizeof(value) == sizeof(std::uint32_t));
  return reinterpret_cast<std::uint32_t*>(&value);
}

void futex_wait(std::atomic<std::uint32_t>& value, std::uint32_t expected) noexcept {
  ::syscall(SYS_futex, word(value), FUTEX_WAIT_PRIVATE, expected, nullptr, nullptr, 0);
}

void futex_wake(std::atomic<std::uint32_t>& value, int n) noexcept {
  ::syscall(SYS_futex, word(value), FUTEX_WAKE_PRIVATE, n, nullptr, nullptr, 0);
}

/// Spins until done() or until the time is over; true when done.
template <typename Done>
bool spin(std::chrono::microseconds limit, Done done) noexcept {
  const SteadyTime end = std::chrono::steady_clock::now() + limit;
  do {
    for (int i = 0; i < 16; ++i) {
      if (done()) return true;
      relax();
    }
  } while (std::chrono::steady_clock::now() < end);
  return done();
}

}  // namespace

/// One region at a time is open. `state` holds its number and how many of its chunks nobody has
/// taken: a chunk is taken by a compare-and-swap of both, so a thread that comes late can neither
/// take a chunk of a region that is over nor of one that it did not look at. While a taken chunk
/// runs the region cannot end, so `body` and `n_chunks`, read only after taking, are stable.
struct ThreadTeam::Impl {
  int n_threads = 1;
  alignas(64) std::atomic<std::uint64_t> state{0};    // region number << 32 | untaken chunks
  alignas(64) std::atomic<std::uint32_t> pending{0};  // chunks that have not ended
  std::atomic<std::uint32_t> caller_sleeps{0};
  alignas(64) std::atomic<std::uint32_t> signal{0};  // counts regions; what idle workers sleep on
  std::atomic<std::uint32_t> sleepers{0};
  std::atomic<bool> stop{false};
  alignas(64) const FunctionRef<void(std::size_t)>* body = nullptr;
  std::size_t n_chunks = 0;
  std::size_t first_chunk = 0;
  std::unique_ptr<CpuTurns> turns{};
  std::vector<std::thread> threads{};

  /// Takes and runs one chunk; false when none is left.
  bool take_one() noexcept {
    std::uint64_t seen = state.load(std::memory_order_acquire);
    for (;;) {
      const auto left = static_cast<std::uint32_t>(seen);
      if (left == 0) return false;
      if (state.compare_exchange_weak(seen, seen - 1, std::memory_order_acq_rel,
                                      std::memory_order_acquire)) {
        (*body)(first_chunk + (n_chunks - left));
        return true;
      }
    }
  }

  void end_chunk() noexcept {
    if (pending.fetch_sub(1, std::memory_order_seq_cst) == 1 &&
        caller_sleeps.load(std::memory_order_seq_cst) != 0) {
      futex_wake(pending, 1);
    }
  }

  bool work_left() const noexcept {
    return static_cast<std::uint32_t>(state.load(std::memory_order_acquire)) != 0;
  }

  void worker(int index) noexcept {
    turns->enter(index);
    for (;;) {
      const std::uint32_t seen = signal.load(std::memory_order_seq_cst);
      while (take_one()) {
        end_chunk();
        turns->give_way(index);
      }
      if (stop.load(std::memory_order_acquire)) return;
      const auto changed = [&] {
        return signal.load(std::memory_order_relaxed) != seen || work_left();
      };
      if (spin(kSpinIdle, changed)) continue;
      sleepers.fetch_add(1, std::memory_order_seq_cst);
      while (signal.load(std::memory_order_seq_cst) == seen) futex_wait(signal, seen);
      sleepers.fetch_sub(1, std::memory_order_seq_cst);
    }
  }

  void announce(std::uint32_t n_wanted) noexcept {
    signal.fetch_add(1, std::memory_order_seq_cst);
    if (sleepers.load(std::memory_order_seq_cst) != 0) {
      futex_wake(signal, static_cast<int>(std::min<std::uint32_t>(n_wanted, INT_MAX)));
    }
  }

  void wait_for_chunks() noexcept {
    const auto done = [&] { return pending.load(std::memory_order_acquire) == 0; };
    if (spin(kSpinFinish, done)) return;
    caller_sleeps.store(1, std::memory_order_seq_cst);
    for (;;) {
      const std::uint32_t left = pending.load(std::memory_order_seq_cst);
      if (left == 0) break;
      futex_wait(pending, left);
    }
    caller_sleeps.store(0, std::memory_order_relaxed);
  }

  void run_region(std::size_t first, std::uint32_t n,
                  const FunctionRef<void(std::size_t)>& region_body) noexcept {
    turns->watch();
    body = &region_body;
    n_chunks = n;
    first_chunk = first;
    pending.store(n, std::memory_order_relaxed);
    const std::uint64_t number = (state.load(std::memory_order_relaxed) >> 32U) + 1;
    state.store((number << 32U) | n, std::memory_order_seq_cst);
    announce(n - 1);
    while (take_one()) end_chunk();
    wait_for_chunks();
  }
};

ThreadTeam::ThreadTeam(int n_threads) : impl_(std::make_unique<Impl>()) {
  impl_->n_threads = n_threads > 0 ? n_threads : available_cpus();
  impl_->turns = std::make_unique<CpuTurns>(impl_->n_threads - 1);
  impl_->threads.reserve(static_cast<std::size_t>(impl_->n_threads - 1));
  try {
    for (int i = 1; i < impl_->n_threads; ++i) {
      impl_->threads.emplace_back([impl = impl_.get(), i] { impl->worker(i - 1); });
    }
  } catch (const std::exception&) {
    // No more threads to be had: the team works with those it got.
    impl_->n_threads = 1 + static_cast<int>(impl_->threads.size());
  }
}

ThreadTeam::~ThreadTeam() {
  impl_->stop.store(true, std::memory_order_release);
  impl_->signal.fetch_add(1, std::memory_order_seq_cst);
  futex_wake(impl_->signal, INT_MAX);
  for (std::thread& thread : impl_->threads) thread.join();
}

int ThreadTeam::n_threads() const noexcept { return impl_->n_threads; }

void ThreadTeam::run(std::size_t n_chunks, FunctionRef<void(std::size_t)> body) {
  if (n_chunks <= 1 || impl_->n_threads == 1) {
    for (std::size_t i = 0; i < n_chunks; ++i) body(i);
    return;
  }
  constexpr std::size_t kMaxChunks = std::size_t{1} << 31U;
  for (std::size_t first = 0; first < n_chunks; first += kMaxChunks) {
    const auto n = static_cast<std::uint32_t>(std::min(kMaxChunks, n_chunks - first));
    impl_->run_region(first, n, body);
  }
}

}  // namespace openllm::base
