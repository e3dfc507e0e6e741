#pragma once

#include <memory>
#include <utility>

#include "openllm/text_decoder.h"
#include "tokenizer/text/part_decoder.h"

namespace openllm {

/// A decoder and the tokenizer that it needs.
class [[gnu::visibility("hidden")]] TextDecoder::Impl {
 public:
  Impl(std::shared_ptr<const tokenizer::Tokenizer> tokenizer_to_keep, bool skip_special,
       bool continues)
      : tokenizer(std::move(tokenizer_to_keep)), decoder(*tokenizer, skip_special, continues) {}

  std::shared_ptr<const tokenizer::Tokenizer> tokenizer;
  tokenizer::PartDecoder decoder;
};

}  // namespace openllm
