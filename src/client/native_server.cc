#include "client/native_server.h"

#include <cctype>
#include <utility>

#include "base/error.h"
#include "base/message_json.h"
#include "client/identity.h"
#include "client/native_wire.h"
#include "client/server_error.h"

namespace openllm::client {
namespace {

/// The version goes into paths as it is.
std::string checked_version(const std::string& version) {
  bool is_fine = !version.empty();
  for (const char c : version) {
    const bool is_plain = std::isalnum(static_cast<unsigned char>(c)) != 0;
    is_fine = is_fine && (is_plain || c == '.' || c == '-' || c == '_');
  }
  if (!is_fine) {
    base::fail_at(ErrorCode::kInvalidArgument, "api_version",
                  "bad version (expected one as v1, got ", printable(version), ")");
  }
  return version;
}

std::string address_of(const HTTPClientOptions& options) {
  std::string address = or_from_environment(options.address, "OPENLLM_ENDPOINT");
  if (address.empty()) {
    base::fail_at(ErrorCode::kInvalidArgument, "address",
                  "there is none (expected http://host:port, or the variable OPENLLM_ENDPOINT)");
  }
  return address;
}

CallerOptions caller_options(const HTTPClientOptions& options, std::string_view name) {
  CallerOptions result;
  result.address = address_of(options);
  result.base_path = "/" + checked_version(options.api_version);
  result.api_key = or_from_environment(options.auth_token, "OPENLLM_AUTH_TOKEN");
  result.timeout_s = options.timeout_s;
  result.retries = {options.max_retries, options.retry_pause};
  result.tls = {options.verify, options.ca_file};
  result.user_agent = user_agent(name);
  result.headers = identity_headers();
  return result;
}

class NativeApi final : public Api {
 public:
  NativeApi(Caller caller, std::string base_path, std::string model, LLMConfig patch)
      : Api(std::move(caller)),
        base_path_(std::move(base_path)),
        model_(std::move(model)),
        patch_(std::move(patch)) {}

  Question question(const Prompt& prompt, const GenerateOptions& options,
                    bool stream) const override {
    return {base_path_ + (stream ? "/generate_stream" : "/generate"),
            make_native_body(prompt, patch_, options, model_)};
  }
  void merge(GenerationOutput& output, const base::Json& answer, OutputKind kind) const override {
    merge_native(output, answer, kind);
  }
  bool may_end_without_reason() const noexcept override { return false; }

 private:
  std::string base_path_;
  std::string model_;
  LLMConfig patch_;
};

}  // namespace

NativeServer::NativeServer(HTTPClientOptions options, std::string_view name)
    : options_(std::move(options)), caller_(caller_options(options_, name)) {}

void NativeServer::require_open() const {
  if (is_closed_)
    base::fail(ErrorCode::kInvalidArgument, "client: was closed (expected an open one)");
}

std::string NativeServer::route(std::string_view name) const {
  return base::cat("/", options_.api_version, "/", name);
}

std::shared_ptr<const Api> NativeServer::api(HTTPCallOptions call) const {
  require_open();
  CallerOptions options = caller_.options();
  options.timeout_s = call.timeout_s.value_or(options.timeout_s);
  if (call.verify) options.tls.verify = *call.verify;
  if (!options.tls.verify) options.tls.ca_file.clear();  // of no use in this call alone
  return std::make_shared<NativeApi>(Caller(std::move(options)), "/" + options_.api_version,
                                     options_.model, std::move(call.llm_config));
}

bool NativeServer::health(const std::stop_token& stop) const {
  require_open();
  return caller_.is_ready(stop);
}

std::string NativeServer::ask(std::string_view name, std::string body,
                              const std::stop_token& stop) const {
  require_open();
  net::HttpCall request = caller_.make_call(route(name));
  request.body = std::move(body);
  request.stop_token = stop;
  net::HttpAnswer answer = caller_.call(request);
  if (answer.was_ended) base::fail(ErrorCode::kCancelled, "client: the call was cancelled");
  return std::move(answer.body);
}

const MetadataAnswer& NativeServer::known_metadata(const std::stop_token& stop) const {
  require_open();
  if (metadata_ == nullptr) {
    base::Json body = base::Json::object();
    if (!options_.model.empty()) body["model"] = options_.model;
    metadata_ = std::make_unique<const MetadataAnswer>(ask("metadata", body.dump(), stop));
  }
  return *metadata_;
}

Metadata NativeServer::metadata(const std::stop_token& stop) const {
  const base::MutexLock lock(mutex_);
  return known_metadata(stop).fields();
}

std::string NativeServer::item(std::string_view name, const std::stop_token& stop) const {
  const base::MutexLock lock(mutex_);
  return known_metadata(stop).item(name);
}

std::string NativeServer::messages(const std::vector<Message>& messages, bool add_generation_prompt,
                                   const std::stop_token& stop) const {
  base::Json body = base::Json::object();
  if (!options_.model.empty()) body["model"] = options_.model;
  body["messages"] = base::messages_to_json(messages);
  body["add_generation_prompt"] = add_generation_prompt;
  return ask("helpers/messages", body.dump(), stop);
}

}  // namespace openllm::client
