// What rounding does to a model's predictions: KL divergence of the distribution of every next
// token of a text from the exact one, through the public API.
//   quality MODEL TEXT_FILE [--of kv|activations] [--tokens 2000] [--window 1000] [--threads N]
//   [--json]
// Of kv: keys and values in int16, f16 and int8 against f32. Of activations: the default and fast
// ones of the cpu device, with everything else by default too, against the device `reference`,
// which rounds nothing. Windows are computed apart; with 1000 tokens a vocabulary of 262,144 takes
// 1 GiB for each of two.

#include <openllm/openllm.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>
#include <vector>

namespace {

using Ids = std::vector<std::int32_t>;

/// Log-probabilities in f64, in place of logits.
std::vector<double> log_softmax(const float* logits, std::size_t n) {
  const double top = *std::max_element(logits, logits + n);
  double sum = 0.0;
  for (std::size_t i = 0; i < n; ++i) sum += std::exp(static_cast<double>(logits[i]) - top);
  const double shift = top + std::log(sum);
  std::vector<double> out(n);
  for (std::size_t i = 0; i < n; ++i) out[i] = static_cast<double>(logits[i]) - shift;
  return out;
}

struct Result {
  double sum_kl = 0.0;
  double largest_kl = 0.0;
  double sum_nll = 0.0;  ///< Of the text's own tokens.
  std::int64_t n_equal_top = 0;
  std::int64_t n = 0;

