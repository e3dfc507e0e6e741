#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string_view>

#include "client/api.h"
#include "net/sse.h"
#include "openllm/options.h"
#include "openllm/outputs.h"

namespace openllm::client {

/// Sets the times of an output that comes now.
void set_timing(GenerationOutput& output, std::chrono::steady_clock::time_point start);

/// The outputs that the events of one answer make.
class AnswerStream {
 public:
  using OnOutput = std::function<bool(const GenerationOutput&)>;

  /// Of `options`, n and output_kind count. `on_output` is not called for OutputKind::kFinalOnly;
  /// it may be empty. It and `api` must live as long.
  AnswerStream(const Api& api, GenerationOutput empty, const GenerateOptions& options,
               const OnOutput& on_output)
      : api_(api),
        output_(std::move(empty)),
        n_(options.n),
        kind_(options.output_kind),
        on_output_(on_output) {}

  /// Bytes of an event stream. False when `on_output` wants no more. Throws the error that an event
  /// tells.
  bool feed(std::string_view bytes);
  /// A whole answer, or the data of an event.
  bool add(std::string_view text);
  /// Tells the end that waited for its counts, if it did.
  bool tell_end() { return !std::exchange(is_end_held_, false) || tell(); }

  bool is_empty() const noexcept { return !has_news_ && !is_done_; }
  /// Nothing is missing but perhaps reasons to end.
  bool is_whole() const noexcept;
  GenerationOutput take() { return std::move(output_); }

 private:
  /// Whether a choice that nothing was heard of yet may follow an end of those that are there.
  bool may_grow() const noexcept { return !n_ && api_.may_end_without_reason(); }
  bool tell() const {
    return kind_ == OutputKind::kFinalOnly || !on_output_ || on_output_(output_);
  }

  const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  const Api& api_;
  GenerationOutput output_;
  const std::optional<int> n_;  ///< Choices that were asked for; unset: the server knows.
  const OutputKind kind_;
  const OnOutput& on_output_;
  net::SseDecoder decoder_{};
  bool is_done_ = false;
  bool has_news_ = false;
  bool is_end_held_ = false;
};

}  // namespace openllm::client
