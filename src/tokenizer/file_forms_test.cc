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

TEST_F(FileForms, ClassesEncodeAsTransformers) {
  for (const base::Json& row : golden_.as_array("rows")) {
    if (text_of(row, "kind") != "class") continue;
    const std::string file = decode_base64(text_of(row, "file"), "test");
    const base::Json& config = *row.find("options");
    const base::Json* vocab = row.find("vocab");
    const auto tokenizer = vocab == nullptr
                               ? make_sentencepiece_tokenizer(file, config)
                               : make_renamed_sentencepiece_tokenizer(file, *vocab, config);
    for (const base::Json& item : row.find("encode")->as_array("encode")) {
      const base::JsonArray& fields = item.as_array("item");
      const std::string& text = fields[0].as_string("text");
      EXPECT_EQ(tokenizer->encode(text), to_ids(fields[1])) << config.dump() << fields[0].dump();
    }
  }
}

TEST_F(FileForms, EncodeAndDecodeAsTheirLibraries) {
  for (const base::Json& row : golden_.as_array("rows")) {
    if (text_of(row, "kind") == "class") continue;
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
    if (kind == "tekken" || kind == "class") continue;
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
    make_sentencepiece_tokenizer(file, config_of_class("NllbTokenizer"));
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUnsupported);
    EXPECT_THAT(error.what(), testing::HasSubstr("NllbTokenizer"));
  }
}

/// All bytes, and "ab".
std::string tiktoken_lines() {
  std::string lines;
  for (int byte = 0; byte < 256; ++byte) {
    const char c = static_cast<char>(byte);
    lines += base::cat(encode_base64(std::string_view(&c, 1)), " ", byte, "\n");
  }
  return lines + "YWI= 256\n";
}

TEST(Tiktoken, ClassesHaveTheirSpecialTokensAndFrames) {
  using Ids = std::vector<TokenId>;
  const std::string lines = tiktoken_lines();
  EXPECT_EQ(make_tiktoken_tokenizer(lines, {})->encode("ab"), (Ids{257, 256}));
  const auto glm = make_tiktoken_tokenizer(lines, config_of_class("ChatGLM4Tokenizer"));
  EXPECT_EQ(glm->encode("ab<|user|>"), (Ids{259, 261, 256, 264}));
  const auto kimi = make_tiktoken_tokenizer(lines, config_of_class("TikTokenTokenizer"));
  EXPECT_EQ(kimi->encode("ab<|reserved_token_258|>"), (Ids{256, 258}));
  const auto hunyuan = make_tiktoken_tokenizer(lines, config_of_class("HYTokenizer"));
  EXPECT_EQ(hunyuan->encode("ab"), (Ids{258, 256, 257}));
  const auto qwen = make_tiktoken_tokenizer(lines, config_of_class("QWenTokenizer"));
  EXPECT_EQ(qwen->encode("e\u0301"), (Ids{0xC3, 0xA9}));  // composed first
  EXPECT_THROW(make_tiktoken_tokenizer(lines, config_of_class("OtherTokenizer")), Error);
}

TEST_F(FileForms, ChatGlmBeginsTextsWithTokensThatTextsDoNotSpell) {
  const std::string file = decode_base64(text_of(golden_.as_array("rows")[4], "file"), "test");
  const auto plain = make_sentencepiece_tokenizer(file, {});
  const auto n = static_cast<TokenId>(plain->vocab_size());
  base::Json config = config_of_class("ChatGLMTokenizer");
  std::vector<TokenId> expected = {n + 1, n + 3};
  for (const TokenId id : plain->encode("a [gMASK]sop")) expected.push_back(id);
  EXPECT_EQ(make_sentencepiece_tokenizer(file, config)->encode("a [gMASK]sop"), expected);
  EXPECT_TRUE(make_sentencepiece_tokenizer(file, config)->is_special(n + 1));
  config["added_tokens_decoder"][std::to_string(n + 1)]["content"] = "[gMASK]";
  EXPECT_EQ(make_sentencepiece_tokenizer(file, config)->encode("[gMASK]"),
            (std::vector<TokenId>{n + 1, n + 3, n + 1}));
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
  base::Json opt = config_of_class("GPT2Tokenizer");
  opt["add_bos_token"] = true;
  opt["bos_token"] = "</s>";
  EXPECT_EQ(make_vocab_merges_tokenizer(vocab, merges, opt)->encode("ab"),
            (std::vector<TokenId>{6, 2}));
  EXPECT_EQ(make_vocab_merges_tokenizer(vocab, merges, config_of_class("RobertaTokenizer"))
                ->encode("a<s>"),
            (std::vector<TokenId>{5, 0, 5, 6}));
  EXPECT_EQ(make_vocab_merges_tokenizer(vocab, merges, config_of_class("RobertaTokenizerFast"))
                ->encode("ab"),
            (std::vector<TokenId>{5, 2, 6}));
  EXPECT_THROW(make_vocab_merges_tokenizer(vocab, merges, config_of_class("CLIPTokenizer")), Error);
  EXPECT_THROW(make_vocab_merges_tokenizer(vocab, "a b c\n", {}), Error);
}

}  // namespace
}  // namespace openllm::tokenizer
