#include "cli/download_report.h"

#include <algorithm>
#include <cmath>
#include <exception>
#include <functional>
#include <memory>
#include <stop_token>

#include "base/error.h"
#include "base/json.h"
#include "cli/commands/check_model.h"
#include "cli/interrupt.h"
#include "cli/terminal.h"

namespace openllm::cli {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr std::chrono::seconds kWindow{5};
constexpr milliseconds kShortest{200};

std::string readable_time(std::int64_t seconds) {
  constexpr std::int64_t kMinute = 60;
  constexpr std::int64_t kHour = 60 * kMinute;
  if (seconds >= kHour) return base::cat(seconds / kHour, " h ", seconds % kHour / kMinute, " min");
  if (seconds >= kMinute) return base::cat(seconds / kMinute, " min ", seconds % kMinute, " s");
  return base::cat(seconds, " s");
}

/// The end of a text that has so many columns.
std::string tail(const std::string& text, std::size_t columns) {
  if (columns_of(text) <= columns) return text;
  constexpr std::string_view kCut = "...";
  std::size_t begin = 0;
  while (begin < text.size() && columns_of(text.substr(begin)) + kCut.size() > columns) {
    ++begin;
    while (begin < text.size() && (static_cast<unsigned char>(text[begin]) & 0xC0U) == 0x80U)
      ++begin;
  }
  return begin == text.size() ? std::string() : base::cat(kCut, text.substr(begin));
}

/// Tells of one download; called by one thread at a time.
class Report {
 public:
  Report(Told told, const ProgressLine& screen)
      : told_(told), screen_(screen), is_terminal_(stderr_is_terminal()) {}

  void tell(const PullProgress& now) {
    if (now.is_waiting) {
      tell_of_waiting(now);
      return;
    }
    if (now.n_bytes_fetched == 0) return;  // what was there is no download
    rate_.add(now.n_bytes_fetched, steady_clock::now());
    if (told_ == Told::kAsJson) {
      if (is_due(now, milliseconds(500))) print(download_json(now, rate_.bytes_per_s()));
    } else if (is_terminal_) {
      if (is_due(now, milliseconds(100)))
        screen_.show(draw_download(now, rate_.bytes_per_s(), terminal_width() - 1));
    } else if (told_ == Told::kByFile && now.file != file_) {
      note(base::cat("openllm: fetching ", without_controls(now.file), " (",
                     readable_size(now.n_bytes), " of ", readable_size(now.n_bytes_total),
                     " are here)\n"));
    }
    file_ = now.file;
  }

 private:
  void tell_of_waiting(const PullProgress& now) {
    const std::string text =
        base::cat("waiting: another process fetches ", without_controls(now.file));
    if (told_ == Told::kAsJson) {
      base::Json line = base::Json::object();
      line["state"] = "waiting";
      line["file"] = now.file;
      print(line.dump() + "\n");
    } else if (is_terminal_) {
      screen_.show(text);
    } else if (told_ == Told::kByFile) {
      note(base::cat("openllm: ", text, "\n"));
    }
  }
  /// The first and the last of a file's are always told.
  bool is_due(const PullProgress& now, milliseconds pause) {
    const steady_clock::time_point time = steady_clock::now();
    const bool is_end = now.n_bytes >= now.n_bytes_total;
    if (now.file == file_ && !is_end && time - last_ < pause) return false;
    last_ = time;
    return true;
  }

  Told told_;
  const ProgressLine& screen_;
  bool is_terminal_;
  TransferRate rate_{};
  std::string file_{};
  steady_clock::time_point last_{};
};

/// Ctrl-C while something is downloaded. Before and after, it has its usual effect.
class Interrupt {
 public:
  std::stop_token token() const { return source_.get_token(); }
  /// From now on.
  void watch() {
    if (guard_) return;
    guard_.emplace(InterruptPipe::Second::kEndsProgram);
    passed_on_.emplace(guard_->token(), [this] { source_.request_stop(); });
  }
  /// No more; whether it came.
  bool end() {
    guard_.reset();  // whose thread has taken what came
    passed_on_.reset();
    return source_.stop_requested();
  }

