#include "server/admission.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

namespace openllm::server {
namespace {

using Seconds = Admission::Seconds;
using TimePoint = Admission::TimePoint;
using Visitor = Admission::Visitor;

/// A time of the test's making, in seconds.
TimePoint at(double seconds) {
  return TimePoint(std::chrono::duration_cast<TimePoint::duration>(Seconds(1'000'000.0 + seconds)));
}

constexpr double kTolerance = 1e-6;  // clocks count nanoseconds

/// Lets `n` requests be answered, one every `interval` seconds until `now`, while others wait.
void answer(Admission& admission, int n, double interval, double now = 0.0) {
  for (int i = 0; i < n; ++i) {
    const Visitor visitor{"", static_cast<std::uint64_t>(1000 + i)};
    admission.entered(visitor);
    admission.taken(visitor, at(now));
    admission.left(visitor, true, true, at(now - interval * (n - 1 - i)));
  }
}

TEST(Admission, WithoutALimitEverybodyMayWait) {
  Admission admission;
  EXPECT_EQ(admission.allowed_wait({"", 1}, at(0)), std::nullopt);
}

TEST(Admission, LearnsTheIntervalOfAnswersFromBusyTimesOnly) {
  Admission admission(Seconds(3));
  EXPECT_EQ(admission.interval(), Admission::kFirstInterval);
  answer(admission, 10, 0.5);
  EXPECT_NEAR(admission.interval().count(), 0.5, kTolerance);
  const Visitor visitor{"", 1};
  admission.entered(visitor);
  admission.taken(visitor, at(0));
  admission.left(visitor, true, false, at(30));  // nobody waited for that one
  answer(admission, 10, 0.5, 100);
  EXPECT_NEAR(admission.interval().count(), 0.5, kTolerance);
  answer(admission, 100, 0.1, 200);
  EXPECT_NEAR(admission.interval().count(), 0.1, 0.2);
}

TEST(Admission, ThoseRefusedUnreadGetTurnsInTheSameLine) {
  Admission admission(Seconds(3));
  EXPECT_NEAR(admission.longest_wait()->count(), 6.0, kTolerance);
  EXPECT_EQ(Admission().longest_wait(), std::nullopt);
  answer(admission, 20, 0.2);
  const double first = admission.refused({"", 1}, Seconds(2), at(0)).count();
  const double second = admission.refused_unread("", Seconds(2), at(0)).count();
  const double third = admission.refused({"", 2}, Seconds(2), at(0)).count();
  EXPECT_NEAR(second - first, 0.2, 1e-3);
  EXPECT_NEAR(third - second, 0.2, 1e-3);
  EXPECT_EQ(admission.n_promises(), 2U) << "nothing is known that it could be known by";
  EXPECT_NEAR(admission.refused_unread("other", Seconds(1e9), at(0)).count(), 60.0, kTolerance);
}

TEST(Admission, ThoseRefusedTogetherComeBackOneAfterTheOther) {
  Admission admission(Seconds(3));
  answer(admission, 20, 0.2);
  std::vector<double> waits;
  for (std::uint64_t i = 0; i < 40; ++i)
    waits.push_back(admission.refused({"", i}, Seconds(2), at(0)).count());
  for (std::size_t i = 0; i < waits.size(); ++i)
    EXPECT_NEAR(waits[i], 2.0 + 0.2 * static_cast<double>(i), 1e-3) << i;
}

TEST(Admission, EqualRequestsAreToldDifferentTimesToo) {
  Admission admission(Seconds(3));
  std::set<double> waits;
  for (int i = 0; i < 10; ++i) waits.insert(admission.refused({"", 7}, Seconds(1), at(0)).count());
  EXPECT_EQ(waits.size(), 10U);
  EXPECT_EQ(admission.n_promises(), 10U);
}

TEST(Admission, OneThatComesWhenItWasToldToMayWaitLonger) {
  Admission admission(Seconds(3));
  const Visitor visitor{"", 7};
  EXPECT_EQ(admission.allowed_wait(visitor, at(0)), Seconds(3));
  const double wait = admission.refused(visitor, Seconds(2), at(0)).count();
  EXPECT_EQ(admission.allowed_wait(visitor, at(wait - 0.5)), Seconds(3)) << "too early";
  EXPECT_EQ(admission.allowed_wait(visitor, at(wait + 0.5)), Seconds(6));
  EXPECT_EQ(admission.allowed_wait({"", 8}, at(wait + 0.5)), Seconds(3)) << "another request";
  EXPECT_EQ(admission.allowed_wait({"other", 7}, at(wait + 0.5)), Seconds(3)) << "another's";
  admission.entered(visitor);
  admission.taken(visitor, at(wait + 0.5));
  EXPECT_EQ(admission.n_promises(), 0U);
  EXPECT_EQ(admission.allowed_wait(visitor, at(wait + 0.6)), Seconds(3)) << "once";
}

TEST(Admission, OneRefusedAgainWhenItCameInTimeIsNotPutBehindOthers) {
  Admission admission(Seconds(3));
  answer(admission, 20, 0.2);
  const double first = admission.refused({"", 1}, Seconds(1), at(0)).count();
  double last = 0;
  for (std::uint64_t i = 2; i < 60; ++i)
    last = admission.refused({"", i}, Seconds(1), at(0)).count();
  EXPECT_GT(last, 10.0);
  EXPECT_NEAR(admission.refused({"", 1}, Seconds(1), at(first + 0.1)).count(), 1.0, 1e-3);
  EXPECT_EQ(admission.allowed_wait({"", 1}, at(first + 1.2)), Seconds(6));
}

TEST(Admission, PlacesNobodyComesBackForAreGivenUp) {
  Admission admission(Seconds(3));
  answer(admission, 20, 0.2);
  const auto last_of_fifty = [&](double now) {
    double last = 0;
    for (std::uint64_t i = 0; i < 50; ++i)
      last = admission.refused({"", 100 + i}, Seconds(1), at(now)).count();
    return last;
  };
  const double before = last_of_fifty(0);
  EXPECT_NEAR(before, 1.0 + 49 * 0.2, 1e-2);
  for (int i = 1; i <= 5; ++i) (void)last_of_fifty(100.0 * i);
  EXPECT_EQ(admission.n_promises(), 50U) << "those of the latest time";
  EXPECT_LT(last_of_fifty(600), 0.3 * before);
}

TEST(Admission, NoPromiseIsLongerThanClientsListen) {
  Admission admission(Seconds(3));
  answer(admission, 20, 1.0);
  double longest = 0;
  for (std::uint64_t i = 0; i < 500; ++i)
    longest = std::max(longest, admission.refused({"", i}, Seconds(1), at(0)).count());
  EXPECT_NEAR(longest, 60.0, kTolerance);
  EXPECT_LE(admission.n_promises(), 61U) << "only what was promised is kept";
  EXPECT_NEAR(admission.refused({"", 501}, Seconds(1e9), at(0)).count(), 60.0, kTolerance);
}

TEST(Admission, RemembersNoMorePromisesThanItsLimit) {
  Admission admission(Seconds(3));
  answer(admission, 20, 1e-9);
  for (std::uint64_t i = 0; i < Admission::kMaxPromises + 100; ++i)
    (void)admission.refused({"", i}, Seconds(1), at(0));
  EXPECT_EQ(admission.n_promises(), Admission::kMaxPromises);
  (void)admission.allowed_wait({"", 0}, at(1000));
  EXPECT_EQ(admission.n_promises(), 0U);
}

TEST(Admission, TheFloodOfOneTenantMovesNobodyElsesTime) {
  Admission admission(Seconds(3));
  answer(admission, 20, 0.2);
  double loud = 0;
  for (std::uint64_t i = 0; i < 100; ++i)
    loud = admission.refused({"loud", i}, Seconds(1), at(0)).count();
  EXPECT_GT(loud, 15.0);
  EXPECT_NEAR(admission.refused({"quiet", 1}, Seconds(1), at(0)).count(), 1.0, kTolerance);
  // They share the speed from here on.
  EXPECT_NEAR(admission.refused({"quiet", 2}, Seconds(1), at(0)).count(), 1.4, 1e-3);
}

TEST(Admission, CountsWhoIsInside) {
  Admission admission(Seconds(3));
  const Visitor a{"a", 1};
  const Visitor b{"b", 2};
  admission.entered(a);
  admission.entered(a);
  admission.entered(b);
  EXPECT_EQ(admission.n_entering(), 3U);
  admission.taken(a, at(0));
  EXPECT_EQ(admission.n_entering(), 2U);
  EXPECT_EQ(admission.n_inside("a"), 2U);
  admission.left(a, true, false, at(1));
  admission.left(a, false, false, at(1));
  admission.left(b, false, false, at(1));
  EXPECT_EQ(admission.n_entering(), 0U);
  EXPECT_EQ(admission.n_inside("a"), 0U);
  EXPECT_EQ(admission.n_inside("b"), 0U);
}

TEST(Admission, FingerprintsTellPathAndBodyApart) {
  EXPECT_NE(fingerprint("/a", "b"), fingerprint("/a", "c"));
  EXPECT_NE(fingerprint("/a", "b"), fingerprint("/b", "b"));
  EXPECT_NE(fingerprint("/a", "b"), fingerprint("b", "/a"));
  EXPECT_EQ(fingerprint("/a", "b"), fingerprint("/a", "b"));
}

TEST(Admission, AWaitIsLongFromHalfOfWhatIsAllowed) {
  const Admission admission(Seconds(4));
  EXPECT_FALSE(admission.is_long(Seconds(1.99)));
  EXPECT_TRUE(admission.is_long(Seconds(2)));
  EXPECT_FALSE(Admission().is_long(Seconds(1000))) << "any is allowed";
}

TEST(Admission, PromisesThatNobodyUsesStillCountALittle) {
  Admission admission(Seconds(3));
  answer(admission, 20, 0.2);
  double now = 0.0;
  std::uint64_t who = 0;
  for (int round = 0; round < 20; ++round) {  // nobody comes back
    for (int i = 0; i < 30; ++i) admission.refused({"", who++}, Seconds(1), at(now));
    now += 1000.0;
  }
  const double first = admission.refused({"", who++}, Seconds(1), at(now)).count();
  const double second = admission.refused({"", who++}, Seconds(1), at(now)).count();
  EXPECT_NEAR(second - first, admission.interval().count() / 16, kTolerance);
}

TEST(Admission, WhoeverOfATenantLeavesTheOthersStayInside) {
  Admission admission(Seconds(3));
  for (std::uint64_t i = 0; i < 3; ++i) admission.entered({"t", i});
  for (std::size_t left : {2U, 1U, 0U}) {
    admission.left({"t", left}, false, false, at(0));
    EXPECT_EQ(admission.n_inside("t"), left);
    EXPECT_EQ(admission.n_entering(), left);
  }
}

}  // namespace
}  // namespace openllm::server
