#include "llm/space_cleaner.h"

#include <gtest/gtest.h>

#include <random>

namespace openllm::llm {
namespace {

/// clean_up_tokenization of transformers' tokenization_utils_base.py.
std::string cleaned(std::string text) {
  for (const auto& [from, to] : {std::pair{" .", "."},
                                 {" ?", "?"},
                                 {" !", "!"},
                                 {" ,", ","},
                                 {" ' ", "'"},
                                 {" n't", "n't"},
                                 {" 'm", "'m"},
                                 {" 's", "'s"},
                                 {" 've", "'ve"},
                                 {" 're", "'re"}}) {
    const std::string pattern = from;
    const std::string by = to;
    for (std::size_t at = text.find(pattern); at != std::string::npos;
         at = text.find(pattern, at + by.size()))
      text.replace(at, pattern.size(), by);
  }
  return text;
}

std::string in_pieces(const std::string& text, std::mt19937& random) {
  SpaceCleaner cleaner;
  std::string out;
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t n = 1 + random() % 4;
    out += cleaner.push(std::string_view(text).substr(i, n));
    i += n;
  }
  return out + cleaner.flush();
}

TEST(SpaceCleaner, GivesTransformersText) {
  std::mt19937 random(1);
  // Recorded: tokenizer.clean_up_tokenization(text) of transformers 5.24.
  for (const auto& [text, want] :
       {std::pair{"I do n't know , it 's \" fine \" . We 've gone ; you 're",
                  "I don't know, it's \" fine \". We've gone ; you're"},
        std::pair{"a  . b . . c ' ' d ' e", "a . b.. c'' d'e"}, std::pair{" ' 's '", "''s '"},
        std::pair{"ends with ", "ends with "}, std::pair{"' re ? !", "' re?!"}}) {
    EXPECT_EQ(cleaned(text), want);
    EXPECT_EQ(in_pieces(text, random), want);
  }
}

TEST(SpaceCleaner, PiecesMakeTheTextOfTheWhole) {
  std::mt19937 random(2);
  const std::string letters = "  '.,ntmsvre!?";
  for (int round = 0; round < 2000; ++round) {
    std::string text(random() % 40, ' ');
    for (char& c : text) c = letters[random() % letters.size()];
    ASSERT_EQ(in_pieces(text, random), cleaned(text)) << text;
  }
}

TEST(SpaceCleaner, HoldsBackOnlyWhatMayChange) {
  SpaceCleaner cleaner;
  EXPECT_EQ(cleaner.push("do"), "do");
  EXPECT_EQ(cleaner.push(" n"), "");
  EXPECT_EQ(cleaner.push("ot"), " not");
  EXPECT_EQ(cleaner.push(" "), "");
  EXPECT_EQ(cleaner.push("."), ".");
  EXPECT_EQ(cleaner.push(" '"), "");
  EXPECT_EQ(cleaner.flush(), " '");
  EXPECT_EQ(cleaner.flush(), "");
}

}  // namespace
}  // namespace openllm::llm
