#pragma once

#include <memory>
#include <stop_token>

namespace openllm::cli {

/// Catches Ctrl-C while it lives and turns it into a descriptor that becomes readable. One at a
/// time.
class InterruptPipe {
 public:
  /// What a second Ctrl-C does that comes before the first was taken.
  enum class Second { kNothing, kEndsProgram };
  /// What else is caught: nothing, or the signals that stop (Ctrl-Z) or end the program. Whoever
  /// changed the terminal catches them, to put it right before they do what they do.
  enum class Others { kNo, kCaught };
  explicit InterruptPipe(Second second, Others others = Others::kNo);
  ~InterruptPipe();
  InterruptPipe(const InterruptPipe&) = delete;
  InterruptPipe& operator=(const InterruptPipe&) = delete;

  /// Readable once Ctrl-C was pressed.
  int fd() const noexcept;
  /// Takes what came so far.
  void drain() const noexcept;
  /// The latest of the other signals since the last call; 0: none.
  int take_other() const noexcept;
  /// Lets the other signal do what it does: end the program, or stop it. Returns when it goes on.
  void give_way(int signal) const noexcept;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// While it lives, Ctrl-C requests a stop instead of ending the program.
class InterruptGuard {
 public:
  explicit InterruptGuard(InterruptPipe::Second second);
  ~InterruptGuard();
  InterruptGuard(const InterruptGuard&) = delete;
  InterruptGuard& operator=(const InterruptGuard&) = delete;

  std::stop_token token() const { return source_.get_token(); }
  bool interrupted() const { return source_.stop_requested(); }

 private:
  struct Watcher;
  std::stop_source source_;
  std::unique_ptr<Watcher> watcher_;
};

/// Blocks SIGINT and SIGTERM in this thread and those it starts from now on.
void block_termination_signals();
/// Waits for one of them.
void wait_for_termination_signal();

}  // namespace openllm::cli
