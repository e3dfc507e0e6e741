#include "cli/given_options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "cli/arguments.h"

namespace openllm::cli {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

Arguments parse(std::vector<std::string> words) {
  words.insert(words.begin(), "openllm");
  std::vector<const char*> argv;
  for (const std::string& word : words) argv.push_back(word.c_str());
  const ParsedArguments parsed = parse_arguments(static_cast<int>(argv.size()), argv.data());
  EXPECT_FALSE(parsed.exit_status);
  return parsed.arguments;
}

std::vector<std::string> given(const std::vector<std::string>& options) {
  std::vector<std::string> words{"build", "model", "-o", "folder"};
  words.insert(words.end(), options.begin(), options.end());
  std::vector<std::string> kept;
  const Arguments arguments = parse(words);
  for (const GivenOption& option : arguments.serving_options) kept.push_back(option.word());
  return kept;
}

TEST(GivenOptions, OnlyThoseOfStartThatWereGiven) {
  EXPECT_THAT(given({}), IsEmpty());
  EXPECT_THAT(given({"--overwrite", "--json", "--strict"}), ElementsAre("--strict"));
  EXPECT_TRUE(parse({"start", "model", "--strict"}).serving_options.empty());
}

TEST(GivenOptions, OtherNamesBecomeOurs) {
  EXPECT_THAT(given({"-c", "64", "--temp", "0", "--num_predict=3"}),
              ElementsAre("--max-model-len=64", "--max-new-tokens=3", "--temperature=0"));
}

TEST(GivenOptions, TheLastOneCountsUnlessItMayBeRepeated) {
  EXPECT_THAT(given({"--port", "1", "--alias", "a b", "--port", "2", "--alias", "=c"}),
              ElementsAre("--port=2", "--alias=a b", "--alias==c"));
}

TEST(GivenOptions, FlagsThatTakeBackStayWhatTheyAre) {
  EXPECT_THAT(given({"--no-prefix-caching"}), ElementsAre("--no-prefix-caching"));
  EXPECT_THAT(given({"--no-trust-remote-code"}), ElementsAre("--no-trust-remote-code"));
}

TEST(GivenOptions, MeanTheSameToStart) {
  const std::vector<std::string> kept =
      given({"--no-prefix-caching", "--bad-words-ids", "[[5, 6], [7]]", "--kv-cache-bytes", "2MiB",
             "--api-key", "a=b", "--max-wait", "2.5", "--eos-token-id", "3,4"});
  std::vector<std::string> words{"start", "model"};
  words.insert(words.end(), kept.begin(), kept.end());
  const Arguments a = parse(words);
  EXPECT_FALSE(a.load.prefix_caching);
  EXPECT_EQ(a.load.kv_cache_bytes, 2 << 20U);
  EXPECT_THAT(a.load.config.bad_words_ids, ElementsAre(ElementsAre(5, 6), ElementsAre(7)));
  EXPECT_THAT(a.load.config.eos_token_ids, ElementsAre(3, 4));
  EXPECT_THAT(a.server.api_keys, ElementsAre("a=b"));
  EXPECT_EQ(a.server.max_wait_s, 2.5);
}

}  // namespace
}  // namespace openllm::cli
