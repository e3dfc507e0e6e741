// Adapters of several places: at all or at none, and at those that come back.

#include "backend/places/adapters.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "backend/places/fake_place.h"
#include "format/test_files.h"

namespace openllm::backend::places {
namespace {

using namespace test;
using format::testing::error_of;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;

const base::Failure kAway{ErrorCode::kUnavailable, "cannot reach it"};
const base::Failure kMisfit{ErrorCode::kInvalidArgument, "tensor x does not fit"};

struct Adapted : Bench {
  explicit Adapted(int n = 3) : Bench(n), adapters(roster) {}
  Adapters adapters;
};

TEST(PlaceAdapters, AreMountedEverywhere) {
  Adapted bench;
  bench.adapters.mount({"/sql", "sql"});
  bench.adapters.mount({"/sql", "sql"});
  for (FakePlace* place : bench.places)
    EXPECT_THAT(place->mounted, ElementsAre(Pair("sql", "/sql")));
  EXPECT_EQ(bench.adapters.list(false).size(), 1U);
  EXPECT_EQ(error_of([&] {
              bench.adapters.mount({"/other", "sql"});
            }).code(),
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(error_of([&] { bench.adapters.mount({"/other", "a+b"}); }).where(), "adapters");
  bench.adapters.unmount("sql");
  for (FakePlace* place : bench.places) EXPECT_THAT(place->mounted, IsEmpty());
  const Error gone = error_of([&] { bench.adapters.unmount("sql"); });
  EXPECT_EQ(gone.code(), ErrorCode::kNotFound);
  EXPECT_EQ(gone.where(), "adapter_name");
}

TEST(PlaceAdapters, OneThatRefusesMakesTheOthersTakeItBackAndIsNamed) {
  Adapted bench;
  bench.at(0).mounted["old"] = "/old";
  bench.at(1).adapter_refusal = kMisfit;
  const Error misfit = error_of([&] { bench.adapters.mount({"/sql", "sql"}); });
  EXPECT_EQ(misfit.code(), ErrorCode::kInvalidArgument);
  EXPECT_THAT(misfit.what(), AllOf(HasSubstr("the place b"), HasSubstr("does not fit")));
  EXPECT_THAT(bench.at(0).mounted, ElementsAre(Pair("old", "/old")));
  EXPECT_THAT(bench.at(2).mounted, IsEmpty());
  EXPECT_THROW(bench.adapters.mount({"/old", "old"}), Error);
  EXPECT_THAT(bench.at(0).mounted, ElementsAre(Pair("old", "/old"))) << "it was there before";

  bench.at(1).adapter_refusal.reset();
  bench.adapters.mount({"/sql", "sql"});
  bench.at(2).adapter_refusal = {ErrorCode::kInternal, "broken"};
  EXPECT_THAT(error_of([&] { bench.adapters.unmount("sql"); }).what(), HasSubstr("the place c"));
  for (FakePlace* place : bench.places) EXPECT_EQ(place->mounted["sql"], "/sql");
}

TEST(PlaceAdapters, WhoIsAwayCatchesUp) {
  Adapted bench;
  bench.adapters.mount({"/old", "old"});
  bench.at(1).adapter_refusal = kAway;
  bench.adapters.mount({"/sql", "sql"});
  bench.adapters.unmount("old");
  EXPECT_THAT(bench.at(1).mounted, ElementsAre(Pair("old", "/old")));
  EXPECT_EQ(error_of([&] { (void)bench.adapters.bring_back(1); }).code(), ErrorCode::kUnavailable);
  bench.at(1).adapter_refusal.reset();
  EXPECT_EQ(bench.adapters.bring_back(1), "");
  EXPECT_THAT(bench.at(1).mounted, ElementsAre(Pair("sql", "/sql")));
  bench.at(1).mounted.clear();  // it began anew
  EXPECT_EQ(bench.adapters.bring_back(1), "");
  EXPECT_THAT(bench.at(1).mounted, ElementsAre(Pair("sql", "/sql")));
  bench.at(1).mounted.clear();
  bench.at(1).adapter_refusal = kMisfit;
  EXPECT_THAT(bench.adapters.bring_back(1), HasSubstr("does not fit"));
  for (FakePlace* place : bench.places) place->adapter_refusal = kAway;
  EXPECT_EQ(error_of([&] {
              bench.adapters.mount({"/new", "new"});
            }).code(),
            ErrorCode::kUnavailable);
}

TEST(PlaceAdapters, APlaceThatComesLateHasThem) {
  engine::FakeClock clock;
  Roster roster(Bench::sources(2), clock);
  roster.admit(0, std::make_unique<FakePlace>());
  roster.settle();
  Adapters adapters(roster);
  adapters.mount({"/sql", "sql"});
  auto late = std::make_unique<FakePlace>();
  FakePlace& place = *late;
  adapters.admit(1, std::move(late));
  EXPECT_THAT(place.mounted, ElementsAre(Pair("sql", "/sql")));
  EXPECT_TRUE(roster.is_loaded(1));
}

TEST(PlaceAdapters, RequestsGoWhereTheirsAreUnderTheNumbersThere) {
  Adapted bench(2);
  bench.at(0).first_adapter = 100;
  bench.at(1).mounted["sql"] = "/sql";
  for (int i = 0; i < 2; ++i) {
    engine::Request request = make_request();
    request.id = std::to_string(i);
    request.sink = std::make_shared<engine::RecordingSink>(1);
    request.adapter = 1;
    bench.relay.submit(request, bench.adapters.find("sql"));
  }
  EXPECT_TRUE(bench.at(0).running.empty());
  ASSERT_EQ(bench.at(1).running.size(), 2U);
  EXPECT_EQ(bench.at(1).running[0].request.adapter, 3);
  const Error unknown = error_of([&] { (void)bench.adapters.find("sql+x"); });
  EXPECT_EQ(unknown.code(), ErrorCode::kNotFound);
  EXPECT_THAT(unknown.what(), HasSubstr("expected one of sql; got x"));
  bench.at(0).mounted["pirate"] = "/pirate";
  EXPECT_EQ(error_of([&] { (void)bench.adapters.find("sql+pirate"); }).code(),
            ErrorCode::kUnsupported);
  EXPECT_EQ(error_of([&] { (void)bench.adapters.find("sql*x"); }).code(),
            ErrorCode::kInvalidArgument);
}

TEST(PlaceAdapters, WhoHasLostThemPassesRequestsOnAndIsAskedAgain) {
  Adapted bench(2);
  bench.at(0).first_adapter = 100;
  bench.at(1).first_adapter = 200;
  bench.adapters.mount({"/sql", "sql"});
  engine::Request request = make_request();
  const auto sink = std::make_shared<engine::RecordingSink>(1);
  request.sink = sink;
  request.adapter = 1;
  bench.relay.submit(request, bench.adapters.find("sql"));
  bench.at(0).step(2);
  EXPECT_EQ(bench.at(0).running[0].request.adapter, 103);
  bench.at(0).fail({ErrorCode::kNotFound, "no such model", "model"});
  bench.finish();
  ASSERT_EQ(bench.at(1).running.size(), 1U);
  EXPECT_EQ(bench.at(1).running[0].request.adapter, 203);
  EXPECT_EQ(sink->tokens[0], whole_answer(request));
  EXPECT_FALSE(bench.roster.is_well(0)) << "until it has been brought back";
}

}  // namespace
}  // namespace openllm::backend::places
