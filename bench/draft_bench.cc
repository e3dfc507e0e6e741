// What a draft model brings: the same answers without one and with each of some, in rounds that
// take turns, all in one process. Fails when an answer differs.
//   draft_bench MODEL --draft MODEL [--draft MODEL ...] [--threads N] [--rounds 5] [--prompt 64]
//   [--text TEXT ...] [--decode 256] [--streams 1] [--max-draft-tokens 7] [--temperature 0]

#include <openllm/openllm.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <string>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

struct Settings {
  std::string model{};
  std::vector<std::string> drafts{};
  std::vector<std::string> texts{};
  int n_threads = 0;
  int rounds = 5;
  int prompt = 64;
  int decode = 256;
  int streams = 1;
  int max_draft_tokens = 7;
  float temperature = 0.0F;
};

constexpr const char* kUsage =
    "usage: draft_bench MODEL --draft MODEL [--draft MODEL ...] [--threads N] [--rounds 5] "
    "[--prompt 64] [--text TEXT] [--decode 256] [--streams 1] [--max-draft-tokens 7] "
    "[--temperature 0]\n";

[[noreturn]] void refuse(const std::string& message) {
  std::cerr << "draft_bench: " << message << '\n' << kUsage;
  std::exit(2);
}

Settings parse(int argc, char** argv) {
  Settings s;
  for (int i = 1; i < argc; ++i) {
    const std::string name = argv[i];
    const auto value = [&]() -> std::string {
      if (i + 1 >= argc) refuse(name + ": needs a value");
      return argv[++i];
    };
    const auto count = [&] {
      const std::string text = value();
      char* end = nullptr;
      const long n = std::strtol(text.c_str(), &end, 10);
      if (text.empty() || *end != '\0' || n < 0 || n > 1'000'000)
        refuse(name + ": not a number from 0 to 1000000: " + text);
      return static_cast<int>(n);
    };
    if (name == "--draft") {
      s.drafts.push_back(value());
    } else if (name == "--threads") {
      s.n_threads = count();
    } else if (name == "--rounds") {
      s.rounds = std::max(1, count());
    } else if (name == "--prompt") {
      s.prompt = std::max(1, count());
    } else if (name == "--text") {
      s.texts.push_back(value());
    } else if (name == "--decode") {
      s.decode = std::max(1, count());
    } else if (name == "--streams") {
      s.streams = std::max(1, count());
    } else if (name == "--max-draft-tokens") {
      s.max_draft_tokens = count();
    } else if (name == "--temperature") {
      s.temperature = std::strtof(value().c_str(), nullptr);
    } else if (name.size() > 1 && name.front() == '-') {
      refuse(name + ": unknown option");
    } else {
      s.model = name;
    }
  }
  if (s.model.empty()) refuse("no model");
  return s;
}

/// Prompts of a round: the same for all that are compared.
std::vector<openllm::Prompt> make_prompts(const Settings& s, int vocab_size, int round) {
  std::vector<openllm::Prompt> prompts;
  std::uint32_t state = 77 + static_cast<std::uint32_t>(round);
  for (int i = 0; i < s.streams; ++i) {
    if (!s.texts.empty()) {
      const auto which = static_cast<std::size_t>(round * s.streams + i) % s.texts.size();
      prompts.emplace_back(s.texts[which]);
      continue;
    }
    std::vector<std::int32_t> ids;
    for (int t = 0; t < s.prompt; ++t) {
      state = state * 1664525U + 1013904223U;
      ids.push_back(
          static_cast<std::int32_t>((state >> 8U) % static_cast<std::uint32_t>(vocab_size)));
    }
    prompts.emplace_back(std::move(ids));
  }
  return prompts;
}

struct Candidate {
  std::string name{};
  openllm::LLM llm;
  std::vector<double> rates{};
  openllm::EngineStats before{};
};

