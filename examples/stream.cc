// The answer as it is made. With a chat model the prompt is a conversation.
//   example_stream HuggingFaceTB/SmolLM2-135M-Instruct "What is the capital of France?"
#include <openllm/openllm.h>

#include <iostream>
#include <string>

int main(int argc, char** argv) {
  if (argc < 3) {
    std::cerr << "usage: example_stream MODEL PROMPT\n";
    return 2;
  }
  try {
    const openllm::LLM llm(argv[1]);
    const std::string question = argv[2];
    openllm::Prompt prompt = question;
    if (llm.info().has_chat_template)
      prompt = std::vector<openllm::Message>{{.role = "user", .content = question}};
    for (const auto& output : llm.generate_iterator(prompt, {.max_new_tokens = 128})) {
      std::cout << output.outputs[0].delta << std::flush;
    }
    std::cout << '\n';
  } catch (const openllm::Error& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}
