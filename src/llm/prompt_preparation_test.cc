// How many tokens of a prompt go to the engine.

#include "llm/prompt_preparation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "format/test_files.h"

namespace openllm::llm {
namespace {

using format::testing::error_of;
using ::testing::ElementsAre;
using ::testing::SizeIs;

const std::string kModel = std::string(OPENLLM_TEST_DATA) + "/stories260K/hf";

class PreparePrompt : public ::testing::Test {
 protected:
  std::vector<std::int32_t> ids_of(const Prompt& prompt, const GenerateOptions& options,
                                   const PromptLimits& limits) {
    return prepare_prompt(model_, prompt, options, limits).token_ids;
  }
  /// Token ids 1, 2, ... n.
  static std::vector<std::int32_t> up_to(int n) {
    std::vector<std::int32_t> ids(static_cast<std::size_t>(n));
    std::iota(ids.begin(), ids.end(), 1);
    return ids;
  }

  LocalModel model_{kModel, {}};
};

TEST_F(PreparePrompt, AnAnswerNeedsRoomForOneToken) {
  struct Case {
    int n_tokens;
    int max_new_tokens;
    bool fits;
  };
  for (const Case& c : {Case{9, 5, true}, Case{10, 5, false}, Case{9, 1, true}, Case{10, 1, false},
                        Case{10, 0, true}, Case{11, 0, false}}) {
    const PromptLimits limits{.max_model_len = 10, .max_new_tokens = c.max_new_tokens};
    if (c.fits) {
      EXPECT_EQ(ids_of(up_to(c.n_tokens), {}, limits), up_to(c.n_tokens));
    } else {
      const Error error = error_of([&] { ids_of(up_to(c.n_tokens), {}, limits); });
      EXPECT_EQ(error.reason(), ErrorReason::kContextTooLong) << c.n_tokens;
    }
  }
}

TEST_F(PreparePrompt, TruncationKeepsTheEndAndHalfOfTheContext) {
  const auto kept = [&](int n, int max_new_tokens) {
    return ids_of(up_to(n), {}, {10, max_new_tokens, true});
  };
  EXPECT_THAT(kept(20, 6), ElementsAre(16, 17, 18, 19, 20)) << "half of it at least";
  EXPECT_THAT(kept(20, 1000), SizeIs(5));
  EXPECT_THAT(kept(20, 5), SizeIs(5));
  EXPECT_THAT(kept(20, 3), SizeIs(7));
  EXPECT_THAT(kept(20, 0), SizeIs(10));
  EXPECT_THAT(kept(7, 3), SizeIs(7)) << "it fits";
  EXPECT_THAT(ids_of(up_to(3), {}, {1, 0, true}), ElementsAre(3));
}

TEST_F(PreparePrompt, ATextThatIsTooLongIsTruncatedToo) {
  const std::string text(400, 'x');
  const PromptLimits limits{.max_model_len = 10, .max_new_tokens = 4};
  EXPECT_THAT(ids_of(text, {}, {10, 4, true}), SizeIs(6));
  EXPECT_EQ(error_of([&] { ids_of(text, {}, limits); }).reason(), ErrorReason::kContextTooLong);
}

TEST_F(PreparePrompt, SpecialTokensStandAroundATextWhereTheyAreWanted) {
  const PromptLimits limits{.max_model_len = 10, .max_new_tokens = 1};
  EXPECT_THAT(ids_of("", {}, limits), ElementsAre(1)) << "the beginning of a text";
  EXPECT_THAT(ids_of("", {.add_special_tokens = false}, limits), SizeIs(0));
  EXPECT_EQ(ids_of("Once", {}, limits).front(), 1);
  EXPECT_NE(ids_of("Once", {.add_special_tokens = false}, limits).front(), 1);
}

TEST(TextBytes, AreAllThatHasToBeTokenized) {
  const GenerateOptions options{.chat_template_json = "{}", .tools_json = "[1]"};
  EXPECT_EQ(text_bytes("four", options), 4U);
  EXPECT_EQ(text_bytes(std::vector<std::int32_t>{1, 2, 3}, options), 0U);
  const std::vector<Message> messages{{.role = "user", .content = "12345"},
                                      {.role = "user", .content = "6", .extra_json = "{\"a\":7}"}};
  EXPECT_EQ(text_bytes(messages, options), 2U + 3U + 5U + 1U + 7U);
}

}  // namespace
}  // namespace openllm::llm
