#include "openllm/client.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <optional>
#include <utility>

#include "base/clock.h"
#include "base/error.h"
#include "base/mutex.h"
#include "client/request.h"
#include "client/retry.h"
#include "client/wire.h"
#include "net/http.h"
#include "net/sse.h"
#include "net/url.h"

namespace openllm {
namespace {

std::string environment_or(std::string value, const char* name, const char* otherwise) {
  if (!value.empty()) return value;
  const char* found = std::getenv(name);
  return found != nullptr && *found != '\0' ? found : otherwise;
}

/// Refuses control characters: a line end in the key would start another header field.
void check_key(const std::string& key) {
  if (std::any_of(key.begin(), key.end(), [](char c) { return c < 0x20 || c == 0x7F; })) {
    base::fail(ErrorCode::kInvalidArgument,
               "api_key: has characters that cannot be sent (expected printable ASCII)");
  }
}

/// "http://host:port", with the path that the server may have, and without the "/v1" of OpenAI's
/// base_url.
std::string normalised_address(std::string address) {
  if (address.find("://") == std::string::npos) address = "http://" + address;
  const std::optional<net::Url> url = net::parse_url(address);
  if (!url || (url->scheme != "http" && url->scheme != "https")) {
    base::fail(ErrorCode::kInvalidArgument,
               "client: bad address (expected http://host:port or https://host, got ",
               net::shown_url(address), ")");
  }
  std::string_view path = url->path;
  while (path.ends_with('/')) path.remove_suffix(1);
  if (path.ends_with("/v1")) path.remove_suffix(3);
  return base::cat(url->origin(), path);
}

/// The error of a refused call, with the address where that may be what is wrong.
Error refusal(const net::HttpCall& call, const net::HttpAnswer& answer) {
  const Error error = client::make_error(answer.status, answer.body);
  const std::string url = net::shown_url(call.url);
  if (answer.status >= 300 && answer.status < 400 && !answer.location.empty()) {
    return {error.code(),
            base::cat("server: HTTP status ", answer.status, ": ", url, " is now ",
                      client::printable(net::shown_url(answer.location)), " (give that address)")};
  }
  const bool may_be_wrong = answer.status == 404 || answer.status == 405;
  return {error.code(), may_be_wrong ? base::cat(error.what(), " (from ", url, ")") : error.what(),
          error.where(), error.reason(), answer.retry_after.value_or(std::chrono::milliseconds(0))};
}

/// The end of a stream as the task that waits for it wants it.
Task<GenerationOutput> run_to_end(AsyncGenerationStream stream) {
  std::optional<GenerationOutput> last;
  while (const GenerationOutput* output = co_await stream.next()) last = *output;
  if (!last) base::fail(ErrorCode::kInternal, "client: the request ended without an output");
  co_return std::move(*last);
}

}  // namespace

class [[gnu::visibility("hidden")]] Client::Impl {
 public:
  explicit Impl(ClientOptions options) : options_(std::move(options)) {
    options_.address = normalised_address(
        environment_or(std::move(options_.address), "OPENLLM_ENDPOINT", "http://127.0.0.1:3000"));
    options_.api_key = environment_or(std::move(options_.api_key), "OPENLLM_AUTH_TOKEN", "");
    check_key(options_.api_key);
    if (options_.timeout_s < 1) {
      base::fail(ErrorCode::kInvalidArgument,
                 "timeout_s: out of range (expected at least 1 second of silence, got ",
                 options_.timeout_s, ")");
    }
  }

  bool health() const {
    try {
      return net::http_call(make_call("/readyz")).status == 200;
    } catch (const Error&) {
      return false;
    }
  }

  std::vector<std::string> models() const {
    const base::Json json = client::parse_answer(call(make_call("/v1/models")).body);
    const base::Json* data = json.find("data");
    if (data == nullptr || !data->is_array())
      base::fail(ErrorCode::kIo, "server's answer: has no data");
    std::vector<std::string> ids;
    for (const base::Json& entry : *data->if_array()) {
      const base::Json* id = entry.find("id");
      if (id != nullptr && id->is_string()) ids.push_back(*id->if_string());
    }
    return ids;
  }

  /// A call that runs by itself, and keeps `self` alive.
  static std::shared_ptr<detail::OutputSource> start(const std::shared_ptr<const Impl>& self,
                                                     Prompt prompt, const GenerateOptions& options);

  GenerationOutput generate(const Prompt& prompt, const GenerateOptions& options) const {
    net::HttpCall request = make_generation_call(prompt, options, false);
    const net::HttpAnswer answer = call(request);
    GenerationOutput output = empty_output(prompt, options);
    if (answer.was_ended) return ended(std::move(output), answer);
    client::merge_answer(output, client::parse_answer(answer.body));
    return output;
  }

  GenerationOutput generate_stream(const Prompt& prompt, const GenerateOptions& options,
                                   const std::function<bool(const GenerationOutput&)>& on_output)
      const {
    net::HttpCall request = make_generation_call(prompt, options, true);
    GenerationOutput output = empty_output(prompt, options);
    net::SseDecoder decoder;
    bool is_done = false;
    bool has_news = false;
    const bool only_final = options.output_kind == OutputKind::kFinalOnly;
    const auto on_answer = [&](std::string_view text) {
      client::merge_answer(output, client::parse_answer(text), options.output_kind);
      has_news = true;
      return only_final || !on_output || on_output(output);
    };
    const auto on_data = [&](std::string_view data) {
      if (data != "[DONE]") return on_answer(data);
      is_done = true;
      return true;
    };
    request.on_body = [&](std::string_view bytes) { return decoder.feed(bytes, on_data); };
    net::HttpAnswer answer = call(request);
    // Some servers do not stream and give the whole answer at once; others are no such servers.
    if (!answer.was_ended && !has_news && !is_done && !answer.body.empty())
      answer.was_ended = !on_answer(answer.body);
    if (answer.was_ended && !output.finished) output = ended(std::move(output), answer);
    if (!output.finished && (!is_done || !has_news))
      base::fail(ErrorCode::kIo, "server's answer: ended in the middle");
    if (only_final && on_output) on_output(output);
    return output;
  }

