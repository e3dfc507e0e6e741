#pragma once

#include <string_view>
#include <vector>

namespace openllm::tokenizer {

/// Patterns and defaults of a pre-tokenizer that GGUF files know by name.
struct GgufPreTokenizer {
  std::vector<std::string_view> patterns;  ///< Matches are isolated, one pattern after the other.
  bool ignore_merges = false;
  bool add_bos = false;
  bool raw_text = false;  ///< Tokens are spelled as they are, but for spaces, which are U+2581.
  bool whole_newlines = false;  ///< Line ends that are a token together are that token.
};

/// Throws kUnsupported listing the known names.
GgufPreTokenizer find_gguf_pre_tokenizer(std::string_view name);

}  // namespace openllm::tokenizer
