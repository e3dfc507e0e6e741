#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/function_ref.h"

namespace openllm::net {

/// Decodes an event stream as the HTML standard says (section 9.2.6), whatever the borders of the
/// pieces it comes in. Only the data of events is kept; ids, event names and retry times are read
/// over.
class SseDecoder {
 public:
  /// `max_event_bytes`: a longer line or event is an error (Error kIo).
  explicit SseDecoder(std::size_t max_event_bytes = std::size_t{64} << 20U)
      : max_event_bytes_(max_event_bytes) {}

  /// Calls `on_data` for every event that is complete with these bytes; false from it stops and
  /// drops the rest. An event that the end of the stream cuts off is not delivered. Returns false
  /// when it was stopped.
  bool feed(std::string_view bytes, base::FunctionRef<bool(std::string_view data)> on_data);

 private:
  bool end_line(base::FunctionRef<bool(std::string_view data)> on_data);

  std::size_t max_event_bytes_;
  std::string line_;
  std::string data_;
  bool has_data_ = false;
  bool after_cr_ = false;
  bool is_first_line_ = true;
};

}  // namespace openllm::net
