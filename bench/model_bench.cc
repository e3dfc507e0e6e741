// Decode, prefill and batching of a model through the public API, beside the machine's limits
// measured in the same round. Prints one table, or JSON with --json.
//   model_bench MODEL [--threads N] [--rounds 5] [--prompt 512] [--decode 128] [--context 8000,...]
//   [--streams 8,32] [--kv-dtype auto] [--fast-activations]
//   [--max-draft-tokens 0] [--draft-model MODEL] [--json]

#include <openllm/openllm.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <string>
#include <thread>
#include <vector>

#include "base/machine_speed.h"

namespace {

using Clock = std::chrono::steady_clock;

struct Settings {
  std::string model{};
  int n_threads = 0;
  int rounds = 5;
  int prompt = 512;
  int decode = 128;
  std::vector<int> contexts = {};  // prompts before which one sequence decodes
  std::string kv_dtype = "auto";
  std::vector<int> streams = {8, 32};
  bool fast_activations = false;
  std::string draft_model{};
  int max_draft_tokens = 0;  // guesses measure how much a text repeats itself; random weights do
  bool json = false;
};

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const std::size_t n = values.size();
  return n == 0 ? 0.0 : (values[(n - 1) / 2] + values[n / 2]) / 2.0;
}

/// Ids that differ from call to call, so that no prefix is shared.
std::vector<std::int32_t> make_prompt(int n, int vocab_size) {
  static std::uint32_t state = 1;
  std::vector<std::int32_t> ids;
  for (int i = 0; i < n; ++i) {
    state = state * 1664525U + 1013904223U;
    ids.push_back(
        static_cast<std::int32_t>((state >> 8U) % static_cast<std::uint32_t>(vocab_size)));
  }
  return ids;
}

openllm::GenerateOptions greedy(int n_tokens) {
  openllm::GenerateOptions options;
  options.max_new_tokens = n_tokens;
  options.temperature = 0.0F;
  options.presence_penalty = 0.0F;  // of some families; the same work for all
  options.ignore_eos = true;
  return options;
}

/// Prompt tokens per second until the first token.
double prefill_rate(const openllm::LLM& llm, int n_prompt) {
  const auto prompt = make_prompt(n_prompt, llm.info().vocab_size);
  const auto begin = Clock::now();
  (void)llm.generate(prompt, greedy(1));
  return n_prompt / seconds_since(begin);
}

/// Tokens per second after the first one, behind a prompt of `n_prompt` tokens.
double decode_rate(const openllm::LLM& llm, int n_prompt, int n_tokens) {
  auto stream =
      llm.generate_iterator(make_prompt(n_prompt, llm.info().vocab_size), greedy(n_tokens + 1));
  const auto* output = stream.next();
  const auto begin = Clock::now();
  const auto first = output->outputs[0].token_ids.size();
  std::size_t last = first;
  while ((output = stream.next()) != nullptr) last = output->outputs[0].token_ids.size();
  return static_cast<double>(last - first) / seconds_since(begin);
}

double streams_seconds(const openllm::LLM& llm, int n_streams, int n_tokens) {
  std::vector<std::vector<std::int32_t>> prompts;
  for (int i = 0; i < n_streams; ++i) prompts.push_back(make_prompt(125, llm.info().vocab_size));
  std::vector<openllm::GenerationStream> streams;
  const auto begin = Clock::now();
  for (auto& prompt : prompts) {
    auto options = greedy(n_tokens);
    options.output_kind = openllm::OutputKind::kFinalOnly;
    streams.push_back(llm.generate_iterator(prompt, options));
  }
  for (auto& stream : streams) {
    while (stream.next() != nullptr) {
    }
  }
  return seconds_since(begin);
}

/// Tokens per second of all streams together: the time for 65 tokens each, less the time for 1. 0
/// where other work on the machine makes the second longer than the first, three times.
double batching_rate(const openllm::LLM& llm, int n_streams) {
  for (int attempt = 0; attempt < 3; ++attempt) {
    const double one = streams_seconds(llm, n_streams, 1);
    const double many = streams_seconds(llm, n_streams, 65);
    if (many > one) return n_streams * 64 / (many - one);
  }
  return 0.0;
}

