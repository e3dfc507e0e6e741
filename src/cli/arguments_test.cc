#include "cli/arguments.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "base/error.h"

namespace openllm::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

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

struct Outcome {
  ParsedArguments parsed;
  std::string out;
  std::string err;
};

Outcome parse(const std::vector<std::string>& words) {
  std::vector<const char*> argv{"openllm"};
  for (const std::string& word : words) argv.push_back(word.c_str());
  ::testing::internal::CaptureStdout();
  ::testing::internal::CaptureStderr();
  Outcome outcome{parse_arguments(static_cast<int>(argv.size()), argv.data()), "", ""};
  outcome.out = ::testing::internal::GetCapturedStdout();
  outcome.err = ::testing::internal::GetCapturedStderr();
  return outcome;
}

/// An option with a value, as --help shows it.
struct ShownOption {
  std::string name;
  std::string type;
};

/// Those of a command whose value is of one of the types.
std::vector<ShownOption> options_of(const std::string& command,
                                    const std::vector<std::string>& types) {
  std::vector<ShownOption> options;
  std::istringstream help(parse({command, "--help"}).out);
  const std::regex form("^  (?:-\\w,)?(--[-\\w]+)(?:,--[-\\w]+)* ([A-Z][A-Z=,.]*)(?: .*)?$");
  for (std::string line; std::getline(help, line);) {
    std::smatch match;
    if (std::regex_match(line, match, form) &&
        std::find(types.begin(), types.end(), match[2]) != types.end())
      options.push_back({match[1], match[2]});
  }
  return options;
}

/// One line of status 2 that names the option and the value.
void expect_refused(const std::string& command, const std::string& option,
                    const std::string& value) {
  const Outcome outcome = parse({command, "MODEL", option, value});
  const std::string place = command + " " + option + " '" + value + "': " + outcome.err;
  EXPECT_EQ(outcome.parsed.exit_status, 2) << place;
  EXPECT_EQ(outcome.out, "") << place;
  EXPECT_THAT(outcome.err, HasSubstr(option)) << place;
  EXPECT_THAT(outcome.err, HasSubstr("expected ")) << place;
  EXPECT_THAT(outcome.err, HasSubstr("\"" + value + "\"")) << place;
  EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << place;
}

TEST(Arguments, HostileNumbersAreRefusedByName) {
  const std::vector<std::string> never{"",
                                       "x",
                                       "nan",
                                       "inf",
                                       "-inf",
                                       "1e300",
                                       "-1e300",
                                       "0x10",
                                       "1,5",
                                       "1 ",
                                       " 1",
                                       "1_0",
                                       "1e",
                                       "--",
                                       "+-1",
                                       "++1",
                                       "-2147483649000000000000000000000000000000000000"};
  const std::vector<std::string> never_whole{"1.5", "1e2", "99999999999999999999"};
  std::set<std::string> seen;
  int n_options = 0;
  for (const char* command : {"run", "start", "query", "logits"}) {
    for (const ShownOption& option : options_of(command, {"NUMBER", "SECONDS"})) {
      ++n_options;
      if (!seen.insert(option.name).second) {  // of several commands: the same code reads it
        for (const char* value : {"", "nan"}) expect_refused(command, option.name, value);
        continue;
      }
      for (const std::string& value : never) expect_refused(command, option.name, value);
      const bool is_real = option.type == "SECONDS" ||
                           !parse({command, "MODEL", option.name, "0.5"}).parsed.exit_status;
      for (const std::string& value : never_whole) {
        if (!is_real) expect_refused(command, option.name, value);
      }
    }
  }
  EXPECT_GT(n_options, 50);
}

