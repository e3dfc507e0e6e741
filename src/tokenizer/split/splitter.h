#pragma once

#include <string_view>
#include <vector>

#include "tokenizer/json_fields.h"
#include "tokenizer/split/pre_tokenizer.h"
#include "tokenizer/split/word_scanner.h"

namespace openllm::tokenizer {

/// Treatment of the text that a pattern matches, as the Hugging Face library names it.
enum class SplitBehavior { kRemoved, kIsolated, kMergedWithPrevious, kMergedWithNext, kContiguous };

SplitBehavior parse_split_behavior(std::string_view name, std::string_view where);

/// A stretch of a word that a pattern matches or does not match.
struct Stretch {
  std::size_t begin, end;
  bool is_match;
};

/// Appends the words that the stretches of one word make under `behavior`.
void append_words(const std::vector<Stretch>& stretches, SplitBehavior behavior,
                  std::vector<Words::Word>& out);

/// Splits at a literal or a regular expression; by a scanner where there is one for it.
std::unique_ptr<PreTokenizer> make_pattern_splitter(Pattern pattern, SplitBehavior behavior,
                                                    bool invert);
/// The same without scanners.
std::unique_ptr<PreTokenizer> make_regex_splitter(Pattern pattern, SplitBehavior behavior,
                                                  bool invert);
std::unique_ptr<PreTokenizer> make_scanning_splitter(WordScanner scanner);
/// Splits at characters of a kind.
std::unique_ptr<PreTokenizer> make_char_splitter(bool (*is_match)(char32_t),
                                                 SplitBehavior behavior);

}  // namespace openllm::tokenizer