constexpr const char* kUsage =
    "usage: model_bench MODEL [--threads N] [--rounds 5] [--prompt 512] [--decode 128] "
    "[--context 8000,...] [--streams 8,32] [--kv-dtype auto] [--fast-activations] "
    "[--max-draft-tokens 0] [--draft-model MODEL] [--json]\n";

[[noreturn]] void refuse(const std::string& message) {
  std::cerr << "model_bench: " << message << '\n' << kUsage;
  std::exit(2);
}

/// A count on the command line.
int parse_count(const std::string& name, const char* text, char** end) {
  const long value = std::strtol(text, end, 10);
  if (*end == text || value < 0 || value > 1'000'000)
    refuse(name + ": not a number from 0 to 1000000: " + text);
  return static_cast<int>(value);
}

Settings parse(int argc, char** argv) {
  Settings settings;
  for (int i = 1; i < argc; ++i) {
    const std::string name = argv[i];
    const auto counts = [&]() -> std::vector<int> {
      if (i + 1 >= argc) refuse(name + ": needs a value");
      std::vector<int> all;
      char* end = argv[++i];
      if (*end == '\0' && (name == "--streams" || name == "--context")) return all;  // without them
      do {
        all.push_back(parse_count(name, all.empty() ? end : end + 1, &end));
      } while (*end == ',');
      if (*end != '\0') refuse(name + ": not a number: " + argv[i]);
      return all;
    };
    if (name == "-h" || name == "--help") {
      std::cout << kUsage;
      std::exit(0);
    } else if (name == "--threads") {
      settings.n_threads = counts().front();
    } else if (name == "--rounds") {
      settings.rounds = counts().front();
    } else if (name == "--prompt") {
      settings.prompt = counts().front();
    } else if (name == "--decode") {
      settings.decode = counts().front();
    } else if (name == "--context") {
      settings.contexts = counts();
    } else if (name == "--kv-dtype") {
      if (i + 1 >= argc) refuse(name + ": needs a value");
      settings.kv_dtype = argv[++i];
    } else if (name == "--streams") {
      settings.streams = counts();
    } else if (name == "--max-draft-tokens") {
      settings.max_draft_tokens = counts().front();
    } else if (name == "--draft-model") {
      if (i + 1 >= argc) refuse(name + ": needs a value");
      settings.draft_model = argv[++i];
    } else if (name == "--fast-activations") {
      settings.fast_activations = true;
    } else if (name == "--json") {
      settings.json = true;
    } else if (name.size() > 1 && name.front() == '-') {
      refuse(name + ": unknown option");
    } else {
      settings.model = name;
    }
  }
  if (settings.model.empty()) refuse("no model");
  if (settings.rounds < 1) refuse("--rounds: at least 1");
  return settings;
}

enum class Kind { kPrefill, kDecode, kStreams };

struct Row {
  Kind kind;
  std::string name;
  std::function<double()> measure;
  std::vector<double> rates{};
};

void print_table(const std::vector<Row>& rows, const openllm::ModelInfo& info,
                 const openllm::base::MachineSpeed& m) {
  std::printf("%-12s %10s %10s %12s %10s %14s\n", "what", "tok/s", "GB/s", "% bandwidth", "GOP/s",
              "% of peak");
  const bool quantised = info.weight_types.find_first_of("QX") != std::string::npos;  // Q, IQ, MX
  const double peak = m.int8_gop_per_s > 0.0 && quantised ? m.int8_gop_per_s : m.f32_gflop_per_s;
  for (const Row& row : rows) {
    const double rate = median(row.rates);
    // Of a prompt, only the last token meets the output matrix.
    const std::int64_t n_skipped = row.kind == Kind::kPrefill ? info.n_embedding_parameters : 0;
    const double gop = 2e-9 * static_cast<double>(info.n_parameters - n_skipped) * rate;
    if (row.kind == Kind::kDecode) {
      const double gb = 1e-9 * static_cast<double>(info.weight_bytes) * rate;
      std::printf("%-12s %10.1f %10.1f %11.0f%% %10.0f %13.0f%%\n", row.name.c_str(), rate, gb,
                  100.0 * gb / m.read_gb_per_s, gop, 100.0 * gop / peak);
    } else {
      std::printf("%-12s %10.1f %10s %12s %10.0f %13.0f%%\n", row.name.c_str(), rate, "", "", gop,
                  100.0 * gop / peak);
    }
  }
  std::printf(
      "machine      %.1f GB/s read, %.0f GFLOP/s F32, %.0f GOP/s INT8 (medians of the same "
      "rounds)\n",
      m.read_gb_per_s, m.f32_gflop_per_s, m.int8_gop_per_s);
}

