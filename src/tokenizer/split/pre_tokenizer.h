#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "tokenizer/regex/regex.h"
#include "tokenizer/split/word_scanner.h"
#include "tokenizer/text/aligned_text.h"

namespace openllm::tokenizer {

/// Text on its way to the model: a buffer and the words in it, in order. Words are never empty.
class Words {
 public:
  struct Word {
    std::size_t begin, end;
  };

  /// `start`: the number of its bytes that stand for the first character of the whole input.
  /// `origins`: what its bytes stand for, or nothing where nobody asks.
  Words(std::string text, std::size_t start, std::vector<Origin> origins = {});

  const std::string& text() const noexcept { return text_; }
  const std::vector<Word>& words() const noexcept { return words_; }
  std::string_view view(const Word& word) const noexcept {
    return std::string_view(text_).substr(word.begin, word.end - word.begin);
  }
  /// Whether the word begins with text that stands for the first character of the whole input.
  /// Several do, where that character became several words.
  bool is_first(const Word& word) const noexcept { return word.begin < start_; }
  std::size_t start() const noexcept { return start_; }

  /// Replaces the words by others.
  void replace(std::vector<Word> words) { words_ = std::move(words); }
  void replace(std::string text, std::vector<Word> words, std::size_t start,
               std::vector<Origin> origins);

  /// Empty where nobody asked for them.
  const std::vector<Origin>& origins() const noexcept { return origins_; }

 private:
  std::string text_;
  std::vector<Word> words_;
  std::size_t start_;
  std::vector<Origin> origins_;
};

/// Splits text into words that the model then works on alone. Thread safety: const methods from any
/// thread.
class PreTokenizer {
 public:
  virtual ~PreTokenizer() = default;
  virtual void split(Words& words) const = 0;
  /// Appends scanners that split as this does when each works on the words of the one before it;
  /// false if there are none.
  virtual bool add_scanners(std::vector<WordScanner>&) const { return false; }
  /// Whether the words together are at least as long as the text.
  virtual bool keeps_text() const noexcept { return true; }
};

/// A pre-tokenizer, and the form of the words that it gives to the model.
struct PreTokenizerChoice {
  std::unique_ptr<PreTokenizer> pre_tokenizer;  ///< Null: the text is one word.
  bool byte_level =
      false;  ///< Words are raw bytes; the vocabulary spells them in GPT-2's alphabet.
};

/// The component "pre_tokenizer" of tokenizer.json.
PreTokenizerChoice make_pre_tokenizer(const base::Json& json);

/// BERT's: words between white space, and each punctuation character.
std::unique_ptr<PreTokenizer> make_bert_pre_tokenizer();

/// Isolates the matches of one pattern after the other; for byte-level vocabularies without a
/// tokenizer.json.
std::unique_ptr<PreTokenizer> make_regex_pre_tokenizer(
    const std::vector<std::string_view>& patterns, std::string_view where);

/// Kimi's: Chinese apart from other letters.
constexpr std::string_view kKimiPattern =
    R"([\p{Han}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*)"
    R"([\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?)"
    R"([\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*)"
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|)"
    R"(\s+(?!\S)|\s+)";
/// GPT-2's pattern, which ByteLevel uses too.
constexpr std::string_view kGpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

}  // namespace openllm::tokenizer
