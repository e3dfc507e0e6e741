#pragma once

#include <cstddef>
#include <string_view>

namespace openllm::tokenizer {

/// The end of the extended grapheme cluster (UAX 29) that begins at `begin`, which is within valid
/// UTF-8 and where a cluster begins. Without rule GB9c: clusters of Indic consonants end early.
std::size_t grapheme_end(std::string_view text, std::size_t begin) noexcept;

}  // namespace openllm::tokenizer