/// Tokens of all streams for each second, from the first token of any to the last of all.
double measure(const openllm::LLM& llm, const Settings& s,
               const std::vector<openllm::Prompt>& prompts,
               std::vector<std::vector<std::int32_t>>& answers) {
  openllm::GenerateOptions options;
  options.max_new_tokens = s.decode;
  options.temperature = s.temperature;
  options.seed = 5;
  options.ignore_eos = true;
  std::vector<openllm::GenerationStream> streams;
  for (const auto& prompt : prompts) streams.push_back(llm.generate_iterator(prompt, options));
  answers.assign(streams.size(), {});
  std::size_t n = 0;
  Clock::time_point begin{};
  for (std::size_t i = 0; i < streams.size(); ++i) {
    while (const auto* output = streams[i].next()) {
      answers[i] = output->outputs[0].token_ids;
      if (begin == Clock::time_point{}) begin = Clock::now();
    }
    n += answers[i].size();
  }
  return static_cast<double>(n) / std::chrono::duration<double>(Clock::now() - begin).count();
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

void print(const Candidate& one, double plain) {
  const openllm::EngineStats now = one.llm.stats();
  const auto since = [&](auto member) {
    return static_cast<double>(now.*member - one.before.*member);
  };
  const double guessed = since(&openllm::EngineStats::n_model_draft_tokens);
  const double right = since(&openllm::EngineStats::n_accepted_model_drafts);
  const double others = since(&openllm::EngineStats::n_accepted_drafts) - right;
  const double steps = since(&openllm::EngineStats::n_steps);
  std::printf(
      "%-40s %8.2f tok/s %6.2fx  %5.2f tokens a step, %5.0f%% of %.0f guesses right, "
      "%.0f by repetition, %.2f s for guesses\n",
      one.name.c_str(), median(one.rates), median(one.rates) / plain,
      since(&openllm::EngineStats::n_generated_tokens) / std::max(1.0, steps),
      guessed > 0 ? 100 * right / guessed : 0.0, guessed, others,
      since(&openllm::EngineStats::draft_model_s));
}

int run(const Settings& s) {
  std::vector<Candidate> all;
  std::vector<std::string> drafts = {""};
  drafts.insert(drafts.end(), s.drafts.begin(), s.drafts.end());
  for (const std::string& draft : drafts) {
    openllm::LoadOptions load;
    load.n_threads = s.n_threads;
    load.prefix_caching = false;
    load.max_draft_tokens = s.max_draft_tokens;
    load.draft_model = draft;
    load.kv_cache_bytes = std::int64_t{1} << 30U;
    load.eager = true;
    all.push_back({draft.empty() ? "without" : draft, openllm::LLM(s.model, load)});
  }
  bool are_equal = true;
  for (int round = -1; round < s.rounds; ++round) {  // the first one is for what costs to learn
    const auto prompts = make_prompts(s, all.front().llm.info().vocab_size, round);
    std::vector<std::vector<std::int32_t>> expected;
    for (std::size_t i = 0; i < all.size(); ++i) {
      // Each comes first in turn.
      Candidate& one = all[(i + static_cast<std::size_t>(round + 1)) % all.size()];
      std::vector<std::vector<std::int32_t>> answers;
      if (round == 0) one.before = one.llm.stats();
      const double rate = measure(one.llm, s, prompts, answers);
      if (round >= 0) one.rates.push_back(rate);
      if (expected.empty()) expected = answers;
      are_equal = are_equal && answers == expected;
    }
  }
  for (const Candidate& one : all) print(one, median(all.front().rates));
  for (const Candidate& one : all) {
    if (one.llm.stats().n_draft_model_failures > 0) std::printf("%s failed\n", one.name.c_str());
  }
  std::printf("answers are %s\n", are_equal ? "equal" : "NOT EQUAL");
  return are_equal ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  const Settings settings = parse(argc, argv);
  try {
    return run(settings);
  } catch (const openllm::Error& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}
