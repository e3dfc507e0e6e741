// The proposal that openllm began with (docs/seed.md), verb for verb: one LLM class with generate
// and generate_iterator, for threads and coroutines; its runner; a Service with an endpoint.
//   example_seed HuggingFaceTB/SmolLM2-135M-Instruct
#include <openllm/deprecated.h>
#include <openllm/openllm.h>

#include <iostream>
#include <string>

namespace {

using openllm::GenerateOptions;
using openllm::GenerationOutput;
using openllm::LLM;

/// class CompletionChunk, class GenerationOutput.
void print(const GenerationOutput& output) {
  std::cout << output.request_id << ": " << output.prompt.size() << " bytes of prompt, "
            << output.prompt_token_ids->size() << " tokens, finished " << output.finished << '\n';
  for (const openllm::CompletionChunk& chunk : output.outputs) {
    std::cout << "  choice " << chunk.index << ": " << chunk.text << "\n  "
              << chunk.token_ids.size() << " tokens, cumulative_logprob "
              << chunk.cumulative_logprob << '\n';
  }
}

/// LLM.generate_iterator(prompt, request_id, stop, stop_token_ids, **kwargs).
void generate_iterator(const LLM& llm) {
  GenerateOptions options{.max_new_tokens = 16, .temperature = 0.0F};
  options.request_id = "seed-1";
  options.stop = {"\n\n"};
  options.stop_token_ids = {};
  options.stream_interval = 2;
  for (const GenerationOutput& output : llm.generate_iterator("Once upon a time", options))
    std::cout << output.outputs[0].delta << std::flush;
  std::cout << '\n';
}

/// LLM.async_generate_iterator, and `await llm.generate(...)`.
openllm::Task<void> async_verbs(const LLM& llm) {
  const GenerateOptions options{.max_new_tokens = 16, .temperature = 0.0F};
  auto stream = llm.async_generate_iterator("Once upon a time", options);
  while (const GenerationOutput* output = co_await stream.next())
    std::cout << output->outputs[0].delta << std::flush;
  std::cout << '\n';
  const GenerationOutput last = co_await llm.async_generate("Once upon a time", options);
  print(last);
}

/// runner.generate_iterator.async_stream(...)
openllm::Task<std::string> through_the_runner(const openllm::Runner& runner) {
  auto stream = runner.generate_iterator.async_stream("Once", {.max_new_tokens = 8});
  std::string text;
  while (const GenerationOutput* output = co_await stream.next()) text += output->outputs[0].delta;
  co_return text;
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
/// The API before the proposal, which still compiles.
void former_verbs(const std::string& model) {
  const auto llm = openllm::AutoLLM::for_model("llama", {.model_id = model});
  print(llm.generate("Once", {.max_new_tokens = 4}));
  const openllm::Runner runner("llama", {.model_id = model});
  for (const auto& output : runner.vllm_generate_iterator("Once", {.max_new_tokens = 4}))
    std::cout << output.outputs[0].delta;
  std::cout << '\n';
}
#pragma GCC diagnostic pop

/// svc = Service('chat', runners=[llm.runner]); @svc.api(...) async def chat(input)
void serve(const LLM& llm) {
  openllm::Service svc("chat", {llm.runner()});
  svc.api("/chat", [llm](std::string input) -> openllm::Task<std::string> {
    const auto output = co_await llm.async_generate(input, {.max_new_tokens = 8});
    std::string text = output.outputs[0].text;
    co_return text;
  });
  svc.start({.port = 0});
  svc.wait_until_ready();
  std::cout << "serving " << svc.port() << '\n';
  svc.stop();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: example_seed MODEL\n";
    return 2;
  }
  try {
    const LLM llm(argv[1]);  // loads nothing yet
    std::cout << llm.tag() << ", " << llm.backend().name << ": " << llm.backend().reason << '\n';
    generate_iterator(llm);
    async_verbs(llm).get();
    std::cout << through_the_runner(llm.runner()).get() << '\n';
    print(llm.generate("Once upon a time", {.max_new_tokens = 16}));
    if (const auto stored = llm.stored_model()) {  // llm.bentomodel
      const LLM by_tag("", {.model_tag = llm.tag()});
      print(by_tag.generate("Once", {.max_new_tokens = 4}));
    }
    former_verbs(argv[1]);
    serve(llm);
  } catch (const openllm::Error& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}
