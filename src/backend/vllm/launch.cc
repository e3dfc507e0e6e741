#include "backend/vllm/launch.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <thread>
#include <utility>

#include "backend/check_options.h"
#include "backend/vllm/child_process.h"
#include "base/error.h"
#include "base/json.h"
#include "base/random_id.h"
#include "format/json_file.h"
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

void require_running(const ChildProcess& process, const std::string& executable) {
  const std::optional<std::string> end = process.how_it_ended();
  if (!end) return;
  base::fail(ErrorCode::kUnavailable, "vllm: ", executable, " ended with ", *end,
             " before it was ready; ", quoted_lines(process));
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
    if (options.stop_token.stop_requested())
      base::fail(ErrorCode::kCancelled, "vllm: starting ", executable, " was ended");
    const auto passed = std::chrono::duration<double>(Clock::now() - begin);
    if (passed >= limit) {
      base::fail(ErrorCode::kDeadline, "vllm: ", executable, " was not ready within ",
                 limit.count(), " s (", trouble, "; vllm.startup_timeout sets the limit); ",
                 quoted_lines(process));
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

/// Names of vLLM's own variables begin so.
constexpr const char* kAllowAdapters = "VLLM_ALLOW_RUNTIME_LORA_UPDATING=True";

constexpr std::int64_t kMaxRank = 1 << 16;

/// Of the adapter in a folder; 0 where that does not say.
int rank_of(const std::string& folder) {
  const auto read = [](const base::Json& json) {
    return json.is_int() ? static_cast<int>(std::clamp<std::int64_t>(*json.if_int(), 0, kMaxRank))
                         : 0;
  };
  try {
    const base::Json config = format::read_json_file(folder, "adapter_config.json");
    const base::Json* rank = config.find("r");
    int largest = rank == nullptr ? 0 : read(*rank);
    const base::Json* of_modules = config.find("rank_pattern");
    if (of_modules != nullptr && of_modules->is_object()) {
      for (const auto& [name, value] : *of_modules->if_object())
        largest = std::max(largest, read(value));
    }
    return largest;
  } catch (const Error&) {
    return 0;  // vLLM says better what is wrong with it
  }
}

/// What adapters to be mounted need: room for their ranks, and for all of them at once.
void add_adapters(const LoadOptions& options, std::vector<std::string>& list) {
  if (options.adapters.empty()) return;
  constexpr std::array<int, 9> kRanks{1, 8, 16, 32, 64, 128, 256, 320, 512};
  constexpr int kUsualRank = 16;
  constexpr std::size_t kMaxAtOnce = 8;
  int rank = kUsualRank;
  for (const AdapterOptions& adapter : options.adapters) rank = std::max(rank, rank_of(adapter.id));
  list.emplace_back("--enable-lora");
  const auto* room = std::lower_bound(kRanks.begin(), kRanks.end(), rank);
  if (rank > kUsualRank && room != kRanks.end())
    list.insert(list.end(), {"--max-lora-rank", std::to_string(*room)});
  const std::size_t n = std::min(options.adapters.size(), kMaxAtOnce);
  if (n > 1) list.insert(list.end(), {"--max-loras", std::to_string(n)});
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
  if (options.max_draft_tokens != initial.max_draft_tokens && options.max_draft_tokens > 0) {
    add("--speculative-config",
        base::cat(R"({"method":"ngram","num_speculative_tokens":)", options.max_draft_tokens,
                  R"(,"prompt_lookup_max":3,"prompt_lookup_min":3})"));
  }
  if (options.trust_remote_code.value_or(false)) list.emplace_back("--trust-remote-code");
  if (!options.quantize.empty()) add("--quantization", options.quantize);
  add_adapters(options, list);
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
  auto process =
      std::make_unique<ChildProcess>(executable, launch_arguments(source, options, port),
                                     std::vector<std::string>{"VLLM_API_KEY=" + server.api_key,
                                                              "HF_HUB_OFFLINE=1", kAllowAdapters});
  wait_until_ready(*process, executable, server, options);
  server.process = std::move(process);
  return server;
}

}  // namespace openllm::backend::vllm
