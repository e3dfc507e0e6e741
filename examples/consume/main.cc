#include <openllm/openllm.h>

#include <iostream>

int main(int argc, char** argv) {
  std::cout << "openllm " << openllm::version() << '\n';
  if (argc < 2) return 0;
  try {
    for (const auto& output :
         openllm::LLM(argv[1]).generate_iterator("Once upon a time", {.max_new_tokens = 16})) {
      std::cout << output.outputs[0].delta << std::flush;
    }
    std::cout << '\n';
  } catch (const openllm::Error& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}
