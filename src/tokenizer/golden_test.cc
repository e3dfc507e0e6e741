// The small tokenizers of tests/data/tokenizer against what the Hugging Face library made of the
// same texts and ids.

#include <gmock/gmock.h>

#include "tokenizer/test_data.h"

namespace openllm::tokenizer {
namespace {

/// A tokenizer.json as a GGUF converter would store it; owns the strings.
struct AsGguf {
  explicit AsGguf(const base::Json& json, std::string model, std::string pre) {
    vocab.model = std::move(model);
    vocab.pre = std::move(pre);
    const base::Json& body = *json.find("model");
    for (const auto& member : body.find("vocab")->as_object("vocab"))
      put(member.first, member.second.as_int("id"));
    for (const base::Json& merge : body.find("merges")->as_array("merges")) {
      const auto& pair = merge.as_array("merge");
      merges.push_back(pair[0].as_string("left") + " " + pair[1].as_string("right"));
    }
    types.assign(pieces.size(), 1);
    for (const base::Json& token : json.find("added_tokens")->as_array("added")) {
      const std::int64_t id = token.find("id")->as_int("id");
      put(token.find("content")->as_string("content"), id);
      types.resize(pieces.size(), 1);
      types[static_cast<std::size_t>(id)] = token.find("special")->as_bool("special") ? 3 : 4;
    }
    for (std::size_t i = 0; i < pieces.size(); ++i) {
      if (pieces[i].starts_with("<0x")) types[i] = 6;
      vocab.tokens.push_back(pieces[i]);
      if (vocab.model == "llama") vocab.scores.push_back(-static_cast<float>(i));
    }
    for (const std::string& merge : merges) vocab.merges.push_back(merge);
    vocab.token_types = types;
  }
  void put(const std::string& piece, std::int64_t id) {
    if (pieces.size() <= static_cast<std::size_t>(id))
      pieces.resize(static_cast<std::size_t>(id) + 1);
    pieces[static_cast<std::size_t>(id)] = piece;
  }
  std::vector<std::string> pieces;
  std::vector<std::string> merges;
  std::vector<std::int64_t> types;
  GgufVocab vocab;
};

void expect_encodes(const Tokenizer& tokenizer, const base::Json& golden) {
  for (const base::Json& entry : golden.find("encode")->as_array("encode")) {
    const auto& fields = entry.as_array("entry");
    const std::string& text = fields[0].as_string("text");
    EXPECT_EQ(tokenizer.encode(text), to_ids(fields[1])) << text;
    EXPECT_EQ(tokenizer.encode(text, {.add_special_tokens = false}), to_ids(fields[2])) << text;
  }
}

/// `joins_bytes`: see Tokenizer::is_byte_token.
void expect_decodes(const Tokenizer& tokenizer, const base::Json& golden, bool joins_bytes = true) {
  for (const base::Json& entry : golden.find("decode")->as_array("decode")) {
    const auto& fields = entry.as_array("entry");
    const std::vector<TokenId> ids = to_ids(fields[0]);
    const bool invalid = fields[2].as_string("text").find("\xEF\xBF\xBD") != std::string::npos;
    if (invalid && !joins_bytes) continue;
    EXPECT_EQ(tokenizer.decode(ids), fields[1].as_string("text")) << fields[0].dump();
    EXPECT_EQ(tokenizer.decode(ids, false), fields[2].as_string("text")) << fields[0].dump();
    for (const bool skip : {true, false}) {
      IncrementalDecoder decoder(tokenizer, skip);
      std::string text;
      for (const TokenId id : ids) text += decoder.push(id);
      text += decoder.flush();
      EXPECT_EQ(text, tokenizer.decode(ids, skip)) << fields[0].dump();
    }
  }
}

class GoldenTest : public ::testing::TestWithParam<const char*> {};

TEST_P(GoldenTest, EncodesAndDecodesLikeTheHuggingFaceLibrary) {
  const std::string name = GetParam();
  const auto tokenizer = make_tokenizer(read_test_json("tokenizer/" + name + ".json"), {});
  const base::Json golden = read_test_json("tokenizer/" + name + ".golden.json");
  expect_encodes(*tokenizer, golden);
  expect_decodes(*tokenizer, golden);
}

INSTANTIATE_TEST_SUITE_P(All, GoldenTest,
                         ::testing::Values("gpt2_style", "llama3_style", "qwen2_style",
                                           "llama2_style", "mistral_style"));

TEST(GgufGolden, ByteLevelVocabularyEqualsItsTokenizerJson) {
  const AsGguf gguf(read_test_json("tokenizer/gpt2_style.json"), "gpt2", "gpt-2");
  const auto tokenizer = make_tokenizer(gguf.vocab);
  const base::Json golden = read_test_json("tokenizer/gpt2_style.golden.json");
  expect_encodes(*tokenizer, golden);
  expect_decodes(*tokenizer, golden);
}

TEST(GgufGolden, ScoredVocabularyEqualsItsTokenizerJson) {
  AsGguf gguf(read_test_json("tokenizer/llama2_style.json"), "llama", "");
  gguf.vocab.bos_id = 1;
  gguf.vocab.unk_id = 0;
  const auto tokenizer = make_tokenizer(gguf.vocab);
  const base::Json golden = read_test_json("tokenizer/llama2_style.golden.json");
  expect_encodes(*tokenizer, golden);
  expect_decodes(*tokenizer, golden, false);
}

TEST(Golden, InvalidUtf8IsReadAsReplacementCharacters) {
  for (const char* name : {"gpt2_style", "llama2_style"}) {
    const auto tokenizer =
        make_tokenizer(read_test_json(std::string("tokenizer/") + name + ".json"), {});
    EXPECT_EQ(tokenizer->encode("a\xFF\xE4\xBD"
                                "b\xC0\x80\xED\xA0\x80\xF5"),
              tokenizer->encode("a\xEF\xBF\xBD\xEF\xBF\xBD"
                                "b\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"
                                "\xEF\xBF\xBD\xEF\xBF\xBD"));
  }
}

TEST(Golden, EveryTextComesBackFromByteLevel) {
  const auto tokenizer = make_tokenizer(read_test_json("tokenizer/llama3_style.json"), {});
  std::string text;
  for (int i = 0; i < 3000; ++i) text += static_cast<char>(' ' + (i * i + 7 * i) % 90);
  EXPECT_EQ(tokenizer->decode(tokenizer->encode(text)), text);
}

TEST(Golden, LongWordsAreFast) {
  for (const char* name : {"gpt2_style", "llama2_style", "mistral_style"}) {
    const auto tokenizer =
        make_tokenizer(read_test_json(std::string("tokenizer/") + name + ".json"), {});
    const std::string text(1'000'000, 'a');
    const auto ids = tokenizer->encode(text);
    EXPECT_EQ(tokenizer->decode(ids), text) << name;
  }
}

}  // namespace
}  // namespace openllm::tokenizer
