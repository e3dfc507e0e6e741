// Small tokenizers in other files than tokenizer.json, against the libraries that made them:
// tools/make_tokenizer_file_goldens.py.

#include <gmock/gmock.h>

#include "base/error.h"
#include "tokenizer/test_data.h"
#include "tokenizer/text/charsmap.h"

namespace openllm::tokenizer {
namespace {

std::unique_ptr<Tokenizer> make(const std::string& kind, const std::string& file) {
  if (kind == "sentencepiece") return make_sentencepiece_tokenizer(decode_base64(file, "test"), {});
  if (kind == "tiktoken") return make_tiktoken_tokenizer(file, {});
  return make_tekken_tokenizer(base::Json::parse(file, "test"));
}

std::string text_of(const base::Json& row, const char* key) {
  return row.find(key)->as_string(key);
}

class FileForms : public ::testing::Test {
 protected:
  const base::Json golden_ = read_test_json("tokenizer/files.golden.json");
};

TEST_F(FileForms, EncodeAndDecodeAsTheirLibraries) {
  for (const base::Json& row : golden_.as_array("rows")) {
    const auto tokenizer = make(text_of(row, "kind"), text_of(row, "file"));
    const std::string what =
        row.find("options") == nullptr ? text_of(row, "kind") : row.find("options")->dump();
    for (const base::Json& item : row.find("encode")->as_array("encode")) {
      const base::JsonArray& fields = item.as_array("item");
      const std::string& text = fields[0].as_string("text");
      const EncodeOptions plain{.add_special_tokens = false, .parse_special = false};
      EXPECT_EQ(tokenizer->encode(text, plain), to_ids(fields[1])) << what << fields[0].dump();
      std::vector<TokenId> located;
      for (const LocatedToken& token : tokenizer->encode_with_offsets(text, plain))
        located.push_back(token.id);
      EXPECT_EQ(located, to_ids(fields[1])) << what << fields[0].dump();
    }
    for (const base::Json& item : row.find("decode")->as_array("decode")) {
      const base::JsonArray& fields = item.as_array("item");
      EXPECT_EQ(tokenizer->decode(to_ids(fields[0]), false), fields[1].as_string("text"))
          << what << fields[0].dump();
    }
  }
}

TEST_F(FileForms, DamagedFilesAreErrors) {
  for (const base::Json& row : golden_.as_array("rows")) {
    const std::string kind = text_of(row, "kind");
    if (kind == "tekken") continue;
    std::string file = text_of(row, "file");
    if (kind == "sentencepiece") file = decode_base64(file, "test");
    const auto load = [&](const std::string& bytes) {
      return kind == "tiktoken" ? make_tiktoken_tokenizer(bytes, {})
                                : make_sentencepiece_tokenizer(bytes, {});
    };
    for (std::size_t n = 1; n < file.size(); n = n * 2 + 1) {
      try {
        load(file.substr(0, n));  // where a piece or a line ends, it may be whole
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), ErrorCode::kCorruptData) << kind << n;
      }
    }
    EXPECT_THROW(load("\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01"), Error);
    EXPECT_THROW(load(""), Error);
  }
}

base::Json config_of_class(const char* name) {
  base::Json config = base::Json::object();
  config["tokenizer_class"] = name;
  return config;
}

TEST_F(FileForms, ClassesWithOtherIdsAreRefusedByName) {
  const std::string file = decode_base64(text_of(golden_.as_array("rows")[0], "file"), "test");
  try {
    make_sentencepiece_tokenizer(file, config_of_class("XLMRobertaTokenizer"));
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUnsupported);
    EXPECT_THAT(error.what(), testing::HasSubstr("XLMRobertaTokenizer"));
  }
}

TEST(VocabTxt, IsBertsTokenizer) {
  const auto tokenizer =
      make_vocab_txt_tokenizer("[PAD]\n[UNK]\n[CLS]\n[SEP]\nun\n##able\na\n.\n", {});
  EXPECT_EQ(tokenizer->encode("UNable a. x"), (std::vector<TokenId>{2, 4, 5, 6, 7, 1, 3}));
  EXPECT_EQ(tokenizer->decode(std::vector<TokenId>{2, 4, 5, 6, 7, 3}), "unable a.");
  EXPECT_THROW(make_vocab_txt_tokenizer("a\nb\n", {}), Error);
}

TEST(VocabAndMerges, AreByteLevelBpeOfTheClass) {
  base::Json vocab = base::Json::object();
  for (const char* piece : {"a", "b", "ab", "\xC4\xA0",
                            "\xC4\xA0"
                            "ab",
                            "<s>", "</s>"})
    vocab[piece] = vocab.is_object() ? vocab.as_object("vocab").size() : 0;
  const char* merges = "#version: 0.2\na b\n\xC4\xA0 ab\n";
  EXPECT_EQ(make_vocab_merges_tokenizer(vocab, merges, {})->encode("ab ab"),
            (std::vector<TokenId>{2, 4}));
  EXPECT_EQ(make_vocab_merges_tokenizer(vocab, merges, config_of_class("RobertaTokenizerFast"))
                ->encode("ab"),
            (std::vector<TokenId>{5, 2, 6}));
  EXPECT_THROW(make_vocab_merges_tokenizer(vocab, merges, config_of_class("CLIPTokenizer")), Error);
  EXPECT_THROW(make_vocab_merges_tokenizer(vocab, "a b c\n", {}), Error);
}

}  // namespace
}  // namespace openllm::tokenizer
