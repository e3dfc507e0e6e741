// What keeping keys and values in fewer bits does to a model's predictions: KL divergence of the
// distribution of every next token of a text from the one with f32, through the public API.
//   kv_quality MODEL TEXT_FILE [--tokens 2000] [--window 1000]
// Windows are computed apart; with 1000 tokens a vocabulary of 262,144 takes 1 GiB for each of two.

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

std::vector<float> logits_of(const std::string& model, const char* dtype, const Ids& ids) {
  openllm::LoadOptions load;
  load.kv_dtype = dtype;
  load.max_sequences = 1;
  return openllm::LLM(model, load).logits(ids);
}

void run(const std::string& model, const std::string& text, std::size_t n_tokens,
         std::size_t window) {
  const openllm::LLM llm(model);
  const auto n_vocab = static_cast<std::size_t>(llm.info().vocab_size);
  Ids ids = llm.tokenize(text);
  if (ids.size() < n_tokens) {
    std::cerr << "kv_quality: the text has only " << ids.size() << " tokens\n";
    std::exit(2);
  }
  ids.resize(n_tokens);
  std::vector<Result> results(2);
  const char* const kTypes[] = {"f16", "int8"};
  for (std::size_t begin = 0; begin + 1 < ids.size(); begin += window) {
    const std::size_t end = std::min(ids.size(), begin + window);
    const Ids part(ids.begin() + static_cast<std::ptrdiff_t>(begin),
                   ids.begin() + static_cast<std::ptrdiff_t>(end));
    const std::vector<float> exact = logits_of(model, "f32", part);
    for (std::size_t t = 0; t < results.size(); ++t) {
      const std::vector<float> rounded = logits_of(model, kTypes[t], part);
      for (std::size_t i = 0; i + 1 < part.size(); ++i) {
        results[t].add(exact.data() + i * n_vocab, rounded.data() + i * n_vocab, n_vocab,
                       part[i + 1]);
      }
    }
  }
  std::printf("%s, %s, %zu tokens in windows of %zu, against f32\n", llm.info().id.c_str(),
              llm.info().weight_types.c_str(), n_tokens, window);
  std::printf("%-6s %12s %12s %14s %12s\n", "kept", "mean KL", "largest KL", "equal top",
              "perplexity");
  for (std::size_t t = 0; t < results.size(); ++t) {
    const Result& r = results[t];
    const auto n = static_cast<double>(r.n);
    std::printf("%-6s %12.2e %12.2e %13.2f%% %12.4f\n", kTypes[t], r.sum_kl / n, r.largest_kl,
                100.0 * static_cast<double>(r.n_equal_top) / n, std::exp(r.sum_nll / n));
  }
}

constexpr const char* kUsage =
    "usage: kv_quality MODEL TEXT_FILE [--tokens 2000] [--window 1000]\n";

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::string> words;
  std::size_t n_tokens = 2000;
  std::size_t window = 1000;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if ((word == "--tokens" || word == "--window") && i + 1 < argc) {
      (word == "--tokens" ? n_tokens : window) = std::strtoul(argv[++i], nullptr, 10);
    } else if (word == "--help") {
      std::cout << kUsage;
      return 0;
    } else {
      words.push_back(word);
    }
  }
  std::ifstream file(words.size() == 2 ? words[1] : "");
  if (!file || n_tokens < 2 || window < 2) {
    std::cerr << kUsage;
    return 2;
  }
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  try {
    run(words[0], text, n_tokens, window);
  } catch (const openllm::Error& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
  return 0;
}
