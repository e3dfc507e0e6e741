#pragma once

#include <cstdint>
#include <memory>
#include <span>

namespace openllm::base {

/// Keeps a team of threads fast where other programs want its CPUs too.
///
/// A thread that loses its CPU within a piece of work keeps all others waiting until the scheduler
/// gives it back: a slice of 3 to 4 ms, in each turn. So workers offer their CPU between two
/// pieces, every 2 ms (sched_yield: who is entitled to run does, shares stay fair), while the other
/// threads go on with the work. The caller cannot do that, since only it begins regions. So while
/// others are seen to run there, workers are kept on CPUs of their own, none of them the caller's,
/// and the caller changes places with a worker that is disturbed less. Only workers stay bound to
/// a CPU, and only as long as the crowd lasts: the caller may be a thread of the user's, with
/// threads to come that would inherit it.
class CpuTurns {
 public:
  /// How often the calling thread lost its CPU while it could have gone on; tests have their own.
  using SwitchCount = std::int64_t (*)();

  /// For the caller and `n_workers`. Binds only if there are as many threads as CPUs that workers
  /// may use; with fewer, the kernel finds a free one.
  explicit CpuTurns(int n_workers, SwitchCount count = nullptr);
  ~CpuTurns();
  CpuTurns(const CpuTurns&) = delete;
  CpuTurns& operator=(const CpuTurns&) = delete;

  /// First call of a worker's thread.
  void enter(int worker) noexcept;
  /// By a worker where nobody waits for it: offers its CPU, every 2 ms.
  void give_way(int worker) noexcept;
  /// By the caller before each region: looks for a crowd ten times a second.
  void watch() noexcept;

  /// CPU that the worker is bound to; -1: none.
  int bound_to(int worker) const noexcept;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Whether others take turns on CPUs that lost a thread this often.
bool is_crowded(double switches_per_s) noexcept;

/// The worker with whom a caller that loses its CPU `caller` times a second changes places: the one
/// that loses its own least, if that is at most half as often; -1: none.
int quieter_worker(double caller, std::span<const double> workers) noexcept;

}  // namespace openllm::base
