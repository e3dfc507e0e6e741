#include "backend/vllm/launch.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <thread>
#include <utility>

#include "backend/check_options.h"
#include "backend/vllm/child_process.h"
#include "base/error.h"
#include "base/random_id.h"
#include "net/http.h"
#include "net/server_error.h"

namespace openllm::backend::vllm {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::minutes kStartupTimeout{10};

/// One that nobody has at this moment.
int free_port() {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* generic = reinterpret_cast<sockaddr*>(&address);  // NOLINT(*-reinterpret-cast)
  const bool is_bound =
      fd >= 0 && ::bind(fd, generic, size) == 0 && ::getsockname(fd, generic, &size) == 0;
  if (fd >= 0) ::close(fd);
  if (!is_bound) base::fail(ErrorCode::kResourceExhausted, "vllm: no free port on 127.0.0.1");
  return ntohs(address.sin_port);
}

/// "its last lines:" and what the program wrote.
std::string quoted(const ChildProcess& process) {
  std::string text = process.last_lines();
  if (text.empty()) return "it wrote nothing";
  std::string shown = "its last lines:";
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    shown += "\n  " + net::printable(std::string_view(text).substr(begin, end - begin));
    begin = end + 1;
  }
  return shown;
}

void require_running(const ChildProcess& process, const std::string& executable) {
  const std::optional<std::string> end = process.how_it_ended();
  if (!end) return;
  base::fail(ErrorCode::kUnavailable, "vllm: ", executable, " ended with ", *end,
             " before it was ready; ", quoted(process));
}

/// Empty when the server is well, else what it said.
std::string health(const std::string& url, const std::string& key) {
  try {
    net::HttpCall call;
    call.where = "vllm";
    call.url = url + "/health";
    call.api_key = key;
    call.deadline = Clock::now() + std::chrono::seconds(2);
    const net::HttpAnswer answer = net::http_call(call);
    return answer.status == 200 ? std::string() : base::cat("HTTP status ", answer.status);
  } catch (const Error& error) {
    return error.what();
  }
}

void wait_until_ready(const ChildProcess& process, const std::string& executable,
                      const LaunchedServer& server, const LoadOptions& options) {
  constexpr std::chrono::milliseconds kInterval{100};
  const std::chrono::seconds limit = options.vllm.startup_timeout.value_or(kStartupTimeout);
  const Clock::time_point begin = Clock::now();
  while (true) {
    require_running(process, executable);
    const std::string trouble = health(server.url, server.api_key);
    // Another program may have taken the port, and ours ended for it.
    require_running(process, executable);
    if (trouble.empty()) return;
    const auto passed = std::chrono::duration<double>(Clock::now() - begin);
    if (passed >= limit) {
      base::fail(ErrorCode::kDeadline, "vllm: ", executable, " was not ready within ",
                 limit.count(), " s (", trouble, "; vllm.startup_timeout sets the limit); ",
                 quoted(process));
    }
    if (options.progress)
      options.progress("starting vllm",
                       std::min(0.99, passed / std::chrono::duration<double>(limit)));
    (void)process.wait_until(Clock::now() + kInterval);
  }
}

/// vLLM's names of types.
std::string dtype_name(const std::string& dtype) {
  const std::optional<tensor::DType> type = parse_dtype(dtype);
  if (!type) return "auto";
  if (*type == tensor::DType::kF32) return "float32";
  return *type == tensor::DType::kF16 ? "float16" : "bfloat16";
}

}  // namespace

std::vector<std::string> launch_arguments(const format::ModelSource& source,
                                          const LoadOptions& options, int port) {
  std::vector<std::string> list{"serve",
                                source.path,
                                "--host",
                                "127.0.0.1",
                                "--port",
                                std::to_string(port),
                                "--served-model-name",
                                source.id};
  const auto add = [&](const char* name, const std::string& value) {
    list.insert(list.end(), {name, value});
  };
  const LoadOptions initial;
  if (!options.dtype.empty()) add("--dtype", dtype_name(options.dtype));
  if (options.max_model_len > 0) add("--max-model-len", std::to_string(options.max_model_len));
  if (options.gpu_memory_utilization)
    add("--gpu-memory-utilization", base::cat(*options.gpu_memory_utilization));
  if (options.tensor_parallel != 1)
    add("--tensor-parallel-size", std::to_string(options.tensor_parallel));
  if (options.max_sequences != initial.max_sequences)
    add("--max-num-seqs", std::to_string(options.max_sequences));
  if (options.max_step_tokens != initial.max_step_tokens)
    add("--max-num-batched-tokens", std::to_string(options.max_step_tokens));
  if (options.kv_block_size != initial.kv_block_size)
    add("--block-size", std::to_string(options.kv_block_size));
  if (options.kv_cache_bytes > 0)
    add("--kv-cache-memory-bytes", std::to_string(options.kv_cache_bytes));
  if (!options.prefix_caching) list.emplace_back("--no-enable-prefix-caching");
  if (options.trust_remote_code.value_or(false)) list.emplace_back("--trust-remote-code");
  list.insert(list.end(), options.vllm.args.begin(), options.vllm.args.end());
  return list;
}

LaunchedServer launch(const std::string& executable, const format::ModelSource& source,
                      const LoadOptions& options) {
  const int port = free_port();
  LaunchedServer server;
  server.url = base::cat("http://127.0.0.1:", port);
  server.api_key = options.vllm.api_key.empty() ? base::random_id("key-") : options.vllm.api_key;
  // In the environment, for arguments are there for everybody to see. The model is a folder here.
  auto process = std::make_unique<ChildProcess>(
      executable, launch_arguments(source, options, port),
      std::vector<std::string>{"VLLM_API_KEY=" + server.api_key, "HF_HUB_OFFLINE=1"});
  wait_until_ready(*process, executable, server, options);
  server.process = std::move(process);
  return server;
}

}  // namespace openllm::backend::vllm
