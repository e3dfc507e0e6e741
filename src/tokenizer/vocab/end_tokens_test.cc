// Tokens that end an answer: those that a file names, and those known by their spelling.

#include "tokenizer/vocab/end_tokens.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <string>

namespace openllm::tokenizer {
namespace {

struct Case {
  std::vector<TokenId> configured;
  std::vector<std::string> specials;  ///< Of ids 10, 11, ...
  std::vector<TokenId> ends;
};

TEST(EndTokens, AreTheConfiguredOnesAndThoseOfKnownSpellings) {
  const std::vector<Case> cases = {
      {{}, {}, {}},
      {{3}, {}, {3}},
      {{3, 4, 3}, {}, {3, 4}},  // in this order, once
      {{}, {"<|im_end|>"}, {10}},
      {{10}, {"<|im_end|>"}, {10}},
      {{3}, {"</s>", "<|eot_id|>"}, {3, 11, 10}},
      {{}, {"</s>", "<|tool_response>"}, {11}},
      {{}, {"<|endoftext|>", "<|im_end|>"}, {11, 10}},  // the end of a turn comes first
      {{}, {"<|im_start|>", "<|IM_END|>", "im_end"}, {}},
      // Ends a turn, but only a message where <|return|> is known.
      {{}, {"<|end|>"}, {10}},
      {{}, {"<|end|>", "<|return|>"}, {11}},
      {{10}, {"<|end|>", "<|return|>"}, {10, 11}},
      {{}, {"<|end|>", "<|flush|>", "<|calls|>"}, {11, 12}},
      {{}, {"[EOS]", "[EOT]", "_<EOT>"}, {12, 11, 10}},
      // Begins the user's turn where there is an observation's too.
      {{}, {"<|user|>"}, {}},
      {{}, {"<|user|>", "<|observation|>"}, {10, 11}},
      {{}, {"<|observation|>"}, {10}},
  };
  for (const Case& c : cases) {
    const auto find = [&](std::string_view spelling) -> std::optional<TokenId> {
      const auto found = std::find(c.specials.begin(), c.specials.end(), spelling);
      if (found == c.specials.end()) return std::nullopt;
      return static_cast<TokenId>(10 + (found - c.specials.begin()));
    };
    EXPECT_EQ(collect_end_tokens(c.configured, find), c.ends) << testing::PrintToString(c.specials);
  }
}

TEST(EndTokens, SpellingsThatAlwaysEnd) {
  for (const char* piece : {"<|im_end|>", "<|end|>", "<|observation|>", "<EOT>", "<end_of_turn>"}) {
    EXPECT_TRUE(is_end_spelling(piece)) << piece;
  }
  for (const char* piece : {"<|user|>", "</s>", "", "<|im_end|", "<|im_end|> "}) {
    EXPECT_FALSE(is_end_spelling(piece)) << piece;
  }
}

}  // namespace
}  // namespace openllm::tokenizer
