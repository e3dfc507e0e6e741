// The parts of the pipeline that the golden tokenizers do not use.

#include <gmock/gmock.h>

#include "base/error.h"
#include "tokenizer/split/pre_tokenizer.h"
#include "tokenizer/text/decoder.h"
#include "tokenizer/text/normalizer.h"
#include "tokenizer/unicode/byte_level.h"
#include "tokenizer/vocab/added_tokens.h"
#include "tokenizer/vocab/post_processor.h"
#include "tokenizer/vocab/vocab.h"

namespace openllm::tokenizer {
namespace {

using ::testing::ElementsAre;

base::Json parse(const char* text) { return base::Json::parse(text, "test"); }

std::string normalized(const char* json, std::string text) {
  return make_normalizer(parse(json))->apply(std::move(text));
}

std::vector<std::string> split(const char* json, const std::string& text, bool at_start = true) {
  const PreTokenizerChoice choice = make_pre_tokenizer(parse(json));
  Words words(text, at_start ? 1 : 0);
  choice.pre_tokenizer->split(words);
  std::vector<std::string> out;
  for (const Words::Word& word : words.words()) out.emplace_back(words.view(word));
  return out;
}

TEST(Normalizer, Forms) {
  EXPECT_EQ(normalized(R"({"type":"NFC"})", "e\xCC\x81"), "\xC3\xA9");
  EXPECT_EQ(normalized(R"({"type":"NFD"})", "\xC3\xA9"), "e\xCC\x81");
  EXPECT_EQ(normalized(R"({"type":"NFKC"})", "\xEF\xAC\x81"), "fi");
  EXPECT_EQ(normalized(R"({"type":"NFKD"})", "\xE2\x91\xA0"), "1");
  EXPECT_EQ(
      normalized(
          R"({"type":"Sequence","normalizers":[{"type":"NFD"},{"type":"StripAccents"},{"type":"Lowercase"}]})",
          "\xC3\x89\xC4\xB0"),
      "ei");
  EXPECT_EQ(normalized(R"({"type":"Lowercase"})", "\xC4\xB0"), "i\xCC\x87");
  EXPECT_EQ(
      normalized(R"({"type":"Strip","strip_left":true,"strip_right":true})", " \xE3\x80\x80 a b\n"),
      "a b");
  EXPECT_EQ(normalized(R"({"type":"Strip","strip_left":true,"strip_right":true})", " \n "), "");
  EXPECT_EQ(
      normalized(R"({"type":"Replace","pattern":{"Regex":" {2,}"},"content":" "})", "a   b  c"),
      "a b c");
  EXPECT_EQ(normalized(R"({"type":"Replace","pattern":{"String":"aa"},"content":"b"})", "aaa"),
            "ba");
  EXPECT_EQ(normalized(R"({"type":"Prepend","prepend":"_"})", ""), "");
}

TEST(PreTokenizer, SplitBehaviors) {
  const auto with = [](const char* behavior) {
    return base::cat(R"({"type":"Split","pattern":{"String":"-"},"behavior":")", behavior, R"("})");
  };
  const std::string text = "the-final--countdown";
  EXPECT_THAT(split(with("Removed").c_str(), text), ElementsAre("the", "final", "countdown"));
  EXPECT_THAT(split(with("Isolated").c_str(), text),
              ElementsAre("the", "-", "final", "-", "-", "countdown"));
  EXPECT_THAT(split(with("MergedWithPrevious").c_str(), text),
              ElementsAre("the-", "final-", "-", "countdown"));
  EXPECT_THAT(split(with("MergedWithNext").c_str(), text),
              ElementsAre("the", "-final", "-", "-countdown"));
  EXPECT_THAT(split(with("Contiguous").c_str(), text),
              ElementsAre("the", "-", "final", "--", "countdown"));
  EXPECT_THAT(
      split(R"({"type":"Split","pattern":{"Regex":"[a-z]+"},"behavior":"Removed","invert":true})",
            "ab1cd"),
      ElementsAre("ab", "cd"));
}

TEST(PreTokenizer, Kinds) {
  EXPECT_THAT(split(R"({"type":"Digits","individual_digits":true})", "a12b"),
              ElementsAre("a", "1", "2", "b"));
  EXPECT_THAT(split(R"({"type":"Digits"})", "a12b"), ElementsAre("a", "12", "b"));
  EXPECT_THAT(split(R"({"type":"Punctuation"})", "a,.b"), ElementsAre("a", ",", ".", "b"));
  EXPECT_THAT(split(R"({"type":"Whitespace"})", " a, b!?"), ElementsAre("a", ",", "b", "!?"));
  EXPECT_THAT(split(R"({"type":"WhitespaceSplit"})", " a, b!?"), ElementsAre("a,", "b!?"));
  EXPECT_THAT(split(R"({"type":"BertPreTokenizer"})", " a,b"), ElementsAre("a", ",", "b"));
  EXPECT_THAT(split(R"({"type":"ByteLevel","add_prefix_space":true})", "ab cd"),
              ElementsAre(" ab", " cd"));
}

TEST(PreTokenizer, MetaspaceSchemes) {
  const std::string m = "\xE2\x96\x81";
  EXPECT_THAT(split(R"({"type":"Metaspace","prepend_scheme":"always"})", "a b"),
              ElementsAre(m + "a", m + "b"));
  EXPECT_THAT(split(R"({"type":"Metaspace","prepend_scheme":"first"})", "a b", false),
              ElementsAre("a", m + "b"));
  EXPECT_THAT(split(R"({"type":"Metaspace","prepend_scheme":"never","split":false})", "a b"),
              ElementsAre("a" + m + "b"));
  EXPECT_THAT(split(R"({"type":"Metaspace","prepend_scheme":"always"})", " a"),
              ElementsAre(m + "a"));
}

TEST(PreTokenizer, PartsBehindByteLevelSeeItsAlphabet) {
  // U+00B2 is C2 B2; in the alphabet B2 is a character that counts as a number.
  EXPECT_THAT(
      split(
          R"({"type":"Sequence","pretokenizers":[{"type":"ByteLevel","add_prefix_space":false},{"type":"Digits"}]})",
          "\xC2\xB2"),
      ElementsAre("\xC2", "\xB2"));
}

TEST(ByteLevel, MapsEveryByteThereAndBack) {
  std::string bytes;
  for (int i = 0; i < 256; ++i) bytes.push_back(static_cast<char>(i));
  EXPECT_EQ(unmap_bytes(map_bytes(bytes)), bytes);
  EXPECT_EQ(map_bytes(" \n"), "\xC4\xA0\xC4\x8A");
  EXPECT_FALSE(unmap_bytes("a b"));
  EXPECT_FALSE(unmap_bytes("\xE4\xBD\xA0"));
}

std::vector<std::string> pieces(const AddedTokenMatcher& matcher, std::string_view text,
                                bool parse_special = true) {
  std::vector<std::string> out;
  matcher.split(text, parse_special, {}, [&](const AddedTokenMatcher::Segment& segment) {
    out.push_back(segment.id ? base::cat(*segment.id, ":", segment.text)
                             : std::string(segment.text));
  });
  return out;
}

TEST(AddedTokens, LeftmostThenLongest) {
  AddedTokenMatcher matcher;
  for (const AddedToken& token :
       {AddedToken{.id = 1, .content = "ab"}, AddedToken{.id = 2, .content = "abc"},
        AddedToken{.id = 3, .content = "bcde"}}) {
    matcher.add(token, token.content);
  }
  EXPECT_THAT(pieces(matcher, "xabcde"), ElementsAre("x", "2:abc", "de"));
  EXPECT_THAT(pieces(matcher, "abxbcde"), ElementsAre("1:ab", "x", "3:bcde"));
  EXPECT_THAT(pieces(matcher, ""), ElementsAre());
}

TEST(AddedTokens, FlagsAndSpecials) {
  AddedTokenMatcher matcher;
  matcher.add({.id = 1, .lstrip = true, .rstrip = true}, "<m>");
  matcher.add({.id = 2, .single_word = true}, "foo");
  matcher.add({.id = 3, .special = true}, "<s>");
  EXPECT_THAT(pieces(matcher, "a  <m> \n<m>b"), ElementsAre("a", "1:  <m> \n", "1:<m>", "b"));
  EXPECT_THAT(pieces(matcher,
                     "foo food foo_ \xC3\xA9"
                     "foo (foo)"),
              ElementsAre("2:foo",
                          " food foo_ \xC3\xA9"
                          "foo (",
                          "2:foo", ")"));
  // A word ends with the text, whatever lies behind it in memory.
  EXPECT_THAT(pieces(matcher, std::string_view("food").substr(0, 3)), ElementsAre("2:foo"));
  EXPECT_THAT(pieces(matcher, std::string_view("afoo").substr(1)), ElementsAre("2:foo"));
  EXPECT_THAT(pieces(matcher, "a<s>b", false), ElementsAre("a<s>b"));
  EXPECT_THAT(pieces(matcher, "a<s>b"), ElementsAre("a", "3:<s>", "b"));
  EXPECT_THROW(matcher.add({.id = 4}, std::string(5000, 'x')), Error);
}

TEST(AddedTokens, WordsOfNewerUnicode) {
  AddedTokenMatcher matcher;
  matcher.add({.id = 1, .single_word = true}, "foo");
  for (const char* letter : {"\xF0\xAE\xB5\x8D", "\xF0\x93\xA0\xA3", "\xE2\x80\x8D"}) {
    const std::string text = base::cat(letter, "foo");
    EXPECT_THAT(pieces(matcher, text), ElementsAre(text));
  }
}

TEST(AddedTokens, TokensThatATokenBeforeTook) {
  AddedTokenMatcher both;
  both.add({.id = 1, .lstrip = true, .rstrip = true}, "\n");
  EXPECT_THAT(pieces(both, "a\n\nb"), ElementsAre("a", "1:\n\n", "b"));
  AddedTokenMatcher right;
  right.add({.id = 1, .rstrip = true}, "\n");
  EXPECT_THAT(pieces(right, "a\n\nb"), ElementsAre("a", "1:\n\n", "1:\n", "b"));
}

TEST(PostProcessor, Frames) {
  const SpecialFrame frame = parse_post_processor(parse(R"({"type":"Sequence","processors":[
    {"type":"RobertaProcessing","sep":["</s>",2],"cls":["<s>",0]},
    {"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"x","type_id":0}},{"Sequence":{"id":"A","type_id":0}}],
     "special_tokens":{"x":{"id":"x","ids":[7,8],"tokens":["x","y"]}}}]})"));
  EXPECT_THAT(frame.before, ElementsAre(7, 8, 0));
  EXPECT_THAT(frame.after, ElementsAre(2));
}

TEST(Normalizer, NmtDropsControlCharacters) {
  EXPECT_EQ(normalized(R"({"type": "Nmt"})", "a\x7F\u008F\u009F\x01\x0B\x1F-\u0090\t\uFEFF"),
            "a-\u0090  ");
}

TEST(Decoder, NullJoinsWithSpaces) {
  const DecodeRules rules = DecodeRules::from_json({});
  EXPECT_EQ(rules.apply("a", true) + rules.apply("b", false), "a b");
}

TEST(Decoder, ByteTokens) {
  const DecodeRules rules = DecodeRules::sentencepiece(true);
  EXPECT_EQ(rules.byte_of("<0x0A>"), static_cast<unsigned char>(10));
  EXPECT_EQ(rules.byte_of("<0xaF>"), static_cast<unsigned char>(0xAF));
  for (const char* piece : {"<0x0A", "<0xG0>", "0x0A>>", "<0x0A>>", ""})
    EXPECT_FALSE(rules.byte_of(piece)) << piece;
  EXPECT_FALSE(DecodeRules::byte_level().byte_of("<0x0A>"));
}

TEST(Components, OrdersThatCannotBeFollowedAreNamed) {
  for (const char* parts :
       {R"({"type":"Fuse"},{"type":"ByteFallback"})",
        R"({"type":"ByteLevel"},{"type":"ByteFallback"})",
        R"({"type":"Fuse"},{"type":"ByteLevel"})", R"({"type":"Fuse"},{"type":"Metaspace"})",
        R"({"type":"Fuse"},{"type":"Replace","pattern":{"String":"ab"},"content":"b"})",
        R"({"type":"Fuse"},{"type":"Replace","pattern":{"Regex":"a"},"content":"b"})",
        R"({"type":"ByteLevel"},{"type":"Replace","pattern":{"String":"\u00e9"},"content":"b"})",
        R"({"type":"Fuse"},{"type":"Strip","content":"a","start":1,"stop":0})"}) {
    const std::string json = base::cat(R"({"type":"Sequence","decoders":[)", parts, "]}");
    EXPECT_THROW(DecodeRules::from_json(parse(json.c_str())), Error) << parts;
  }
  EXPECT_THROW(
      make_pre_tokenizer(parse(
          R"({"type":"Sequence","pretokenizers":[{"type":"ByteLevel"},{"type":"Metaspace"}]})")),
      Error);
}

TEST(Components, UnknownOnesAreNamed) {
  const auto message = [](auto make) {
    try {
      make();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kUnsupported);
      return std::string(error.what());
    }
    return std::string();
  };
  const base::Json json = parse(R"({"type":"Frobnicate"})");
  EXPECT_EQ(message([&] { make_normalizer(json); }),
            "tokenizer.json: normalizer of type \"Frobnicate\"");
  EXPECT_EQ(message([&] { make_pre_tokenizer(json); }),
            "tokenizer.json: pre_tokenizer of type \"Frobnicate\"");
  EXPECT_EQ(message([&] { parse_post_processor(json); }),
            "tokenizer.json: post_processor of type \"Frobnicate\"");
  EXPECT_EQ(message([&] { DecodeRules::from_json(json); }),
            "tokenizer.json: decoder of type \"Frobnicate\"");
}

