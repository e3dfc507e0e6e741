#include "openllm/service.h"

#include <memory>
#include <utility>

#include "base/error.h"
#include "base/mutex.h"
#include "server/app_server.h"
#include "server/dialect.h"
#include "server/model_set.h"
#include "server/routes.h"
#include "server/service/handler_threads.h"
#include "server/service/service_call.h"

namespace openllm {

Context::~Context() = default;

namespace detail {
HandlerCall::~HandlerCall() = default;
}  // namespace detail

namespace {

std::vector<ServedModel> models_of(const std::vector<Runner>& runners) {
  std::vector<ServedModel> models;
  models.reserve(runners.size());
  for (const Runner& runner : runners) models.push_back({runner.llm()});
  return models;
}

std::vector<server::RouteDoc::Body> bodies_of(detail::Handler::Body body,
                                              void (*schema)(detail::SchemaWriter&)) {
  switch (body) {
    case detail::Handler::Body::kNone:
      return {};
    case detail::Handler::Body::kText:
      return {{"text/plain", schema}};
    case detail::Handler::Body::kJson:
      return {{"application/json", schema}};
    case detail::Handler::Body::kEvents:
      return {{"text/event-stream", schema}};
  }
  return {};
}

server::RouteDoc doc_of(const detail::Handler& handler, const ApiOptions& options) {
  return {"Service", options.summary, options.description,
          bodies_of(handler.input, handler.input_schema),
          bodies_of(handler.output, handler.output_schema)};
}

}  // namespace

class [[gnu::visibility("hidden")]] Service::Impl {
 public:
  Impl(std::string name, std::vector<ServedModel> models)
      : name_(std::move(name)), models_(std::move(models)) {
    (void)server::ModelSet(models_, {});  // throws for models that could serve nobody
  }

  const std::string& name() const noexcept { return name_; }

  void add(const std::string& path, detail::Handler handler, const ApiOptions& options) {
    using Content = server::Route::Content;
    require_not_started();
    if (options.method == "GET" && handler.input != detail::Handler::Body::kNone) {
      base::fail_with(
          ErrorCode::kInvalidArgument, {"method"}, "route GET ", path,
          ": has no body (expected an endpoint without input, which may take a Context&)");
    }
    server::Route route{options.method, path, {}, options.needs_key, &server::kNativeDialect};
    route.content = handler.input == detail::Handler::Body::kText ? Content::kText : Content::kJson;
    route.doc = doc_of(handler, options);
    route.endpoint = [this, shared = std::make_shared<const detail::Handler>(std::move(handler))](
                         server::Call& call) {
      return server::serve_handler(call, *shared, *threads_in_use_);
    };
    routes_.add(std::move(route));
  }

  void mount(bool built_in_routes) {
    require_not_started();
    has_model_routes_ = built_in_routes;
  }

  void start(const ServerOptions& options) {
    require_not_started();
    server::RouteTable routes = routes_;
    routes.add_missing(server::built_in_routes(has_model_routes_ && !models_.empty()));
    auto threads = std::make_unique<server::HandlerThreads>(options.handler_threads);
    auto host = std::make_unique<server::AppServer>(models_, options, std::move(routes), name_);
    threads_in_use_ = threads.get();
    host->start();
    const base::MutexLock lock(mutex_);
    threads_ = std::move(threads);
    host_ = std::move(host);
  }

  std::uint16_t port() const noexcept {
    const base::MutexLock lock(mutex_);
    return host_ == nullptr ? std::uint16_t{0} : host_->port();
  }
  void wait_until_ready() const { started().wait_until_ready(); }
  void wait() { started().wait(); }
  void stop() {
    server::AppServer* host = nullptr;
    {
      const base::MutexLock lock(mutex_);
      host = host_.get();
    }
    if (host != nullptr) host->stop();
  }

 private:
  void require_not_started() const {
    const base::MutexLock lock(mutex_);
    if (host_ != nullptr)
      base::fail(ErrorCode::kInvalidArgument, "service: was started already (it serves once)");
  }
  server::AppServer& started() const {
    const base::MutexLock lock(mutex_);
    if (host_ == nullptr) base::fail(ErrorCode::kInvalidArgument, "service: not started");
    return *host_;
  }

  const std::string name_;
  const std::vector<ServedModel> models_;
  server::RouteTable routes_;  // the program's own
  bool has_model_routes_ = true;
  mutable base::Mutex mutex_;
  const server::HandlerThreads* threads_in_use_ = nullptr;  // set before the first call
  std::unique_ptr<server::HandlerThreads> threads_ GUARDED_BY(mutex_);
  std::unique_ptr<server::AppServer> host_ GUARDED_BY(mutex_);
};

Service::Service(std::string name, const std::vector<Runner>& runners)
    : Service(std::move(name), models_of(runners)) {}
Service::Service(std::string name, std::vector<ServedModel> models)
    : impl_(std::make_unique<Impl>(std::move(name), std::move(models))) {}
Service::Service(std::string name) : Service(std::move(name), std::vector<ServedModel>{}) {}
Service::~Service() = default;
Service& Service::add(const std::string& path, detail::Handler handler, const ApiOptions& options) {
  impl_->add(path, std::move(handler), options);
  return *this;
}
Service& Service::mount(bool built_in_routes) {
  impl_->mount(built_in_routes);
  return *this;
}
const std::string& Service::name() const noexcept { return impl_->name(); }
void Service::start(const ServerOptions& options) { impl_->start(options); }
std::uint16_t Service::port() const noexcept { return impl_->port(); }
void Service::wait_until_ready() const { impl_->wait_until_ready(); }
void Service::wait() { impl_->wait(); }
void Service::stop() { impl_->stop(); }
void Service::serve(const ServerOptions& options) {
  start(options);
  wait();
}

}  // namespace openllm
