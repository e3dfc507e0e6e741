#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "openllm/binding.h"
#include "openllm/generator.h"
#include "openllm/runner.h"
#include "openllm/server.h"
#include "openllm/stream.h"
#include "openllm/task.h"

namespace openllm {

/// One call of an endpoint of a Service: who asks, and what the answer has besides its body. Lives
/// as long as the call. Thread safety: one thread at a time; `stop_token` from any thread.
class OPENLLM_API Context {
 public:
  Context() = default;
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;
  virtual ~Context();

  /// The request's X-Request-Id, or one that was made for it.
  virtual const std::string& request_id() const noexcept = 0;
  /// The decoded path of the request, for example "/files/a b" of an endpoint "/files/".
  virtual std::string path() const = 0;
  /// The value of a header field of the request; empty if there is none.
  virtual std::string_view header(std::string_view name) const noexcept = 0;
  /// The decoded value of a parameter in the request's address; empty if there is none.
  virtual std::string query(std::string_view name) const = 0;
  /// Stop is requested when the client goes away or the server stops.
  virtual std::stop_token stop_token() const noexcept = 0;
  /// `options` as a request of this caller: ends when the client goes away, is served in turn with
  /// those of other API keys, and is refused (429) when it would wait too long, as those of the
  /// built-in routes are. `co_await llm.async_generate(prompt, context.options());`
  virtual GenerateOptions options(const GenerateOptions& options = {}) const = 0;

  /// Status of the answer, 200 to 599; of one without a body 204 unless this sets another.
  /// Both throw kInvalidArgument for what HTTP does not have, and once the answer has begun.
  virtual void set_status(int status) = 0;
  /// Adds a header field to the answer.
  virtual void set_header(std::string_view name, std::string_view value) = 0;
};

/// How an endpoint is reached and described.
struct ApiOptions {
  std::string method = "POST";  ///< GET, POST, PUT, PATCH or DELETE.
  std::string summary{};        ///< For /docs.json.
  std::string description{};    ///< For /docs.json.
  bool needs_key = true;        ///< If ServerOptions::api_keys has keys.
};

namespace detail {

/// A call as the code of an endpoint sees it, whatever its types.
class OPENLLM_API HandlerCall {
 public:
  HandlerCall() = default;
  HandlerCall(const HandlerCall&) = delete;
  HandlerCall& operator=(const HandlerCall&) = delete;
  virtual ~HandlerCall();

