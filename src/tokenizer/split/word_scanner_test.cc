// The scanners written by hand against the regular expressions that they stand for.

#include <gmock/gmock.h>

#include "tokenizer/random_text.h"
#include "tokenizer/split/gguf_pre_tokenizer.h"
#include "tokenizer/split/splitter.h"
#include "tokenizer/split/word_scanner.h"
#include "tokenizer/unicode/unicode.h"

namespace openllm::tokenizer {
namespace {

std::string utf8(char32_t code) {
  std::string text;
  base::append_utf8(text, code);
  return text;
}

TEST(CharKind, IsThatOfPatternsForEveryCodePoint) {
  const std::pair<const char*, unsigned> sets[] = {
      {R"(\p{L})", kLetter},  {R"(\p{N})", kNumber},         {R"(\p{M})", kMark},
      {R"(\s)", kSpace},      {R"([\p{Lu}\p{Lt}])", kUpper}, {R"(\p{Ll})", kLower},
      {R"([\r\n])", kNewline}};
  for (const auto& [pattern, bit] : sets) {
    const Regex regex(pattern, "test");
    Regex::Scanner scanner(regex, {});
    for (char32_t code = 0; code < 0x110000; ++code) {
      if (code == 0xD800) code = 0xE000;
      const std::string text = utf8(code);
      scanner.reset(text);
      ASSERT_EQ(scanner.next().has_value(), (char_kind(code) & bit) != 0)
          << pattern << " " << static_cast<std::uint32_t>(code);
    }
  }
}

std::vector<std::string> scan(WordScanner scanner, const std::string& text) {
  std::vector<std::string> words;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = scanner(text, begin);
    words.push_back(text.substr(begin, end - begin));
    if (end <= begin || end > text.size()) {
      ADD_FAILURE() << "no way on";
      break;
    }
    begin = end;
  }
  return words;
}

std::vector<std::string> split(const PreTokenizer& splitter, const std::string& text) {
  Words words(text, 1);
  splitter.split(words);
  std::vector<std::string> out;
  for (const Words::Word& word : words.words()) out.emplace_back(words.view(word));
  return out;
}

/// Compares on random texts, and on all of one to four characters that matter.
void expect_equal(WordScanner scanner, const PreTokenizer& reference) {
  ASSERT_NE(scanner, nullptr);
  const std::u32string_view alphabet =
      U"aB's lLdr1\n\r\t.\u0301\u00E9\u00BD\u3000\u4E2D\u017F\u01C5\u02B0/";
  std::vector<std::string> texts = {""};
  for (std::size_t begin = 0, length = 0; length < 3; ++length) {
    const std::size_t end = texts.size();
    for (; begin < end; ++begin) {
      for (const char32_t code : alphabet) texts.push_back(texts[begin] + utf8(code));
    }
  }
  RandomText random(17);
  const std::vector<std::string> extras = {"'s",   "'LL",       "'ve",        "  ",      "\r\n",
                                           " \n ", "'\xC5\xBF", "HelloWorld", "\n\n  x", "12345"};
  for (int i = 0; i < 5000; ++i) texts.push_back(random.text(30, extras));
  for (const std::string& text : texts)
    ASSERT_EQ(scan(scanner, text), split(reference, text)) << testing::PrintToString(text);
}

class KnownPatterns : public ::testing::TestWithParam<const char*> {};

TEST_P(KnownPatterns, ScanLikeTheRegularExpression) {
  expect_equal(find_word_scanner(GetParam()),
               *make_regex_splitter({Regex(GetParam(), "test")}, SplitBehavior::kIsolated, false));
}

#define OPENLLM_REST "|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define OPENLLM_CASED(contraction, numbers)                                                      \
  R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+)" contraction  \
  R"(|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*)" contraction \
  "|" numbers R"(| ?[^\s\p{L}\p{N}]+[\r\n/]*)" OPENLLM_REST
constexpr const char* kPatterns[] = {
    kGpt2Pattern.data(),
    R"('(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)",
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*)" OPENLLM_REST,
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*)" OPENLLM_REST,
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+)"
    "[\\r\\n]*" OPENLLM_REST,
    OPENLLM_CASED("(?i:'s|'t|'re|'ve|'m|'ll|'d)?", "\\p{N}{1,3}"),
    OPENLLM_CASED("", "\\p{N}"),
    R"(\p{N})",
    R"(\p{N}{1,3}(?=(?:\p{N}{3})*(?!\p{N})))"};

INSTANTIATE_TEST_SUITE_P(All, KnownPatterns, ::testing::ValuesIn(kPatterns));

TEST(WordScanner, DigitsLikeTheSplitter) {
  const auto is_match = [](char32_t code) { return is_numeric(code); };
  expect_equal(scan_digit, *make_char_splitter(is_match, SplitBehavior::kIsolated));
  expect_equal(scan_digits, *make_char_splitter(is_match, SplitBehavior::kContiguous));
}

TEST(WordScanner, CommonGgufNamesHaveThem) {
  for (const char* name : {"gpt-2", "smollm", "llama-bpe", "qwen2", "qwen35", "gpt-4o", "tekken"}) {
    for (const std::string_view pattern : find_gguf_pre_tokenizer(name).patterns)
      EXPECT_NE(find_word_scanner(pattern), nullptr) << name << " " << pattern;
  }
}

TEST(WordScanner, OtherPatternsHaveNone) {
  EXPECT_EQ(find_word_scanner(""), nullptr);
  EXPECT_EQ(find_word_scanner(R"(\p{L}+)"), nullptr);
}

}  // namespace
}  // namespace openllm::tokenizer
