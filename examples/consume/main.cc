#include <openllm/openllm.h>

#include <iostream>

int main(int argc, char** argv) {
  std::cout << "openllm " << openllm::version() << '\n';
  if (argc < 2) return 0;
  try {
    const openllm::LLM llm(argv[1]);
    for (const auto& output : llm.generate_iterator("Once upon a time", {.max_new_tokens = 16})) {
      std::cout << output.outputs[0].delta << std::flush;
    }
    const auto output = llm.async_generate("Once upon a time", {.max_new_tokens = 16}).get();
    std::cout << "\nby a coroutine: " << output.outputs[0].text << '\n';
  } catch (const openllm::Error& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}
