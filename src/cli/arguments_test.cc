#include "cli/arguments.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <iterator>

namespace openllm::cli {
namespace {

using ::testing::ElementsAre;

TEST(Arguments, GoWhereTheyBelong) {
  const char* argv[] = {"openllm",
                        "run",
                        "model",
                        "[INST] hi [/INST]",
                        "--stop",
                        "[a,b]",
                        "--stop",
                        "c d",
                        "--top-k",
                        "7",
                        "--kv-cache-bytes",
                        "1MiB",
                        "--n",
                        "3",
                        "--json",
                        "--seed",
                        "18446744073709551615"};
  const ParsedArguments parsed = parse_arguments(static_cast<int>(std::size(argv)), argv);
  ASSERT_FALSE(parsed.exit_status);
  const Arguments& a = parsed.arguments;
  EXPECT_EQ(a.command, "run");
  EXPECT_THAT(a.source.words, ElementsAre("[INST] hi [/INST]"));
  EXPECT_THAT(a.generate.stop, ElementsAre("[a,b]", "c d"));
  EXPECT_EQ(a.generate.top_k, 7);
  EXPECT_EQ(a.generate.seed, 18446744073709551615ULL);
  EXPECT_EQ(a.generate.n, 3);
  EXPECT_FALSE(a.generate.temperature);
  EXPECT_EQ(a.load.kv_cache_bytes, 1 << 20);
  EXPECT_TRUE(a.load.prefix_caching);
  EXPECT_TRUE(a.json);
}

}  // namespace
}  // namespace openllm::cli
