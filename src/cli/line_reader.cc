#include "cli/line_reader.h"

#include <histedit.h>
#include <poll.h>
#include <signal.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <clocale>
#include <cstdio>
#include <cwchar>
#include <utility>

#include "base/error.h"
#include "base/utf8.h"
#include "cli/interrupt.h"
#include "cli/terminal.h"

namespace openllm::cli {
namespace {

constexpr std::string_view kPasteBegin = "\033[200~";
constexpr std::string_view kPasteEnd = "\033[201~";
constexpr std::string_view kLineEndSign = "\xE2\x86\xB5";  // U+21B5
/// A key that no terminal has, for drawing prompt and line anew.
constexpr const char* kRedraw = "\033[990~";
constexpr std::string_view kTabSign = "\xE2\x87\xA5";  // U+21E5

std::string replace_all(std::string_view text, std::string_view from, std::string_view to) {
  std::string out;
  std::size_t begin = 0;
  for (std::size_t at = text.find(from); at != std::string_view::npos;
       at = text.find(from, begin)) {
    out.append(text, begin, at - begin);
    out.append(to);
    begin = at + from.size();
  }
  out.append(text, begin);
  return out;
}

/// The keys that make signals on this terminal.
struct SignalKeys {
  SignalKeys() {
    struct termios mode {};
    if (::tcgetattr(STDIN_FILENO, &mode) != 0) return;
    interrupt = static_cast<char>(mode.c_cc[VINTR]);
    stop = static_cast<char>(mode.c_cc[VSUSP]);
    quit = static_cast<char>(mode.c_cc[VQUIT]);
  }
  char interrupt = '\x03';
  char stop = '\x1A';
  char quit = '\x1C';
};

/// Switches bracketed paste, where the terminal may know it.
void mark_pastes(bool on) {
  if (stderr_is_terminal()) note(on ? "\033[?2004h" : "\033[?2004l");
}

}  // namespace

std::string PasteFilter::push(std::string_view bytes) {
  held_.append(bytes);
  std::string out;
  std::size_t at = 0;
  while (at < held_.size()) {
    const std::string_view rest = std::string_view(held_).substr(at);
    const std::string_view mark = in_paste_ ? kPasteEnd : kPasteBegin;
    if (rest.starts_with(mark)) {
      in_paste_ = !in_paste_;
      after_carriage_return_ = false;
      at += mark.size();
      continue;
    }
    if (mark.starts_with(rest)) break;  // may become a mark
    const char c = rest.front();
    ++at;
    if (!in_paste_) {
      out += c;
      continue;
    }
    const bool is_control = static_cast<unsigned char>(c) < 0x20 || c == 0x7F;
    if (c == '\r' || (c == '\n' && !after_carriage_return_)) {
      out += kLineEndSign;
    } else if (c == '\t') {
      out += kTabSign;
    } else if (!is_control) {
      out += c;
    }
    after_carriage_return_ = c == '\r';
  }
  held_.erase(0, at);
  return out;
}

std::string PasteFilter::flush() { return std::exchange(held_, {}); }

std::string PasteFilter::in_one_line(std::string_view text) {
  return replace_all(replace_all(text, "\n", kLineEndSign), "\t", kTabSign);
}

std::string PasteFilter::restore(std::string_view line) {
  return replace_all(replace_all(line, kLineEndSign, "\n"), kTabSign, "\t");
}

struct LineReader::Impl {
  std::string prompt;
  EditLine* edit = nullptr;
  History* history = nullptr;
  const InterruptPipe* interrupts = nullptr;  // while a line is read
  bool interrupted = false;
  bool is_untouched = true;  // no key since the line began
  SignalKeys keys;
  PasteFilter paste;
  std::string bytes;     // read and not yet given to libedit
  int width = 0;         // of the terminal, as libedit knows it
  bool reading = false;  // a line is on the screen

