#include "openllm/text_decoder.h"

#include <utility>

#include "base/error.h"
#include "llm/text_decoder.h"

namespace openllm {

TextDecoder::TextDecoder(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
TextDecoder::~TextDecoder() = default;
TextDecoder::TextDecoder(const TextDecoder& other)
    : impl_(other.impl_ == nullptr ? nullptr : std::make_unique<Impl>(*other.impl_)) {}
TextDecoder& TextDecoder::operator=(const TextDecoder& other) {
  if (this != &other) *this = TextDecoder(other);
  return *this;
}
TextDecoder::TextDecoder(TextDecoder&&) noexcept = default;
TextDecoder& TextDecoder::operator=(TextDecoder&&) noexcept = default;

TextDecoder::Impl& TextDecoder::impl() {
  if (impl_ == nullptr)
    base::fail(ErrorCode::kInvalidArgument, "text decoder: has no model (it was moved from)");
  return *impl_;
}

std::vector<std::string> TextDecoder::push(std::int32_t token_id) {
  return impl().decoder.push(token_id);
}
std::vector<std::string> TextDecoder::flush() { return impl().decoder.flush(); }

}  // namespace openllm