 private:
  std::stop_source source_{};
  std::optional<InterruptGuard> guard_{};
  std::optional<std::stop_callback<std::function<void()>>> passed_on_{};
};

}  // namespace

void TransferRate::add(std::int64_t n_bytes, Time now) {
  samples_.emplace_back(now, n_bytes);
  while (samples_.size() > 2 && now - samples_.front().first > kWindow) samples_.pop_front();
}

std::optional<double> TransferRate::bytes_per_s() const {
  if (samples_.empty()) return std::nullopt;
  const auto& [begin, n_begin] = samples_.front();
  const auto& [end, n_end] = samples_.back();
  if (end - begin < kShortest) return std::nullopt;
  return static_cast<double>(n_end - n_begin) / std::chrono::duration<double>(end - begin).count();
}

std::optional<std::int64_t> seconds_left(const PullProgress& now,
                                         std::optional<double> bytes_per_s) {
  const std::int64_t n_left = std::max<std::int64_t>(now.n_bytes_total - now.n_bytes, 0);
  if (n_left == 0) return 0;
  constexpr double kLongest = 1e9;
  const double seconds =
      bytes_per_s && *bytes_per_s > 0.0 ? static_cast<double>(n_left) / *bytes_per_s : kLongest;
  if (seconds >= kLongest) return std::nullopt;
  return static_cast<std::int64_t>(std::ceil(seconds));
}

std::string draw_download(const PullProgress& now, std::optional<double> bytes_per_s, int width) {
  const double share = static_cast<double>(now.n_bytes) /
                       static_cast<double>(std::max<std::int64_t>(now.n_bytes_total, 1));
  std::string numbers =
      base::cat(static_cast<int>(std::clamp(share, 0.0, 1.0) * 100.0), " %  ",
                readable_size(now.n_bytes), " of ", readable_size(now.n_bytes_total));
  if (bytes_per_s) {
    numbers += base::cat("  ", readable_size(static_cast<std::int64_t>(*bytes_per_s)), "/s");
    if (const auto left = seconds_left(now, bytes_per_s))
      numbers += base::cat("  ", readable_time(*left), " left");
  }
  const auto room = static_cast<std::size_t>(std::max(width, 0));
  if (numbers.size() > room) return numbers.substr(0, room);
  if (numbers.size() + 2 >= room) return numbers;
  const std::string name = tail(without_controls(now.file), room - numbers.size() - 2);
  return name.empty() ? numbers : base::cat(name, "  ", numbers);
}

std::string download_json(const PullProgress& now, std::optional<double> bytes_per_s) {
  base::Json json = base::Json::object();
  json["state"] = "downloading";
  json["file"] = now.file;
  json["bytes"] = now.n_bytes;
  json["total"] = now.n_bytes_total;
  json["bytes_per_s"] =
      bytes_per_s ? base::Json(static_cast<std::int64_t>(*bytes_per_s)) : base::Json();
  const auto left = seconds_left(now, bytes_per_s);
  json["seconds_left"] = left ? base::Json(*left) : base::Json();
  return json.dump() + "\n";
}

PullCallback download_report(Told told, const ProgressLine& screen) {
  return [report = std::make_shared<Report>(told, screen)](const PullProgress& now) {
    report->tell(now);
  };
}

LLM open_model(const std::string& model, LoadOptions load, Told told, const ProgressLine& screen) {
  const auto interrupt = std::make_shared<Interrupt>();
  load.stop_token = interrupt->token();
  load.pull_progress = [interrupt,
                        report = download_report(told, screen)](const PullProgress& now) {
    interrupt->watch();
    report(now);
  };
  std::optional<LLM> llm;
  std::exception_ptr failure;
  bool is_stopped = false;
  try {
    llm.emplace(model, load);
  } catch (const Error& error) {
    failure = std::current_exception();
    is_stopped = error.code() == ErrorCode::kCancelled;
  }
  screen.show("");
  const bool came = interrupt->end();
  if (failure && !(came && is_stopped)) std::rethrow_exception(failure);
  if (came) {
    base::fail(ErrorCode::kCancelled, "the download of ", model,
               " was stopped; what has come stays, and the same command goes on from there");
  }
  return *std::move(llm);
}

}  // namespace openllm::cli
