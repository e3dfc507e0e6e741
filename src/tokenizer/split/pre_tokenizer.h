#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "tokenizer/regex/regex.h"
#include "tokenizer/split/word_scanner.h"

namespace openllm::tokenizer {

/// Text on its way to the model: a buffer and the words in it, in order. Words are never empty.
class Words {
 public:
  struct Word {
    std::size_t begin, end;
  };

  /// `start`: as many bytes of it stand for the first character of the whole input.
  Words(std::string text, std::size_t start);

  const std::string& text() const noexcept { return text_; }
  const std::vector<Word>& words() const noexcept { return words_; }
  std::string_view view(const Word& word) const noexcept {
    return std::string_view(text_).substr(word.begin, word.end - word.begin);
  }
  /// The word begins with what stands for the first character of the whole input. Several may,
  /// where that became more than one.
  bool is_first(const Word& word) const noexcept { return word.begin < start_; }
  std::size_t start() const noexcept { return start_; }

  /// Puts other words in the place of these.
  void replace(std::vector<Word> words) { words_ = std::move(words); }
  void replace(std::string text, std::vector<Word> words, std::size_t start);

 private:
  std::string text_;
  std::vector<Word> words_;
  std::size_t start_;
};

/// Splits text into words that the model then works on alone. Thread safety: const methods from any
/// thread.
class PreTokenizer {
 public:
  virtual ~PreTokenizer() = default;
  virtual void split(Words& words) const = 0;
  /// Appends scanners that one after the other, each on the words of the one before, split as this
  /// does; false if there are none.
  virtual bool add_scanners(std::vector<WordScanner>&) const { return false; }
  /// The words together are at least as long as the text.
  virtual bool keeps_text() const noexcept { return true; }
};

/// A pre-tokenizer and what the model has to know about it.
struct PreTokenizerChoice {
  std::unique_ptr<PreTokenizer> pre_tokenizer;  ///< Null: the text is one word.
  bool byte_level =
      false;  ///< Words are raw bytes; the vocabulary spells them in GPT-2's alphabet.
};

/// The component "pre_tokenizer" of tokenizer.json.
PreTokenizerChoice make_pre_tokenizer(const base::Json& json);

/// Isolates the matches of one pattern after the other; for byte-level vocabularies without a
/// tokenizer.json.
std::unique_ptr<PreTokenizer> make_regex_pre_tokenizer(
    const std::vector<std::string_view>& patterns, std::string_view where);

/// GPT-2's pattern, which ByteLevel uses too.
constexpr std::string_view kGpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

}  // namespace openllm::tokenizer
