// Any bytes as what the Python worker of the backend pt sends: an openllm::Error, or an answer
// whose numbers are in their ranges.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "backend/pt/frames.h"
#include "openllm/error.h"

namespace pt = openllm::backend::pt;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    if (size >= pt::kHeadBytes) {
      const std::uint32_t length = pt::parse_head(text.substr(0, pt::kHeadBytes));
      if (length == 0 || length > pt::kMaxAnswerBytes) std::abort();
    }
  } catch (const openllm::Error& error) {
    if (error.code() != openllm::ErrorCode::kIo) std::abort();
  }
  try {
    const pt::LoadedModel model = pt::parse_loaded(text);
    if (model.vocab_size < 1 || model.n_layers < 0) std::abort();
  } catch (const openllm::Error&) {
    (void)size;
  }
  try {
    pt::parse_mounted(text);
  } catch (const openllm::Error&) {
    (void)size;
  }
  try {
    if (pt::parse_step_done(text) < 0) std::abort();
  } catch (const openllm::Error&) {
    return 0;
  }
  return 0;
}
