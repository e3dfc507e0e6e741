#include "backend/vllm/child_process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/error.h"
#include "base/start_thread.h"

namespace openllm::backend::vllm {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds kPatience{10};
constexpr std::size_t kMaxLines = 20;
constexpr std::size_t kMaxLine = 2000;

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> list;
  for (std::string& text : texts) list.push_back(text.data());
  list.push_back(nullptr);
  return list;
}

/// Of this process, but for variables that are set anew.
std::vector<std::string> merged_environment(const std::vector<std::string>& over) {
  std::vector<std::string> all = over;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    const std::string_view name = text.substr(0, text.find('='));
    bool is_set_anew = false;
    for (const std::string& other : over) {
      is_set_anew = is_set_anew || (other.size() > name.size() && other[name.size()] == '=' &&
                                    std::string_view(other).starts_with(name));
    }
    if (!is_set_anew) all.emplace_back(text);
  }
  return all;
}

/// In the new process: nothing here may allocate or lock, as other threads may have been at it.
[[noreturn]] void become(const char* executable, char* const* arguments, char* const* environment,
                         pid_t parent, int output, int report) {
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (::getppid() != parent) ::_exit(1);  // it has gone before it could be watched
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::signal(SIGPIPE, SIG_DFL);
  const int input = ::open("/dev/null", O_RDONLY);
  if (input >= 0) ::dup2(input, 0);
  ::dup2(output, 1);
  ::dup2(output, 2);
#ifdef CLOSE_RANGE_CLOEXEC
  ::close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
#endif
  ::execve(executable, arguments, environment);
  const int error = errno;
  (void)!::write(report, &error, sizeof error);
  ::_exit(127);
}

class Pipe {
 public:
  Pipe() {
    if (::pipe2(ends_.data(), O_CLOEXEC) != 0)
      base::fail(ErrorCode::kResourceExhausted, "vllm: no pipe (", std::strerror(errno), ")");
  }
  ~Pipe() {
    close_read();
    close_write();
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  int read_end() const { return ends_[0]; }
  int write_end() const { return ends_[1]; }
  void close_read() { close(ends_[0]); }
  void close_write() { close(ends_[1]); }

 private:
  static void close(int& fd) {
    if (fd >= 0) ::close(fd);
    fd = -1;
  }
  std::array<int, 2> ends_{-1, -1};
};

}  // namespace

struct ChildProcess::Start {
  std::string executable{};
  std::vector<std::string> arguments{};
  std::vector<std::string> environment{};
};

ChildProcess::ChildProcess(const std::string& executable, const std::vector<std::string>& arguments,
                           const std::vector<std::string>& environment) {
  Start start{executable, {executable}, merged_environment(environment)};
  start.arguments.insert(start.arguments.end(), arguments.begin(), arguments.end());
  thread_ =
      base::start_thread([this, start = std::move(start)]() mutable { run(std::move(start)); });
  std::string failure;
  {
    base::MutexLock lock(mutex_);
    while (!is_started_) changed_.wait(lock);
    failure = failure_;
  }
  if (failure.empty()) return;
  thread_.join();
  base::fail(ErrorCode::kUnavailable, "vllm: cannot start ", executable, " (", failure, ")");
}

ChildProcess::~ChildProcess() {
  const auto send = [this](int signal) {
    const base::MutexLock lock(mutex_);
    if (process_ > 0 && !end_) ::kill(-process_, signal);
  };
  send(SIGTERM);
  (void)wait_until(Clock::now() + kPatience);
  send(SIGKILL);
  thread_.join();
}

std::optional<std::string> ChildProcess::how_it_ended() const {
  const base::MutexLock lock(mutex_);
  return end_;
}

std::optional<std::string> ChildProcess::wait_until(Clock::time_point when) const {
  base::MutexLock lock(mutex_);
  while (!end_ && changed_.wait_until(lock, when)) {
  }
  return end_;
}

std::string ChildProcess::last_lines() const {
  const base::MutexLock lock(mutex_);
  std::string text;
  for (const std::string& line : lines_) text += line + "\n";
  text += line_;
  while (text.ends_with('\n')) text.pop_back();
  return text;
}

/// The whole life of the process. The signal at our end is tied to the thread that forked.
void ChildProcess::run(Start start) {
  const auto tell = [this](pid_t process, const std::string& failure) {
    const base::MutexLock lock(mutex_);
    is_started_ = true;
    process_ = process;
    failure_ = failure;
    changed_.notify_all();
  };
  try {
    Pipe output;
    Pipe report;
    const std::vector<char*> arguments = pointers(start.arguments);
    const std::vector<char*> environment = pointers(start.environment);
    const pid_t parent = ::getpid();
    const pid_t process = ::fork();
    if (process == 0) {
      become(start.executable.c_str(), arguments.data(), environment.data(), parent,
             output.write_end(), report.write_end());
    }
    if (process < 0) return tell(-1, std::strerror(errno));
    ::setpgid(process, process);  // both do, so that it is done before either goes on
    output.close_write();
    report.close_write();
    int error = 0;
    if (::read(report.read_end(), &error, sizeof error) == sizeof error) {
      ::waitpid(process, nullptr, 0);
      return tell(-1, std::strerror(error));
    }
    ::fcntl(output.read_end(), F_SETFL, O_NONBLOCK);
    tell(process, "");
    follow(output.read_end());
  } catch (const std::exception& error) {
    tell(-1, error.what());
  }
}

void ChildProcess::follow(int output) {
  constexpr int kIntervalMs = 50;
  while (true) {
    pollfd wanted{output, POLLIN, 0};
    (void)::poll(&wanted, 1, kIntervalMs);
    // A closed pipe would be reported at once and for ever.
    if ((wanted.revents & (POLLHUP | POLLIN)) == POLLHUP) (void)::poll(nullptr, 0, kIntervalMs);
    read(output);
    if (!has_ended()) continue;
    return read(output);
  }
}

bool ChildProcess::has_ended() {
  const base::MutexLock lock(mutex_);
  siginfo_t info{};
  if (::waitid(P_PID, static_cast<id_t>(process_), &info, WEXITED | WNOHANG | WNOWAIT) != 0 ||
      info.si_pid == 0)
    return false;
  ::kill(-process_, SIGKILL);  // what it started and left; its number is not given away yet
  int status = 0;
  ::waitpid(process_, &status, 0);
  end_ = WIFSIGNALED(status) ? base::cat("signal ", WTERMSIG(status))
                             : base::cat("status ", WEXITSTATUS(status));
  changed_.notify_all();
  return true;
}

void ChildProcess::read(int output) {
  std::array<char, 4096> buffer{};
  while (true) {
    const ssize_t n = ::read(output, buffer.data(), buffer.size());
    if (n <= 0) return;
    add_lines({buffer.data(), static_cast<std::size_t>(n)});
  }
}

void ChildProcess::add_lines(std::string_view bytes) {
  const base::MutexLock lock(mutex_);
  for (const char c : bytes) {
    if (c != '\n') {
      if (line_.size() < kMaxLine) line_.push_back(c);
      continue;
    }
    lines_.push_back(std::exchange(line_, {}));
    if (lines_.size() > kMaxLines) lines_.pop_front();
  }
}

}  // namespace openllm::backend::vllm
