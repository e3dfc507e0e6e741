#include "cli/interrupt.h"

#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <thread>

#include "base/error.h"
#include "cli/exit_status.h"

namespace openllm::cli {
namespace {

// A signal handler can reach nothing but globals. They belong to the InterruptPipe that lives.
std::atomic<int> signal_fd{-1};
std::atomic<int> signal_count{0};
std::atomic<bool> second_ends{false};
std::atomic<int> other_signal{0};
std::atomic<bool> size_changed{false};

constexpr std::array kOtherSignals{SIGTSTP, SIGTERM, SIGHUP, SIGQUIT};

void wake() {
  const int saved = errno;
  const std::uint64_t one = 1;
  const int fd = signal_fd.load();
  if (fd >= 0) (void)!::write(fd, &one, sizeof(one));
  errno = saved;
}

extern "C" void on_interrupt(int /*signal*/) {
  if (signal_count.fetch_add(1) > 0 && second_ends.load()) ::_exit(kExitInterrupted);
  wake();
}

extern "C" void on_other(int signal) {
  other_signal.store(signal);
  wake();
}

extern "C" void on_resize(int /*signal*/) {
  size_changed.store(true);
  wake();
}

void set_handler(int signal, void (*handler)(int), struct sigaction* previous) {
  struct sigaction action {};
  action.sa_handler = handler;
  ::sigemptyset(&action.sa_mask);
  ::sigaction(signal, &action, previous);
}

int make_eventfd() {
  const int fd = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (fd < 0) base::fail(ErrorCode::kIo, "eventfd: ", std::strerror(errno));
  return fd;
}

sigset_t termination_signals() {
  sigset_t set;
  ::sigemptyset(&set);
  ::sigaddset(&set, SIGINT);
  ::sigaddset(&set, SIGTERM);
  return set;
}

}  // namespace

struct InterruptPipe::Impl {
  int fd = make_eventfd();
  struct sigaction previous {};
  bool catches_others = false;
  std::array<struct sigaction, kOtherSignals.size()> previous_others{};
  struct sigaction previous_resize {};
};

InterruptPipe::InterruptPipe(Second second, Others others) : impl_(std::make_unique<Impl>()) {
  signal_count.store(0);
  other_signal.store(0);
  size_changed.store(false);
  second_ends.store(second == Second::kEndsProgram);
  signal_fd.store(impl_->fd);
  impl_->catches_others = others == Others::kCaught;
  set_handler(SIGINT, on_interrupt, &impl_->previous);
  if (impl_->catches_others) set_handler(SIGWINCH, on_resize, &impl_->previous_resize);
  for (std::size_t i = 0; impl_->catches_others && i < kOtherSignals.size(); ++i) {
    struct sigaction& previous = impl_->previous_others.at(i);
    set_handler(kOtherSignals.at(i), on_other, &previous);
    // Signals that the caller ignores stay ignored (nohup).
    if (previous.sa_handler == SIG_IGN) ::sigaction(kOtherSignals.at(i), &previous, nullptr);
  }
}

InterruptPipe::~InterruptPipe() {
  for (std::size_t i = 0; impl_->catches_others && i < kOtherSignals.size(); ++i)
    ::sigaction(kOtherSignals.at(i), &impl_->previous_others.at(i), nullptr);
  if (impl_->catches_others) ::sigaction(SIGWINCH, &impl_->previous_resize, nullptr);
  ::sigaction(SIGINT, &impl_->previous, nullptr);
  signal_fd.store(-1);
  ::close(impl_->fd);
}

int InterruptPipe::fd() const noexcept { return impl_->fd; }

InterruptPipe::Taken InterruptPipe::take() const noexcept {
  std::uint64_t count = 0;
  (void)!::read(impl_->fd, &count, sizeof(count));  // before what it announces is taken
  return {.n_interrupts = signal_count.exchange(0),
          .other = other_signal.exchange(0),
          .is_resized = size_changed.exchange(false)};
}

void InterruptPipe::give_way(int signal) const noexcept {
  set_handler(signal, SIG_DFL, nullptr);
  ::raise(signal);
  set_handler(signal, on_other, nullptr);
}

struct InterruptGuard::Watcher {
  explicit Watcher(InterruptPipe::Second second) : pipe(second) {}
  ~Watcher() { ::close(end_fd); }
  InterruptPipe pipe;
  int end_fd = make_eventfd();
  std::thread thread;
};

InterruptGuard::InterruptGuard(InterruptPipe::Second second)
    : watcher_(std::make_unique<Watcher>(second)) {
  // Requesting a stop runs callbacks and takes locks, which a signal handler must not: a thread
  // does it.
  watcher_->thread = std::thread([this] {
    std::array<pollfd, 2> fds{{{watcher_->pipe.fd(), POLLIN, 0}, {watcher_->end_fd, POLLIN, 0}}};
    while (true) {
      if (::poll(fds.data(), fds.size(), -1) < 0) continue;
      if (fds[0].revents != 0) source_.request_stop();
      if (fds[0].revents != 0 || fds[1].revents != 0) return;
    }
  });
}

InterruptGuard::~InterruptGuard() {
  const std::uint64_t one = 1;
  (void)!::write(watcher_->end_fd, &one, sizeof(one));
  watcher_->thread.join();
}

struct InterruptShield::Impl {
  struct sigaction previous {};
};

InterruptShield::InterruptShield() : impl_(std::make_unique<Impl>()) {
  set_handler(SIGINT, SIG_IGN, &impl_->previous);
}

InterruptShield::~InterruptShield() { ::sigaction(SIGINT, &impl_->previous, nullptr); }

void block_termination_signals() {
  const sigset_t set = termination_signals();
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
}

void wait_for_termination_signal() {
  const sigset_t set = termination_signals();
  int signal = 0;
  ::sigwait(&set, &signal);
}

}  // namespace openllm::cli
