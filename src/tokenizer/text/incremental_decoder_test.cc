#include <gmock/gmock.h>

#include "tokenizer/test_data.h"

namespace openllm::tokenizer {
namespace {

class IncrementalDecoderTest : public ::testing::Test {
 protected:
  static std::unique_ptr<Tokenizer> load(const std::string& name) {
    return make_tokenizer(read_test_json("tokenizer/" + name + ".json"), {});
  }
  static TokenId id(const Tokenizer& tokenizer, std::string_view piece) {
    return tokenizer.find_token(piece).value();
  }
};

TEST_F(IncrementalDecoderTest, HoldsIncompleteCharactersBack) {
  const auto tokenizer = load("gpt2_style");
  const auto ids = tokenizer->encode("\xF0\x9F\x98\x80!");
  IncrementalDecoder decoder(*tokenizer, true);
  std::string text;
  for (const TokenId token : ids) {
    const std::string part = decoder.push(token);
    text += part;
    EXPECT_TRUE(part.empty() || part == "\xF0\x9F\x98\x80" || part == "!") << part;
  }
  EXPECT_EQ(text + decoder.flush(), "\xF0\x9F\x98\x80!");
  EXPECT_EQ(decoder.flush(), "");
}

TEST_F(IncrementalDecoderTest, FlushReplacesWhatIsIncomplete) {
  const auto tokenizer = load("gpt2_style");
  IncrementalDecoder decoder(*tokenizer, true);
  EXPECT_EQ(decoder.push(id(*tokenizer, "\xC3\xB0")), "");  // the byte F0
  EXPECT_EQ(decoder.flush(), "\xEF\xBF\xBD");
}

TEST_F(IncrementalDecoderTest, AnInvalidByteRunIsOneReplacementForEachByte) {
  const auto tokenizer = load("llama2_style");
  const std::vector<TokenId> bytes = {id(*tokenizer, "<0xE4>"), id(*tokenizer, "<0xBD>"),
                                      id(*tokenizer, "<0x41>")};
  EXPECT_EQ(tokenizer->decode(bytes), "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD");
  const std::vector<TokenId> good = {id(*tokenizer, "<0xE4>"), id(*tokenizer, "<0xBD>"),
                                     id(*tokenizer, "<0xA0>"), id(*tokenizer, "<0x41>")};
  EXPECT_EQ(tokenizer->decode(good),
            "\xE4\xBD\xA0"
            "A");
  IncrementalDecoder decoder(*tokenizer, true);
  for (const TokenId token : good) EXPECT_EQ(decoder.push(token), "");
  EXPECT_EQ(decoder.push(id(*tokenizer, "a")),
            "\xE4\xBD\xA0"
            "Aa");
}

TEST_F(IncrementalDecoderTest, SpecialTokensBehindEachOtherMayComeWithoutTheDecodersSpace) {
  const auto tokenizer =
      make_tokenizer(base::Json::parse(R"({"model":{"type":"BPE","vocab":{"a":0,"b":1},"merges":[]},
                            "added_tokens":[{"id":2,"content":"<x>","special":true},
                                            {"id":3,"content":"<y>","special":true}],
                            "normalizer":null,"pre_tokenizer":null,"post_processor":null,
                            "decoder":null})",
                                       "tokenizer.json"),
                     {});
  const auto decoded = [&](bool joined, bool skip_special) {
    IncrementalDecoder decoder(*tokenizer, skip_special);
    if (joined) decoder.join_special_tokens();
    std::string text;
    for (const TokenId token : {2, 3, 0, 3, 2, 2, 1}) text += decoder.push(token);
    return text + decoder.flush();
  };
  EXPECT_EQ(decoded(false, false), "<x> <y> a <y> <x> <x> b");
  EXPECT_EQ(decoded(true, false), "<x><y> a <y><x><x> b");
  EXPECT_EQ(decoded(true, true), decoded(false, true));
}

TEST_F(IncrementalDecoderTest, OnlyTheFirstSpaceOfTheTextGoes) {
  const auto tokenizer = load("llama2_style");
  const TokenId space = id(*tokenizer, "\xE2\x96\x81");
  IncrementalDecoder decoder(*tokenizer, true);
  EXPECT_EQ(decoder.push(id(*tokenizer, "<s>")), "");
  EXPECT_EQ(decoder.push(space), "");
  EXPECT_EQ(decoder.push(space), " ");
  EXPECT_EQ(decoder.push(id(*tokenizer, "a")), "a");
}

TEST_F(IncrementalDecoderTest, SpecialTokensShowWhenAsked) {
  const auto tokenizer = load("gpt2_style");
  const std::vector<TokenId> ids = {id(*tokenizer, "a"), id(*tokenizer, "<|end|>")};
  EXPECT_EQ(tokenizer->decode(ids), "a");
  EXPECT_EQ(tokenizer->decode(ids, false), "a<|end|>");
}

}  // namespace
}  // namespace openllm::tokenizer
