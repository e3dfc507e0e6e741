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

TEST(Metrics, TellTheMemoryOfTheCache) {
  ModelMetrics model{"m", {.kv_bytes_total = 1000, .kv_bytes_touched = 30}, true};
  const std::string text = to_prometheus({}, {}, {model});
  EXPECT_THAT(text, HasSubstr("\nopenllm_cache_bytes 1000\n"));
  EXPECT_THAT(text, HasSubstr("\nopenllm_cache_touched_bytes 30\n"));
}

TEST(Metrics, OfSeveralModelsHaveOneEachUnderOneHead) {
  const std::string text = to_prometheus(
      {}, {}, {{"a", {.n_requests = 3}, true}, {"b\"\\\n", {.n_requests = 4}, false}});
  EXPECT_THAT(text, HasSubstr("# TYPE openllm_requests_total counter\n"
                              "openllm_requests_total{model=\"a\"} 3\n"
                              "openllm_requests_total{model=\"b\\\"\\\\\\n\"} 4\n"
                              "# HELP openllm_requests_finished_total"));
}

TEST(Metrics, TellHowBusyTheEngineIs) {
  ModelMetrics model{"m", {.max_running = 8, .max_waiting = 4}, true};
  model.engine.estimated_wait_s = 1.5;
  model.engine.step_s = 0.25;
  model.engine.prompt_rows_per_s = 1000.0;
  model.engine.tokens_per_s = 200.5;
  Metrics metrics;
  EXPECT_THAT(to_prometheus(metrics, {}, {model}),
              HasSubstr("openllm_requests_refused_total{reason=\"queue\"} 0\n"
                        "openllm_requests_refused_total{reason=\"wait\"} 0\n"));
  ++metrics.refused["wait"];
  const std::string text = to_prometheus(metrics, {}, {model});
  for (const char* line :
       {"openllm_estimated_wait_seconds 1.5", "openllm_step_seconds 0.25",
        "openllm_prompt_tokens_per_second 1000", "openllm_generated_tokens_per_second 200.5",
        "openllm_sequences_max 12", "openllm_requests_refused_total{reason=\"wait\"} 1"}) {
    EXPECT_THAT(text, HasSubstr("\n" + std::string(line) + "\n"));
  }
}

}  // namespace
}  // namespace openllm::server
