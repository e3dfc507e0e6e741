#pragma once

#include <memory>
#include <stop_token>

namespace openllm::cli {

/// Turns Ctrl-C into a descriptor that becomes readable, during the lifetime of the object. Only
/// one object may exist at a time.
class InterruptPipe {
 public:
  /// Effect of a second Ctrl-C that comes before the first was taken.
  enum class Second { kNothing, kEndsProgram };
  /// Further signals to catch: none, or those that stop (Ctrl-Z) or end the program. Code that has
  /// changed the terminal's mode catches them to restore the mode before they take effect.
  enum class Others { kNo, kCaught };
  explicit InterruptPipe(Second second, Others others = Others::kNo);
  ~InterruptPipe();
  InterruptPipe(const InterruptPipe&) = delete;
  InterruptPipe& operator=(const InterruptPipe&) = delete;

  /// Readable once there is something to take.
  int fd() const noexcept;
  /// What came since the last call.
  struct Taken {
    int n_interrupts = 0;     ///< Ctrl-C.
    int other = 0;            ///< The latest of the other signals; 0: none.
    bool is_resized = false;  ///< The terminal has another size. Only with Others::kCaught.
  };
  Taken take() const noexcept;
  /// Gives the other signal its usual effect: the program ends, or stops until it is continued.
  /// Returns when the program goes on.
  void give_way(int signal) const noexcept;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Makes Ctrl-C request a stop instead of ending the program, during the lifetime of the object.
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

/// Has Ctrl-C do nothing during the lifetime of the object, but where one of the above takes it:
/// for the moments between them.
class InterruptShield {
 public:
  InterruptShield();
  ~InterruptShield();
  InterruptShield(const InterruptShield&) = delete;
  InterruptShield& operator=(const InterruptShield&) = delete;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Blocks SIGINT and SIGTERM in this thread and those it starts from now on.
void block_termination_signals();
/// Waits for one of them.
void wait_for_termination_signal();

}  // namespace openllm::cli