TEST(Components, DeepNestingIsAnError) {
  std::string json = R"({"type":"NFC"})";
  for (int i = 0; i < 100; ++i) json = R"({"type":"Sequence","normalizers":[)" + json + "]}";
  EXPECT_THROW(make_normalizer(base::Json::parse(json, "test", 1000)), Error);
}

TEST(Vocab, LastOfEqualStringsCounts) {
  Vocab vocab;
  vocab.set(0, "a");
  vocab.set(5, "a");
  EXPECT_EQ(vocab.find("a"), 5);
  EXPECT_EQ(vocab.piece(0), "a");
  EXPECT_EQ(vocab.piece(3), "");
  EXPECT_EQ(vocab.piece(-1), "");
  EXPECT_EQ(vocab.piece(6), "");
  EXPECT_EQ(vocab.size(), 6);
  EXPECT_FALSE(vocab.find("b"));
}

TEST(Vocab, FindsManyStrings) {
  StringIds ids;
  for (int i = 0; i < 5000; ++i) ids.set(std::to_string(i * 7), i);
  for (int i = 0; i < 5000; ++i) EXPECT_EQ(ids.find(std::to_string(i * 7)), i);
  EXPECT_FALSE(ids.find("1"));
}

}  // namespace
}  // namespace openllm::tokenizer
