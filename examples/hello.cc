// The shortest program: one prompt, one answer.
//   example_hello HuggingFaceTB/SmolLM2-135M-Instruct
#include <openllm/openllm.h>

#include <iostream>

int main(int argc, char** argv) {
  if (argc < 2) {
    std::cerr << "usage: example_hello MODEL\n";
    return 2;
  }
  try {
    const openllm::LLM llm(argv[1]);
    const auto output =
        llm.generate("Once upon a time", {.max_new_tokens = 32, .temperature = 0.0F});
    std::cout << output.outputs[0].text << '\n';
  } catch (const openllm::Error& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}
