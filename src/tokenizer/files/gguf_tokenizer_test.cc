#include <gmock/gmock.h>

#include "base/error.h"
#include "tokenizer/split/gguf_pre_tokenizer.h"
#include "tokenizer/split/pre_tokenizer.h"
#include "tokenizer/tokenizer.h"

namespace openllm::tokenizer {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

GgufVocab sentencepiece() {
  GgufVocab vocab;
  vocab.model = "llama";
  vocab.tokens = {"<unk>",
                  "<s>",
                  "</s>",
                  "<0x0A>",
                  "<0xC3>",
                  "<0xA9>",
                  "\xE2\x96\x81",
                  "a",
                  "b",
                  "ab",
                  "\xE2\x96\x81"
                  "ab",
                  "<end_of_turn>",
                  "  "};
  vocab.token_types = {2, 3, 3, 6, 6, 6, 1, 1, 1, 1, 1, 3, 4};
  vocab.scores = {0, 0, 0, 0, 0, 0, -4, -3, -3, -1, -2, 0, 0};
  vocab.unk_id = 0;
  vocab.bos_id = 1;
  vocab.eos_id = 2;
  return vocab;
}

TEST(GgufSentencePiece, TypesSayWhatIsSpecialAndWhatMayCome) {
  GgufVocab vocab = sentencepiece();
  for (const std::int32_t id : {0, 1, 2, 11}) EXPECT_TRUE(make_tokenizer(vocab)->is_special(id));
  for (const std::int32_t id : {3, 7, 12}) EXPECT_FALSE(make_tokenizer(vocab)->is_special(id));
  vocab.token_types[9] = 5;  // unused ones come about by merges all the same
  EXPECT_THAT(make_tokenizer(vocab)->encode("ab"), ElementsAre(1, 10));
  vocab.token_types[9] = 6;  // bytes do not
  EXPECT_THAT(make_tokenizer(vocab)->encode("ab"), ElementsAre(1, 6, 7, 8));
}

TEST(GgufSentencePiece, PrefixSpaceAndBos) {
  const auto tokenizer = make_tokenizer(sentencepiece());
  EXPECT_THAT(tokenizer->encode("ab"), ElementsAre(1, 10));
  EXPECT_THAT(tokenizer->encode("ab</s>ab", {.add_special_tokens = false}), ElementsAre(10, 2, 10));
  EXPECT_THAT(tokenizer->encode(""), ElementsAre(1));
  EXPECT_TRUE(tokenizer->strips_leading_space());
  EXPECT_EQ(tokenizer->decode(tokenizer->encode("ab ab")), "ab ab");
  EXPECT_EQ(tokenizer->token_bytes(10), " ab");
  EXPECT_EQ(tokenizer->token_piece(10),
            "\xE2\x96\x81"
            "ab");
}

TEST(GgufSentencePiece, WithoutPrefixAndWithEos) {
  GgufVocab vocab = sentencepiece();
  vocab.add_space_prefix = false;
  vocab.add_bos = false;
  vocab.add_eos = true;
  const auto tokenizer = make_tokenizer(vocab);
  EXPECT_THAT(tokenizer->encode("ab"), ElementsAre(9, 2));
  EXPECT_FALSE(tokenizer->strips_leading_space());
}

TEST(GgufSentencePiece, ByteFallbackThenUnknown) {
  GgufVocab vocab = sentencepiece();
  vocab.add_space_prefix = false;
  const auto tokenizer = make_tokenizer(vocab);
  EXPECT_THAT(tokenizer->encode("a\xC3\xA9\nz", {.add_special_tokens = false}),
              ElementsAre(7, 4, 5, 3, 0));
}

TEST(GgufSentencePiece, AddedTokensDoNotCutCharacters) {
  GgufVocab vocab = sentencepiece();
  vocab.add_space_prefix = false;
  vocab.tokens.push_back("a\xC3");
  vocab.token_types.push_back(4);
  vocab.scores.push_back(0);
  const auto tokenizer = make_tokenizer(vocab);
  EXPECT_THAT(tokenizer->encode("a\xC3\xA9", {.add_special_tokens = false}), ElementsAre(7, 4, 5));
}

TEST(GgufSentencePiece, BytesComeOutAsSoonAsACharacterIsComplete) {
  const auto tokenizer = make_tokenizer(sentencepiece());
  IncrementalDecoder decoder(*tokenizer, true);
  EXPECT_EQ(decoder.push(7), "a");
  EXPECT_EQ(decoder.push(3), "\n");
  EXPECT_EQ(decoder.push(4), "");
  EXPECT_EQ(decoder.push(5), "\xC3\xA9");
  EXPECT_EQ(decoder.push(4), "");
  EXPECT_EQ(decoder.push(3), "\xEF\xBF\xBD\n");
  EXPECT_EQ(decoder.push(5), "\xEF\xBF\xBD");
  EXPECT_EQ(decoder.flush(), "");
  EXPECT_EQ(tokenizer->decode(std::vector<TokenId>{7, 3, 4, 5, 4, 3, 5}),
            "a\n\xC3\xA9\xEF\xBF\xBD\n\xEF\xBF\xBD");
}

TEST(GgufSentencePiece, SpecialTokensInTextOnlyWhenAsked) {
  const auto tokenizer = make_tokenizer(sentencepiece());
  const auto plain =
      tokenizer->encode("<end_of_turn>", {.add_special_tokens = false, .parse_special = false});
  EXPECT_THAT(plain, ::testing::Not(::testing::Contains(11)));
  EXPECT_THAT(tokenizer->encode("<end_of_turn>", {.add_special_tokens = false}), ElementsAre(11));
  // User-defined tokens are found always.
  EXPECT_THAT(tokenizer->encode("a  b", {.add_special_tokens = false, .parse_special = false}),
              ::testing::Contains(12));
}

TEST(GgufTokenizer, EndTokens) {
  const auto tokenizer = make_tokenizer(sentencepiece());
  EXPECT_THAT(tokenizer->eos_ids(), ElementsAre(2, 11));
  EXPECT_EQ(tokenizer->eos_piece(), "</s>");
  EXPECT_EQ(tokenizer->bos_piece(), "<s>");
  EXPECT_TRUE(tokenizer->is_special(11));
  EXPECT_FALSE(tokenizer->is_special(12));
  EXPECT_FALSE(tokenizer->is_special(-1));
  GgufVocab vocab = sentencepiece();
  vocab.eot_id = 11;
  EXPECT_THAT(make_tokenizer(vocab)->eos_ids(), ElementsAre(11, 2));
}

TEST(GgufTokenizer, EveryTokenThatTheFileCallsAnEndIsOne) {
  GgufVocab vocab = sentencepiece();
  vocab.token_types.assign(vocab.tokens.size(), 1);
  vocab.eom_id = 9;
  vocab.end_ids = {8};
  const auto tokenizer = make_tokenizer(vocab);
  EXPECT_THAT(tokenizer->eos_ids(), ElementsAre(9, 2, 8, 11));
  EXPECT_TRUE(tokenizer->is_special(9));
  EXPECT_TRUE(tokenizer->is_special(8));
  vocab.tokens[7] = "<|fim_pad|>";
  EXPECT_THAT(make_tokenizer(vocab)->eos_ids(), ElementsAre(9, 2, 8, 11));  // a normal token
  vocab.token_types[7] = 3;
  EXPECT_THAT(make_tokenizer(vocab)->eos_ids(), ElementsAre(9, 2, 8, 7, 11));
}

TEST(GgufTokenizer, NamesItsSpecialTokens) {
  GgufVocab vocab = sentencepiece();
  EXPECT_EQ(make_tokenizer(vocab)->special_tokens_map().dump(),
            R"({"bos_token":"<s>","eos_token":"</s>","unk_token":"<unk>"})");
  vocab.sep_id = 7;
  vocab.pad_id = 8;
  vocab.cls_id = 9;
  vocab.mask_id = 12;
  EXPECT_EQ(make_tokenizer(vocab)->special_tokens_map().dump(),
            R"({"bos_token":"<s>","eos_token":"</s>","unk_token":"<unk>","sep_token":"a",)"
            R"("pad_token":"b","cls_token":"ab","mask_token":"  "})");
}

GgufVocab byte_level() {
  GgufVocab vocab;
  vocab.model = "gpt2";
  vocab.pre = "gpt-2";
  vocab.tokens = {"a", "b", "ab"};
  vocab.merges = {"a b", "a b"};
  return vocab;
}

/// "CODE WHAT" of what making it throws.
std::string error_of(const GgufVocab& vocab) {
  try {
    make_tokenizer(vocab);
  } catch (const Error& error) {
    return std::string(to_string(error.code())) + " " + error.what();
  }
  return "nothing was thrown";
}

// Each of these once loaded, and cut texts in another way than the model had learned.
TEST(GgufTokenizer, WhatDecidesHowTextIsCutMustBeThere) {
  EXPECT_THAT(make_tokenizer(byte_level())->encode("abaa"), ElementsAre(2, 0, 0));
  GgufVocab vocab = byte_level();
  vocab.merges.clear();
  EXPECT_THAT(error_of(vocab), StartsWith("corrupt_data tokenizer.ggml.merges: missing"));
  EXPECT_THAT(error_of(vocab), HasSubstr("\"ab\""));
  for (const char* merge : {"a c", "c a", "b a"}) {
    vocab = byte_level();
    vocab.merges.push_back(merge);
    EXPECT_THAT(error_of(vocab), StartsWith("corrupt_data gguf: tokenizer.ggml.merges: entry 2"));
  }
  vocab = byte_level();
  vocab.pre.clear();
  EXPECT_THAT(error_of(vocab), StartsWith("corrupt_data tokenizer.ggml.pre: missing"));
  vocab = byte_level();
  vocab.model.clear();
  EXPECT_THAT(error_of(vocab), StartsWith("corrupt_data tokenizer.ggml.model: missing"));
  vocab = sentencepiece();
  vocab.scores.clear();
  EXPECT_THAT(error_of(vocab), StartsWith("corrupt_data tokenizer.ggml.scores: missing"));
}

TEST(GgufTokenizer, AVocabularyOfLettersNeedsNoMerges) {
  GgufVocab vocab = byte_level();
  vocab.tokens = {"a", "\xC4\xA0", "<|im_end|>", "<extra>"};  // U+0120 stands for the space
  vocab.token_types = {1, 1, 1, 4};
  vocab.merges.clear();
  EXPECT_THAT(make_tokenizer(vocab)->encode("a a"), ElementsAre(0, 1, 0));
}

std::vector<std::string> words_of(std::string_view pre, const std::string& text) {
  const auto splitter = make_regex_pre_tokenizer(find_gguf_pre_tokenizer(pre).patterns, "test");
  Words words(text, 1);
  splitter->split(words);
  std::vector<std::string> out;
  for (const Words::Word& word : words.words()) out.emplace_back(words.view(word));
  return out;
}

TEST(GgufPreTokenizer, Families) {
  const std::string text = "We'LL pay $12345 now";
  EXPECT_THAT(words_of("gpt-2", text), ElementsAre("We", "'", "LL", " pay", " $", "12345", " now"));
  EXPECT_THAT(words_of("smollm", text),
              ElementsAre("We", "'", "LL", " pay", " $", "1", "2", "3", "4", "5", " now"));
  EXPECT_THAT(words_of("llama-bpe", text),
              ElementsAre("We", "'LL", " pay", " $", "123", "45", " now"));
  EXPECT_THAT(words_of("qwen2", text),
              ElementsAre("We", "'LL", " pay", " $", "1", "2", "3", "4", "5", " now"));
  EXPECT_THAT(words_of("llama4", text), ElementsAre("We'LL", " pay", " $", "123", "45", " now"));
  EXPECT_THAT(words_of("tekken", "HelloWorld 12"), ElementsAre("Hello", "World", " ", "1", "2"));
  EXPECT_THAT(words_of("falcon", "a+b 1234"), ElementsAre("a", "+", "b", " ", "123", "4"));
  EXPECT_THAT(words_of("superbpe", "12345"), ElementsAre("12", "345"));
  EXPECT_THAT(words_of("minicpm5", text),
              ElementsAre("We", "'LL", " pay", " $", "123", "45", " now"));
  EXPECT_THAT(words_of("mellum2", "a 12"), ElementsAre("a", " ", "1", "2"));
  EXPECT_THAT(words_of("exaone-moe", "We'LL pay the sum of 12"),
              ElementsAre("We", "'LL", " pay the sum of", " ", "1", "2"));
}

TEST(GgufPreTokenizer, LaterNames) {
  EXPECT_THAT(words_of("afmoe", "a1234567 \u4e2d\u6587b!x"),
              ElementsAre("a", "1", "234", "567", " ", "\u4e2d\u6587", "b", "!x"));
  EXPECT_THAT(words_of("tiny_aya", "We'll 12345"), ElementsAre("We'll", " ", "12", "345"));
  EXPECT_THAT(words_of("kimi-k2", "It's \u4e2d\u6587ab 1234"),
              ElementsAre("It's", " ", "\u4e2d\u6587", "ab", " ", "123", "4"));
  EXPECT_THAT(words_of("jais-2", "a       b"), ElementsAre("a", "    ", "  ", " b"));
  EXPECT_THAT(words_of("youtu", "\uac00a\u4e2d12"), ElementsAre("\uac00", "a", "\u4e2d", "1", "2"));
  EXPECT_THAT(words_of("spark2_5", "a\n\n123"), ElementsAre("a", "\n", "\n", "1", "2", "3"));
  EXPECT_THAT(words_of("laguna", "a b\n\nc"), ElementsAre("a", " b", "\n\n", "c"));
  EXPECT_THAT(words_of("ufakzeka", "Ali'nin"), ElementsAre("Ali", "'nin"));
  EXPECT_THAT(words_of("gemma4", "a b\n\nc"), ElementsAre("a b", "\n\n", "c"));
}

TEST(GgufPreTokenizer, EveryNameCompilesAndKeepsTheText) {
  const std::string text = "I'm  \xE4\xBD\xA0\xE5\xA5\xBD, 123\r\n\n\xD0\x96\xC3\xA9 <=> ?!\t ";
  std::string known;
  try {
    find_gguf_pre_tokenizer("?");
  } catch (const Error& error) {
    known = error.what();
  }
  known = known.substr(known.find("known: ") + 7);
  known.pop_back();
  int n = 0;
  for (std::size_t at = 0; at < known.size(); ++n) {
    const std::size_t end = std::min(known.find(' ', at), known.size());
    std::string joined;
    for (const std::string& word : words_of(known.substr(at, end - at), text)) joined += word;
    EXPECT_EQ(joined, text) << known.substr(at, end - at);
    at = end + 1;
  }
  EXPECT_GT(n, 40);
}

}  // namespace
}  // namespace openllm::tokenizer
