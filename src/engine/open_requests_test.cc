#include "engine/open_requests.h"

#include <gtest/gtest.h>

#include "openllm/error.h"

namespace openllm::engine {
namespace {

Request make(const std::string& id, int n_choices, const std::string& group = "",
             const std::string& tenant = "") {
  Request r;
  r.id = id;
  r.n_choices = n_choices;
  r.group = group;
  r.tenant = tenant;
  return r;
}

TEST(OpenRequests, CountChoicesByGroupAndTenant) {
  OpenRequests open;
  open.add(make("1", 3, "g", "t"));
  open.add(make("2", 2, "g", "t"));
  open.add(make("3", 5, "g", "u"));
  open.add(make("4", 7));
  const auto held = [&](const std::string& group, const std::string& tenant) {
    const OpenRequests::Held h = open.held(make("x", 1, group, tenant));
    return std::pair(h.by_group, h.by_tenant);
  };
  EXPECT_EQ(held("g", "t"), std::pair(std::int64_t{5}, std::int64_t{5}));
  EXPECT_EQ(held("g", "u"), std::pair(std::int64_t{5}, std::int64_t{5})) << "another's group";
  EXPECT_EQ(held("", "t"), std::pair(std::int64_t{0}, std::int64_t{5}));
  EXPECT_EQ(held("g", ""), std::pair(std::int64_t{0}, std::int64_t{0}));
  EXPECT_THROW(open.add(make("1", 9, "g", "t")), Error);
  EXPECT_EQ(held("g", "t"), std::pair(std::int64_t{5}, std::int64_t{5}));
  open.remove("1");
  open.remove("1");
  EXPECT_EQ(held("g", "t"), std::pair(std::int64_t{2}, std::int64_t{2}));
  open.remove("2");
  EXPECT_EQ(held("g", "t"), std::pair(std::int64_t{0}, std::int64_t{0}));
}

TEST(OpenRequests, LeaveAnEighthOfThePlacesToOthers) {
  EngineStats stats{.max_running = 8, .max_waiting = 56};
  const auto excess = [&](OpenRequests::Held held, int n, bool has_tenant = false) {
    return count_excess(stats, held, n, has_tenant).n;
  };
  EXPECT_EQ(excess({}, 56), 0);
  EXPECT_EQ(excess({}, 58), 2);
  stats.n_running = 8;
  stats.n_waiting = 40;
  EXPECT_EQ(excess({}, 14), 0) << "of the 16 that are left";
  EXPECT_EQ(excess({}, 15), 1);
  EXPECT_EQ(excess({.by_group = 48}, 8), 0) << "the others hold none";
  EXPECT_EQ(excess({.by_group = 48}, 9), 1);
  EXPECT_EQ(excess({.by_tenant = 48}, 8, true), 0);
  EXPECT_EQ(excess({.by_tenant = 48}, 9, true), 1);
  EXPECT_EQ(excess({.by_tenant = 32}, 11, true), 1) << "42 of 48";
  stats.n_waiting = 55;
  EXPECT_EQ(excess({}, 1), 0) << "the last place is for someone";
  EXPECT_EQ(excess({.by_tenant = 56}, 1, true), 7) << "but not for a tenant with 56 of 57";
  stats.n_waiting = 56;
  EXPECT_EQ(excess({}, 1), 1);
}

TEST(OpenRequests, TellWhatOthersWouldGet) {
  EngineStats stats{.max_running = 8, .max_waiting = 56};
  stats.n_running = 8;
  stats.n_waiting = 40;
  const auto is_of_tenant = [&](OpenRequests::Held held, int n) {
    return count_excess(stats, held, n, true).is_of_tenant;
  };
  EXPECT_TRUE(is_of_tenant({.by_tenant = 48}, 9)) << "another's would be taken";
  EXPECT_FALSE(is_of_tenant({.by_tenant = 48}, 8)) << "this one is";
  EXPECT_FALSE(is_of_tenant({.by_tenant = 48}, 15)) << "nobody's would be";
}

}  // namespace
}  // namespace openllm::engine
