#include "net/sse.h"

#include "base/error.h"

namespace openllm::net {

bool SseDecoder::feed(std::string_view bytes, OnEvent on_event) {
  while (!bytes.empty()) {
    if (after_cr_) {
      after_cr_ = false;
      if (bytes.front() == '\n') {
        bytes.remove_prefix(1);
        continue;
      }
    }
    const std::size_t end = bytes.find_first_of("\r\n");
    line_ += bytes.substr(0, end);
    if (line_.size() + data_.size() > max_event_bytes_) {
      base::fail(ErrorCode::kIo, "event stream: event too long (expected at most ",
                 max_event_bytes_, " bytes)");
    }
    if (end == std::string_view::npos) return true;
    after_cr_ = bytes[end] == '\r';
    bytes.remove_prefix(end + 1);
    if (!end_line(on_event)) return false;
  }
  return true;
}

bool SseDecoder::end_line(OnEvent on_event) {
  std::string_view line = line_;
  if (is_first_line_ && line.substr(0, 3) == "\xEF\xBB\xBF") line.remove_prefix(3);
  is_first_line_ = false;
  bool go_on = true;
  if (line.empty()) {
    go_on = dispatch(on_event);
  } else {
    const std::size_t colon = line.find(':');
    const std::string_view field = line.substr(0, colon);
    std::string_view value =
        colon == std::string_view::npos ? std::string_view{} : line.substr(colon + 1);
    if (!value.empty() && value.front() == ' ') value.remove_prefix(1);
    if (field == "data") {
      data_ += value;
      data_ += '\n';
      has_data_ = true;
    } else if (field == "event") {
      name_ = value;
    }
  }
  line_.clear();
  return go_on;
}

/// An empty line ends an event; one without data is none.
bool SseDecoder::dispatch(OnEvent on_event) {
  bool go_on = true;
  if (has_data_) {
    data_.pop_back();  // the line end after the last data line
    go_on = on_event({name_.empty() ? std::string_view("message") : name_, data_});
  }
  name_.clear();
  data_.clear();
  has_data_ = false;
  return go_on;
}

}  // namespace openllm::net
