#include "cli/commands/commands.h"
#include "cli/terminal.h"

namespace openllm::cli {

int query_command(const Arguments& arguments) {
  const Client client({.address = arguments.endpoint, .api_key = arguments.api_key});
  Prompt prompt = arguments.text;
  if (!arguments.raw) {
    std::vector<Message> messages;
    if (!arguments.system.empty()) messages.push_back({.role = "system", .content = arguments.system});
    messages.push_back({.role = "user", .content = arguments.text});
    prompt = messages;
  }
  if (!arguments.stream || arguments.json) {
    const GenerationOutput output = client.generate(prompt, arguments.generate);
    print((arguments.json ? to_json(output) : output.outputs.at(0).text) + "\n");
    return 0;
  }
  const InterruptGuard guard;
  client.generate_stream(prompt, arguments.generate, [&guard](const GenerationOutput& output) {
    if (!output.outputs.empty()) print(output.outputs[0].delta);
    return !guard.interrupted();
  });
  print("\n");
  return guard.interrupted() ? 130 : 0;
}

}  // namespace openllm::cli
