#pragma once

#include <chrono>
#include <string_view>

#include "net/http.h"

namespace openllm::net {

/// Reads what the head of an answer says to clients: when and whether to ask again, and where.
class AnswerFieldReader {
 public:
  /// Reads one line into `answer`: "Retry-After" in seconds or as a date, which counts from `now`;
  /// OpenAI's "Retry-After-Ms", which is finer and wins; "X-Should-Retry"; "Location". Every field
  /// goes into HttpAnswer::fields too; values that make no sense change nothing else.
  void read(std::string_view line, std::chrono::system_clock::time_point now, HttpAnswer& answer);

 private:
  bool has_fine_retry_after_ = false;
};

}  // namespace openllm::net
