#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/function_ref.h"

namespace openllm::net {

/// One event of a stream, valid during the call that it is given to.
struct SseEvent {
  std::string_view name{};  ///< "message" where the stream gives none.
  std::string_view data{};
};

/// Decodes an event stream as the HTML standard says (section 9.2.6), whatever the borders of the
/// pieces it comes in. Ids and retry times are read over: an answer to a POST cannot be resumed.
class SseDecoder {
 public:
  /// `max_event_bytes`: a longer line or event is an error (Error kIo).
  explicit SseDecoder(std::size_t max_event_bytes = std::size_t{64} << 20U)
      : max_event_bytes_(max_event_bytes) {}

  using OnEvent = base::FunctionRef<bool(const SseEvent& event)>;

  /// Calls `on_event` for every event that is complete with these bytes; false from it stops and
  /// drops the rest. An event that the end of the stream cuts off is not delivered. Returns false
  /// when it was stopped.
  bool feed(std::string_view bytes, OnEvent on_event);

 private:
  bool end_line(OnEvent on_event);
  bool dispatch(OnEvent on_event);

  std::size_t max_event_bytes_;
  std::string line_;
  std::string name_;
  std::string data_;
  bool has_data_ = false;
  bool after_cr_ = false;
  bool is_first_line_ = true;
};

}  // namespace openllm::net
