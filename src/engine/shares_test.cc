// Who gets places: groups and tenants among each other.

#include "engine/shares.h"

#include <gmock/gmock.h>

#include "engine/policy.h"
#include "engine/sim_bench.h"

namespace openllm::engine {
namespace {

using test::Sim;
using test::TimedSink;
using testing::ElementsAre;

TEST(ShareOfPlaces, LeavesAnEighthOfWhatOthersLeave) {
  EXPECT_EQ(share_of_places(64, 0), 56);
  EXPECT_EQ(share_of_places(64, 56), 7);
  EXPECT_EQ(share_of_places(64, 57), 7);
  EXPECT_EQ(share_of_places(8, 0), 7);
  EXPECT_EQ(share_of_places(7, 0), 7);  // an eighth is no place
  EXPECT_EQ(share_of_places(1, 0), 1);
  EXPECT_EQ(share_of_places(4, 9), 0);
}

TEST(PickWaiter, PriorityThenTenantThenGroupThenArrival) {
  const auto pick = [](const std::vector<Waiter>& waiters) {
    return pick_waiter(waiters, 64, 20, true);
  };
  EXPECT_EQ(pick({}), -1);
  EXPECT_EQ(pick({{0, 5, 1, 1}, {0, 5, 1, 1}}), 0);
  EXPECT_EQ(pick({{0, 5, 1, 2}, {0, 5, 1, 1}}), 1);
  EXPECT_EQ(pick({{0, 5, 1, 0}, {0, 4, 9, 3}}), 1);
  EXPECT_EQ(pick({{0, 4, 1, 0}, {-1, 9, 9, 9}}), 1);
}

TEST(PickWaiter, WhoIsAtItsShareIsPassedOver) {
  EXPECT_EQ(pick_waiter(std::vector<Waiter>{{0, 0, 56, 56}}, 64, 56, false), -1);
  EXPECT_EQ(pick_waiter(std::vector<Waiter>{{0, 0, 56, 55}}, 64, 55, false), 0);
  EXPECT_EQ(pick_waiter(std::vector<Waiter>{{0, 0, 56, 56}, {0, 9, 56, 0}}, 64, 56, false), 1);
  // The tenant as a whole, where there may be others.
  EXPECT_EQ(pick_waiter(std::vector<Waiter>{{0, 0, 56, 0}}, 64, 56, false), 0);
  EXPECT_EQ(pick_waiter(std::vector<Waiter>{{0, 0, 56, 0}}, 64, 56, true), -1);
  EXPECT_EQ(pick_waiter(std::vector<Waiter>{{0, 0, 56, 0}, {0, 9, 0, 0}}, 64, 56, true), 1);
  // Who holds nothing is at no share, however full it is.
  EXPECT_EQ(pick_waiter(std::vector<Waiter>{{0, 0, 0, 0}}, 4, 9, true), 0);
}

TEST(Shares, WhoComesStartsWithTheLeastServedOfThoseThatAreThere) {
  Shares shares;
  const auto a = shares.tenant("a");
  const auto b = shares.tenant("b");
  Group group;
  shares.enter(*a, group);
  a->served = 500;
  shares.enter(*b, group);
  EXPECT_EQ(b->served, 500);
  b->served = 900;
  shares.leave(*b, group);
  shares.enter(*b, group);
  EXPECT_EQ(b->served, 900);  // what it was given counts when it comes back
  shares.leave(*a, group);
  a->served = 100;
  shares.enter(*a, group);
  EXPECT_EQ(a->served, 900);  // and nobody saves time up
  shares.enter(*a, group);
  EXPECT_EQ(a->n_open, 2);
  EXPECT_EQ(group.n_open, 3);
  shares.leave(*a, group);
  shares.leave(*a, group);
  shares.leave(*b, group);
  shares.enter(*b, group);
  EXPECT_EQ(a->served, 0);  // alone
  EXPECT_EQ(b->served, 0);
}

TEST(Shares, GroupsAreOfTheirTenant) {
  Shares shares;
  const auto x = shares.group("a", "x");
  shares.enter(*shares.tenant("a"), *x);
  EXPECT_EQ(shares.group("a", "x"), x);
  EXPECT_NE(shares.group("b", "x"), x);
  EXPECT_NE(shares.group("a", ""), shares.group("a", ""));
  EXPECT_NE(group_key("a", "bc"), group_key("ab", "c"));
}

TEST(Shares, ThoseThatHaveEndedAreForgottenNotThoseThatAreThere) {
  Shares shares;
  EXPECT_FALSE(shares.has_tenants());
  const auto there = shares.tenant("there");
  const auto group = shares.group("there", "g");
  shares.enter(*there, *group);
  EXPECT_TRUE(shares.has_tenants());
  const std::weak_ptr<Tenant> gone = shares.tenant("gone");
  const std::weak_ptr<Group> group_gone = shares.group("gone", "g");
  for (int i = 0; i < 5000; ++i) {
    shares.tenant(std::to_string(i));
    shares.group("there", std::to_string(i));
  }
  EXPECT_TRUE(gone.expired());
  EXPECT_TRUE(group_gone.expired());
  EXPECT_EQ(shares.tenant("there"), there);
  EXPECT_EQ(shares.group("there", "g"), group);
}

TEST(Shares, TheTenantWithoutANameIsNoOther) {
  Shares shares;
  const auto nobody = shares.tenant("");
  EXPECT_FALSE(shares.has_tenants());
  const auto somebody = shares.tenant("a");
  EXPECT_TRUE(shares.has_tenants());
}

TEST(SharesInTheEngine, AnEighthOfThePlacesStaysFreeBesideAGroup) {
  for (const bool one_request : {true, false}) {
    Sim sim;
    Request r = sim.make(40, 400);
    r.n_choices = one_request ? 100 : 1;
    sim.submit(r);
    for (int i = 0; i < 99 && !one_request; ++i) {
      r = sim.make(40, 400);
      r.group = "g";
      sim.submit(r);
    }
    sim.run_for(8);
    EXPECT_EQ(sim.engine.stats().n_running, one_request ? 56 : 57);  // the first has no group
    const auto one = sim.submit(20, 2);
    sim.engine.step();
    EXPECT_EQ(sim.engine.stats().n_running, one_request ? 57 : 58);
    sim.run_until_ended(*one);
    EXPECT_TRUE(one->ended());
  }
}

TEST(SharesInTheEngine, RequestsOfOneTenantUseAllPlaces) {
  Sim sim;
  for (int i = 0; i < 100; ++i) sim.submit(10, 400);
  sim.run_for(2);
  EXPECT_EQ(sim.engine.stats().n_running, 64);
}

TEST(SharesInTheEngine, ATenantLeavesPlacesToOthers) {
  Sim sim;
  for (int i = 0; i < 100; ++i) {
    Request r = sim.make(10, 400);
    r.tenant = "flood";
    sim.submit(r);
  }
  sim.run_for(2);
  EXPECT_EQ(sim.engine.stats().n_running, 56);
}

/// One tenant has hundreds of requests there, another one comes now and then.
TEST(SharesInTheEngine, TheFloodOfATenantDoesNotDelayAnother) {
  Sim sim;
  sim.warm_up();
  for (int i = 0; i < 600; ++i) {
    Request r = sim.make(100, 100);
    r.tenant = "flood";
    sim.submit(r);
  }
  sim.run_for(3);
  double longest = 0;
  for (int i = 0; i < 20; ++i) {
    const double start = sim.now();
    Request r = sim.make(50, 1);
    r.tenant = "other";
    const auto sink = sim.submit(r);
    sim.run_until_ended(*sink);
    longest = std::max(longest, sink->end_s - start);
    sim.run_for(0.1);
  }
  EXPECT_LT(longest, 0.6);
  EXPECT_GT(sim.engine.stats().n_waiting, 200);
}

/// What is asked for does not matter, only by whom.
TEST(SharesInTheEngine, TenantsThatAskForMuchAreServedAlike) {
  Sim sim({.max_sequences = 16});
  std::vector<std::vector<std::shared_ptr<TimedSink>>> sinks(2);
  for (int i = 0; i < 200; ++i) {
    for (std::size_t t = 0; t < 2; ++t) {
      if (t == 1 && i >= 100) continue;
      Request r = sim.make(60, t == 0 ? 30 : 60);
      r.tenant = std::to_string(t);
      sinks[t].push_back(sim.submit(r));
    }
  }
  sim.run_for(25);
  double served[2] = {};
  for (std::size_t t = 0; t < 2; ++t) {
    for (const auto& sink : sinks[t]) {
      if (!sink->times.empty()) served[t] += 60 + 2.0 * static_cast<double>(sink->times.size());
    }
  }
  EXPECT_FALSE(sinks[0].back()->ended());
  EXPECT_FALSE(sinks[1].back()->ended());
  EXPECT_GT(served[0], 1000);
  EXPECT_NEAR(served[0] / served[1], 1.0, 0.25);
}

TEST(SharesInTheEngine, AGroupGetsOnAmongSinglesWithoutEnd) {
  Sim sim({.max_sequences = 8});
  std::vector<std::shared_ptr<TimedSink>> group;
  for (int i = 0; i < 20; ++i) {
    Request r = sim.make(10, 10);
    r.group = "g";
    group.push_back(sim.submit(r));
  }
  const auto ended = [&] {
    return std::count_if(group.begin(), group.end(), [](const auto& s) { return s->ended(); });
  };
  for (int i = 0; i < 4000 && ended() < 20; ++i) {
    while (sim.engine.stats().n_waiting < 40) sim.submit(10, 10);
    sim.engine.step();
  }
  EXPECT_EQ(ended(), 20);
}

TEST(SharesInTheEngine, AnEighthOfTheBlocksIsForOthers) {
  for (const bool one_group : {true, false}) {
    EngineOptions o = small_options(4, 30, 6, 200);  // room for 29 blocks and one to write
    o.prefix_caching = false;
    o.max_step_tokens = 200;
    FakeClock clock;
    FakeRunner runner(61, o);
    Engine engine(runner, o, clock, false);
    for (const std::string id : {"a", "b"}) {
      Request r;
      r.id = id;
      r.group = one_group ? "g" : id;
      for (int i = 0; i < 54; ++i) r.prompt_ids.push_back(i);  // 14 blocks
      r.max_new_tokens = 2;
      r.sink = std::make_shared<RecordingSink>(1);
      engine.submit(r);
    }
    engine.step();
    EXPECT_EQ(engine.stats().n_running, one_group ? 1 : 2);
    while (engine.step()) {
    }
    EXPECT_EQ(engine.stats().n_finished, 2);
  }
}

}  // namespace
}  // namespace openllm::engine
