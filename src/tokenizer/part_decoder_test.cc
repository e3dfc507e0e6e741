// Which part of a text is whose token's.

#include "tokenizer/text/part_decoder.h"

#include <gmock/gmock.h>

#include "base/utf8.h"
#include "tokenizer/random_text.h"
#include "tokenizer/test_data.h"

namespace openllm::tokenizer {
namespace {

using ::testing::ElementsAre;

std::unique_ptr<Tokenizer> load(const std::string& name) {
  return make_tokenizer(read_test_json("tokenizer/" + name + ".json"), {});
}

std::vector<std::string> parts_of(const Tokenizer& tokenizer, const std::vector<TokenId>& ids,
                                  bool skip_special = true) {
  PartDecoder decoder(tokenizer, skip_special, false);
  std::vector<std::string> parts;
  const auto add = [&](std::vector<std::string> more) {
    parts.insert(parts.end(), more.begin(), more.end());
  };
  for (const TokenId id : ids) add(decoder.push(id));
  add(decoder.flush());
  return parts;
}

std::vector<TokenId> bytes_of(const Tokenizer& tokenizer,
                              std::initializer_list<const char*> names) {
  std::vector<TokenId> ids;
  for (const char* name : names) ids.push_back(tokenizer.find_token(name).value());
  return ids;
}

class Parts : public ::testing::TestWithParam<const char*> {};

TEST_P(Parts, JoinedAreTheText) {
  const auto tokenizer = load(GetParam());
  RandomText random(7);
  const auto size = static_cast<std::size_t>(tokenizer->vocab_size());
  for (int round = 0; round < 400; ++round) {
    std::vector<TokenId> ids(random.below(12));
    // Low ids are bytes and special tokens in all of these vocabularies.
    for (TokenId& id : ids)
      id = static_cast<TokenId>(
          random.below(random.below(2) == 0 ? size : std::min(size, std::size_t{300})));
    for (const bool skip : {true, false}) {
      const std::vector<std::string> parts = parts_of(*tokenizer, ids, skip);
      ASSERT_EQ(parts.size(), ids.size());
      std::string joined;
      for (const std::string& part : parts) joined += part;
      EXPECT_EQ(joined, tokenizer->decode(ids, skip)) << ::testing::PrintToString(ids);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, Parts,
                         ::testing::Values("gpt2_style", "llama3_style", "qwen2_style",
                                           "llama2_style", "mistral_style"));

TEST(Parts, ACharacterBelongsToTheTokenThatBeginsIt) {
  const auto byte_level = load("gpt2_style");  // the alphabet of bytes has other letters
  const auto euro = bytes_of(*byte_level, {"a", "\u00E2", "\u0124", "\u00AC", "b"});
  EXPECT_THAT(parts_of(*byte_level, euro), ElementsAre("a", "\u20AC", "", "", "b"));
  const auto cut = bytes_of(*byte_level, {"\u00E2", "\u0124", "b"});
  EXPECT_THAT(parts_of(*byte_level, cut), ElementsAre("\uFFFD", "", "b"));
  const auto alone = bytes_of(*byte_level, {"\u0124", "\u0124", "\u00E2"});
  EXPECT_THAT(parts_of(*byte_level, alone), ElementsAre("\uFFFD", "\uFFFD", "\uFFFD"));

  const auto fallback = load("llama2_style");
  const auto whole = bytes_of(*fallback, {"<0xE2>", "<0x82>", "<0xAC>", "<0x41>"});
  EXPECT_THAT(parts_of(*fallback, whole), ElementsAre("\u20AC", "", "", "A"));
  const auto broken = bytes_of(*fallback, {"<0xE2>", "<0x82>", "<0x41>"});
  EXPECT_THAT(parts_of(*fallback, broken), ElementsAre("\uFFFD", "\uFFFD", "\uFFFD"));
}

/// Bytes that a later step of the decoder rewrites are the first one's, as nobody can tell them
/// apart; how depends on whether they begin the text.
TEST(Parts, BytesThatAreRewrittenBelongToTheFirstOfThem) {
  const auto tokenizer =
      make_tokenizer(base::Json::parse(
                         R"({"model": {"type": "BPE", "byte_fallback": true, "merges": [],
                        "vocab": {"a": 0, "<0xE2>": 1, "<0x96>": 2, "<0x81>": 3}},
              "decoder": {"type": "Sequence", "decoders": [{"type": "ByteFallback"},
                          {"type": "Metaspace", "prepend_scheme": "always"}]}})",
                         "test"),
                     {});
  EXPECT_THAT(parts_of(*tokenizer, {0, 1, 2, 3, 0}), ElementsAre("a", " ", "", "", "a"));
  EXPECT_THAT(parts_of(*tokenizer, {1, 2, 3, 0}), ElementsAre("", "", "", "a"));
}

TEST(Parts, AreGivenAsSoonAsNothingCanChangeThem) {
  const auto tokenizer = load("gpt2_style");
  PartDecoder decoder(*tokenizer, true, false);
  const auto ids = bytes_of(*tokenizer, {"a", "\u00E2", "\u0124", "b"});
  EXPECT_THAT(decoder.push(ids[0]), ElementsAre("a"));
  EXPECT_THAT(decoder.push(ids[1]), ElementsAre());
  EXPECT_THAT(decoder.push(ids[2]), ElementsAre());
  EXPECT_THAT(decoder.push(ids[3]), ElementsAre("\uFFFD", "", "b"));
  EXPECT_THAT(decoder.flush(), ElementsAre());
}

}  // namespace
}  // namespace openllm::tokenizer
