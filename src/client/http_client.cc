#include "openllm/http_client.h"

#include <utility>

#include "base/error.h"
#include "client/api.h"
#include "client/async_call.h"
#include "client/native_server.h"

namespace openllm {
namespace {

using client::NativeServer;
using Server = std::shared_ptr<const NativeServer>;

const Server& require(const Server& server) {
  if (server == nullptr)
    base::fail(ErrorCode::kInvalidArgument, "client: has no server (it was moved from)");
  return server;
}

/// The news of an output, a token each.
std::vector<StreamingResponse> single_tokens(const GenerationOutput& delta) {
  std::vector<StreamingResponse> items;
  for (const CompletionChunk& chunk : delta.outputs) {
    for (const std::int32_t id : chunk.token_ids)
      items.push_back({.request_id = delta.request_id, .index = chunk.index, .token_ids = id});
    if (chunk.text.empty()) continue;
    if (chunk.token_ids.empty())
      items.push_back({.request_id = delta.request_id, .index = chunk.index});
    items.back().text = chunk.text;
  }
  return items;
}

Generator<StreamingResponse> tokens_of(GenerationStream stream) {
  while (const GenerationOutput* output = stream.next()) {
    for (StreamingResponse& item : single_tokens(*output)) co_yield item;
  }
}

AsyncGenerator<StreamingResponse> tokens_of(AsyncGenerationStream stream) {
  while (const GenerationOutput* output = co_await stream.next()) {
    for (StreamingResponse& item : single_tokens(*output)) co_yield item;
  }
}

GenerateOptions with_deltas(GenerateOptions options) {
  options.output_kind = OutputKind::kDelta;
  return options;
}

Server make_server(HTTPClientOptions options, std::string_view name) {
  return std::make_shared<const NativeServer>(std::move(options), name);
}

constexpr std::string_view kName = "HTTPClient";
constexpr std::string_view kAsyncName = "AsyncHTTPClient";

}  // namespace

HTTPClient::HTTPClient(HTTPClientOptions options)
    : server_(make_server(std::move(options), kName)) {}
HTTPClient::~HTTPClient() = default;
HTTPClient::HTTPClient(HTTPClient&&) noexcept = default;
HTTPClient& HTTPClient::operator=(HTTPClient&&) noexcept = default;
const Server& HTTPClient::server() const { return require(server_); }

GenerationOutput HTTPClient::generate(const Prompt& prompt, const GenerateOptions& options,
                                      const HTTPCallOptions& call) const {
  return client::generate(*server()->api(call), prompt, options);
}
GenerationOutput HTTPClient::query(const Prompt& prompt, const GenerateOptions& options,
                                   const HTTPCallOptions& call) const {
  return generate(prompt, options, call);
}
GenerationStream HTTPClient::generate_iterator(const Prompt& prompt, const GenerateOptions& options,
                                               const HTTPCallOptions& call) const {
  return GenerationStream(client::start(server()->api(call), prompt, options));
}
Generator<StreamingResponse> HTTPClient::generate_stream(const Prompt& prompt,
                                                         const GenerateOptions& options,
                                                         const HTTPCallOptions& call) const {
  return tokens_of(generate_iterator(prompt, with_deltas(options), call));
}

bool HTTPClient::health() const { return server()->health(); }
bool HTTPClient::is_ready() const { return !server()->is_closed() && server()->health(); }
bool HTTPClient::is_closed() const { return server()->is_closed(); }
std::string HTTPClient::address() const { return server()->caller().address(); }
std::string HTTPClient::base_url() const { return server()->base_url(); }
std::string HTTPClient::user_agent() const { return server()->caller().options().user_agent; }
Metadata HTTPClient::metadata() const { return server()->metadata(); }
std::string HTTPClient::operator[](std::string_view name) const { return server()->item(name); }
void HTTPClient::close() { server()->close(); }

HTTPClient::Helpers HTTPClient::helpers() const { return Helpers(server()); }
HTTPClient::Helpers::Helpers(Server server) : server_(std::move(server)) {}
std::string HTTPClient::Helpers::messages(const std::vector<Message>& messages,
                                          bool add_generation_prompt) const {
  return server_->messages(messages, add_generation_prompt);
}

AsyncHTTPClient::AsyncHTTPClient(HTTPClientOptions options)
    : server_(make_server(std::move(options), kAsyncName)) {}
AsyncHTTPClient::~AsyncHTTPClient() = default;
AsyncHTTPClient::AsyncHTTPClient(AsyncHTTPClient&&) noexcept = default;
AsyncHTTPClient& AsyncHTTPClient::operator=(AsyncHTTPClient&&) noexcept = default;
const Server& AsyncHTTPClient::server() const { return require(server_); }

Task<GenerationOutput> AsyncHTTPClient::generate(Prompt prompt, GenerateOptions options,
                                                 HTTPCallOptions call) const {
  return client::async_generate(server()->api(std::move(call)), std::move(prompt),
                                std::move(options));
}
Task<GenerationOutput> AsyncHTTPClient::query(Prompt prompt, GenerateOptions options,
                                              HTTPCallOptions call) const {
  return generate(std::move(prompt), std::move(options), std::move(call));
}
AsyncGenerationStream AsyncHTTPClient::generate_iterator(const Prompt& prompt,
                                                         const GenerateOptions& options,
                                                         const HTTPCallOptions& call) const {
  return AsyncGenerationStream(client::start(server()->api(call), prompt, options));
}
AsyncGenerator<StreamingResponse> AsyncHTTPClient::generate_stream(
    const Prompt& prompt, const GenerateOptions& options, const HTTPCallOptions& call) const {
  return tokens_of(generate_iterator(prompt, with_deltas(options), call));
}

Task<bool> AsyncHTTPClient::health() const {
  return client::async_call<bool>(
      [server = server()](const std::stop_token& stop) { return server->health(stop); });
}
Task<bool> AsyncHTTPClient::is_ready() const {
  return client::async_call<bool>([server = server()](const std::stop_token& stop) {
    return !server->is_closed() && server->health(stop);
  });
}
bool AsyncHTTPClient::is_closed() const { return server()->is_closed(); }
std::string AsyncHTTPClient::address() const { return server()->caller().address(); }
std::string AsyncHTTPClient::base_url() const { return server()->base_url(); }
std::string AsyncHTTPClient::user_agent() const { return server()->caller().options().user_agent; }
Task<Metadata> AsyncHTTPClient::metadata() const {
  return client::async_call<Metadata>(
      [server = server()](const std::stop_token& stop) { return server->metadata(stop); });
}
Task<std::string> AsyncHTTPClient::operator[](std::string name) const {
  return client::async_call<std::string>(
      [server = server(), name = std::move(name)](const std::stop_token& stop) {
        return server->item(name, stop);
      });
}
void AsyncHTTPClient::close() { server()->close(); }

AsyncHTTPClient::Helpers AsyncHTTPClient::helpers() const { return Helpers(server()); }
AsyncHTTPClient::Helpers::Helpers(Server server) : server_(std::move(server)) {}
Task<std::string> AsyncHTTPClient::Helpers::messages(std::vector<Message> messages,
                                                     bool add_generation_prompt) const {
  return client::async_call<std::string>([server = server_, messages = std::move(messages),
                                          add_generation_prompt](const std::stop_token& stop) {
    return server->messages(messages, add_generation_prompt, stop);
  });
}

}  // namespace openllm