  /// 1: one character in `out`; otherwise the line ends here.
  int next(wchar_t* out);
  bool fill();
  /// Draws the line anew when the terminal has another width. libedit would learn of it from a
  /// signal, whose handling is ours.
  void follow_size();
  /// Rows from the first one of the prompt to the cursor, on a terminal that is so wide.
  std::size_t rows_to_cursor(int columns) const;
  /// Takes a key away that would have been a signal, and does what the signal does. True: it was
  /// one.
  bool take_signal_key(char key);
  /// A signal that stops or ends the program does so with the terminal as it was found.
  void give_way(int signal);
};

void LineReader::Impl::give_way(int signal) {
  ::el_set(edit, EL_PREP_TERM, 0);
  mark_pastes(false);
  interrupts->give_way(signal);
  ::el_set(edit, EL_PREP_TERM, 1);
  mark_pastes(true);
  bytes.insert(0, kRedraw);  // others have written meanwhile
}

std::size_t LineReader::Impl::rows_to_cursor(int columns) const {
  const LineInfo* line = ::el_line(edit);
  const std::string before =
      prompt + std::string(line->buffer, static_cast<std::size_t>(line->cursor - line->buffer));
  const auto row_size = static_cast<std::size_t>(std::max(columns, 1));
  std::size_t row = 0;
  std::size_t column = 0;
  for (std::size_t at = 0; at < before.size();) {
    const std::size_t begin = at;
    base::decode_utf8(before, at);
    const std::size_t size = columns_of(std::string_view(before).substr(begin, at - begin));
    if (column + size > row_size) {  // a wide character does not stand in two rows
      ++row;
      column = 0;
    }
    column += size;
  }
  return row + (column >= row_size ? 1 : 0);
}

void LineReader::Impl::follow_size() {
  const int now = terminal_width();
  if (now == width) return;
  width = now;
  if (reading && stderr_is_terminal()) {
    // Terminals that reflow have wrapped the line anew by now; libedit would draw over it from
    // where the line stood before.
    const std::size_t up = rows_to_cursor(now);
    note(base::cat("\r", up == 0 ? "" : base::cat("\033[", up, "A"), "\033[J"));
  }
  ::el_resize(edit);
  if (reading) ::el_set(edit, EL_REFRESH);
}

bool LineReader::Impl::fill() {
  // A lone escape key must not wait for ever for the rest of a mark.
  constexpr int kEscapeWaitMs = 50;
  std::array<pollfd, 2> fds{{{STDIN_FILENO, POLLIN, 0}, {interrupts->fd(), POLLIN, 0}}};
  const int n = ::poll(fds.data(), fds.size(), paste.holds_back() ? kEscapeWaitMs : -1);
  if (n < 0) return errno == EINTR;
  if (fds[1].revents != 0) {
    const InterruptPipe::Taken taken = interrupts->take();
    if (taken.other != 0) give_way(taken.other);
    if (taken.is_resized) follow_size();
    interrupted = taken.n_interrupts > 0;
    return !interrupted;
  }
  if (n == 0) {
    bytes += paste.flush();
    return true;
  }
  std::array<char, 4096> buffer{};
  const ssize_t got = ::read(STDIN_FILENO, buffer.data(), buffer.size());
  if (got < 0) return errno == EINTR || errno == EAGAIN;
  if (got == 0) return false;
  // A Ctrl-D typed while the terminal was still in line mode waits there as an end of file, which
  // the change to single keys turns into a NUL byte (Linux, n_tty). Nothing else sends NUL on
  // purpose.
  std::replace(buffer.begin(), buffer.begin() + got, '\0', '\x04');
  bytes += paste.push({buffer.data(), static_cast<std::size_t>(got)});
  return true;
}

bool LineReader::Impl::take_signal_key(char key) {
  const bool is_signal = key == keys.interrupt || key == keys.stop || key == keys.quit;
  if (!is_signal || key == '\0') return false;  // NUL: the terminal has no such key
  bytes.erase(0, 1);
  if (key == keys.interrupt) {
    interrupted = true;
  } else {
    give_way(key == keys.stop ? SIGTSTP : SIGQUIT);
  }
  return true;
}

int LineReader::Impl::next(wchar_t* out) {
  while (true) {
    while (bytes.empty() || base::incomplete_utf8_tail(bytes) == bytes.size()) {
      if (!fill()) return 0;
    }
    if (!take_signal_key(bytes.front())) break;
    if (interrupted) return 0;
  }
  follow_size();
  is_untouched = false;
  std::size_t used = 0;
  *out = static_cast<wchar_t>(base::decode_utf8(bytes, used));
  bytes.erase(0, used);
  return 1;
}

LineReader::LineReader() : impl_(std::make_unique<Impl>()) {
  impl_->width = terminal_width();
  // libedit converts by the locale; a bare "C" would turn everything but ASCII into garbage.
  std::setlocale(LC_CTYPE, "");
  if (MB_CUR_MAX == 1) std::setlocale(LC_CTYPE, "C.UTF-8");
  impl_->edit = ::el_init("openllm", stdin, stderr, stderr);
  if (impl_->edit == nullptr) base::fail(ErrorCode::kIo, "terminal: cannot edit lines on it");
  impl_->history = ::history_init();
  HistEvent event;
  ::history(impl_->history, &event, H_SETSIZE, 1000);
  ::history(impl_->history, &event, H_SETUNIQUE, 1);
  ::el_set(impl_->edit, EL_CLIENTDATA, impl_.get());
  ::el_set(
      impl_->edit, EL_PROMPT, +[](EditLine* edit) -> char* {
        void* data = nullptr;
        ::el_get(edit, EL_CLIENTDATA, &data);
        return static_cast<Impl*>(data)->prompt.data();
      });
  ::el_set(
      impl_->edit, EL_GETCFN, +[](EditLine* edit, wchar_t* out) -> int {
        void* data = nullptr;
        ::el_get(edit, EL_CLIENTDATA, &data);
        return static_cast<Impl*>(data)->next(out);
      });
  ::el_set(impl_->edit, EL_EDITOR, "emacs");
  ::el_set(impl_->edit, EL_SIGNAL, 0);
  // Ctrl-C and the like come as keys, in their place among the others. As signals they would throw
  // away what was typed before and not yet read.
  ::el_set(impl_->edit, EL_SETTY, "-d", "-isig", nullptr);
  ::el_set(impl_->edit, EL_HIST, ::history, impl_->history);
  ::el_set(impl_->edit, EL_BIND, "^R", "em-inc-search-prev", nullptr);
  ::el_set(impl_->edit, EL_BIND, kRedraw, "ed-redisplay", nullptr);
}

LineReader::~LineReader() {
  ::history_end(impl_->history);
  ::el_end(impl_->edit);
}

void LineReader::remember(std::string_view text) {
  const std::string line = PasteFilter::in_one_line(text);
  if (line.empty()) return;
  HistEvent event;
  ::history(impl_->history, &event, H_ENTER, line.c_str());
}

LineReader::Line LineReader::read(const std::string& prompt) {
  impl_->prompt = prompt;
  const InterruptPipe interrupts(InterruptPipe::Second::kNothing, InterruptPipe::Others::kCaught);
  impl_->interrupts = &interrupts;
  impl_->interrupted = false;
  impl_->is_untouched = true;
  mark_pastes(true);
  impl_->follow_size();
  ::el_set(impl_->edit, EL_PREP_TERM, 1);  // libedit would do it when the prompt is there already
  int length = 0;
  impl_->reading = true;
  const char* text = ::el_gets(impl_->edit, &length);
  impl_->reading = false;
  mark_pastes(false);
  impl_->interrupts = nullptr;

  Line line;
  line.is_untouched = impl_->is_untouched;
  if (text == nullptr || length <= 0) {
    line.interrupted = impl_->interrupted;
    line.end = !line.interrupted;
    return line;
  }
  std::string_view raw(text, static_cast<std::size_t>(length));
  while (!raw.empty() && (raw.back() == '\n' || raw.back() == '\r')) raw.remove_suffix(1);
  line.text = PasteFilter::restore(raw);
  return line;
}

}  // namespace openllm::cli
