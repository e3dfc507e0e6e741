#include "cli/exit_status.h"

#include <gtest/gtest.h>

#include <utility>
#include <vector>

namespace openllm::cli {
namespace {

TEST(ExitStatus, IsThatOfTheReadme) {
  const std::vector<std::pair<ErrorCode, int>> table{
      {ErrorCode::kInternal, 1},    {ErrorCode::kInvalidArgument, 2},
      {ErrorCode::kNotFound, 3},    {ErrorCode::kUnsupported, 4},
      {ErrorCode::kCorruptData, 5}, {ErrorCode::kResourceExhausted, 6},
      {ErrorCode::kIo, 7},          {ErrorCode::kUnavailable, 8},
      {ErrorCode::kDeadline, 9},    {ErrorCode::kBusy, 10},
      {ErrorCode::kCancelled, 130}};
  for (const auto& [code, status] : table) EXPECT_EQ(exit_status(code), status) << to_string(code);
  EXPECT_EQ(kExitUsage, exit_status(ErrorCode::kInvalidArgument));
  EXPECT_EQ(kExitInterrupted, exit_status(ErrorCode::kCancelled));
}

}  // namespace
}  // namespace openllm::cli
