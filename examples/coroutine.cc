// The same from a coroutine: nothing blocks while the model works. `co_await stream.next()` resumes
// on a thread of the library, or wherever GenerateOptions::executor says.
//   example_coroutine HuggingFaceTB/SmolLM2-135M-Instruct
#include <openllm/openllm.h>

#include <iostream>

namespace {

openllm::Task<int> tell_story(openllm::LLM llm) {
  int n_tokens = 0;
  auto stream =
      llm.async_generate_iterator("Once upon a time", {.max_new_tokens = 32, .temperature = 0.0F});
  while (const auto* output = co_await stream.next()) {
    std::cout << output->outputs[0].delta << std::flush;
    n_tokens = static_cast<int>(output->outputs[0].token_ids.size());
  }
  const auto ending =
      co_await llm.async_generate("The end", {.max_new_tokens = 8, .temperature = 0.0F});
  std::cout << "\nThe end" << ending.outputs[0].text << '\n';
  co_return n_tokens;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::cerr << "usage: example_coroutine MODEL\n";
    return 2;
  }
  try {
    const int n_tokens = tell_story(openllm::LLM(argv[1])).get();
    std::cout << n_tokens << " tokens\n";
  } catch (const openllm::Error& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}
