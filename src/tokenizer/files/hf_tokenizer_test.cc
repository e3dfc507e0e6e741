// Small tokenizer.json files; what is expected is what the Hugging Face library 0.23 gives.

#include <gmock/gmock.h>

#include "base/error.h"
#include "tokenizer/tokenizer.h"

namespace openllm::tokenizer {
namespace {

using ::testing::ElementsAre;

std::unique_ptr<Tokenizer> load(const std::string& json) {
  return make_tokenizer(base::Json::parse(json, "test"), {});
}

TEST(HfTokenizer, AddedTokensDecodeAsTheNormalizerSpellsThem) {
  // As Llama 2's tokenizer with a token that somebody added: the space before it is part of it.
  const auto tokenizer = load(R"({
    "normalizer":{"type":"Sequence","normalizers":[{"type":"Prepend","prepend":"_"},
      {"type":"Replace","pattern":{"String":" "},"content":"_"}]},
    "decoder":{"type":"Sequence","decoders":[
      {"type":"Replace","pattern":{"String":"_"},"content":" "},{"type":"Fuse"},
      {"type":"Strip","content":" ","start":1,"stop":0}]},
    "added_tokens":[{"id":3,"content":"foo","normalized":true,"special":false},
      {"id":4,"content":"bar","normalized":false,"special":false}],
    "model":{"type":"BPE","vocab":{"a":0,"_":1,"_a":2},"merges":["_ a"]}})");
  EXPECT_THAT(tokenizer->encode("a foo a"), ElementsAre(2, 3, 2));
  EXPECT_EQ(tokenizer->decode(std::vector<TokenId>{2, 3, 2}), "a foo a");
  EXPECT_EQ(tokenizer->decode(std::vector<TokenId>{2, 4, 2}), "abar a");
  EXPECT_EQ(tokenizer->token_bytes(3), " foo");
  EXPECT_EQ(tokenizer->token_piece(3), "foo");
}

TEST(HfTokenizer, MetaspaceMarksWordsThatBeginWithTheFirstCharacter) {
  struct Case {
    const char *normalizer, *before, *text, *tokens;
  };
  // `before` are the pre-tokenizers before Metaspace, `tokens` those of the result side by side.
  const char* each = R"({"type":"Split","pattern":{"Regex":"."},"behavior":"Isolated"},)";
  const char* always =
      R"({"type":"Metaspace","replacement":"_","prepend_scheme":"always","split":false},
                          {"type":"Split","pattern":{"Regex":"."},"behavior":"Isolated"},)";
  const Case cases[] = {
      {"null", "", "ab", "_ab"},
      {R"({"type":"Strip"})", "", " ab", "ab"},
      {R"({"type":"Strip","strip_left":false})", "", "ab ", "_ab"},
      {R"({"type":"Prepend","prepend":"xx"})", each, "ab", "_x_x_ab"},
      {R"({"type":"NFD"})", each,
       "\xC3\xA9"
       "a",
       "_e_\xCC\x81"
       "a"},
      {R"({"type":"StripAccents"})", "",
       "\xCC\x81"
       "a",
       "a"},
      {R"({"type":"Replace","pattern":{"Regex":"a+"},"content":"x"})", each, "aab", "xb"},
      {R"({"type":"Replace","pattern":{"Regex":"^a"},"content":"xx"})", each, "aab", "_x_xab"},
      {R"({"type":"Replace","pattern":{"String":"b"},"content":"xx"})", each, "ab", "_axx"},
      {R"({"type":"Lowercase"})", each, "Ab", "_ab"},
      {"null", always, "ab", "__ab"},
      {"null", R"({"type":"Punctuation","behavior":"Removed"},)", "'a'b", "ab"},
      {R"({"type":"Sequence","normalizers":[{"type":"Prepend","prepend":"x"},{"type":"NFC"}]})",
       each, "e\xCC\x81", "_x_\xC3\xA9"},
  };
  for (const Case& c : cases) {
    const auto tokenizer = load(base::cat(
        R"({"normalizer":)", c.normalizer,
        R"(,"pre_tokenizer":{"type":"Sequence","pretokenizers":[)", c.before,
        R"({"type":"Metaspace","replacement":"_","prepend_scheme":"first","split":false}]},
        "model":{"type":"BPE","vocab":{"_":0,"a":1,"b":2,"x":3,"e":4,"\u00e9":5,"\u0301":6},"merges":[]}})"));
    std::string tokens;
    for (const TokenId id : tokenizer->encode(c.text)) tokens += tokenizer->token_piece(id);
    EXPECT_EQ(tokens, c.tokens) << c.normalizer << c.before;
  }
}

