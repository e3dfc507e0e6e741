#include "backend/pt/worker_process.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <future>
#include <memory>
#include <utility>
#include <vector>

#include "backend/pt/frames.h"
#include "base/error.h"
#include "base/start_thread.h"

extern char** environ;  // NOLINT(*-redundant-declaration): not in every C library's headers

namespace openllm::backend::pt {
namespace {

constexpr std::size_t kMaxPrinted = 64 << 10;
constexpr std::size_t kMaxLastWords = 2000;
constexpr std::chrono::seconds kTimeToStop{2};
constexpr std::chrono::seconds kTimeToEnd{2};

[[noreturn]] void fail_errno(const char* what) {
  base::fail(ErrorCode::kUnavailable, "pt: ", what, " (", std::strerror(errno), ")");
}

Descriptor checked(int fd, const char* what) {
  if (fd < 0) fail_errno(what);
  return Descriptor(fd);
}

/// The script as a file that only its descriptor names: nothing has to be installed or found.
Descriptor script_file(std::string_view script) {
  Descriptor file = checked(::memfd_create("pt_worker.py", MFD_CLOEXEC), "no memory for a file");
  while (!script.empty()) {
    const ssize_t n = ::write(file.get(), script.data(), script.size());
    if (n <= 0) fail_errno("the worker's script cannot be written");
    script.remove_prefix(static_cast<std::size_t>(n));
  }
  return file;
}

/// What a worker sees of our environment: no network for the Hugging Face libraries, and no keys,
/// which it has no use for.
std::vector<std::string> worker_environment() {
  constexpr std::array<std::string_view, 8> kLeftOut{
      "HF_HUB_OFFLINE=",  "TRANSFORMERS_OFFLINE=",   "PYTHONUNBUFFERED=",   "HF_TOKEN=",
      "HF_ACCESS_TOKEN=", "HUGGING_FACE_HUB_TOKEN=", "OPENLLM_AUTH_TOKEN=", "OPENLLM_API_KEY="};
  std::vector<std::string> list{"HF_HUB_OFFLINE=1", "TRANSFORMERS_OFFLINE=1", "PYTHONUNBUFFERED=1"};
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    const bool is_left_out =
        std::any_of(kLeftOut.begin(), kLeftOut.end(),
                    [text](std::string_view name) { return text.starts_with(name); });
    if (!is_left_out) list.emplace_back(text);
  }
  return list;
}

std::vector<char*> pointers_to(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  pointers.reserve(texts.size() + 1);
  for (std::string& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

/// All that the forked child needs; it may not allocate.
struct Launch {
  const char* python;
  char* const* arguments;
  char* const* environment;
  int output;
  std::array<int, 3> kept;
  pid_t parent;
};

/// In the child, between fork and exec: only what is safe in a copy of a process with threads.
[[noreturn]] void become_python(const Launch& launch) {
  ::setpgid(0, 0);  // Ctrl-C of a terminal is for us alone
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != launch.parent) ::_exit(127);
  sigset_t none;
  ::sigemptyset(&none);
  ::pthread_sigmask(SIG_SETMASK, &none, nullptr);
  const int nothing = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  ::dup2(nothing, 0);
  ::dup2(launch.output, 1);
  ::dup2(launch.output, 2);
#ifdef SYS_close_range
  ::syscall(SYS_close_range, 3U, ~0U, 4U);  // 4: CLOSE_RANGE_CLOEXEC
#endif
  for (const int fd : launch.kept) ::fcntl(fd, F_SETFD, 0);
  ::execve(launch.python, launch.arguments, launch.environment);
  const char* why = ::strerrordesc_np(errno);
  constexpr std::string_view kWhat = "cannot be run: ";
  (void)!::write(2, kWhat.data(), kWhat.size());
  (void)!::write(2, why, std::strlen(why));
  ::_exit(127);
}

std::string describe_status(int status) {
  if (WIFSIGNALED(status)) return base::cat("was ended by signal ", WTERMSIG(status));
  return base::cat("ended with status ", WEXITSTATUS(status));
}

}  // namespace

WorkerProcess::WorkerProcess(const std::string& python, std::string_view script) {
  std::array<int, 2> pair{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair.data()) != 0)
    fail_errno("no socket");
  socket_ = Descriptor(pair[0]);
  Descriptor theirs(pair[1]);
  ::fcntl(socket_.get(), F_SETFL, O_NONBLOCK);
  stop_ = checked(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "no event");
  memory_ = checked(::memfd_create("logits", MFD_CLOEXEC | MFD_ALLOW_SEALING), "no memory file");
  start(python, std::move(theirs), script_file(script));
}

