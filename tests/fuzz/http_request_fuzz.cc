// Bodies of requests and event streams are hostile: the parsers must end with a value or an Error.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "net/sse.h"
#include "openllm/error.h"
#include "server/api/chat_request.h"
#include "server/api/completion_request.h"
#include "server/api/native_request.h"
#include "server/api/vector_requests.h"

namespace {

template <typename F>
void only_errors(F parse) {
  try {
    parse();
  } catch (const openllm::Error&) {
    // refused, as it should be
  }
}

std::vector<std::string> decode(std::string_view bytes, std::size_t piece) {
  std::vector<std::string> events;
  openllm::net::SseDecoder decoder;
  for (std::size_t i = 0; i < bytes.size(); i += piece) {
    decoder.feed(bytes.substr(i, piece), [&](const openllm::net::SseEvent& event) {
      events.emplace_back(event.data);
      return true;
    });
  }
  return events;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  only_errors([&] { openllm::server::parse_completion_request(bytes); });
  only_errors([&] { openllm::server::parse_chat_request(bytes); });
  only_errors([&] { openllm::server::parse_native_request(bytes); });
  only_errors([&] { openllm::server::parse_embedding_request(bytes); });
  only_errors([&] { openllm::server::parse_score_request(bytes); });
  only_errors([&] { openllm::server::parse_rerank_request(bytes); });
  if (decode(bytes, size + 1) != decode(bytes, 3)) std::abort();
  return 0;
}
