// The kinds of GGUF vocabularies beside byte-level and SentencePiece BPE, counted out by hand after
// llama.cpp's rules.

#include <gmock/gmock.h>

#include "base/error.h"
#include "tokenizer/tokenizer.h"

namespace openllm::tokenizer {
namespace {

using Ids = std::vector<TokenId>;

TEST(GgufKinds, BertSpellsWordsWithABlankInFront) {
  GgufVocab vocab;
  vocab.model = "bert";
  vocab.tokens = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "\u2581un", "able", "\u2581a", "\u2581."};
  vocab.token_types = {3, 2, 3, 3, 1, 1, 1, 1};
  const auto tokenizer = make_tokenizer(vocab);
  EXPECT_EQ(tokenizer->encode("UNable \u00e1. x able"), (Ids{2, 4, 5, 6, 7, 1, 1, 3}));
  EXPECT_EQ(tokenizer->decode(Ids{2, 4, 5, 6, 3}), "unable a");
}

TEST(GgufKinds, BertKeepsCaseAndAccentsWhereTheFileSaysSo) {
  GgufVocab vocab;
  vocab.model = "bert";
  vocab.tokens = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "\u2581Un", "\u2581a", "\u2581\u00e1"};
  vocab.token_types = {3, 2, 3, 3, 1, 1, 1};
  vocab.lowercase = false;
  EXPECT_EQ(make_tokenizer(vocab)->encode("Un un \u00e1"), (Ids{2, 4, 1, 6, 3}));
  vocab.strip_accents = true;
  EXPECT_EQ(make_tokenizer(vocab)->encode("Un un \u00e1"), (Ids{2, 4, 1, 5, 3}));
}

TEST(GgufKinds, Gemma4JoinsCharactersWithinLines) {
  GgufVocab vocab;
  vocab.model = "gemma4";
  vocab.tokens = {"<pad>", "<bos>", "a", "b", "\u2581", "ab", "\u2581ab", "\n", "\n\n\n"};
  for (unsigned i = 0; i < 256; ++i) {
    static std::vector<std::string> bytes(256);
    bytes[i] = base::cat("<0x", "0123456789ABCDEF"[i / 16], "0123456789ABCDEF"[i % 16], ">");
    vocab.tokens.emplace_back(bytes[i]);
  }
  vocab.token_types.assign(vocab.tokens.size(), 1);
  vocab.token_types[0] = vocab.token_types[1] = 3;
  vocab.merges = {"a b", "\u2581 ab"};
  vocab.bos_id = 1;
  vocab.add_bos = false;  // Gemma 4's files say so, and are not heard
  const auto tokenizer = make_tokenizer(vocab);
  EXPECT_EQ(tokenizer->encode("ab ab"), (Ids{1, 5, 6}));
  EXPECT_EQ(tokenizer->encode("a\n\nb\n\n\n"), (Ids{1, 2, 7, 7, 3, 8}));
  EXPECT_EQ(tokenizer->encode("\u00e9"), (Ids{1, 9 + 0xC3, 9 + 0xA9}));
  EXPECT_EQ(tokenizer->decode(tokenizer->encode("ab ab\u00e9\n\n\n")), "ab ab\u00e9\n\n\n");
}

TEST(GgufKinds, T5TakesTheBestSum) {
  GgufVocab vocab;
  vocab.model = "t5";
  vocab.tokens = {"<pad>", "</s>", "<unk>", "\u2581", "a", "\u2581a", "aa"};
  vocab.scores = {0, 0, 0, -2, -1, -2.5F, -3};
  vocab.token_types = {3, 3, 2, 1, 1, 1, 1};
  vocab.eos_id = 1;
  vocab.add_space_prefix = true;
  const auto tokenizer = make_tokenizer(vocab);
  EXPECT_EQ(tokenizer->encode("aa"), (Ids{5, 4, 1}));
  EXPECT_EQ(tokenizer->encode("axy"), (Ids{5, 2, 1}));
  EXPECT_EQ(tokenizer->decode(Ids{5, 4, 1}), "aa");
  vocab.scores.clear();
  EXPECT_THROW(make_tokenizer(vocab), Error);
}

TEST(GgufKinds, RwkvTakesTheLongestToken) {
  GgufVocab vocab;
  vocab.model = "rwkv";
  vocab.tokens = {"<s>", "a", "b", "ab", "\\n", "\\xe4", "\\xb8", "\\xad", "\\\\"};
  const auto tokenizer = make_tokenizer(vocab);
  EXPECT_EQ(tokenizer->encode("abb\n\u4e2d\\"), (Ids{3, 2, 4, 5, 6, 7, 8}));
  EXPECT_EQ(tokenizer->encode("ac"), (Ids{1, 0}));
  EXPECT_EQ(tokenizer->decode(Ids{3, 2, 4, 5, 6, 7, 8}), "abb\n\u4e2d\\");
}

TEST(GgufKinds, Plamo2TakesTheLongerOfEqualSums) {
  GgufVocab vocab;
  vocab.model = "plamo2";
  std::vector<std::string> bytes;
  for (unsigned i = 0; i < 256; ++i)
    bytes.push_back(base::cat("<0x", "0123456789ABCDEF"[i / 16], "0123456789ABCDEF"[i % 16], ">"));
  vocab.tokens.assign(bytes.begin(), bytes.end());
  vocab.token_types.assign(256, 6);
  vocab.scores.assign(256, 0);
  for (const auto& [piece, score] : {std::pair{"a", -1.0F}, {"b", -1.0F}, {"ab", -2.0F}}) {
    vocab.tokens.emplace_back(piece);
    vocab.token_types.push_back(1);
    vocab.scores.push_back(score);
  }
  const auto tokenizer = make_tokenizer(vocab);
  EXPECT_EQ(tokenizer->encode("aab\u00e9"), (Ids{256, 258, 0xC3, 0xA9}));
  EXPECT_EQ(tokenizer->decode(Ids{256, 258, 0xC3, 0xA9}), "aab\u00e9");
  vocab.token_types[7] = 1;
  vocab.tokens[7] = "x";
  EXPECT_THROW(make_tokenizer(vocab), Error);
}

}  // namespace
}  // namespace openllm::tokenizer
