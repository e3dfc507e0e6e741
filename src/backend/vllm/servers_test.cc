#include "backend/vllm/servers.h"

#include <gtest/gtest.h>

namespace openllm::backend::vllm {
namespace {

using Ids = std::vector<std::int32_t>;

const Ids kOne{1, 2, 3};
const Ids kTwo{4, 5, 6};
const Ids kThree{7, 8, 9};

AdapterChoice named(const std::string& name) { return {name, {name}}; }

TEST(Servers, TheOneWithTheFewestCallsIsNextAndPrefixesStay) {
  Servers servers({{"a"}, {"b"}});
  EXPECT_EQ(servers.choose(kOne, {}), 0U);
  servers.call_began(0);
  EXPECT_EQ(servers.choose(kTwo, {}), 1U);
  servers.call_began(1);
  servers.call_began(1);
  EXPECT_EQ(servers.choose(kTwo, {}), 1U) << "its prompt lies there";
  EXPECT_EQ(servers.choose(kThree, {}), 0U);
  for (int i = 0; i < 8; ++i) servers.call_began(1);
  EXPECT_EQ(servers.choose(kTwo, {}), 0U) << "too much to do there";
  EXPECT_EQ(servers.choose(kTwo, {}), 0U) << "and now it lies here";
}

TEST(Servers, ThoseThatAreNotWellComeLast) {
  Servers servers({{"a"}, {"b"}});
  EXPECT_EQ(servers.choose(kOne, {}), 0U);
  EXPECT_EQ(servers.tell_health(0, false), 1);
  EXPECT_EQ(servers.tell_health(0, false), 2);
  servers.call_began(1);
  EXPECT_EQ(servers.choose(kOne, {}), 1U);
  EXPECT_EQ(servers.choose(kOne, {1}), 0U) << "perhaps it is well again";
  EXPECT_EQ(servers.choose(kOne, {0, 1}), std::nullopt);
  EXPECT_EQ(servers.tell_health(0, true), 0);
  EXPECT_EQ(servers.choose(kThree, {}), 0U);
}

TEST(Servers, AdaptersAreWhereTheyAre) {
  Servers servers({{"a"}, {"b", "m", false, {"sql"}}, {"c", "m", false, {"sql", "pirate"}}});
  EXPECT_EQ(servers.choose(kOne, {}, named("pirate")), 2U);
  EXPECT_EQ(servers.choose(kTwo, {}, named("sql")), 1U);
  EXPECT_EQ(servers.choose(kTwo, {1}, named("sql")), 2U);
  EXPECT_FALSE(servers.has_other({1, 2}, named("sql")));
  EXPECT_TRUE(servers.has_other({1, 2}, {}));
  servers.drop_adapter(2, named("pirate"));
  EXPECT_EQ(servers.choose(kOne, {}, named("pirate")), std::nullopt);
  servers.set_adapters(0, {"pirate"});
  EXPECT_EQ(servers.choose(kOne, {}, named("pirate")), 0U);
  EXPECT_EQ(servers.choose(kOne, {}, {}), 0U);
  EXPECT_EQ(servers.choose(kOne, {0}, {}), 1U);
}

TEST(Servers, SumsAreForOursThatHaveAllParts) {
  Servers servers({{"a", "m", false, {"sql", "pirate"}},
                   {"b", "m", true, {"sql"}, true},
                   {"c", "m", true, {"sql", "pirate"}, true}});
  const AdapterChoice sum{"sql*0.5+pirate", {"sql", "pirate"}, true};
  EXPECT_EQ(servers.choose(kOne, {}, sum), 2U);
  EXPECT_EQ(servers.choose(kOne, {2}, sum), std::nullopt);
  EXPECT_EQ(servers.choose(kOne, {2}, AdapterChoice{"sql*2", {"sql"}, true}), 1U);
  servers.drop_adapter(2, sum);
  EXPECT_FALSE(servers.has_other({}, sum));
}

}  // namespace
}  // namespace openllm::backend::vllm
