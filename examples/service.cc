// A server with an endpoint of its own beside the OpenAI-compatible API:
//   example_service HuggingFaceTB/SmolLM2-135M-Instruct 3000
//   curl -d '{"question":"What is the capital of France?"}' http://127.0.0.1:3000/chat
#include <openllm/openllm.h>

#include <cstdlib>
#include <iostream>

namespace {

struct Question {
  std::string question;
  int max_new_tokens = 64;
};
OPENLLM_FIELDS(Question, question, maybe(max_new_tokens))

struct Answer {
  std::string answer;
  std::int64_t n_tokens = 0;
};
OPENLLM_FIELDS(Answer, answer, n_tokens)

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "usage: example_service MODEL PORT\n";
    return 2;
  }
  try {
    const openllm::LLM llm(argv[1]);
    openllm::Service svc("chat", {llm.runner()});

    svc.api("/chat", [llm](Question input, openllm::Context& context) -> openllm::Task<Answer> {
      const std::vector<openllm::Message> messages = {{.role = "user", .content = input.question}};
      const auto options =
          context.options({.max_new_tokens = input.max_new_tokens, .temperature = 0.0F});
      const auto output = co_await llm.async_chat(messages, options);
      Answer answer;
      answer.answer = output.outputs[0].text;
      answer.n_tokens = output.usage.n_completion_tokens;
      co_return answer;
    });
    svc.api("/stream", [llm](std::string prompt, openllm::Context& context) {
      return llm.async_generate_iterator(prompt, context.options({.max_new_tokens = 64}));
    });

    svc.start({.port = static_cast<std::uint16_t>(std::atoi(argv[2]))});
    svc.wait_until_ready();
    std::cout << "serving on http://127.0.0.1:" << svc.port() << std::endl;
    svc.wait();
  } catch (const openllm::Error& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}