TEST(HfTokenizer, MergesMayBeginWithAVersion) {
  const auto tokenizer = load(
      R"({"model":{"type":"BPE","vocab":{"a":0,"b":1,"ab":2},"merges":["#version: 0.2","a b"]}})");
  EXPECT_THAT(tokenizer->encode("ab"), ElementsAre(2));
}

TEST(HfTokenizer, WhatTheConfigurationMakesSpecial) {
  // Whether <end> is special, with and without an added token of that name in tokenizer.json.
  struct Case {
    const char* config;
    bool with, without;
  };
  const Case cases[] = {
      {R"({"eos_token":"<end>"})", true, true},
      {R"({"pad_token":{"content":"<end>","special":true}})", true, true},
      {R"({"additional_special_tokens":["<end>"]})", false, true},
      {R"({"extra_special_tokens":["<end>"]})", false, true},
      {R"({"extra_special_tokens":{"image":"<end>"}})", true, true},
      {R"({"added_tokens_decoder":{"1":{"content":"<end>","special":true}}})", true, true},
      {R"({"added_tokens_decoder":{"1":{"content":"<end>","special":false}}})", false, false},
      {"{}", false, false},
  };
  for (const Case& c : cases) {
    for (const bool with : {true, false}) {
      const std::string added = with ? R"({"id":1,"content":"<end>","special":false})" : "";
      const auto tokenizer = make_tokenizer(
          base::Json::parse(
              R"({"added_tokens":[)" + added +
                  R"(],"model":{"type":"BPE","vocab":{"a":0,"<end>":1},"merges":[]}})",
              "test"),
          base::Json::parse(c.config, "test"));
      EXPECT_EQ(tokenizer->is_special(1), with ? c.with : c.without) << c.config << with;
    }
  }
  const auto stays = make_tokenizer(
      base::Json::parse(R"({"added_tokens":[{"id":1,"content":"<end>","special":true}],
        "model":{"type":"BPE","vocab":{"a":0,"<end>":1},"merges":[]}})",
                        "test"),
      base::Json::parse(R"({"added_tokens_decoder":{"1":{"content":"<end>","special":false}}})",
                        "test"));
  EXPECT_TRUE(stays->is_special(1));
}

TEST(HfTokenizer, ByteRunsGoThroughTheStepsBehindByteFallback) {
  const auto with = [](const std::string& decoders) {
    return load(
        R"({"decoder":{"type":"Sequence","decoders":[)" + decoders +
        R"(]},"model":{"type":"BPE","vocab":{"<0xE2>":0,"<0x96>":1,"<0x81>":2,"<0x61>":3,"a":4,"\u2581":5},
                   "merges":[]}})");
  };
  const std::vector<TokenId> run = {0, 1, 2, 3};  // U+2581 a
  std::vector<TokenId> twice = {4};
  twice.insert(twice.end(), run.begin(), run.end());
  const auto metaspace = with(R"({"type":"ByteFallback"},{"type":"Metaspace"})");
  EXPECT_EQ(metaspace->decode(run), "a");
  EXPECT_EQ(metaspace->decode(twice), "a a");
  const auto replace = with(
      R"({"type":"ByteFallback"},{"type":"Replace","pattern":{"String":"\u2581a"},"content":"X"})");
  EXPECT_EQ(replace->decode(twice), "aX");
  EXPECT_EQ(replace->decode(std::vector<TokenId>{5, 4}),
            "\xE2\x96\x81"
            "a");
  const auto strip =
      with(R"({"type":"ByteFallback"},{"type":"Strip","content":"a","start":0,"stop":1})");
  EXPECT_EQ(strip->decode(twice), "\xE2\x96\x81");
  const auto fused = with(
      R"({"type":"ByteFallback"},{"type":"Fuse"},{"type":"Replace","pattern":{"String":"\u2581"},"content":" "})");
  EXPECT_EQ(fused->decode(twice), "a a");
  EXPECT_EQ(fused->decode(std::vector<TokenId>{5, 0, 1, 4}),
            " \xEF\xBF\xBD\xEF\xBF\xBD"
            "a");
}

TEST(HfTokenizer, ATemplateBehindOneThatAddsTokensIsNamed) {
  // The library takes the tokens that the first one adds for texts of their own.
  const std::string adds =
      R"({"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"a","type_id":0}},
          {"Sequence":{"id":"A","type_id":0}}],"special_tokens":{"a":{"id":"a","ids":[0],"tokens":["a"]}}})";
  const std::string plain =
      R"({"type":"TemplateProcessing","single":[{"Sequence":{"id":"A","type_id":0}}],"special_tokens":{}})";
  const auto file = [](const std::string& processors) {
    return R"({"model":{"type":"BPE","vocab":{"a":0},"merges":[]},
               "post_processor":{"type":"Sequence","processors":[)" +
           processors + "]}}";
  };
  EXPECT_THAT(load(file(plain + "," + adds))->encode("a"), ElementsAre(0, 0));
  EXPECT_THAT(load(file(adds + "," + plain))->encode("a"), ElementsAre(0, 0));
  try {
    load(file(adds + "," + adds));
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUnsupported);
    EXPECT_THAT(error.what(), ::testing::HasSubstr("TemplateProcessing behind"));
  }
}

TEST(HfTokenizer, BytesBehindWordPieceAreNamed) {
  // WordPiece puts a space in front of "<0x41>", which then stands for itself.
  try {
    load(R"({"model":{"type":"BPE","vocab":{"a":0},"merges":[]},
             "decoder":{"type":"Sequence","decoders":[{"type":"WordPiece"},{"type":"ByteFallback"}]}})");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUnsupported);
    EXPECT_THAT(error.what(), ::testing::HasSubstr("ByteFallback behind WordPiece"));
  }
}

}  // namespace
}  // namespace openllm::tokenizer
