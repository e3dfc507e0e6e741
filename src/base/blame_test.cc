#include "base/blame.h"

#include <gtest/gtest.h>

namespace openllm::base {
namespace {

Error blamed(const Error& error) {
  try {
    blame("draft_model", [&] { throw error; });
  } catch (const Error& told) {
    return told;
  }
  return {ErrorCode::kInternal, "nothing was thrown"};
}

TEST(Blame, NamesTheOptionAndKeepsAllElse) {
  const Error told = blamed({ErrorCode::kBusy, "hub: try later", "hub", ErrorReason::kModelNotFound,
                             std::chrono::milliseconds(7)});
  EXPECT_EQ(told.code(), ErrorCode::kBusy);
  EXPECT_STREQ(told.what(), "draft_model: hub: try later");
  EXPECT_EQ(told.where(), "draft_model");
  EXPECT_EQ(told.reason(), ErrorReason::kModelNotFound);
  EXPECT_EQ(told.retry_after(), std::chrono::milliseconds(7));
}

TEST(Blame, LeavesWhatIsAboutTheOptionAlreadyOrWasCancelled) {
  EXPECT_STREQ(blamed({ErrorCode::kUnsupported, "draft_model: no", "draft_model"}).what(),
               "draft_model: no");
  EXPECT_STREQ(blamed({ErrorCode::kCancelled, "stopped"}).what(), "stopped");
}

TEST(Blame, GivesWhatTheWorkGives) {
  EXPECT_EQ(blame("x", [] { return 3; }), 3);
}

}  // namespace
}  // namespace openllm::base
