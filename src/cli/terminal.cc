#include "cli/terminal.h"

#include <histedit.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <clocale>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <thread>

namespace openllm::cli {

ProgressCallback progress_bar() {
  if (::isatty(STDERR_FILENO) == 0) return {};
  auto last = std::make_shared<int>(-1);
  return [last](const std::string& stage, double fraction) {
    const int percent = static_cast<int>(std::lround(std::clamp(fraction, 0.0, 1.0) * 100.0));
    if (stage == "ready") {
      std::fputs("\r\033[K", stderr);
    } else if (percent != *last) {
      constexpr int kWidth = 30;
      const int filled = percent * kWidth / 100;
      std::fprintf(stderr, "\r\033[K%s [%s%s] %3d%%", stage.c_str(), std::string(static_cast<std::size_t>(filled), '#').c_str(),
                   std::string(static_cast<std::size_t>(kWidth - filled), '.').c_str(), percent);
    }
    *last = percent;
    std::fflush(stderr);
  };
}

namespace {

/// Written by the signal handler, read by the watcher thread: requesting a stop runs callbacks, which a handler must not.
std::atomic<int> interrupt_fd{-1};

extern "C" void on_interrupt(int /*signal*/) {
  const int saved = errno;
  const std::uint64_t one = 1;
  const int fd = interrupt_fd.load();
  if (fd >= 0) (void)!::write(fd, &one, sizeof(one));
  errno = saved;
}

}  // namespace

struct InterruptGuard::Watcher {
  int fd = -1;
  std::atomic<bool> closing{false};
  struct sigaction previous {};
  std::thread thread;
};

InterruptGuard::InterruptGuard() : watcher_(new Watcher) {
  watcher_->fd = ::eventfd(0, EFD_CLOEXEC);
  interrupt_fd.store(watcher_->fd);
  watcher_->thread = std::thread([this] {
    std::uint64_t count = 0;
    while (true) {
      const ssize_t n = ::read(watcher_->fd, &count, sizeof(count));
      if (n < 0 && errno == EINTR) continue;
      if (watcher_->closing.load() || n < 0) return;
      source_.request_stop();
    }
  });
  struct sigaction action {};
  action.sa_handler = on_interrupt;
  action.sa_flags = SA_RESTART;
  ::sigemptyset(&action.sa_mask);
  ::sigaction(SIGINT, &action, &watcher_->previous);
}

InterruptGuard::~InterruptGuard() {
  ::sigaction(SIGINT, &watcher_->previous, nullptr);
  watcher_->closing.store(true);
  const std::uint64_t one = 1;
  (void)!::write(watcher_->fd, &one, sizeof(one));
  watcher_->thread.join();
  interrupt_fd.store(-1);
  ::close(watcher_->fd);
  delete watcher_;
}

namespace {

sigset_t termination_signals() {
  sigset_t set;
  ::sigemptyset(&set);
  ::sigaddset(&set, SIGINT);
  ::sigaddset(&set, SIGTERM);
  return set;
}

}  // namespace

void block_termination_signals() {
  const sigset_t set = termination_signals();
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
}

int wait_for_termination_signal() {
  const sigset_t set = termination_signals();
  int signal = 0;
  ::sigwait(&set, &signal);
  return signal;
}

bool stdin_is_terminal() { return ::isatty(STDIN_FILENO) != 0; }

void print(std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::write(STDOUT_FILENO, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) std::_Exit(errno == EPIPE ? 0 : 1);
    text.remove_prefix(static_cast<std::size_t>(n));
  }
}

struct LineReader::Impl {
  std::string prompt;
  EditLine* edit = nullptr;
  History* history = nullptr;
  bool interrupted = false;
};

namespace {

char* show_prompt(EditLine* edit) {
  void* data = nullptr;
  ::el_get(edit, EL_CLIENTDATA, &data);
  return static_cast<std::string*>(data)->data();
}

}  // namespace

LineReader::LineReader(std::string prompt) : impl_(new Impl) {
  impl_->prompt = std::move(prompt);
  std::setlocale(LC_CTYPE, "");
  if (std::string_view(std::setlocale(LC_CTYPE, nullptr)) == "C") std::setlocale(LC_CTYPE, "C.UTF-8");
  impl_->edit = ::el_init("openllm", stdin, stderr, stderr);
  impl_->history = ::history_init();
  HistEvent event;
  ::history(impl_->history, &event, H_SETSIZE, 1000);
  ::el_set(impl_->edit, EL_CLIENTDATA, &impl_->prompt);
  ::el_set(impl_->edit, EL_PROMPT, show_prompt);
  ::el_set(impl_->edit, EL_EDITOR, "emacs");
  ::el_set(impl_->edit, EL_SIGNAL, 0);
  ::el_set(impl_->edit, EL_HIST, ::history, impl_->history);
}

LineReader::~LineReader() {
  ::history_end(impl_->history);
  ::el_end(impl_->edit);
  delete impl_;
}

LineReader::Line LineReader::read() {
  Line line;
  int length = 0;
  errno = 0;
  const char* text = ::el_gets(impl_->edit, &length);
  if (text == nullptr || length <= 0) {
    line.interrupted = errno == EINTR;
    line.end = !line.interrupted;
    return line;
  }
  line.text.assign(text, static_cast<std::size_t>(length));
  while (!line.text.empty() && (line.text.back() == '\n' || line.text.back() == '\r')) line.text.pop_back();
  if (!line.text.empty()) {
    HistEvent event;
    ::history(impl_->history, &event, H_ENTER, line.text.c_str());
  }
  return line;
}

}  // namespace openllm::cli
