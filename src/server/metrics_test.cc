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

TEST(Metrics, TellWhereTheTimeOfRequestsWent) {
  Metrics metrics;
  RequestTimes& times = metrics.times["m"];
  times.add({.queued_s = 0.001, .first_token_s = 0.25, .total_s = 1.25}, 5);  // 0.25 s for each
  times.add({.queued_s = 3.0, .first_token_s = 700.0, .total_s = 701.0}, 1);
  times.add({.queued_s = 0.5, .total_s = 0.5}, 0);  // no token was asked for
  const std::string text = to_prometheus(metrics, {}, {{"m", {}, true}});
  const auto expect = [&](const std::string& name, const std::vector<const char*>& lines) {
    for (const char* line : lines) EXPECT_THAT(text, HasSubstr("\nopenllm_" + name + line + "\n"));
  };
  expect("request_queue_time_seconds",
         {"_bucket{le=\"0.001\"} 1", "_bucket{le=\"0.25\"} 1", "_bucket{le=\"0.5\"} 2",
          "_bucket{le=\"2.5\"} 2", "_bucket{le=\"5\"} 3", "_bucket{le=\"+Inf\"} 3", "_sum 3.501",
          "_count 3"});
  expect("time_to_first_token_seconds",
         {"_bucket{le=\"0.1\"} 0", "_bucket{le=\"0.25\"} 1", "_bucket{le=\"600\"} 1",
          "_bucket{le=\"+Inf\"} 2", "_sum 700.25", "_count 2"});
  expect("time_per_output_token_seconds",
         {"_bucket{le=\"0.1\"} 0", "_bucket{le=\"0.25\"} 1", "_sum 0.25", "_count 1"});
  expect("e2e_request_latency_seconds",
         {"_bucket{le=\"0.5\"} 1", "_bucket{le=\"2.5\"} 2", "_sum 702.75", "_count 3"});
}

TEST(Metrics, TimesOfSeveralModelsHaveOneFamily) {
  Metrics metrics;
  metrics.times["b"].add({.total_s = 4.0}, 0);
  const std::string text = to_prometheus(metrics, {}, {{"a", {}, true}, {"b", {}, true}});
  const std::string name = "openllm_e2e_request_latency_seconds";
  EXPECT_THAT(text, HasSubstr("\n" + name + "_bucket{le=\"2.5\",model=\"b\"} 0\n" + name +
                              "_bucket{le=\"5\",model=\"b\"} 1\n"));
  EXPECT_THAT(text, HasSubstr(name + "_count{model=\"a\"} 0\n"));
  EXPECT_THAT(text, HasSubstr(name + "_sum{model=\"b\"} 4\n" + name + "_count{model=\"b\"} 1\n"));
  const std::string head = "# TYPE " + name + " histogram";
  EXPECT_EQ(text.find(head), text.rfind(head));
}

TEST(Metrics, TheLengthOfAnAnswerIsThatOfItsLongestChoice) {
  GenerationOutput output;
  output.outputs.resize(2);
  output.outputs[1].n_delta_tokens = 3;
  AnswerCounts counts;
  EXPECT_EQ(counts.longest(), 0);
  counts.add(output);
  output.outputs[0].n_delta_tokens = 5;
  output.outputs[1].n_delta_tokens = 3;
  counts.add(output);
  EXPECT_EQ(counts.longest(), 6);
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
                        "openllm_requests_refused_total{reason=\"share\"} 0\n"
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

TEST(Histogram, CountsEachTimeOnceAndInEveryBucketAbove) {
  Histogram histogram;
  std::string text;
  histogram.append(text, "h", "");
  EXPECT_THAT(text, HasSubstr("h_bucket{le=\"+Inf\"} 0\nh_sum 0\nh_count 0\n"));
  histogram.add(0.0);
  histogram.add(0.05);  // a bound belongs to its bucket
  histogram.add(0.0501);
  histogram.add(1e6);
  text.clear();
  histogram.append(text, "h", "");
  EXPECT_THAT(text, HasSubstr("h_bucket{le=\"0.05\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("h_bucket{le=\"0.1\"} 3\n"));
  EXPECT_THAT(text, HasSubstr("h_bucket{le=\"+Inf\"} 4\n"));
  EXPECT_THAT(text, HasSubstr("h_count 4\n"));
}

}  // namespace
}  // namespace openllm::server
