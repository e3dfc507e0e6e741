#include "server/open_metrics.h"

#include <gtest/gtest.h>

namespace openllm::server {
namespace {

TEST(OpenMetrics, FamiliesOfCountersHaveNoEnding) {
  EXPECT_EQ(
      to_open_metrics(
          "# HELP a_total Things.\n# TYPE a_total counter\na_total{x=\"1\"} 2\n"
          "# HELP b A total.\n# TYPE b gauge\nb 1\n"
          "# HELP c_total Not counted.\n# TYPE c_total gauge\nc_total 1\n"
          "# HELP d Times.\n# TYPE d histogram\nd_bucket{le=\"0.5\"} 0\n"
          "d_bucket{le=\"10\",m=\"2\"} 1\nd_bucket{le=\"+Inf\"} 1\nd_sum 1\nd_count 1\n"),
      "# HELP a Things.\n# TYPE a counter\na_total{x=\"1\"} 2\n"
      "# HELP b A total.\n# TYPE b gauge\nb 1\n"
      "# HELP c_total Not counted.\n# TYPE c_total gauge\nc_total 1\n"
      "# HELP d Times.\n# TYPE d histogram\nd_bucket{le=\"0.5\"} 0\n"
      "d_bucket{le=\"10.0\",m=\"2\"} 1\nd_bucket{le=\"+Inf\"} 1\nd_sum 1\nd_count 1\n# EOF\n");
  EXPECT_EQ(to_open_metrics(""), "# EOF\n");
}

TEST(OpenMetrics, IsGivenToThoseWhoPreferIt) {
  EXPECT_TRUE(wants_open_metrics("application/openmetrics-text"));
  EXPECT_TRUE(
      wants_open_metrics("application/openmetrics-text;version=1.0.0;q=0.6,"
                         "application/openmetrics-text;version=0.0.1;q=0.5,"
                         "text/plain;version=0.0.4;q=0.4,*/*;q=0.3"))
      << "what Prometheus sends";
  EXPECT_TRUE(wants_open_metrics("text/plain; q=0.5, Application/OpenMetrics-Text"));
  EXPECT_FALSE(wants_open_metrics(""));
  EXPECT_FALSE(wants_open_metrics("*/*"));
  EXPECT_FALSE(wants_open_metrics("text/html,application/xhtml+xml,*/*;q=0.8"));
  EXPECT_FALSE(wants_open_metrics("application/openmetrics-text; q=0"));
  EXPECT_FALSE(wants_open_metrics("application/openmetrics-text;q=0.2, text/plain;q=0.9"));
}

}  // namespace
}  // namespace openllm::server
