#pragma once

#include <memory>

#include "tokenizer/text/normalizer.h"

namespace openllm::tokenizer {

struct BertNormalizerOptions {
  bool clean_text = true;            ///< Control characters go, white space becomes spaces.
  bool handle_chinese_chars = true;  ///< Spaces around ideographs.
  bool strip_accents = true;
  bool lowercase = true;
};

std::unique_ptr<Normalizer> make_bert_normalizer(const BertNormalizerOptions& options);

}  // namespace openllm::tokenizer
