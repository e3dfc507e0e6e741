#include "llm/token_rules.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>

#include "base/error.h"
#include "llm/test_tokenizer.h"

namespace openllm::llm {
namespace {

using sampling::TokenIds;
using testing::ElementsAre;
using testing::IsEmpty;

/// A double that knows how some texts are tokenized.
class WordTokenizer final : public TestTokenizer {
 public:
  explicit WordTokenizer(std::map<std::string, TokenIds, std::less<>> words)
      : TestTokenizer({"a"}), words_(std::move(words)) {}
  std::vector<tokenizer::TokenId> encode(std::string_view text,
                                         const tokenizer::EncodeOptions& options) const override {
    EXPECT_FALSE(options.add_special_tokens);
    const auto found = words_.find(text);
    return found == words_.end() ? TokenIds{} : found->second;
  }

 private:
  std::map<std::string, TokenIds, std::less<>> words_;
};

std::vector<TokenIds> bad_words(std::vector<std::string> words) {
  const WordTokenizer tokenizer({{"cat", {1, 2}},
                                 {" cat", {3, 2}},
                                 {"dog", {4}},
                                 {" dog", {9, 4}},
                                 {"cow", {5, 6}},
                                 {" cow", {5, 7}}});
  LLMConfig config;
  config.bad_words = std::move(words);
  return make_token_rules({}, config, {}, 10, &tokenizer).bad_words;
}

TEST(TokenRulesOfARequest, BadWordsAreTokenizedAsVllmDoes) {
  EXPECT_THAT(bad_words({"cat"}), ElementsAre(TokenIds{1, 2}, TokenIds{3, 2}));
  EXPECT_THAT(bad_words({" \t\ncat"}), ElementsAre(TokenIds{1, 2}, TokenIds{3, 2}));
  EXPECT_THAT(bad_words({"dog"}), ElementsAre(TokenIds{4}));     // another number of tokens
  EXPECT_THAT(bad_words({"cow"}), ElementsAre(TokenIds{5, 6}));  // the same first token
  EXPECT_THAT(bad_words({"dog", "cow"}), ElementsAre(TokenIds{4}, TokenIds{5, 6}));
  EXPECT_THROW(bad_words({"  "}), Error);
  try {
    LLMConfig config;
    config.bad_words = {"cat"};
    make_token_rules({}, config, {}, 10, nullptr);
    FAIL() << "there is no tokenizer";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUnsupported);
    EXPECT_EQ(error.where(), "bad_words");
  }
}

TEST(TokenRulesOfARequest, NoneForARequestThatAsksForNone) {
  const sampling::TokenRules rules = make_token_rules({}, {}, TokenIds{2}, 10, nullptr);
  EXPECT_FALSE(sampling::has_rules(rules));
  EXPECT_THAT(rules.eos, IsEmpty());
}

TEST(TokenRulesOfARequest, AModelsMinusOneIsNone) {
  LLMConfig config;
  config.forced_eos_token_id = {-1};
  EXPECT_FALSE(sampling::has_rules(make_token_rules({}, config, {}, 10, nullptr)));
  config.forced_eos_token_id = {-1, 4};
  EXPECT_THAT(make_token_rules({}, config, {}, 10, nullptr).forced_eos, ElementsAre(4));
}

TEST(TokenRulesOfARequest, ADecayWaitsForAnEnd) {
  LLMConfig config;
  config.exponential_decay_length_penalty = LengthDecay{5, 1.5F};
  EXPECT_FALSE(make_token_rules({}, config, {}, 10, nullptr).length_decay);
  const sampling::TokenRules rules = make_token_rules({}, config, TokenIds{2, 3}, 10, nullptr);
  EXPECT_EQ(rules.length_decay->start, 5);
  EXPECT_EQ(rules.length_decay->factor, 1.5F);
  EXPECT_THAT(rules.eos, ElementsAre(2, 3));
}

}  // namespace
}  // namespace openllm::llm