TEST(Arguments, NumbersKeepToTheirRanges) {
  const std::vector<std::array<std::string, 3>> cases{{"run", "--max-tokens", "-2"},
                                                      {"run", "--min-new-tokens", "-1"},
                                                      {"run", "--temperature", "-0.1"},
                                                      {"run", "--top-p", "1.1"},
                                                      {"run", "--top-p", "-0.1"},
                                                      {"run", "--min-p", "2"},
                                                      {"run", "--n", "0"},
                                                      {"run", "--n", "129"},
                                                      {"run", "--logprobs", "-1"},
                                                      {"run", "--seed", "18446744073709551616"},
                                                      {"run", "--timeout", "0"},
                                                      {"run", "--timeout", "-1"},
                                                      {"run", "--timeout", "1e8"},
                                                      {"run", "--threads", "-1"},
                                                      {"run", "--threads", "1025"},
                                                      {"run", "--max-model-len", "-1"},
                                                      {"run", "--max-step-tokens", "0"},
                                                      {"run", "--max-sequences", "0"},
                                                      {"run", "--max-queue", "0"},
                                                      {"run", "--kv-block-size", "0"},
                                                      {"run", "--kv-block-size", "1025"},
                                                      {"run", "--repetition-penalty", "0"},
                                                      {"start", "--port", "65536"},
                                                      {"start", "--port", "-1"},
                                                      {"start", "--max-connections", "0"},
                                                      {"start", "--header-timeout", "0"},
                                                      {"start", "--idle-timeout", "0"},
                                                      {"start", "--shutdown-timeout", "-1"},
                                                      {"start", "--temperature", "-1"},
                                                      {"start", "--max-tokens", "-2"},
                                                      {"query", "--silence-timeout", "0"}};
  for (const auto& [command, option, value] : cases) expect_refused(command, option, value);
  for (const auto& [command, option, value] :
       std::vector<std::array<std::string, 3>>{{"run", "--max-tokens", "0"},
                                               {"run", "--temperature", "0"},
                                               {"run", "--top-k", "-1"},
                                               {"run", "--n", "128"},
                                               {"run", "--timeout", "1e7"},
                                               {"run", "--threads", "0"},
                                               {"run", "--seed", "-1"},
                                               {"start", "--port", "0"},
                                               {"start", "--shutdown-timeout", "0"}}) {
    EXPECT_FALSE(parse({command, "MODEL", option, value}).parsed.exit_status) << option << value;
  }
}

TEST(Arguments, HostileListsAndSizesAreRefusedByName) {
  int n_options = 0;
  for (const char* command : {"run", "start", "query", "logits"}) {
    for (const ShownOption& option : options_of(command, {"IDS", "ID,..."})) {
      ++n_options;
      for (const char* value : {"x", "-1", "1.5", "99999999999", "1e3"})
        expect_refused(command, option.name, value);
    }
    for (const ShownOption& option : options_of(command, {"ID=NUMBER,..."})) {
      ++n_options;
      for (const char* value : {"", "1", "=1", "1=", "1=x", "1=nan", "-1=1"})
        expect_refused(command, option.name, value);
    }
    for (const ShownOption& option : options_of(command, {"BYTES"})) {
      ++n_options;
      for (const char* value : {"", "x", "-1", "nan", "inf", "1e300", "2 parsecs", "1e19"})
        expect_refused(command, option.name, value);
    }
  }
  EXPECT_GE(n_options, 10);
}

TEST(Arguments, NamesThatAreEmptyAreRefused) {
  for (const char* option : {"--device", "--backend", "--kv-dtype", "--model"})
    expect_refused("run", option, "");
  expect_refused("start", "--host", "");
  expect_refused("query", "--endpoint", "");
  EXPECT_EQ(parse({"run", ""}).parsed.exit_status, 2);
}

TEST(Arguments, OfAModelAreMODELOrTheOption) {
  const Arguments both = parse({"run", "-m", "a", "b"}).parsed.arguments;
  EXPECT_EQ(both.model, "a");
  EXPECT_THAT(both.source.words, ElementsAre("b"));
  const Arguments as_option = parse({"run", "--model", "a", "-p", "b"}).parsed.arguments;
  EXPECT_EQ(as_option.model, "a");
  EXPECT_EQ(as_option.source.prompt, "b");
  EXPECT_EQ(parse({"info", "-m", "a"}).parsed.arguments.model, "a");
  EXPECT_EQ(parse({"info", "-m", "a", "b"}).parsed.exit_status, 2);
  for (const char* command : {"run", "start", "info", "tokenize", "logits"})
    EXPECT_THAT(parse({command}).err, HasSubstr("MODEL is missing")) << command;
}

