#include <cstdio>
#include <cstdlib>
#include <thread>

#include "cli/commands/commands.h"
#include "cli/terminal.h"

namespace openllm::cli {

int start_command(const Arguments& arguments) {
  block_termination_signals();  // before any thread exists, so that all inherit it
  LoadOptions load = arguments.load;
  load.progress = progress_bar();
  const LLM llm(arguments.model, load);
  Server server(llm, arguments.server);
  server.start();
  const std::string& host = arguments.server.host;
  const std::string address =
      "http://" + (host.find(':') == std::string::npos ? host : "[" + host + "]") + ":" + std::to_string(server.port());
  std::fprintf(stderr,
               "Serving %s at %s\n"
               "  curl %s/v1/chat/completions -H 'Content-Type: application/json' \\\n"
               "    -d '{\"model\": \"%s\", \"messages\": [{\"role\": \"user\", \"content\": \"Hello\"}]}'\n"
               "Ctrl-C stops it.\n",
               llm.id().c_str(), address.c_str(), address.c_str(), llm.id().c_str());
  wait_for_termination_signal();
  std::fputs("Stopping: running answers may finish; Ctrl-C again ends at once.\n", stderr);
  std::thread([] {
    wait_for_termination_signal();
    std::_Exit(130);
  }).detach();
  server.stop();
  return 0;
}

}  // namespace openllm::cli
