#include "client/retry.h"

#include <gtest/gtest.h>

namespace openllm::client {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;

TEST(Retry, AfterWhatMayPass) {
  for (const int status : {408, 409, 429, 500, 502, 503, 504, 599})
    EXPECT_TRUE(can_retry({.status = status})) << status;
  for (const int status : {0, 200, 302, 400, 401, 404, 413, 499})
    EXPECT_FALSE(can_retry({.status = status})) << status;
}

TEST(Retry, TheServerKnowsBetter) {
  EXPECT_TRUE(can_retry({.status = 400, .should_retry = true}));
  EXPECT_FALSE(can_retry({.status = 429, .should_retry = false}));
  EXPECT_FALSE(can_retry({.status = 200, .should_retry = true})) << "that is an answer";
}

TEST(Retry, WaitsAsLongAsTheServerSaysButAMinuteAtMost) {
  const auto asked = [](milliseconds time) {
    return retry_pause({.status = 429, .retry_after = time}, 3, {}, 0.9);
  };
  EXPECT_EQ(asked(milliseconds(0)), milliseconds(0));
  EXPECT_EQ(asked(milliseconds(1234)), milliseconds(1234));
  EXPECT_EQ(asked(milliseconds(60'000)), milliseconds(60'000));
  EXPECT_EQ(asked(milliseconds(60'001)), milliseconds(60'000));
  EXPECT_EQ(asked(hours(5)), milliseconds(60'000));
}

TEST(Retry, WaitsLongerEachTimeOtherwise) {
  const auto unasked = [](int attempt, double random = 0.5) {
    return retry_pause({.status = 503}, attempt, {}, random);
  };
  EXPECT_EQ(unasked(0), milliseconds(500));
  EXPECT_EQ(unasked(1), milliseconds(1000));
  EXPECT_EQ(unasked(2), milliseconds(2000));
  EXPECT_EQ(unasked(4), milliseconds(8000));
  EXPECT_EQ(unasked(1000), milliseconds(8000));
  EXPECT_EQ(unasked(0, 0.0), milliseconds(375)) << "a quarter less";
  EXPECT_NEAR(static_cast<double>(unasked(1, 0.999'999).count()), 1250.0, 1.0) << "or more";
  EXPECT_EQ(retry_pause({.status = 503}, 3, {.first_pause = milliseconds(0)}, 0.9),
            milliseconds(0));
}

TEST(Retry, APauseEndsWithAStopOrADeadline) {
  std::stop_source stop;
  EXPECT_TRUE(pause(milliseconds(0), stop.get_token(), {}));
  const auto now = std::chrono::steady_clock::now();
  EXPECT_FALSE(pause(hours(1), {}, now)) << "there would be no time left";
  EXPECT_TRUE(pause(milliseconds(0), {}, now + hours(1)));
  stop.request_stop();
  EXPECT_FALSE(pause(hours(1), stop.get_token(), {}));
  EXPECT_FALSE(pause(milliseconds(0), stop.get_token(), {}));
}

}  // namespace
}  // namespace openllm::client
