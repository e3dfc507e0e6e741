#pragma once

#include <openllm/llm.h>
#include <openllm/options.h>

#include <chrono>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <utility>

#include "cli/progress_line.h"

namespace openllm::cli {

/// How fast bytes came in the last few seconds.
class TransferRate {
 public:
  using Time = std::chrono::steady_clock::time_point;
  /// `n_bytes` have come in all by `now`.
  void add(std::int64_t n_bytes, Time now);
  /// Nothing before there is something to tell it from.
  std::optional<double> bytes_per_s() const;

 private:
  std::deque<std::pair<Time, std::int64_t>> samples_{};
};

/// Seconds until all is there, rounded up; nothing when that is not known.
std::optional<std::int64_t> seconds_left(const PullProgress& now,
                                         std::optional<double> bytes_per_s);
/// "model.safetensors  30 %  1.2 GB of 4.0 GB  35.0 MB/s  1 min 20 s left", at most `width`
/// columns: the file's name is cut at its beginning.
std::string draw_download(const PullProgress& now, std::optional<double> bytes_per_s, int width);
/// A line of JSON: state ("downloading"), file, bytes, total, bytes_per_s, seconds_left.
std::string download_json(const PullProgress& now, std::optional<double> bytes_per_s);

/// How a download is told of.
enum class Told {
  kOnTerminal,  ///< A line that changes, where standard error is a terminal; else not at all.
  kByFile,      ///< The same; else a line on standard error for each file.
  kAsJson,      ///< Lines of JSON on standard output.
};
/// For LoadOptions::pull_progress. `screen` has to live until the download has ended.
PullCallback download_report(Told told, const ProgressLine& screen);

/// LLM(model, load), telling of a download, which Ctrl-C ends with kCancelled and a sentence that
/// says how to go on.
LLM open_model(const std::string& model, LoadOptions load, Told told, const ProgressLine& screen);

}  // namespace openllm::cli