WorkerProcess::~WorkerProcess() {
  kill();
  // Whoever it started, outside of its group, and let have its output hears that nobody is here.
  ::shutdown(socket_.get(), SHUT_RDWR);
  if (watcher_.joinable()) watcher_.join();
  if (logits_ != nullptr) ::munmap(const_cast<float*>(logits_), n_logit_bytes_);
}

/// The thread that forks is the one whose end PDEATHSIG tells of, so it stays as long as the child.
void WorkerProcess::start(const std::string& python, Descriptor socket, Descriptor script) {
  std::array<int, 2> pipe{};
  if (::pipe2(pipe.data(), O_CLOEXEC) != 0) fail_errno("no pipe");
  Descriptor output(pipe[0]);
  const Descriptor input(pipe[1]);
  std::vector<std::string> arguments{python, base::cat("/proc/self/fd/", script.get()),
                                     base::cat(socket.get()), base::cat(memory_.get())};
  std::vector<std::string> environment = worker_environment();
  const std::vector<char*> argument_list = pointers_to(arguments);
  const std::vector<char*> environment_list = pointers_to(environment);
  const Launch launch{python.c_str(),
                      argument_list.data(),
                      environment_list.data(),
                      input.get(),
                      {socket.get(), memory_.get(), script.get()},
                      ::getpid()};
  const auto forked = std::make_shared<std::promise<std::pair<pid_t, int>>>();
  const auto reads = std::make_shared<Descriptor>(std::move(output));
  watcher_ = base::start_thread([this, &launch, forked, reads] {
    const pid_t pid = ::fork();
    if (pid == 0) become_python(launch);
    pid_ = pid;
    forked->set_value({pid, errno});
    if (pid > 0) watch(reads->get());
  });
  const auto [pid, error] = forked->get_future().get();
  if (pid > 0) return;
  watcher_.join();
  errno = error;
  fail_errno("no process");
}

/// Keeps the end of what the worker prints, and then its status.
void WorkerProcess::watch(int output) {
  std::array<char, 4096> buffer{};
  while (true) {
    const ssize_t n = ::read(output, buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    const base::MutexLock lock(mutex_);
    printed_.append(buffer.data(), static_cast<std::size_t>(n));
    if (printed_.size() > 2 * kMaxPrinted) printed_.erase(0, printed_.size() - kMaxPrinted);
  }
  siginfo_t info{};
  while (::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOWAIT) != 0 &&
         errno == EINTR) {
  }
  const base::MutexLock lock(mutex_);  // so that nobody kills a number that is another's by now
  int status = 0;
  ::waitpid(pid_, &status, 0);
  status_ = status;
  ended_.notify_all();
}

void WorkerProcess::kill() noexcept {
  const base::MutexLock lock(mutex_);
  if (pid_ > 0 && !status_) ::kill(-pid_, SIGKILL);
  if (pid_ > 0 && !status_) ::kill(pid_, SIGKILL);  // should it have no group of its own yet
}

