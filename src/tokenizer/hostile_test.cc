// Files that are wrong or mean harm: an error that says where, or a tokenizer that works.

#include <gmock/gmock.h>

#include <limits>

#include "base/error.h"
#include "tokenizer/test_data.h"

namespace openllm::tokenizer {
namespace {

using ::testing::ElementsAre;

base::Json parse(const std::string& text) { return base::Json::parse(text, "test"); }

ErrorCode code_of(const std::string& tokenizer_json, const std::string& config = "null") {
  try {
    make_tokenizer(parse(tokenizer_json), parse(config));
  } catch (const Error& error) {
    EXPECT_STRNE(error.what(), "");
    return error.code();
  }
  ADD_FAILURE() << "no error for " << tokenizer_json;
  return ErrorCode::kInternal;
}

std::string bpe(const std::string& vocab, const std::string& merges, const std::string& rest = "") {
  return R"({"model":{"type":"BPE","vocab":)" + vocab + R"(,"merges":)" + merges + "}" + rest + "}";
}

TEST(HostileJson, WrongShapes) {
  EXPECT_EQ(code_of("null"), ErrorCode::kCorruptData);
  EXPECT_EQ(code_of("[]"), ErrorCode::kCorruptData);
  EXPECT_EQ(code_of(R"({"model":3})"), ErrorCode::kCorruptData);
  EXPECT_EQ(code_of(R"({"model":{"type":"Unigram","vocab":[]}})"), ErrorCode::kCorruptData);
  EXPECT_EQ(code_of(R"({"model":{"type":7}})"), ErrorCode::kCorruptData);
  EXPECT_EQ(code_of(bpe("[]", "[]")), ErrorCode::kCorruptData);
  EXPECT_EQ(code_of(bpe("{}", "[]")), ErrorCode::kCorruptData);
  EXPECT_EQ(code_of(bpe(R"({"a":0})", "{}")), ErrorCode::kCorruptData);
  EXPECT_EQ(code_of(bpe(R"({"a":0})", R"(["a"])")), ErrorCode::kCorruptData);
  EXPECT_EQ(code_of(bpe(R"({"a":0})", R"(["a b c"])")), ErrorCode::kCorruptData);
  EXPECT_EQ(code_of(bpe(R"({"a":0})", R"([["a"]])")), ErrorCode::kCorruptData);
  EXPECT_EQ(code_of(bpe(R"({"a":0})", R"([["a",1]])")), ErrorCode::kCorruptData);
}

TEST(HostileJson, ManyPreTokenizers) {
  std::string parts;
  for (int i = 0; i < 5000; ++i) parts += base::cat(i == 0 ? "" : ",", R"({"type":"Digits"})");
  const auto tokenizer = make_tokenizer(
      parse(bpe(R"({"a":0,"1":1,"a1":2})", R"(["a 1"])",
                R"(,"pre_tokenizer":{"type":"Sequence","pretokenizers":[)" + parts + "]}")),
      {});
  EXPECT_THAT(tokenizer->encode("aa11"), ElementsAre(0, 0, 1, 1));
}

TEST(HostileJson, Ids) {
  EXPECT_EQ(code_of(bpe(R"({"a":-1})", "[]")), ErrorCode::kCorruptData);
  EXPECT_EQ(code_of(bpe(R"({"a":2147483647})", "[]")), ErrorCode::kCorruptData);
  EXPECT_EQ(code_of(bpe(R"({"a":99999999999})", "[]")), ErrorCode::kCorruptData);
  EXPECT_EQ(code_of(bpe(R"({"a":1.5})", "[]")), ErrorCode::kCorruptData);
  EXPECT_EQ(code_of(bpe(R"({"a":"0"})", "[]")), ErrorCode::kCorruptData);
  EXPECT_EQ(
      code_of(bpe(R"({"a":0})", "[]", R"(,"added_tokens":[{"id":2000000000,"content":"x"}])")),
      ErrorCode::kCorruptData);
  EXPECT_EQ(code_of(bpe(R"({"a":0})", "[]", R"(,"added_tokens":[{"id":-5,"content":"x"}])")),
            ErrorCode::kCorruptData);
  EXPECT_EQ(code_of(bpe(R"({"a":0})", "[]"), R"({"added_tokens_decoder":{"x":{"content":"y"}}})"),
            ErrorCode::kCorruptData);
  EXPECT_EQ(
      code_of(bpe(R"({"a":0})", "[]",
                  R"(,"post_processor":{"type":"BertProcessing","sep":["b",9],"cls":["a",0]})")),
      ErrorCode::kCorruptData);
}

TEST(HostileJson, MergesOfAbsentTokens) {
  EXPECT_EQ(code_of(bpe(R"({"a":0,"b":1})", R"(["a c"])")), ErrorCode::kCorruptData);
  EXPECT_EQ(code_of(bpe(R"({"a":0,"b":1})", R"(["a b"])")), ErrorCode::kCorruptData);
}

TEST(HostileJson, HolesAndEqualIdsWork) {
  const auto tokenizer = make_tokenizer(parse(bpe(R"({"a":0,"b":7,"ab":7,"":3})", R"(["a b"])",
                                                  R"(,"added_tokens":[{"id":3,"content":""}])")),
                                        {});
  EXPECT_EQ(tokenizer->vocab_size(), 8);
  EXPECT_THAT(tokenizer->encode("ab"), ElementsAre(7));
  EXPECT_EQ(tokenizer->token_piece(4), "");
  EXPECT_EQ(tokenizer->token_bytes(100), "");
  EXPECT_EQ(tokenizer->token_bytes(-1), "");
  const std::vector<TokenId> ids = {-5, 4, 1'000'000};
  EXPECT_EQ(tokenizer->decode(ids), "");
}

TEST(HostileJson, CharactersWithoutATokenVanishOrAreUnknown) {
  EXPECT_THAT(make_tokenizer(parse(bpe(R"({"a":0})", "[]")), {})->encode("xay"), ElementsAre(0));
  const auto with_unk = [](const char* fuse) {
    return make_tokenizer(
        parse(std::string(R"({"model":{"type":"BPE","unk_token":"?","fuse_unk":)") + fuse +
              R"(,"vocab":{"a":0,"?":1},"merges":[]}})"),
        {});
  };
  EXPECT_THAT(with_unk("false")->encode("xyaz"), ElementsAre(1, 1, 0, 1));
  EXPECT_THAT(with_unk("true")->encode("xyaz"), ElementsAre(1, 0, 1));
}

TEST(HostileJson, RegexBombsEnd) {
  const auto tokenizer = make_tokenizer(
      parse(bpe(
          R"({"a":0})", "[]",
          R"(,"pre_tokenizer":{"type":"Split","pattern":{"Regex":"(a*)*(a*)*(a*)*b|(?:(a|aa)+)$"},"behavior":"Isolated"})")),
      {});
  try {
    tokenizer->encode(std::string(3000, 'a') + "c");
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kResourceExhausted);
  }
}

TEST(HostileJson, ConfigOfOddTypesIsReadWithCare) {
  const std::string file = bpe(R"({"a":0,"</s>":1})", "[]",
                               R"(,"added_tokens":[{"id":1,"content":"</s>","special":true}])");
  const auto tokenizer = make_tokenizer(
      parse(file), parse(R"({"eos_token":{"content":"</s>"},"bos_token":5,"pad_token":null,
    "additional_special_tokens":[3,"nope",null],"extra_special_tokens":{"x":[]},"add_bos_token":true,"add_eos_token":true})"));
  EXPECT_THAT(tokenizer->eos_ids(), ElementsAre(1));
  EXPECT_EQ(tokenizer->eos_piece(), "</s>");
  EXPECT_FALSE(tokenizer->bos_id());
  EXPECT_EQ(tokenizer->bos_piece(), "");
  EXPECT_THAT(tokenizer->encode("a"), ElementsAre(0));  // the post-processor decides
  EXPECT_THAT(tokenizer->encode("a</s>", {.add_special_tokens = false, .parse_special = false}),
              ElementsAre(0));
}

GgufVocab tiny_gguf() {
  GgufVocab vocab;
  vocab.model = "llama";
  vocab.tokens = {"<unk>",
                  "<s>",
                  "\xE2\x96\x81",
                  "a",
                  "b",
                  "ab",
                  "\xE2\x96\x81"
                  "ab"};
  vocab.token_types = {2, 3, 1, 1, 1, 1, 1};
  vocab.scores = {0, 0, -4, -3, -3, -1, -2};
  vocab.unk_id = 0;
  vocab.bos_id = 1;
  return vocab;
}

TEST(HostileGguf, WrongLengths) {
  GgufVocab vocab = tiny_gguf();
  vocab.scores.pop_back();
  EXPECT_THROW(make_tokenizer(vocab), Error);
  vocab = tiny_gguf();
  vocab.token_types.push_back(1);
  EXPECT_THROW(make_tokenizer(vocab), Error);
  vocab = tiny_gguf();
  vocab.tokens.clear();
  EXPECT_THROW(make_tokenizer(vocab), Error);
  vocab = tiny_gguf();
  vocab.unk_id = -1;
  EXPECT_THROW(make_tokenizer(vocab), Error);
  vocab = tiny_gguf();
  vocab.bos_id = 100;
  EXPECT_THROW(make_tokenizer(vocab), Error);
  vocab = tiny_gguf();
  vocab.model = "gpt2";
  vocab.pre = "gpt-2";
  vocab.merges = {"ab"};
  EXPECT_THROW(make_tokenizer(vocab), Error);
}

TEST(HostileGguf, OddScoresAndTypesWork) {
  GgufVocab vocab = tiny_gguf();
  vocab.scores[5] = std::numeric_limits<float>::quiet_NaN();
  vocab.scores[6] = std::numeric_limits<float>::infinity();
  vocab.token_types[3] = -99;
  EXPECT_FALSE(make_tokenizer(vocab)->encode("ab ab").empty());
  vocab.tokens[5] = vocab.tokens[4];
  vocab.tokens[6] = "";
  vocab.tokens[2] = "\xFF\xFE";
  EXPECT_FALSE(make_tokenizer(vocab)->encode("ab ab\xFF").empty());
}

TEST(HostileGguf, UnknownNamesAreErrorsThatListTheKnownOnes) {
  GgufVocab vocab = tiny_gguf();
  vocab.model = "gpt2";
  vocab.pre = "no-such-thing";
  try {
    make_tokenizer(vocab);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUnsupported);
    EXPECT_THAT(error.what(), ::testing::AllOf(::testing::HasSubstr("no-such-thing"),
                                               ::testing::HasSubstr("qwen2")));
  }
  vocab.model = "no-such-model";
  EXPECT_THROW(make_tokenizer(vocab), Error);
}

}  // namespace
}  // namespace openllm::tokenizer
