#include "net/answer_fields.h"

#include <gtest/gtest.h>

#include <initializer_list>

namespace openllm::net {
namespace {

using std::chrono::milliseconds;

/// What the lines of a head say at 10:00:00 on the 27th of November 2026.
HttpAnswer read(std::initializer_list<std::string_view> lines) {
  const auto now = std::chrono::system_clock::from_time_t(1'795'773'600);
  AnswerFieldReader reader;
  HttpAnswer answer;
  for (const std::string_view line : lines) reader.read(line, now, answer);
  return answer;
}

TEST(AnswerFields, SecondsUntilTheNextAttempt) {
  EXPECT_EQ(read({"Retry-After: 7\r\n"}).retry_after, milliseconds(7000));
  EXPECT_EQ(read({"retry-after:0.5\r\n"}).retry_after, milliseconds(500));
  EXPECT_EQ(read({"RETRY-AFTER: 1e30\r\n"}).retry_after, milliseconds(1'000'000'000));
  for (const char* none : {"Retry-After: -3\r\n", "Retry-After:\r\n", "Retry-After: soon\r\n",
                           "Retry-After: nan\r\n", "Retry-Afterwards: 3\r\n", "Retry-After\r\n"})
    EXPECT_FALSE(read({none}).retry_after) << none;
}

TEST(AnswerFields, TheFinerTimeWins) {
  EXPECT_EQ(read({"Retry-After-Ms: 1500\r\n", "Retry-After: 2\r\n"}).retry_after,
            milliseconds(1500));
  EXPECT_EQ(read({"Retry-After: 2\r\n", "Retry-After-Ms: 1500\r\n"}).retry_after,
            milliseconds(1500));
  EXPECT_EQ(read({"Retry-After: 2\r\n", "Retry-After-Ms: x\r\n"}).retry_after, milliseconds(2000));
}

TEST(AnswerFields, DatesCountFromNow) {
  EXPECT_EQ(read({"Retry-After: Fri, 27 Nov 2026 10:00:30 GMT\r\n"}).retry_after,
            milliseconds(30'000));
  EXPECT_EQ(read({"Retry-After: Friday, 27-Nov-26 10:01:00 GMT\r\n"}).retry_after,
            milliseconds(60'000))
      << "an older form that HTTP has";
  EXPECT_EQ(read({"Retry-After: Fri, 27 Nov 2026 09:59:59 GMT\r\n"}).retry_after, milliseconds(0));
  EXPECT_FALSE(read({"Retry-After: Fri, 47 Nov 2026 10:00:30 GMT\r\n"}).retry_after);
}

TEST(AnswerFields, WhetherToAskAgain) {
  EXPECT_EQ(read({"X-Should-Retry: true\r\n"}).should_retry, true);
  EXPECT_EQ(read({"x-should-retry:False\r\n"}).should_retry, false);
  EXPECT_EQ(read({"X-Should-Retry: perhaps\r\n"}).should_retry, std::nullopt);
  EXPECT_EQ(read({}).should_retry, std::nullopt);
}

TEST(AnswerFields, WhereARedirectionPoints) {
  EXPECT_EQ(read({"LOCATION:  https://Elsewhere.example/x \r\n"}).location,
            "https://Elsewhere.example/x");
  EXPECT_EQ(read({"Location: \r\n"}).location, "");
}

}  // namespace
}  // namespace openllm::net
