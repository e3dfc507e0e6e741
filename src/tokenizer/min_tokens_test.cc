// Tokenizer::min_tokens is never more than what encode gives.

#include <gmock/gmock.h>

#include "base/error.h"
#include "tokenizer/random_text.h"
#include "tokenizer/test_data.h"
#include "tokenizer/text/normalizer.h"

namespace openllm::tokenizer {
namespace {

base::Json parse(const std::string& text) { return base::Json::parse(text, "test"); }

/// Every byte of valid UTF-8 in GPT-2's alphabet would be long; these models know a few characters.
std::unique_ptr<Tokenizer> tiny(const std::string& model, const std::string& rest = "") {
  return make_tokenizer(
      parse(R"({"model":{"type":"BPE","vocab":{"a":0,"b":1,"ab":2,"abab":3,"?":4},)"
            R"("merges":["a b","ab ab"])" +
            model + "}" + rest + "}"),
      {});
}

void expect_bound_holds(const Tokenizer& tokenizer, const std::string& text) {
  const std::size_t bound = tokenizer.min_tokens(text);
  for (const bool special : {true, false}) {
    for (const bool parse : {true, false}) {
      const auto ids =
          tokenizer.encode(text, {.add_special_tokens = special, .parse_special = parse});
      ASSERT_LE(bound, ids.size()) << text;
    }
  }
}

class MinTokens : public ::testing::TestWithParam<const char*> {};

TEST_P(MinTokens, NeverMoreThanThereAre) {
  const auto tokenizer =
      make_tokenizer(read_test_json(base::cat("tokenizer/", GetParam(), "_style.json")), {});
  std::vector<std::string> tokens;
  for (TokenId id = 0; id < tokenizer->vocab_size(); ++id) {
    tokens.emplace_back(tokenizer->token_bytes(id));
    // The longest tokens again and again come closest.
    std::string text;
    for (int i = 0; i < 50; ++i) text += tokens.back();
    expect_bound_holds(*tokenizer, text);
  }
  RandomText random(11);
  for (int i = 0; i < 1500; ++i) {
    expect_bound_holds(*tokenizer, random.text(60, tokens));
    expect_bound_holds(*tokenizer, random.damaged(random.text(60, tokens)));
  }
}

TEST_P(MinTokens, GrowsWithTheText) {
  const auto tokenizer =
      make_tokenizer(read_test_json(base::cat("tokenizer/", GetParam(), "_style.json")), {});
  EXPECT_GT(tokenizer->min_tokens(std::string(100'000, 'a')), 5'000);
  EXPECT_EQ(tokenizer->min_tokens(""), 0);
}

INSTANTIATE_TEST_SUITE_P(Styles, MinTokens,
                         ::testing::Values("gpt2", "llama2", "llama3", "mistral", "qwen2"),
                         [](const auto& style) { return std::string(style.param); });

TEST(MinTokensOf, TokensThatTakeWhiteSpace) {
  base::Json json = read_test_json("tokenizer/gpt2_style.json");
  EXPECT_GT(make_tokenizer(json, {})->min_tokens(std::string(1000, ' ')), 0);
  for (const char* side : {"lstrip", "rstrip"}) {
    json = read_test_json("tokenizer/gpt2_style.json");
    base::JsonArray added = json.find("added_tokens")->as_array("added_tokens");
    for (base::Json& token : added) token[side] = true;
    json["added_tokens"] = base::Json(added);
    const auto tokenizer = make_tokenizer(json, {});
    const std::string blanks = std::string(1000, ' ') + "\xE3\x80\x80\n";
    expect_bound_holds(*tokenizer, base::cat(blanks, "<s>", blanks, "</s>", blanks));
    EXPECT_EQ(tokenizer->min_tokens(blanks), 0);
    EXPECT_GT(tokenizer->min_tokens(blanks + std::string(1000, 'x')), 0);
  }
}

TEST(MinTokensOf, ModelsThatLeaveTextOut) {
  EXPECT_EQ(tiny("")->min_tokens(std::string(1000, 'z')), 0) << "nothing stands for z";
  EXPECT_EQ(tiny(R"(,"unk_token":"?","fuse_unk":true)")->min_tokens(std::string(1000, 'z')), 0);
  EXPECT_EQ(tiny(R"(,"byte_fallback":true)")->min_tokens(std::string(1000, 'z')), 0);
  EXPECT_EQ(tiny(R"(,"unk_token":"?")")->min_tokens(std::string(1000, 'z')), 1000 / 16);
  // Merging a prefix away can make a token that stands for more than it spells.
  const auto prefixed = make_tokenizer(
      parse(R"({"model":{"type":"BPE","vocab":{"a":0,"##":1,"?":2},"merges":["a ##"],)"
            R"("unk_token":"?","continuing_subword_prefix":"##"}})"),
      {});
  EXPECT_EQ(prefixed->min_tokens(std::string(1000, 'a')), 0);
}

TEST(MinTokensOf, PartsThatLeaveTextOut) {
  const std::string model = R"(,"unk_token":"?")";
  const std::string text(1000, 'z');
  EXPECT_EQ(tiny(model, R"(,"pre_tokenizer":{"type":"WhitespaceSplit"})")->min_tokens(text), 0);
  EXPECT_EQ(tiny(model, R"(,"pre_tokenizer":{"type":"Sequence","pretokenizers":[{"type":"Split",)"
                        R"("pattern":{"String":"z"},"behavior":"Removed"}]})")
                ->min_tokens(text),
            0);
  EXPECT_EQ(tiny(model, R"(,"normalizer":{"type":"StripAccents"})")->min_tokens(text), 0);
  EXPECT_EQ(tiny(model, R"(,"normalizer":{"type":"Sequence","normalizers":[{"type":"NFC"},)"
                        R"({"type":"Strip","strip_left":true,"strip_right":true}]})")
                ->min_tokens(text),
            0);
}

TEST(MinTokensOf, BytesWithoutTokens) {
  base::Json json = read_test_json("tokenizer/gpt2_style.json");
  base::Json vocab = base::Json::object();
  for (const auto& member : json.find("model")->find("vocab")->as_object("vocab")) {
    if (member.first.find('q') == std::string::npos) vocab[member.first] = member.second;
  }
  base::Json model = *json.find("model");
  model["vocab"] = vocab;
  model["merges"] = base::Json::array();
  json["model"] = model;
  const auto tokenizer = make_tokenizer(json, {});
  EXPECT_EQ(tokenizer->min_tokens(std::string(1000, 'q')), 0);
  EXPECT_GT(tokenizer->min_tokens(std::string(1000, 'p')), 0);
  EXPECT_EQ(tokenizer->min_tokens(std::string(1000, 'p') + "\xFF"), 0) << "not UTF-8";
  RandomText random(2);
  for (int i = 0; i < 500; ++i) {
    expect_bound_holds(*tokenizer, random.text(40, {"q", "qqqqqqq", "q q"}));
    expect_bound_holds(*tokenizer, random.damaged(random.text(40, {"q", "qqqqqqq", "q q"})));
  }
}

TEST(MinTokensOf, ReplacedText) {
  const auto shrink = [](const char* json) {
    return make_normalizer(parse(json))->max_shrink(true);
  };
  EXPECT_EQ(shrink(R"({"type":"Replace","pattern":{"String":"ab"},"content":"c"})"), 0);
  EXPECT_EQ(shrink(R"({"type":"Replace","pattern":{"String":"ab"},"content":" c"})"), 0);
  EXPECT_EQ(shrink(R"({"type":"Replace","pattern":{"String":"ab"},"content":"cd"})"), 1);
  EXPECT_EQ(shrink(R"({"type":"Replace","pattern":{"Regex":"a"},"content":"cd"})"), 0);
  EXPECT_EQ(shrink(R"({"type":"NFKC"})"), 1);
  EXPECT_EQ(shrink(R"({"type":"Sequence","normalizers":[{"type":"StripAccents"},{"type":"NFC"},)"
                   R"({"type":"Prepend","prepend":"x"}]})"),
            0);
  EXPECT_EQ(shrink(R"({"type":"Sequence","normalizers":[{"type":"NFC"},{"type":"NFKD"}]})"), 4);
  EXPECT_EQ(shrink(R"({"type":"Sequence","normalizers":[]})"), 1);
  EXPECT_EQ(make_normalizer(parse(R"({"type":"NFKC"})"))->max_shrink(false), 4);
}

/// Result of a normal form for each character, and of the longest spellings of those that compose.
TEST(MinTokensOf, NormalFormsShrinkAtMostFourfold) {
  for (const char* json : {R"({"type":"NFC"})", R"({"type":"NFD"})", R"({"type":"NFKC"})",
                           R"({"type":"NFKD"})", R"({"type":"Lowercase"})"}) {
    const auto normalizer = make_normalizer(parse(json));
    const std::size_t shrink = normalizer->max_shrink(false);
    for (char32_t code = 0; code < 0x110000; ++code) {
      if (code == 0xD800) code = 0xE000;
      std::string text;
      base::append_utf8(text, code);
      ASSERT_GE(normalizer->apply(text).size() * shrink, text.size())
          << json << static_cast<std::uint32_t>(code);
    }
    // iota with two accents, K, omega with three marks, Hangul
    for (const std::string text :
         {"\xE1\xBE\xBE\xCC\x88\xCC\x81", "\xE2\x84\xAA\xCC\xA7",
          "\xE2\x84\xA6\xCC\x94\xCC\x81\xCD\x85", "\xE1\x84\x92\xE1\x85\xA1\xE1\x86\xAB"}) {
      EXPECT_GE(normalizer->apply(text).size() * shrink, text.size()) << json;
    }
  }
}

}  // namespace
}  // namespace openllm::tokenizer
