// Many questions at once: every thread uses the same LLM, and the engine computes their tokens
// together.
//   example_many HuggingFaceTB/SmolLM2-135M-Instruct 16
#include <openllm/openllm.h>

#include <atomic>
#include <cstdlib>
#include <iostream>
#include <thread>
#include <vector>

int main(int argc, char** argv) {
  const int n_requests = argc > 2 ? std::atoi(argv[2]) : 16;
  if (argc < 2 || n_requests < 1) {
    std::cerr << "usage: example_many MODEL [REQUESTS]\n";
    return 2;
  }
  std::atomic<int> failed{0};
  try {
    const openllm::LLM llm(argv[1], {.eager = true});
    std::vector<std::string> answers(static_cast<std::size_t>(n_requests));
    {
      std::vector<std::jthread> threads;
      for (int i = 0; i < n_requests; ++i) {
        threads.emplace_back([&, i] {
          try {
            const auto seed = static_cast<std::uint64_t>(i);
            const auto output =
                llm.generate("Once upon a time", {.max_new_tokens = 32, .seed = seed});
            answers[static_cast<std::size_t>(i)] = output.outputs[0].text;
          } catch (const openllm::Error& error) {
            answers[static_cast<std::size_t>(i)] = error.what();
            ++failed;
          }
        });
      }
    }
    for (const std::string& answer : answers) std::cout << "- " << answer << '\n';
    const auto stats = llm.stats();
    std::cout << stats.n_generated_tokens << " tokens in " << stats.n_steps << " steps\n";
  } catch (const openllm::Error& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
  return failed == 0 ? 0 : 1;
}