  virtual Context& context() noexcept = 0;
  virtual const std::string& body() const noexcept = 0;
  /// A null content type: there is no body.
  virtual void answer(std::string body, const char* content_type) = 0;
  /// Sends an event of a stream and waits until the client has read enough. False: nobody reads.
  virtual Task<bool> send(std::string json) = 0;
  /// The answer is a stream, also if nothing was sent.
  virtual void end_events() noexcept = 0;
  /// Sends what a request gives, until it ends.
  virtual Task<void> follow(AsyncGenerationStream stream) = 0;
};

/// An endpoint whatever its types.
struct Handler {
  enum class Body { kNone, kText, kJson, kEvents };
  std::function<Task<void>(HandlerCall&)> run{};
  Body input = Body::kNone;
  Body output = Body::kNone;
  void (*input_schema)(SchemaWriter&) = nullptr;
  void (*output_schema)(SchemaWriter&) = nullptr;  ///< Of an event, where the output is these.
};

template <typename T>
struct Signature {};
template <typename R, typename... A>
struct Signature<R(A...)> {
  using Result = R;
  using Arguments = std::tuple<A...>;
};
template <typename R, typename... A>
struct Signature<R(A...) noexcept> : Signature<R(A...)> {};
template <typename R, typename... A>
struct Signature<R (*)(A...)> : Signature<R(A...)> {};
template <typename R, typename... A>
struct Signature<R (*)(A...) noexcept> : Signature<R(A...)> {};
template <typename C, typename R, typename... A>
struct Signature<R (C::*)(A...) const> : Signature<R(A...)> {};
template <typename C, typename R, typename... A>
struct Signature<R (C::*)(A...) const noexcept> : Signature<R(A...)> {};
template <typename F>
requires requires { &F::operator(); }
struct Signature<F> : Signature<decltype(&F::operator())> {};

template <typename A>
inline constexpr bool kIsContext = std::same_as<A, Context&>;

/// The types of an endpoint.
template <typename F>
struct HandlerTypes {
  using Arguments = typename Signature<F>::Arguments;
  using Result = typename Signature<F>::Result;
  static constexpr std::size_t kArity = std::tuple_size_v<Arguments>;
  template <std::size_t I>
  static constexpr bool has_context_at() {
    if constexpr (I < kArity) return kIsContext<std::tuple_element_t<I, Arguments>>;
    return false;
  }
  static constexpr bool kHasContext = has_context_at<0>() || has_context_at<1>();
  static constexpr bool kHasInput = kArity == (kHasContext ? 2 : 1);
  static_assert(kArity <= 2 && (kHasInput || kArity == (kHasContext ? 1 : 0)),
                "an endpoint takes (), (Input), (Context&) or (Input, Context&)");
  static_assert(!(kArity == 2 && has_context_at<0>()), "the Context& comes behind the input");
};

template <typename F, bool kHasInput>
struct InputOf {
  using Type = std::monostate;
};
template <typename F>
struct InputOf<F, true> {
  using Type = std::remove_cvref_t<std::tuple_element_t<0, typename HandlerTypes<F>::Arguments>>;
};

/// What an endpoint gives in the end, and whether bit by bit.
template <typename T>
struct Unwrapped {
  using Type = T;
  static constexpr bool kIsStream = false;
};
template <typename T>
struct Unwrapped<Task<T>> : Unwrapped<T> {};
template <typename T>
struct Unwrapped<Generator<T>> {
  using Type = T;
  static constexpr bool kIsStream = true;
};
template <typename T>
struct Unwrapped<AsyncGenerator<T>> : Unwrapped<Generator<T>> {};
template <>
struct Unwrapped<GenerationStream> : Unwrapped<Generator<GenerationOutput>> {};
template <>
struct Unwrapped<AsyncGenerationStream> : Unwrapped<Generator<GenerationOutput>> {};

template <typename T>
T read_input(const HandlerCall& call) {
  if constexpr (std::same_as<T, std::monostate>) {
    return {};
  } else if constexpr (std::same_as<T, std::string>) {
    return call.body();
  } else {
    T value{};
    Binding<T>::read(*read_json(call.body(), "body"), value);
    return value;
  }
}

template <typename T>
std::string output_json(const T& value) {
  std::string text;
  try {
    Binding<T>::write(*write_json(text), value);
  } catch (const Error& error) {  // the endpoint's doing, not the caller's
    throw Error(ErrorCode::kInternal, std::string("answer: ") + error.what());
  }
  return text;
}

template <typename T>
void write_output(HandlerCall& call, T value) {
  if constexpr (std::same_as<T, std::string>) {
    call.answer(std::move(value), "text/plain; charset=utf-8");
  } else {
    call.answer(output_json(value), "application/json");
  }
}

template <typename F, typename In>
typename HandlerTypes<F>::Result call_handler(const F& handler, In& input, HandlerCall& call) {
  using Types = HandlerTypes<F>;
  if constexpr (Types::kHasInput) {
    using Parameter = std::tuple_element_t<0, typename Types::Arguments>;
    // By value or as an rvalue it takes the input; a reference may keep it for the whole call.
    constexpr bool kTakes = !std::is_lvalue_reference_v<Parameter>;
    using Passed = std::conditional_t<kTakes, In&&, In&>;
    if constexpr (Types::kHasContext) {
      return handler(static_cast<Passed>(input), call.context());
    } else {
      return handler(static_cast<Passed>(input));
    }
  } else if constexpr (Types::kHasContext) {
    return handler(call.context());
  } else {
    return handler();
  }
}

// Answers with what an endpoint gave, which is not there at once.
template <typename T>
Task<void> answer_with(HandlerCall& call, Generator<T> values) {
  bool goes_on = true;
  while (goes_on) {
    const T* value = values.next();
    if (value == nullptr) break;
    Task<bool> sending = call.send(output_json(*value));
    goes_on = co_await sending;
  }
  call.end_events();
}
template <typename T>
Task<void> answer_with(HandlerCall& call, AsyncGenerator<T> values) {
  bool goes_on = true;
  while (goes_on) {
    const T* value = co_await values.next();
    if (value == nullptr) break;
    Task<bool> sending = call.send(output_json(*value));
    goes_on = co_await sending;
  }
  call.end_events();
}
template <typename T>
Task<void> answer_with(HandlerCall& call, Task<T> task) {
  if constexpr (std::is_void_v<T>) {
    co_await task;
    call.answer({}, nullptr);
  } else {
    T value = co_await task;
    write_output(call, std::move(value));
  }
}
inline Task<void> answer_with(HandlerCall& call, AsyncGenerationStream stream) {
  return call.follow(std::move(stream));
}
inline Task<void> answer_with(HandlerCall& call, GenerationStream stream) {
  return call.follow(AsyncGenerationStream(std::move(stream)));
}

template <typename T>
concept IsAwaited = requires(HandlerCall& call, T result) {
  answer_with(call, std::move(result));
};

/// One call from the body to the answer. `handler` and `input` stay until it ends.
template <typename F>
Task<void> run_handler(std::shared_ptr<const F> handler, HandlerCall& call) {
  using Result = typename HandlerTypes<F>::Result;
  using In = typename InputOf<F, HandlerTypes<F>::kHasInput>::Type;
  In input = read_input<In>(call);
  if constexpr (std::is_void_v<Result>) {
    call_handler(*handler, input, call);
    call.answer({}, nullptr);
  } else if constexpr (IsAwaited<Result>) {
    Task<void> answering = answer_with(call, call_handler(*handler, input, call));
    co_await answering;
  } else {
    write_output(call, call_handler(*handler, input, call));
  }
}

template <typename T>
constexpr Handler::Body body_of() {
  if constexpr (std::is_void_v<T> || std::same_as<T, std::monostate>) return Handler::Body::kNone;
  if constexpr (std::same_as<T, std::string>) return Handler::Body::kText;
  return Handler::Body::kJson;
}
template <typename T>
constexpr auto schema_of() -> void (*)(SchemaWriter&) {
  if constexpr (std::is_void_v<T> || std::same_as<T, std::monostate>) {
    return nullptr;
  } else {
    return [](SchemaWriter& out) { Binding<T>::schema(out); };
  }
}

template <typename F>
Handler make_handler(F handler) {
  static_assert(
      requires { typename Signature<F>::Result; },
      "an endpoint is a function or an object with one const call operator (calls run at "
      "the same time)");
  using Result = typename HandlerTypes<F>::Result;
  using In = typename InputOf<F, HandlerTypes<F>::kHasInput>::Type;
  using Out = typename Unwrapped<Result>::Type;
  Handler result;
  result.run = [shared = std::make_shared<const F>(std::move(handler))](HandlerCall& call) {
    return run_handler<F>(shared, call);
  };
  result.input = body_of<In>();
  result.output = Unwrapped<Result>::kIsStream ? Handler::Body::kEvents : body_of<Out>();
  result.input_schema = schema_of<In>();
  result.output_schema = schema_of<Out>();
  return result;
}

}  // namespace detail

/// A server with endpoints of the program's own beside the built-in routes:
///
///     Service service("chat", {llm.runner()});
///     service.api("/chat", [&](const Question& question) -> Task<Answer> { ... });
///     service.serve({.port = 3000});
///
/// An endpoint is any callable `Out(In)`, `Out(In, Context&)`, `Out()` or `Out(Context&)`.
///   - In: std::string (the body as it is), or a type with a JSON form (openllm/binding.h).
///   - Out: the same, void, GenerationOutput, or `Task` of one of these. A GenerationStream,
///     AsyncGenerationStream, Generator or AsyncGenerator of these is sent as server-sent events.
///     Texts are text/plain, but JSON strings in events; events of a request are its new parts.
/// Functions run on threads of their own (ServerOptions::handler_threads), never on the one that
/// serves connections; coroutines and streams begin there, and go on where they are resumed.
/// Errors: what an endpoint throws is the answer, an Error with the status of its code, anything
/// else 500; in a stream that has begun it is the last event. Bodies of other types than In are 400
/// and name the member.
///
/// Thread safety: `api` and `mount` before `start` or `serve`, everything else from any thread.
class OPENLLM_API Service {
 public:
  /// `name`: of the service in /docs.json. The first model answers requests that name none.
  /// Throws kInvalidArgument for models of one name.
  Service(std::string name, const std::vector<Runner>& runners);
  Service(std::string name, std::vector<ServedModel> models);
  /// Without models: endpoints of the program alone, and routes that ask no model.
  explicit Service(std::string name);
  ~Service();
  Service(const Service&) = delete;
  Service& operator=(const Service&) = delete;

  /// Adds an endpoint. `path`: begins with a slash; with one at its end it is everything below, and
  /// Context::path tells what was asked for. Only characters that an address may have as they are:
  /// no "{id}". It takes the place of a built-in route. Throws kInvalidArgument for a path or
  /// method that cannot be, and for an endpoint that is there already.
  template <typename F>
  Service& api(const std::string& path, F endpoint, const ApiOptions& options = {}) {
    return add(path, detail::make_handler(std::decay_t<F>(std::move(endpoint))), options);
  }
  /// Whether the routes that ask models are there besides (true). Health, metrics and the version
  /// are in any case.
  Service& mount(bool built_in_routes);

  const std::string& name() const noexcept;
  /// As Server has them; a service serves once.
  void start(const ServerOptions& options = {});
  std::uint16_t port() const noexcept;  ///< 0 before `start`.
  void wait_until_ready() const;
  void wait();
  void stop();
  /// `start` and `wait`.
  void serve(const ServerOptions& options = {});

 private:
  Service& add(const std::string& path, detail::Handler handler, const ApiOptions& options);

  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace openllm
