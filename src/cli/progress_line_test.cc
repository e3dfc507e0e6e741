#include "cli/progress_line.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <pty.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <cmath>
#include <limits>

namespace openllm::cli {
namespace {

TEST(Progress, FitsTheTerminal) {
  EXPECT_EQ(draw_progress("loading", 0.5, 80), "loading [###############...............] 50 %");
  EXPECT_EQ(draw_progress("loading", 0.5, 27), "loading [#####.....] 50 %");
  EXPECT_EQ(draw_progress("loading", 0.5, 10), "50 %");
  EXPECT_EQ(draw_progress("loading", -1.0, 27), "loading [..........] 0 %");
  EXPECT_EQ(draw_progress("loading", 7.0, 27), "loading [##########] 100 %");
  EXPECT_EQ(draw_progress("loading", std::nan(""), 27), "loading [..........] 0 %");
  for (int width = 1; width < 60; ++width) {
    const std::string line = draw_progress("loading", 0.07, width);
    EXPECT_TRUE(static_cast<int>(line.size()) < width || line == "7 %") << width;
  }
}

TEST(Progress, IsTakenAwayAlsoWhereItWrapped) {
  EXPECT_EQ(erase_line(0, 80), "\r\033[K");
  EXPECT_EQ(erase_line(80, 80), "\r\033[K");
  EXPECT_EQ(erase_line(81, 80), "\r\033[1A\033[J");
  EXPECT_EQ(erase_line(45, 20), "\r\033[2A\033[J");
  EXPECT_EQ(erase_line(45, 0), "\r\033[44A\033[J");
}

/// Standard error as a terminal of so many columns.
class Terminal {
 public:
  explicit Terminal(unsigned short columns) {
    struct winsize size {};
    size.ws_col = columns;
    size.ws_row = 24;
    struct termios raw {};
    ::cfmakeraw(&raw);
    if (::openpty(&master_, &slave_, nullptr, &raw, &size) != 0) return;
    saved_ = ::dup(STDERR_FILENO);
    ::dup2(slave_, STDERR_FILENO);
    ::setenv("TERM", "xterm", 1);
  }
  ~Terminal() {
    ::dup2(saved_, STDERR_FILENO);
    for (const int fd : {saved_, slave_, master_}) ::close(fd);
  }
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  /// What came so far: all of it, as writes to a terminal are there at once.
  std::string text() const {
    std::array<char, 4096> buffer{};
    ::fcntl(master_, F_SETFL, O_NONBLOCK);
    std::string all;
    for (ssize_t n = 0; (n = ::read(master_, buffer.data(), buffer.size())) > 0;)
      all.append(buffer.data(), static_cast<std::size_t>(n));
    return all;
  }
  void resize(unsigned short columns) const {
    struct winsize size {};
    size.ws_col = columns;
    ::ioctl(master_, TIOCSWINSZ, &size);
  }

 private:
  int master_ = -1;
  int slave_ = -1;
  int saved_ = -1;
};

TEST(ProgressLine, LetsOtherLinesStandAboveIt) {
  const Terminal terminal(27);
  const ProgressLine progress;
  const ProgressCallback callback = progress.callback();
  ASSERT_TRUE(callback);
  progress.note("first\n");
  EXPECT_EQ(terminal.text(), "first\n");
  callback("loading", 0.5);
  callback("loading", 0.5);
  EXPECT_EQ(terminal.text(), "loading [#####.....] 50 %");
  progress.note("serving\n");
  EXPECT_EQ(terminal.text(), "\r\033[Kserving\nloading [#####.....] 50 %");
  terminal.resize(20);
  callback("loading", 0.6);
  EXPECT_EQ(terminal.text(), "\r\033[1A\033[Jloading [#..] 60 %");
  callback("loading", 1.0);
  EXPECT_EQ(terminal.text(), "\r\033[K");
  progress.note("ready\n");
  EXPECT_EQ(terminal.text(), "ready\n");
}

TEST(ProgressLine, LeavesNothingBehind) {
  const Terminal terminal(27);
  ProgressCallback callback;
  {
    const ProgressLine progress;
    callback = progress.callback();
    callback("loading", 0.5);
    terminal.text();
  }
  EXPECT_EQ(terminal.text(), "\r\033[K");
  callback("loading", 0.7);  // the model may still load
  EXPECT_EQ(terminal.text(), "");
}

TEST(ProgressLine, IsNotDrawnWithoutATerminal) {
  if (::isatty(STDERR_FILENO) != 0) ::setenv("TERM", "dumb", 1);
  const ProgressLine progress;
  EXPECT_FALSE(progress.callback());
}

}  // namespace
}  // namespace openllm::cli
