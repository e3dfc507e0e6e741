#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <exception>
#include <thread>

#include "base/error.h"
#include "base/json.h"
#include "cli/commands/commands.h"
#include "cli/download_report.h"
#include "cli/exit_status.h"
#include "cli/interrupt.h"
#include "cli/nearby_server.h"
#include "cli/progress_line.h"
#include "cli/shell_word.h"
#include "cli/tell_backend.h"
#include "cli/terminal.h"

namespace openllm::cli {
namespace {

std::string address_of(const ServerOptions& options, std::uint16_t port) {
  const bool any = options.host == "0.0.0.0" || options.host == "::" || options.host == "[::]";
  const std::string host = any ? "127.0.0.1" : options.host;
  const bool is_bare_v6 = host.find(':') != std::string::npos && host.front() != '[';
  return base::cat("http://", is_bare_v6 ? "[" + host + "]" : host, ":", port);
}

/// Refuses keys that look set and protect nothing: an empty variable is a secret that did not
/// arrive, and must not open the server to everyone.
void require_keys(const std::vector<std::string>& keys) {
  constexpr const char* kVariable = "OPENLLM_API_KEY";
  const char* variable = std::getenv(kVariable);
  const auto refuse = [](std::string_view source) {
    base::fail_at(
        ErrorCode::kInvalidArgument, source,
        "no key (expected one or more characters other than spaces; leave it out to serve "
        "without keys)");
  };
  if (keys.empty() && variable != nullptr) refuse(kVariable);
  for (const std::string& key : keys) {
    if (key.find_first_not_of(" \t\r\n") != std::string::npos) continue;
    refuse(variable != nullptr && key == variable ? kVariable : "--api-key");
  }
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

void note_short_context(const LLM& llm, const ProgressLine& screen) {
  const ModelInfo info = llm.info();
  if (info.max_context == info.wanted_context || llm.stats().kv_bytes_total == 0) return;
  screen.note(base::cat("openllm: the KV cache holds ", info.max_context,
                        " tokens, fewer than the context of ", info.wanted_context,
                        " (--kv-cache-bytes gives it more memory)\n"));
}

void note_cache_size(const LLM& llm, const ProgressLine& screen) {
  constexpr std::int64_t kMiB = std::int64_t{1} << 20U;
  if (llm.stats().kv_bytes_total == 0) return;  // a server's, which does not say
  screen.note(base::cat("openllm: the KV cache takes up memory as it fills, at most ",
                        (llm.stats().kv_bytes_total + kMiB - 1) / kMiB, " MiB\n"));
}

}  // namespace

int start_command(const Arguments& arguments) {
  require_keys(arguments.server.api_keys);
  LoadOptions load = arguments.load;
  const ProgressLine screen;  // loading goes on while the address is told
  load.progress = screen.callback();
  const LLM llm = open_model(arguments.model, load, Told::kByFile, screen);
  block_termination_signals();  // before any thread exists, so that all of them inherit it
  ServerOptions options = arguments.server;
  options.max_new_tokens = load.config.max_new_tokens;  // given here, it is meant for all routes
  options.log = [&screen](const std::string& line) {
    screen.note(base::cat("openllm: ", line, "\n"));
  };
  Server server(llm, options);
  server.start();
  announce(llm, options, server.port(), screen);

  std::atomic<bool> has_loaded{false};  // or failed to
  std::exception_ptr failure;           // read after has_loaded
  std::thread loader([&] {
    try {
      server.wait_until_ready();
      has_loaded = true;
      if (arguments.verbose) tell_backend(llm);
      if (const std::string text = describe_left_out(llm); !text.empty()) screen.note(text);
      note_short_context(llm, screen);
      note_cache_size(llm, screen);
      screen.note("openllm: ready; Ctrl-C stops\n");
      if (server.port() == kUsualPort) return;
      const std::string nearby = tell_of_server(llm, arguments.model, load, kUsualPort);
      if (!nearby.empty()) screen.note(nearby);
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
