// Tokenizers of a few tokens, one for each option, against the Hugging Face library:
// tools/make_small_tokenizer_goldens.py.

#include <gmock/gmock.h>

#include "base/error.h"
#include "tokenizer/test_data.h"

namespace openllm::tokenizer {

void PrintTo(const LocatedToken& token, std::ostream* out) {
  *out << token.id << " at " << token.begin << " to " << token.end;
}

namespace {

class SmallGolden : public ::testing::Test {
 protected:
  const base::Json golden_ = read_test_json("tokenizer/small.golden.json");
};

TEST_F(SmallGolden, EncodeAndDecodeAsInTheLibrary) {
  const base::JsonArray& rows = golden_.as_array("rows");
  EXPECT_GT(rows.size(), 120U);
  for (const base::Json& row : rows) {
    const base::Json& json = *row.find("tokenizer");
    SCOPED_TRACE(json.dump());
    const auto tokenizer = make_tokenizer(json, {});
    for (const base::Json& item : row.find("encode")->as_array("encode")) {
      const base::JsonArray& fields = item.as_array("item");
      const std::string& text = fields[0].as_string("text");
      EXPECT_EQ(tokenizer->encode(text), to_ids(fields[1])) << fields[0].dump();
      EXPECT_EQ(tokenizer->encode(text, {.add_special_tokens = false}), to_ids(fields[2]))
          << fields[0].dump();
      EXPECT_LE(tokenizer->min_tokens(text), to_ids(fields[2]).size()) << fields[0].dump();
    }
    for (const base::Json& item : row.find("encode")->as_array("encode")) {
      const base::JsonArray& fields = item.as_array("item");
      std::vector<LocatedToken> expected;
      const std::vector<TokenId> ids = to_ids(fields[1]);
      const base::JsonArray& places = fields[3].as_array("places");
      for (std::size_t i = 0; i < ids.size(); ++i) {
        const std::vector<TokenId> place = to_ids(places[i]);
        expected.push_back(
            {ids[i], static_cast<std::size_t>(place[0]), static_cast<std::size_t>(place[1]), {}});
      }
      EXPECT_EQ(tokenizer->encode_with_offsets(fields[0].as_string("text")), expected)
          << fields[0].dump();
    }
    for (const base::Json& item : row.find("decode")->as_array("decode")) {
      const base::JsonArray& fields = item.as_array("item");
      EXPECT_EQ(tokenizer->decode(to_ids(fields[0])), fields[1].as_string("text"))
          << fields[0].dump();
      EXPECT_EQ(tokenizer->decode(to_ids(fields[0]), false), fields[2].as_string("text"))
          << fields[0].dump();
    }
  }
}

/// Text comes out as soon as it can, and is the same however it comes.
TEST_F(SmallGolden, PiecesOfDecodingJoinToTheWhole) {
  for (const base::Json& row : golden_.as_array("rows")) {
    const auto tokenizer = make_tokenizer(*row.find("tokenizer"), {});
    for (const base::Json& item : row.find("decode")->as_array("decode")) {
      const base::JsonArray& fields = item.as_array("item");
      IncrementalDecoder decoder(*tokenizer, true);
      std::string text;
      for (const TokenId id : to_ids(fields[0])) text += decoder.push(id);
      text += decoder.flush();
      EXPECT_EQ(text, fields[1].as_string("text")) << row.find("tokenizer")->dump();
      EXPECT_EQ(decoder.flush(), "");
    }
  }
}

}  // namespace
}  // namespace openllm::tokenizer