TEST(Arguments, OfAPromptGoTogether) {
  EXPECT_THAT(parse({"run", "m", "a", "-"}).parsed.arguments.source.words, ElementsAre("a", "-"));
  EXPECT_THAT(parse({"run", "m", "-f", "x", "-f", "y"}).parsed.arguments.source.files,
              ElementsAre("x", "y"));
  for (const std::vector<std::string>& words : {std::vector<std::string>{"run", "m", "a", "b"},
                                                {"run", "m", "-", "-"},
                                                {"run", "m", "-", "-f", "-"},
                                                {"run", "m", "a", "-p", "b"},
                                                {"query", "a", "b"},
                                                {"run", "m", "-p", "-", "-f", "-"},
                                                {"tokenize", "m", "a", "b"}}) {
    const Outcome outcome = parse(words);
    EXPECT_EQ(outcome.parsed.exit_status, 2) << outcome.err;
  }
}

TEST(Arguments, OfAServerSayWhomToTrust) {
  const ClientOptions plain = parse({"query", "hi"}).parsed.arguments.client;
  EXPECT_TRUE(plain.verify);
  EXPECT_EQ(plain.ca_file, "");
  EXPECT_EQ(parse({"query", "hi", "--ca-file", "a.pem"}).parsed.arguments.client.ca_file, "a.pem");
  EXPECT_FALSE(parse({"query", "hi", "--insecure"}).parsed.arguments.client.verify);
  EXPECT_TRUE(parse({"query", "hi", "--insecure", "--ca-file", "a.pem"}).parsed.exit_status);
}

TEST(Arguments, TellTheirDefaults) {
  const std::string run = parse({"run", "--help"}).out;
  const std::string start = parse({"start", "--help"}).out;
  const std::string query = parse({"query", "--help"}).out;
  EXPECT_THAT(run, HasSubstr("else 128)"));
  EXPECT_THAT(query, HasSubstr("else 128)"));
  EXPECT_THAT(start, HasSubstr("16 for completions, the end of the answer"));
  EXPECT_THAT(run, HasSubstr("(default: the model's, else 50)"));
  EXPECT_THAT(start, HasSubstr("Port; 0: any free one (default: 3000)"));
  EXPECT_THAT(run, HasSubstr("openllm run [OPTIONS] MODEL [PROMPT] [INPUT]"));
}

TEST(Arguments, OptionsOfAllCommandsMayStandFirst) {
  const Arguments first = parse({"--quiet", "--debug", "run", "a", "b"}).parsed.arguments;
  EXPECT_EQ(first.command, "run");
  EXPECT_TRUE(first.quiet && first.verbose);
  EXPECT_EQ(first.model, "a");
  EXPECT_THAT(first.source.words, ElementsAre("b"));
  EXPECT_EQ(parse({"-q", "rm", "a"}).parsed.arguments.command, "models remove");
  EXPECT_EQ(parse({"--top-k", "1", "run", "a", "b"}).parsed.exit_status, 2);
  EXPECT_EQ(parse({"-q"}).parsed.exit_status, 2);
}

TEST(Arguments, DevicesMayBeAList) {
  EXPECT_EQ(
      parse({"start", "a", "--device", "cpu", "--device", "cpu,cpu"}).parsed.arguments.load.device,
      "cpu");
  EXPECT_EQ(parse({"start", "a", "--device", "cpu", "--device", "x"}).parsed.exit_status, 4);
  for (const char* wrong : {"", ",", "cpu,", ",cpu"}) expect_refused("start", "--device", wrong);
}

TEST(Arguments, ATagStandsForTheModel) {
  EXPECT_FALSE(parse({"start", "--model-tag", "t"}).parsed.exit_status);
  const Arguments run = parse({"run", "--model-tag", "t", "hi"}).parsed.arguments;
  EXPECT_EQ(run.model, "");
  EXPECT_THAT(run.source.words, ElementsAre("hi"));
}

TEST(Arguments, WhatEachRequestSaysItselfHasNoDefault) {
  for (const char* option : {"--request-id", "--cache-salt", "--priority"}) {
    const Outcome outcome = parse({"start", "a", option, "1"});
    EXPECT_EQ(outcome.parsed.exit_status, 2) << option;
    EXPECT_THAT(outcome.err, HasSubstr(base::cat(option, ": each request"))) << option;
  }
}

}  // namespace
}  // namespace openllm::cli
