#include "cli/peer_names.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "cli/arguments.h"
#include "openllm/error.h"

namespace openllm::cli {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

/// A command line of `words`, separated by spaces, for a model and a prompt.
ParsedArguments parse(const std::string& words) {
  std::vector<std::string> list{"openllm", "run", "MODEL", "PROMPT"};
  std::istringstream stream(words);
  for (std::string word; stream >> word;) list.push_back(word);
  std::vector<const char*> argv;
  for (const std::string& word : list) argv.push_back(word.c_str());
  return parse_arguments(static_cast<int>(argv.size()), argv.data());
}

/// The status and the message of such a command line.
std::string refusal(const std::string& words) {
  ::testing::internal::CaptureStderr();
  const ParsedArguments parsed = parse(words);
  const std::string text = ::testing::internal::GetCapturedStderr();
  return parsed.exit_status ? std::to_string(*parsed.exit_status) + " " + text : "taken";
}

TEST(PeerNames, OfTheSameMeaningAreTaken) {
  const Arguments a =
      parse("--n-predict 5 --ctx-size=64 -s 7 --temp 0.5 -sys brief -t 2").arguments;
  EXPECT_EQ(a.generate.max_new_tokens, 5);
  EXPECT_EQ(a.load.max_model_len, 64);
  EXPECT_EQ(a.generate.seed, 7U);
  EXPECT_EQ(a.generate.temperature, 0.5F);
  EXPECT_EQ(a.system, "brief");
  EXPECT_EQ(a.load.n_threads, 2);
  EXPECT_EQ(parse("-c 32").arguments.load.max_model_len, 32);
  EXPECT_EQ(parse("-s9").arguments.generate.seed, 9U);
  EXPECT_EQ(parse("--max_new_tokens 3").arguments.generate.max_new_tokens, 3);
  EXPECT_EQ(parse("--num_return_sequences=3").arguments.generate.n, 3);
  EXPECT_EQ(parse("--max-num-seqs 3 --block-size 8").arguments.load.max_sequences, 3);
  EXPECT_FALSE(parse("--no-enable-prefix-caching").arguments.load.prefix_caching);
  EXPECT_EQ(parse("--draft-max 3").arguments.load.max_draft_tokens, 3);
  EXPECT_EQ(parse("--num-speculative-tokens 4").arguments.load.max_draft_tokens, 4);
  EXPECT_EQ(parse("-md small").arguments.load.draft_model, "small");
  EXPECT_EQ(parse("--model-draft small").arguments.load.draft_model, "small");
  EXPECT_FALSE(parse("--nohistory --temp 1").arguments.history);
}

TEST(PeerNames, ThatAskForWhatHappensAnywayAreTaken) {
  for (const char* words : {"-ngl 0", "-cb", "--jinja", "--mirostat 0", "--repeat-penalty 1",
                            "--repeat-penalty=1.0", "--tensor-parallel-size 1", "-fa auto"}) {
    const ParsedArguments parsed = parse(std::string(words) + " --max-tokens 4");
    EXPECT_FALSE(parsed.exit_status) << words;
    EXPECT_EQ(parsed.arguments.generate.max_new_tokens, 4) << words;
    EXPECT_THAT(parsed.arguments.source.words, ::testing::ElementsAre("PROMPT")) << words;
  }
}

TEST(PeerNames, OfAnotherMeaningSayWhatToUse) {
  EXPECT_THAT(refusal("-n 128"),
              AllOf(HasSubstr("2 "), HasSubstr("--n N"), HasSubstr("--max-tokens")));
  EXPECT_EQ(refusal("-n128"), refusal("-n 128"));
  EXPECT_THAT(refusal("--repeat-penalty 1.1"),
              AllOf(HasSubstr("2 "), HasSubstr("--repetition-penalty")));
  EXPECT_THAT(refusal("-b 512"), AllOf(HasSubstr("2 "), HasSubstr("--max-step-tokens")));
  EXPECT_THAT(refusal("-no-cnv"), AllOf(HasSubstr("2 "), HasSubstr("--raw")));
  EXPECT_THAT(refusal("-n"), HasSubstr("--max-tokens"));
}

TEST(PeerNames, OfWhatCannotBeDoneSaySo) {
  EXPECT_THAT(refusal("-ngl 99"), AllOf(HasSubstr("4 "), HasSubstr("-ngl"), HasSubstr("CPU")));
  EXPECT_THAT(refusal("--n-gpu-layers=99"), HasSubstr("4 "));
  EXPECT_THAT(refusal("--grammar x"), AllOf(HasSubstr("4 "), HasSubstr("--grammar")));
  EXPECT_THAT(refusal("-hf owner/name"), AllOf(HasSubstr("4 "), HasSubstr("fetch-model")));
  EXPECT_THAT(refusal("--mlock"), HasSubstr("4 "));
}

TEST(PeerNames, SwitchesHaveTheirValueOrNot) {
  for (const char* words :
       {"--use-cache", "--use-cache true", "--use-cache=true", "--early-stopping false",
        "--no-early-stopping", "--early-stopping", "--early-stopping=true"}) {
    const ParsedArguments parsed = parse(std::string(words) + " --max-tokens 4");
    EXPECT_FALSE(parsed.exit_status) << words;
    EXPECT_EQ(parsed.arguments.generate.max_new_tokens, 4) << words;
    EXPECT_THAT(parsed.arguments.source.words, ::testing::ElementsAre("PROMPT")) << words;
  }
  for (const char* words : {"--no-use-cache", "--use-cache false", "--use-cache 7"})
    EXPECT_THAT(refusal(words), HasSubstr("4 ")) << words;
}

TEST(PeerNames, OfOpenLlmSayWhatToUse) {
  EXPECT_THAT(refusal("--workers-per-resource 0.5"),
              AllOf(HasSubstr("2 "), HasSubstr("--max-sequences")));
  EXPECT_THAT(refusal("--reload"), HasSubstr("2 "));
  EXPECT_EQ(refusal("--lora me/lora"), "taken");
  EXPECT_THAT(refusal("--lora-modules a=b"), AllOf(HasSubstr("4 "), HasSubstr("--adapter-id")));
  EXPECT_THAT(refusal("--ssl-certfile x"), AllOf(HasSubstr("4 "), HasSubstr("proxy")));
  EXPECT_EQ(refusal("--do-not-track --api-workers 1 --workers-per-resource=1"), "taken");
}

TEST(PeerNames, AsValuesStayValues) {
  EXPECT_THAT(parse("--stop -ngl --stop --mlock").arguments.generate.stop,
              ::testing::ElementsAre("-ngl", "--mlock"));
  EXPECT_THAT(refusal("--stop -ngl -ngl 99"), HasSubstr("4 "));
  const char* argv[] = {"openllm", "run", "MODEL", "--", "-ngl"};
  EXPECT_THAT(parse_arguments(5, argv).arguments.source.words, ::testing::ElementsAre("-ngl"));
}

TEST(PeerNames, OfOptionsThatTheCommandLacksAreUnknown) {
  const char* argv[] = {"openllm", "info", "MODEL", "--n-predict", "5"};
  ::testing::internal::CaptureStderr();
  EXPECT_EQ(parse_arguments(5, argv).exit_status, 2);
  EXPECT_THAT(::testing::internal::GetCapturedStderr(), HasSubstr("--n-predict"));
}

}  // namespace
}  // namespace openllm::cli
