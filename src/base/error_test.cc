#include "base/error.h"

#include <gtest/gtest.h>

#include <type_traits>

#include "base/failure.h"

namespace openllm::base {
namespace {

// The runtime copies exceptions where nothing may be thrown.
static_assert(std::is_nothrow_copy_constructible_v<Error>);
static_assert(std::is_nothrow_copy_assignable_v<Error>);

template <typename Throw>
Error caught(Throw throw_it) {
  try {
    throw_it();
  } catch (const Error& error) {
    return error;
  }
  ADD_FAILURE() << "no error";
  return {ErrorCode::kInternal, ""};
}

TEST(Error, SaysWhereAndWhyBesideItsMessage) {
  const Error plain = caught([] { fail(ErrorCode::kIo, "disk: ", 5); });
  EXPECT_STREQ(plain.what(), "disk: 5");
  EXPECT_EQ(plain.where(), "");
  EXPECT_EQ(plain.reason(), ErrorReason::kNone);
  const Error at = caught([] { fail_at(ErrorCode::kInvalidArgument, "top_p", "bad (", 2, ")"); });
  EXPECT_STREQ(at.what(), "top_p: bad (2)");
  EXPECT_EQ(at.where(), "top_p");
  const Error with = caught([] {
    fail_with(ErrorCode::kInvalidArgument, {"prompt", ErrorReason::kContextTooLong}, "too long");
  });
  EXPECT_STREQ(with.what(), "too long");
  EXPECT_EQ(with.where(), "prompt");
  EXPECT_EQ(with.reason(), ErrorReason::kContextTooLong);
}

TEST(Failure, KeepsAllThatTheErrorSaid) {
  const Error error(ErrorCode::kNotFound, "model: none", "model", ErrorReason::kModelNotFound);
  const Error again = to_error(failure_of(error));
  EXPECT_EQ(again.code(), error.code());
  EXPECT_STREQ(again.what(), error.what());
  EXPECT_EQ(again.where(), error.where());
  EXPECT_EQ(again.reason(), error.reason());
  EXPECT_EQ(failure_of(std::bad_alloc()).code, ErrorCode::kResourceExhausted);
}

}  // namespace
}  // namespace openllm::base