/// One object: rates, the machine's limits, and what shares of them are computed from.
void print_json(const std::vector<Row>& rows, const openllm::LLM& llm,
                const openllm::base::MachineSpeed& m, const openllm::base::NarrowPeaks& narrow) {
  const openllm::ModelInfo info = llm.info();
  std::printf("{");
  for (const Row& row : rows) std::printf("\"%s\":%.3f,", row.name.c_str(), median(row.rates));
  std::printf("\"read_gb_per_s\":%.3f,\"f32_gflop_per_s\":%.1f,\"int8_gop_per_s\":%.1f,",
              m.read_gb_per_s, m.f32_gflop_per_s, m.int8_gop_per_s);
  std::printf(
      "\"bf16_gflop_per_s\":%.1f,\"int8_tiles_gop_per_s\":%.1f,\"bf16_tiles_gflop_per_s\":%.1f,",
      narrow.bf16_gflop_per_s, narrow.int8_tiles_gop_per_s, narrow.bf16_tiles_gflop_per_s);
  std::printf("\"n_parameters\":%lld,\"n_embedding_parameters\":%lld,\"weight_bytes\":%lld,",
              static_cast<long long>(info.n_parameters),
              static_cast<long long>(info.n_embedding_parameters),
              static_cast<long long>(info.weight_bytes));
  std::printf("\"weight_types\":\"%s\",\"isa\":\"%s\"}\n", info.weight_types.c_str(),
              llm.backend().isa.c_str());
}

int run(const Settings& settings) {
  openllm::LoadOptions load;
  load.n_threads = settings.n_threads;
  load.prefix_caching = false;
  load.kv_dtype = settings.kv_dtype;
  load.fast_activations = settings.fast_activations;
  load.max_draft_tokens = settings.max_draft_tokens;
  load.draft_model = settings.draft_model;
  load.eager = true;
  const openllm::LLM llm(settings.model, load);
  const openllm::ModelInfo info = llm.info();
  const int n_threads = settings.n_threads > 0
                            ? settings.n_threads
                            : static_cast<int>(std::thread::hardware_concurrency());

  std::vector<Row> rows;
  rows.push_back({Kind::kPrefill, "prefill", [&] { return prefill_rate(llm, settings.prompt); }});
  rows.push_back({Kind::kDecode, "decode", [&] { return decode_rate(llm, 8, settings.decode); }});
  for (const int n : settings.contexts) {
    rows.push_back({Kind::kDecode, "at " + std::to_string(n),
                    [&, n] { return decode_rate(llm, n, settings.decode); }});
  }
  for (const int n : settings.streams) {
    rows.push_back({Kind::kStreams, std::to_string(n) + " streams",
                    [&llm, n] { return batching_rate(llm, n); }});
  }
  (void)decode_rate(llm, 8, 4);
  std::vector<double> reads;
  std::vector<double> flops;
  std::vector<double> ops;
  for (int round = 0; round < settings.rounds; ++round) {
    const auto machine = openllm::base::measure_machine(n_threads);
    reads.push_back(machine.read_gb_per_s);
    flops.push_back(machine.f32_gflop_per_s);
    ops.push_back(machine.int8_gop_per_s);
    for (Row& row : rows) row.rates.push_back(row.measure());
  }
  const openllm::base::MachineSpeed limits{median(reads), median(flops), median(ops)};
  if (settings.json) {
    print_json(rows, llm, limits, openllm::base::measure_narrow_peaks(n_threads));
    return 0;
  }
  const openllm::BackendInfo backend = llm.backend();
  std::printf("%s, %s, %d threads, %s %s\n%s: %s\n", openllm::base::cpu_name().c_str(),
              backend.isa.c_str(), n_threads, backend.name.c_str(), backend.device.c_str(),
              info.id.c_str(), info.weight_types.c_str());
  print_table(rows, info, limits);
  return 0;
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
