#include "base/error.h"
#include "cli/answer.h"
#include "cli/commands/commands.h"
#include "cli/exit_status.h"
#include "cli/interrupt.h"
#include "cli/terminal.h"

namespace openllm::cli {
namespace {

void print_result(const GenerationOutput& output, bool json) {
  if (json) {
    print(to_json(output) + "\n");
  } else if (output.outputs.size() == 1) {
    print(output.outputs[0].text + "\n");
  } else {
    for (const CompletionChunk& chunk : output.outputs)
      print(base::cat("[", chunk.index, "] ", chunk.text, "\n"));
  }
}

}  // namespace

int query_command(const Arguments& arguments) {
  if (!arguments.text && stdin_is_terminal()) {
    base::fail(ErrorCode::kInvalidArgument,
               "query: PROMPT is missing (give it, or pipe it into standard input)");
  }
  const std::string text = arguments.text ? *arguments.text : read_stdin();
  const Client client(arguments.client);
  Prompt prompt(text);
  if (!arguments.raw) {
    std::vector<Message> messages = with_system(arguments.system);
    messages.push_back({.role = "user", .content = text});
    prompt = Prompt(messages);
  }
  const InterruptGuard guard(InterruptPipe::Second::kEndsProgram);
  GenerateOptions options = arguments.generate;
  options.stop_token = guard.token();
  const bool show = arguments.stream && !arguments.json && options.n == 1;
  if (!arguments.stream) {
    print_result(client.generate(prompt, options), arguments.json);
    return guard.interrupted() ? kExitInterrupted : 0;
  }
  const GenerationOutput last =
      client.generate_stream(prompt, options, [&guard, show](const GenerationOutput& output) {
        if (show && !output.outputs.empty()) print(output.outputs[0].delta);
        return !guard.interrupted();
      });
  if (show) {
    print("\n");
  } else {
    print_result(last, arguments.json);
  }
  return guard.interrupted() ? kExitInterrupted : 0;
}

}  // namespace openllm::cli
