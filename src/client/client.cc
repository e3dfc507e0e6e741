#include "openllm/client.h"

#include <optional>
#include <utility>

#include "base/error.h"
#include "base/mutex.h"
#include "client/api.h"
#include "client/server_error.h"
#include "client/vectors.h"
#include "client/wire.h"

namespace openllm {
namespace {

constexpr const char* kDefaultAddress = "http://127.0.0.1:3000";

client::CallerOptions caller_options(const ClientOptions& options) {
  std::string address = client::or_from_environment(options.address, "OPENLLM_ENDPOINT");
  client::CallerOptions result;
  result.address = address.empty() ? kDefaultAddress : std::move(address);
  result.base_path = "/v1";
  result.api_key = client::or_from_environment(options.api_key, "OPENLLM_AUTH_TOKEN");
  result.timeout_s = options.timeout_s;
  result.retries = {options.max_retries, options.retry_pause};
  result.tls = {options.verify, options.ca_file};
  return result;
}

}  // namespace

/// OpenAI's API.
class [[gnu::visibility("hidden")]] Client::Impl final : public client::Api {
 public:
  explicit Impl(ClientOptions options)
      : Api(client::Caller(caller_options(options))), chosen_model_(std::move(options.model)) {}

  std::vector<std::string> models() const {
    const net::HttpAnswer answer = caller().call(caller().make_call("/v1/models"));
    const base::Json json = client::parse_answer(answer.body);
    const base::Json* data = json.find("data");
    if (data == nullptr || !data->is_array())
      base::fail(ErrorCode::kIo, client::kAnswer, ": has no data");
    std::vector<std::string> ids;
    for (const base::Json& entry : *data->if_array()) {
      const base::Json* id = entry.find("id");
      if (id != nullptr && id->is_string()) ids.push_back(*id->if_string());
    }
    return ids;
  }

  Question question(const Prompt& prompt, const GenerateOptions& options, bool stream)
      const override {
    return {prompt.messages() != nullptr ? "/v1/chat/completions" : "/v1/completions",
            client::make_body(prompt, options, model(), stream)};
  }
  void merge(GenerationOutput & output, const base::Json& answer, OutputKind kind) const override {
    client::merge_answer(output, answer, kind);
  }
  bool merge_late_counts(GenerationOutput & output, const base::Json& answer) const override {
    if (!client::has_only_usage(answer)) return false;
    client::merge_usage(output, answer);
    return true;
  }
  bool may_end_without_reason() const noexcept override { return true; }

  /// The one that was chosen, else the server's first, asked for once.
  std::string model() const {
    if (!chosen_model_.empty()) return chosen_model_;
    const base::MutexLock lock(mutex_);
    if (!model_) {
      const std::vector<std::string> all = models();
      if (all.empty()) base::fail(ErrorCode::kNotFound, "server: has no models");
      model_ = all.front();
    }
    return *model_;
  }

 private:
  const std::string chosen_model_;
  mutable base::Mutex mutex_;
  mutable std::optional<std::string> model_ GUARDED_BY(mutex_);
};

Client::Client(ClientOptions options) : impl_(std::make_shared<Impl>(std::move(options))) {}
Client::~Client() = default;
Client::Client(Client&&) noexcept = default;
Client& Client::operator=(Client&&) noexcept = default;
const std::shared_ptr<const Client::Impl>& Client::impl() const {
  if (impl_ == nullptr)
    base::fail(ErrorCode::kInvalidArgument, "client: has no server (it was moved from)");
  return impl_;
}
bool Client::health() const { return impl()->caller().is_ready(); }
std::vector<std::string> Client::models() const { return impl()->models(); }
GenerationOutput Client::generate(const Prompt& prompt, const GenerateOptions& options) const {
  return client::generate(*impl(), prompt, options);
}
GenerationOutput Client::chat(const std::vector<Message>& messages,
                              const GenerateOptions& options) const {
  return generate(Prompt(messages), options);
}
GenerationOutput Client::generate_stream(
    const Prompt& prompt, const GenerateOptions& options,
    const std::function<bool(const GenerationOutput&)>& on_output) const {
  return client::generate_stream(*impl(), prompt, options, on_output);
}
GenerationStream Client::generate_iterator(const Prompt& prompt,
                                           const GenerateOptions& options) const {
  return GenerationStream(client::start(impl(), prompt, options));
}
AsyncGenerationStream Client::async_generate_iterator(const Prompt& prompt,
                                                      const GenerateOptions& options) const {
  return AsyncGenerationStream(client::start(impl(), prompt, options));
}
EmbedOutput Client::embed(const std::vector<Prompt>& inputs, const EmbedOptions& options) const {
  return client::embed(impl()->caller(), impl()->model(), inputs, options);
}
ScoreOutput Client::score(const std::string& query, const std::vector<std::string>& documents,
                          const EmbedOptions& options) const {
  return client::score(impl()->caller(), impl()->model(), query, documents, options);
}
RerankOutput Client::rerank(const std::string& query, const std::vector<std::string>& documents,
                            int top_n, const EmbedOptions& options) const {
  return client::rerank(impl()->caller(), impl()->model(), query, documents, top_n, options);
}
Task<GenerationOutput> Client::async_generate(Prompt prompt, GenerateOptions options) const {
  return client::async_generate(impl(), std::move(prompt), std::move(options));
}
Task<GenerationOutput> Client::async_chat(std::vector<Message> messages,
                                          GenerateOptions options) const {
  return async_generate(Prompt(std::move(messages)), std::move(options));
}

}  // namespace openllm
