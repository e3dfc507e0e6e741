#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <exception>
#include <thread>

#include "base/error.h"
#include "base/json.h"
#include "cli/commands/commands.h"
#include "cli/exit_status.h"
#include "cli/interrupt.h"
#include "cli/progress_line.h"
#include "cli/terminal.h"

namespace openllm::cli {
namespace {

std::string address_of(const ServerOptions& options, std::uint16_t port) {
  const bool any = options.host == "0.0.0.0" || options.host == "::" || options.host == "[::]";
  const std::string host = any ? "127.0.0.1" : options.host;
  const bool is_bare_v6 = host.find(':') != std::string::npos && host.front() != '[';
  return base::cat("http://", is_bare_v6 ? "[" + host + "]" : host, ":", port);
}

/// In single quotes, as one word for a shell.
std::string shell_word(std::string_view text) {
  std::string word = "'";
  for (const char c : text) {
    if (c == '\'') {
      word += "'\\''";
    } else {
      word += c;
    }
  }
  return word + "'";
}

/// Prints the address and a first request that the model can answer.
void announce(const LLM& llm, const ServerOptions& options, std::uint16_t port,
              const ProgressLine& screen) {
  const std::string address = address_of(options, port);
  const std::string key = options.api_keys.empty() ? "" : " -H 'Authorization: Bearer YOUR_KEY'";
  const bool chats = llm.info().has_chat_template;
  const std::string url = base::cat(address, chats ? "/v1/chat/completions" : "/v1/completions");
  const bool has_brackets = url.find('[') != std::string::npos;  // some shells expand them
  std::string body = "{\"model\": ";
  base::append_json_string(body, llm.id());
  body += chats ? R"(, "messages": [{"role": "user", "content": "Hello"}]})"
                : R"(, "prompt": "Hello"})";
  screen.note(base::cat("openllm: serving ", llm.id(), " at ", address, "\n  curl ",
                        has_brackets ? shell_word(url) : url,
                        " -H 'Content-Type: application/json'", key, " \\\n    -d ",
                        shell_word(body), "\n"));
}

void note_short_context(const LLM& llm) {
  const ModelInfo info = llm.info();
  if (info.max_context == info.wanted_context) return;
  note(base::cat("openllm: the KV cache holds ", info.max_context,
                 " tokens, fewer than the context of ", info.wanted_context,
                 " (--kv-cache-bytes gives it more memory)\n"));
}

}  // namespace

int start_command(const Arguments& arguments) {
  block_termination_signals();  // before any thread exists, so that all of them inherit it
  LoadOptions load = arguments.load;
  const ProgressLine screen;  // loading goes on while the address is told
  load.progress = screen.callback();
  const LLM llm(arguments.model, load);
  Server server(llm, arguments.server);
  server.start();
  announce(llm, arguments.server, server.port(), screen);

  std::atomic<bool> has_loaded{false};  // or failed to
  std::exception_ptr failure;           // read after has_loaded
  std::thread loader([&] {
    try {
      server.wait_until_ready();
      has_loaded = true;
      note_short_context(llm);
      screen.note("openllm: ready; Ctrl-C stops\n");
    } catch (...) {
      failure = std::current_exception();
      has_loaded = true;
      ::kill(::getpid(), SIGTERM);
    }
  });
  wait_for_termination_signal();
  // Loading cannot be interrupted, and nothing is running yet that would need an orderly end.
  if (!has_loaded) std::_Exit(0);
  loader.join();
  if (failure) {
    server.stop();
    std::rethrow_exception(failure);
  }
  note("openllm: stopping; running answers may finish, Ctrl-C again ends at once\n");
  std::thread([] {
    wait_for_termination_signal();
    std::_Exit(kExitInterrupted);
  }).detach();
  server.stop();
  return 0;
}

}  // namespace openllm::cli
