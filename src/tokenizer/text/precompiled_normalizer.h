#pragma once

#include <memory>

#include "tokenizer/text/charsmap.h"
#include "tokenizer/text/normalizer.h"

namespace openllm::tokenizer {

/// The Hugging Face library's reading of SentencePiece's table: whole clusters of up to five bytes
/// become what their shortest known beginning becomes, then single characters do.
std::unique_ptr<Normalizer> make_precompiled_normalizer(Charsmap charsmap);

}  // namespace openllm::tokenizer