 private:
  net::HttpCall make_call(const std::string& path) const {
    net::HttpCall request;
    request.where = "client";
    request.url = options_.address + path;
    request.api_key = options_.api_key;
    request.timeout_s = options_.timeout_s;
    return request;
  }

  net::HttpCall make_generation_call(const Prompt& prompt, const GenerateOptions& options,
                                     bool stream) const {
    const bool is_chat = prompt.messages() != nullptr;
    net::HttpCall request = make_call(is_chat ? "/v1/chat/completions" : "/v1/completions");
    request.body = client::make_body(prompt, options, model(), stream);
    request.stop_token = options.stop_token;
    if (options.timeout) {
      request.deadline = base::deadline_after(std::chrono::steady_clock::now(), *options.timeout);
    }
    return request;
  }

  static GenerationOutput empty_output(const Prompt& prompt, const GenerateOptions& options) {
    GenerationOutput output;
    if (prompt.text() != nullptr) output.prompt = *prompt.text();
    output.outputs.resize(static_cast<std::size_t>(std::clamp(options.n, 1, 128)));
    for (std::size_t i = 0; i < output.outputs.size(); ++i)
      output.outputs[i].index = static_cast<int>(i);
    return output;
  }

  static GenerationOutput ended(GenerationOutput output, const net::HttpAnswer& answer) {
    output.finished = true;
    const FinishReason reason = answer.is_late ? FinishReason::kDeadline : FinishReason::kCancelled;
    for (CompletionChunk& chunk : output.outputs) {
      if (!chunk.finish_reason) chunk.finish_reason = reason;
    }
    return output;
  }

  /// Makes the call, with retries. Throws the error that the server answers.
  net::HttpAnswer call(const net::HttpCall& request) const {
    for (int attempt = 0;; ++attempt) {
      net::HttpAnswer answer = net::http_call(request);
      if (answer.status == 200 || answer.was_ended) return answer;
      if (!client::can_retry(answer.status) || attempt >= options_.max_retries)
        throw refusal(request, answer);
      if (!client::pause(client::retry_pause(answer, attempt), request.stop_token,
                         request.deadline)) {
        answer.was_ended = true;
        answer.is_late = !request.stop_token.stop_requested();
        return answer;
      }
    }
  }

  /// The one that was chosen, else the server's first, asked for once.
  std::string model() const {
    if (!options_.model.empty()) return options_.model;
    const base::MutexLock lock(mutex_);
    if (!model_) {
      const std::vector<std::string> all = models();
      if (all.empty()) base::fail(ErrorCode::kNotFound, "server: has no models");
      model_ = all.front();
    }
    return *model_;
  }

  ClientOptions options_;
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
bool Client::health() const { return impl()->health(); }
std::vector<std::string> Client::models() const { return impl()->models(); }
GenerationOutput Client::generate(const Prompt& prompt, const GenerateOptions& options) const {
  return impl()->generate(prompt, options);
}
GenerationOutput Client::chat(const std::vector<Message>& messages,
                              const GenerateOptions& options) const {
  return generate(Prompt(messages), options);
}
GenerationOutput Client::generate_stream(
    const Prompt& prompt, const GenerateOptions& options,
    const std::function<bool(const GenerationOutput&)>& on_output) const {
  return impl()->generate_stream(prompt, options, on_output);
}

std::shared_ptr<detail::OutputSource> Client::Impl::start(const std::shared_ptr<const Impl>& self,
                                                          Prompt prompt,
                                                          const GenerateOptions& options) {
  GenerateOptions deltas = options;
  deltas.output_kind = OutputKind::kDelta;
  return std::make_shared<client::Request>(
      [self, prompt = std::move(prompt), deltas = std::move(deltas)](
          const std::stop_token& stop,
          const std::function<void(const GenerationOutput&)>& on_delta) mutable {
        deltas.stop_token = stop;
        bool has_end = false;
        const auto on_output = [&](const GenerationOutput& output) {
          has_end = output.finished;
          on_delta(output);
          return true;
        };
        GenerationOutput last = self->generate_stream(prompt, deltas, on_output);
        if (has_end) return;
        for (CompletionChunk& chunk : last.outputs) {  // it has been told of, but of its end
          chunk.text.clear();
          chunk.token_ids.clear();
          chunk.logprobs.reset();
          chunk.n_delta_tokens = 0;
        }
        on_delta(last);
      },
      options);
}

GenerationStream Client::generate_iterator(const Prompt& prompt,
                                           const GenerateOptions& options) const {
  return GenerationStream(Impl::start(impl(), prompt, options));
}
AsyncGenerationStream Client::async_generate_iterator(const Prompt& prompt,
                                                      const GenerateOptions& options) const {
  return AsyncGenerationStream(Impl::start(impl(), prompt, options));
}
Task<GenerationOutput> Client::async_generate(Prompt prompt, GenerateOptions options) const {
  options.output_kind = OutputKind::kFinalOnly;
  return run_to_end(AsyncGenerationStream(Impl::start(impl(), std::move(prompt), options)));
}
Task<GenerationOutput> Client::async_chat(std::vector<Message> messages,
                                          GenerateOptions options) const {
  return async_generate(Prompt(std::move(messages)), std::move(options));
}

}  // namespace openllm
