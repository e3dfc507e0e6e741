#include "server/metrics.h"

#include <gmock/gmock.h>

namespace openllm::server {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(Metrics, OfOneModelHaveNoLabel) {
  const std::string text =
      to_prometheus({}, {}, {{"m", {.n_requests = 3, .n_blocks_free = 5}, true}});
  EXPECT_THAT(text, HasSubstr("# TYPE openllm_ready gauge\nopenllm_ready 1\n"));
  EXPECT_THAT(text, HasSubstr("openllm_requests_total 3\n"));
  EXPECT_THAT(text, HasSubstr("openllm_cache_blocks_free 5\n"));
  EXPECT_THAT(text, Not(HasSubstr("model=")));
}

TEST(Metrics, OfSeveralModelsHaveOneEachUnderOneHead) {
  const std::string text = to_prometheus(
      {}, {}, {{"a", {.n_requests = 3}, true}, {"b\"\\\n", {.n_requests = 4}, false}});
  EXPECT_THAT(text, HasSubstr("# TYPE openllm_requests_total counter\n"
                              "openllm_requests_total{model=\"a\"} 3\n"
                              "openllm_requests_total{model=\"b\\\"\\\\\\n\"} 4\n"
                              "# HELP openllm_requests_finished_total"));
}

}  // namespace
}  // namespace openllm::server