void WorkerProcess::allocate_logits(std::size_t n_floats) {
  base::check(logits_ == nullptr, "pt: logits were allocated before");
  n_logit_bytes_ = n_floats * sizeof(float);
  // Sealed, so that it cannot shrink below what is read here.
  if (::ftruncate(memory_.get(), static_cast<off_t>(n_logit_bytes_)) != 0 ||
      ::fcntl(memory_.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
    base::fail(ErrorCode::kResourceExhausted, "pt: no memory for logits (", n_logit_bytes_,
               " bytes)");
  }
  void* memory = ::mmap(nullptr, n_logit_bytes_, PROT_READ, MAP_SHARED, memory_.get(), 0);
  if (memory == MAP_FAILED)
    base::fail(ErrorCode::kResourceExhausted, "pt: logits cannot be mapped");
  logits_ = static_cast<const float*>(memory);
}

void WorkerProcess::ask_to_stop() noexcept {
  stopping_ = true;
  const std::uint64_t one = 1;
  (void)!::write(stop_.get(), &one, sizeof one);
}

void WorkerProcess::wait_for(short events, Deadline deadline) {
  std::optional<Deadline> stop_by;
  while (true) {
    const Deadline now = std::chrono::steady_clock::now();
    if (stopping_ && !stop_by) stop_by = now + kTimeToStop;
    const Deadline end = std::min(deadline, stop_by.value_or(Deadline::max()));
    if (now >= end) fail_ended(stop_by ? "is told to stop" : "gave no answer in time");
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(
        std::min<Deadline::duration>(end - now, std::chrono::hours(1)));
    // An event that was seen would end every wait at once.
    std::array<pollfd, 2> wanted{
        pollfd{socket_.get(), events, 0},
        pollfd{stop_by ? -1 : stop_.get(), POLLIN, 0},
    };
    const int n = ::poll(wanted.data(), wanted.size(), static_cast<int>(left.count()));
    if (n > 0 && wanted[0].revents != 0) return;
  }
}

void WorkerProcess::write_pending(Deadline deadline) {
  std::size_t begin = 0;
  while (begin < pending_.size()) {
    const ssize_t n = ::send(socket_.get(), pending_.data() + begin, pending_.size() - begin,
                             MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n > 0) {
      begin += static_cast<std::size_t>(n);
    } else if (errno == EAGAIN) {
      wait_for(POLLOUT, deadline);
    } else if (errno != EINTR) {
      fail_ended("does not listen");
    }
  }
  pending_.clear();
}

void WorkerProcess::send(std::string_view frame, Deadline deadline) {
  pending_ += frame;
  write_pending(deadline);
}

void WorkerProcess::send_soon(std::string_view frame) noexcept {
  try {
    pending_ += frame;
  } catch (const std::exception&) {
    return;  // what it frees, stays until the worker ends
  }
  const ssize_t n =
      ::send(socket_.get(), pending_.data(), pending_.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  if (n > 0) pending_.erase(0, static_cast<std::size_t>(n));
}

void WorkerProcess::read_exactly(char* to, std::size_t n, Deadline deadline) {
  while (n > 0) {
    const ssize_t got = ::recv(socket_.get(), to, n, MSG_DONTWAIT);
    if (got > 0) {
      to += got;
      n -= static_cast<std::size_t>(got);
    } else if (got < 0 && errno == EAGAIN) {
      wait_for(POLLIN, deadline);
    } else if (got == 0 || errno != EINTR) {
      fail_ended("is gone");
    }
  }
}

std::string WorkerProcess::receive(Deadline deadline) {
  std::array<char, kHeadBytes> head{};
  read_exactly(head.data(), head.size(), deadline);
  std::string text;
  try {
    text.resize(parse_head({head.data(), head.size()}));
  } catch (const Error& error) {
    fail_ended(base::cat("sent what is no answer: ", error.what()));
  }
  read_exactly(text.data(), text.size(), deadline);
  return text;
}

void WorkerProcess::fail_ended(std::string_view what) {
  base::fail(ErrorCode::kUnavailable, "pt: the Python worker ", what, "; it ",
             end_and_last_words());
}

/// Its end is its own when it comes now; else it is killed.
std::string WorkerProcess::end_and_last_words() {
  const auto wait = [this] {
    const Deadline end = std::chrono::steady_clock::now() + kTimeToEnd;
    base::MutexLock lock(mutex_);
    while (!status_ && ended_.wait_until(lock, end)) {
    }
  };
  const bool hung_up = [this] {
    pollfd ask{socket_.get(), POLLIN, 0};
    return ::poll(&ask, 1, 0) > 0 && (ask.revents & (POLLHUP | POLLERR)) != 0;
  }();
  if (hung_up) wait();
  kill();
  wait();
  const base::MutexLock lock(mutex_);
  std::string_view last(printed_);
  if (last.size() > kMaxLastWords) last.remove_prefix(last.size() - kMaxLastWords);
  while (!last.empty() && (last.back() == '\n' || last.back() == ' ')) last.remove_suffix(1);
  const std::string end = status_ ? describe_status(*status_) : "has not ended";
  return last.empty() ? base::cat(end, " and printed nothing")
                      : base::cat(end, "; its last words: ", last);
}

}  // namespace openllm::backend::pt