  void add(const float* exact, const float* rounded, std::size_t n_vocab, std::int32_t next) {
    const std::vector<double> p = log_softmax(exact, n_vocab);
    const std::vector<double> q = log_softmax(rounded, n_vocab);
    double kl = 0.0;
    for (std::size_t i = 0; i < n_vocab; ++i) kl += std::exp(p[i]) * (p[i] - q[i]);
    sum_kl += kl;
    largest_kl = std::max(largest_kl, kl);
    sum_nll -= q[static_cast<std::size_t>(next)];
    n_equal_top += std::max_element(p.begin(), p.end()) - p.begin() ==
                   std::max_element(q.begin(), q.end()) - q.begin();
    ++n;
  }
};

struct Variant {
  std::string name{};
  openllm::LoadOptions load{};
};

/// What is compared, and with what.
struct Comparison {
  Variant exact{};
  std::vector<Variant> rounded{};
};

Comparison of_kv() {
  Comparison comparison;
  comparison.exact = {"f32", {}};
  comparison.exact.load.kv_dtype = "f32";
  for (const char* const name : {"int16", "f16", "int8"}) {
    comparison.rounded.push_back({name, {}});
    comparison.rounded.back().load.kv_dtype = name;
  }
  return comparison;
}

Comparison of_activations() {
  Comparison comparison;
  comparison.exact = {"reference", {}};
  comparison.exact.load.device = "reference";
  comparison.rounded = {{"default", {}}, {"fast", {}}};
  for (Variant& variant : comparison.rounded) variant.load.device = "cpu";
  comparison.rounded[1].load.fast_activations = true;
  return comparison;
}

struct Settings {
  std::string model{};
  std::string text_file{};
  std::string of = "kv";
  std::size_t n_tokens = 2000;
  std::size_t window = 1000;
  int n_threads = 0;
  bool json = false;
};

std::vector<float> logits_of(const Settings& settings, const Variant& variant, const Ids& ids) {
  openllm::LoadOptions load = variant.load;
  load.backend = "native";
  load.max_sequences = 1;
  load.n_threads = settings.n_threads;
  return openllm::LLM(settings.model, load).logits(ids);
}

void print_table(const Settings& settings, const openllm::ModelInfo& info, const Comparison& of,
                 const std::vector<Result>& results) {
  std::printf("%s, %s, %zu tokens in windows of %zu, against %s\n", info.id.c_str(),
              info.weight_types.c_str(), settings.n_tokens, settings.window, of.exact.name.c_str());
  std::printf("%-8s %12s %12s %14s %12s\n", settings.of == "kv" ? "kept" : "rounded", "mean KL",
              "largest KL", "equal top", "perplexity");
  for (std::size_t t = 0; t < results.size(); ++t) {
    const Result& r = results[t];
    const auto n = static_cast<double>(r.n);
    std::printf("%-8s %12.2e %12.2e %13.2f%% %12.4f\n", of.rounded[t].name.c_str(), r.sum_kl / n,
                r.largest_kl, 100.0 * static_cast<double>(r.n_equal_top) / n,
                std::exp(r.sum_nll / n));
  }
}

/// One object with an object for each that was compared; equal_top is a share of 1.
void print_json(const Settings& settings, const Comparison& of,
                const std::vector<Result>& results) {
  std::printf("{\"of\":\"%s\",\"against\":\"%s\",\"tokens\":%zu,\"window\":%zu",
              settings.of.c_str(), of.exact.name.c_str(), settings.n_tokens, settings.window);
  for (std::size_t t = 0; t < results.size(); ++t) {
    const Result& r = results[t];
    const auto n = static_cast<double>(r.n);
    std::printf(
        ",\"%s\":{\"mean_kl\":%.4e,\"largest_kl\":%.4e,\"equal_top\":%.6f,\"perplexity\":%.6f}",
        of.rounded[t].name.c_str(), r.sum_kl / n, r.largest_kl,
        static_cast<double>(r.n_equal_top) / n, std::exp(r.sum_nll / n));
  }
  std::printf("}\n");
}

/// False where the text is too short.
bool run(const Settings& settings, const std::string& text) {
  const openllm::LLM llm(settings.model);
  const auto n_vocab = static_cast<std::size_t>(llm.info().vocab_size);
  Ids ids = llm.tokenize(text);
  if (ids.size() < settings.n_tokens) {
    std::cerr << "quality: " << settings.text_file << ": only " << ids.size()
              << " tokens (expected at least " << settings.n_tokens << ")\n";
    return false;
  }
  ids.resize(settings.n_tokens);
  const Comparison of = settings.of == "kv" ? of_kv() : of_activations();
  std::vector<Result> results(of.rounded.size());
  for (std::size_t begin = 0; begin + 1 < ids.size(); begin += settings.window) {
    const std::size_t end = std::min(ids.size(), begin + settings.window);
    const Ids part(ids.begin() + static_cast<std::ptrdiff_t>(begin),
                   ids.begin() + static_cast<std::ptrdiff_t>(end));
    const std::vector<float> exact = logits_of(settings, of.exact, part);
    for (std::size_t t = 0; t < results.size(); ++t) {
      const std::vector<float> rounded = logits_of(settings, of.rounded[t], part);
      for (std::size_t i = 0; i + 1 < part.size(); ++i) {
        results[t].add(exact.data() + i * n_vocab, rounded.data() + i * n_vocab, n_vocab,
                       part[i + 1]);
      }
    }
  }
  if (settings.json) {
    print_json(settings, of, results);
  } else {
    print_table(settings, llm.info(), of, results);
  }
  return true;
}

constexpr const char* kUsage =
    "usage: quality MODEL TEXT_FILE [--of kv|activations] [--tokens 2000] [--window 1000] "
    "[--threads N] [--json]\n";

[[noreturn]] void refuse(const std::string& message) {
  std::cerr << "quality: " << message << '\n' << kUsage;
  std::exit(2);
}

std::size_t parse_count(const std::string& name, const std::string& text, std::size_t least) {
  char* end = nullptr;
  const unsigned long value = std::strtoul(text.c_str(), &end, 10);
  if (end == text.c_str() || *end != '\0' || value < least || value > 1'000'000)
    refuse(name + ": not a number from " + std::to_string(least) + " to 1000000: " + text);
  return value;
}

Settings parse(int argc, char** argv) {
  Settings settings;
  std::vector<std::string> words;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    const auto value = [&]() -> std::string {
      if (i + 1 >= argc) refuse(word + ": needs a value");
      return argv[++i];
    };
    if (word == "--tokens") {
      settings.n_tokens = parse_count(word, value(), 2);
    } else if (word == "--window") {
      settings.window = parse_count(word, value(), 2);
    } else if (word == "--threads") {
      settings.n_threads = static_cast<int>(parse_count(word, value(), 0));
    } else if (word == "--of") {
      settings.of = value();
      if (settings.of != "kv" && settings.of != "activations")
        refuse("--of: kv or activations, not " + settings.of);
    } else if (word == "--json") {
      settings.json = true;
    } else if (word == "-h" || word == "--help") {
      std::cout << kUsage;
      std::exit(0);
    } else if (word.size() > 1 && word.front() == '-') {
      refuse(word + ": unknown option");
    } else {
      words.push_back(word);
    }
  }
  if (words.size() != 2) refuse("a model and a text, please");
  settings.model = words[0];
  settings.text_file = words[1];
  return settings;
}

}  // namespace

int main(int argc, char** argv) {
  const Settings settings = parse(argc, argv);
  std::ifstream file(settings.text_file);
  if (!file) refuse(settings.text_file + ": cannot be read");
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  try {
    return run(settings, text) ? 0 : 2;
  } catch (const openllm::Error& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}
