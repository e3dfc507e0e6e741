#include "llm/instance.h"

#include <algorithm>
#include <utility>

#include "backend/check_options.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/random_id.h"
#include "llm/engine_request.h"
#include "llm/model_files.h"
#include "llm/prompt_preparation.h"
#include "store/names.h"

namespace openllm::llm {
namespace {

TextRules make_rules(const GenerateOptions& options, const engine::Request& request,
                     const backend::Backend& backend, const tokenizer::Tokenizer* tokenizer) {
  TextRules rules;
  rules.skip_special_tokens = options.skip_special_tokens;
  rules.stop = options.stop;
  rules.include_stop = options.include_stop_in_output;
  rules.min_new_tokens = request.min_new_tokens;
  rules.stop_token_ids = request.stop_token_ids;
  rules.want_logprobs = options.logprobs.has_value();
  rules.vocab_size = static_cast<std::size_t>(backend.vocab_size());
  rules.continues_text = tokenizer != nullptr &&
                         std::any_of(request.prompt_ids.begin(), request.prompt_ids.end(),
                                     [&](std::int32_t id) { return !tokenizer->is_special(id); });
  return rules;
}

void check_token_ids(const char* where, const std::vector<std::int32_t>& ids, int vocab_size) {
  for (const std::int32_t id : ids) {
    if (id < 0 || id >= vocab_size) {
      base::fail_at(ErrorCode::kInvalidArgument, where, "no such id (expected 0 to ",
                    vocab_size - 1, ", got ", id, ")");
    }
  }
}

/// What the fields' ranges cannot tell: whether they fit each other and the model.
void check_against_model(const GenerateOptions& options, const engine::Request& request,
                         int vocab_size) {
  // A default of the model's or the configuration's gives way to the request's limit instead.
  if (options.min_new_tokens && request.min_new_tokens > request.max_new_tokens) {
    base::fail_at(ErrorCode::kInvalidArgument, "min_new_tokens",
                  "more than the request may have (expected at most max_new_tokens, ",
                  request.max_new_tokens, ", got ", request.min_new_tokens, ")");
  }
  check_token_ids("stop_token_ids", options.stop_token_ids, vocab_size);
}

/// Throws before a file is opened.
const LoadOptions& checked(const LoadOptions& options) {
  backend::check_options(options);
  return options;
}

}  // namespace

Instance::Instance(const std::string& model, const LoadOptions& options)
    : model_(model, checked(options)), runtime_(model_, options) {
  const LLMConfig& config = model_.config();
  if (options.config.min_new_tokens && *config.min_new_tokens > config.max_new_tokens.value()) {
    base::fail_at(ErrorCode::kInvalidArgument, "config.min_new_tokens",
                  "more than max_new_tokens (expected at most ", *config.max_new_tokens, ", got ",
                  *config.min_new_tokens, ")");
  }
  if (!options.config.eos_token_ids.empty() && static_info().vocab_size > 0) {
    check_token_ids("config.eos_token_ids", options.config.eos_token_ids, static_info().vocab_size);
  }
}

Instance::~Instance() = default;

std::shared_ptr<backend::Backend> Instance::load() {
  if (auto loaded = runtime_.backend_or_null()) return loaded;
  (void)static_info();  // the files may be gone when somebody asks
  model_.check_chat_templates();
  return runtime_.load();
}

Instance::Started Instance::make_request(const GenerateOptions& options) {
  runtime_.require_this_process();
  check_options(options);
  Started started;
  std::string name = options.request_id;
  if (name.empty()) name = base::random_id("openllm-");
  // Users may give the same name twice, and cancel one of the two.
  started.engine_id = base::cat(name, "#", next_request_++);
  started.mailbox = std::make_shared<Mailbox>(
      options.n, options.output_kind == OutputKind::kFinalOnly, resume_executor(options));
  started.sink = std::make_shared<OutputSink>(started.engine_id, options.n, started.mailbox,
                                              runtime_.output());
  started.request = std::make_shared<RequestReader>(shared_from_this(), started.mailbox,
                                                    started.sink, options, std::move(name));
  return started;
}

void Instance::submit(const Started& started, const Prompt& prompt,
                      const GenerateOptions& options) {
  const auto backend = load();
  require_capabilities(options, backend->capabilities(), runtime_.backend_name());
  const int max_model_len = backend->max_model_len();
  const auto tokenizer = model_.tokenizer();
  engine::Request request = make_engine_request(
      options, model_.config(), prompt.messages() != nullptr, max_model_len, tokenizer.get());
  check_against_model(options, request, backend->vocab_size());
  PreparedPrompt prepared =
      prepare_prompt(model_, prompt, options, {max_model_len, request.max_new_tokens});
  request.id = started.engine_id;
  request.prompt_ids = prepared.token_ids;
  request.prompt_logits = started.prompt_logits;
  if (options.timeout) {
    request.deadline = base::deadline_after(std::chrono::steady_clock::now(), *options.timeout);
  }
  request.sink = started.sink;

  TextRules rules = make_rules(options, request, *backend, tokenizer.get());
  started.mailbox->post_quietly([&](Update& update) { update.prompt = std::move(prepared); });
  if (started.sink->is_cancelled()) {
    started.sink->end_all(nullptr);
    return;
  }
  started.sink->configure(std::move(rules), tokenizer, backend);
  backend->submit(std::move(request));
  started.mailbox->post_accepted();
  // A cancellation between the check above and `submit` found nothing to cancel.
  if (started.sink->is_cancelled()) backend->cancel(started.engine_id);
}

std::shared_ptr<RequestReader> Instance::start(const Prompt& prompt,
                                               const GenerateOptions& options) {
  const Started started = make_request(options);
  submit(started, prompt, options);
  return started.request;
}

std::shared_ptr<RequestReader> Instance::start_async(Prompt prompt, GenerateOptions options) {
  Started started = make_request(options);
  std::shared_ptr<RequestReader> request = std::move(started.request);
  const std::size_t n_bytes = text_bytes(prompt, options);
  runtime_.front().post(n_bytes, [self = shared_from_this(), started, prompt = std::move(prompt),
                                  options = std::move(options)] {
    try {
      self->submit(started, prompt, options);
    } catch (const std::exception& error) {
      const base::Failure failure = base::failure_of(error);
      started.sink->end_all(&failure);
    }
  });
  return request;
}

std::vector<float> Instance::logits(const std::vector<std::int32_t>& token_ids) {
  if (!load()->capabilities().prompt_logits) {
    base::fail(ErrorCode::kUnsupported, "logits: the backend ", runtime_.backend_name(),
               " cannot give them");
  }
  GenerateOptions options;
  options.max_new_tokens = 0;
  options.output_kind = OutputKind::kFinalOnly;
  Started started = make_request(options);
  started.prompt_logits = true;
  submit(started, Prompt(token_ids), options);
  while (started.request->next() != nullptr) {
  }
  return started.request->take_prompt_logits();
}

Executor Instance::resume_executor(const GenerateOptions& options) {
  Executor own = [worker = runtime_.resume()](std::function<void()> task) {
    worker->post(std::move(task));
  };
  if (!options.executor) return own;
  // What it throws would end the thread that makes answers, and the coroutine would never go on.
  const Executor& given = options.executor;
  return [given, own](std::function<void()> task) {
    try {
      given(task);
    } catch (...) {
      own(std::move(task));
    }
  };
}

void Instance::require_token(const char* where, std::int32_t id) {
  // Models have ids without a token, and may sample them.
  const int n_ids = std::max(model_.require_tokenizer()->vocab_size(), static_info().vocab_size);
  check_token_ids(where, {id}, n_ids);
}

std::string Instance::tag() const {
  const format::ModelSource& source = model_.source();
  return base::cat(runtime_.backend_name(), "-", store::name_in_tag(source.id), ":",
                   source.version);
}

const ModelInfo& Instance::static_info() {
  const base::MutexLock lock(info_mutex_);
  if (!info_) {
    ModelInfo info;
    if (const auto entry = runtime_.choice().entry) {
      const backend::ModelFacts facts = entry->describe(model_.source(), runtime_.options());
      info = describe_files(model_.source(), facts.vocab_size);
      info.architecture = facts.architecture;
      info.n_layers = facts.n_layers;
      info.wanted_context = facts.max_model_len;
    } else {
      info = describe_files(model_.source());
    }
    info.max_context = info.wanted_context;
    info.has_chat_template = model_.has_chat_template();
    info_ = std::move(info);
  }
  return *info_;
}

ModelInfo Instance::info() {
  ModelInfo info = static_info();
  if (const auto backend = runtime_.backend_or_null()) info.max_context = backend->max_model_len();
  info.has_tokenizer = model_.tokenizer() != nullptr;
  return info;
}

BackendInfo Instance::backend_info() {
  const auto backend = load();
  BackendInfo info;
  const backend::Choice choice = runtime_.choice();
  info.name = choice.entry->name;
  info.reason = choice.reason;
  info.device = backend->device();
  info.isa = backend->isa();
  return info;
}

EngineStats Instance::stats() const {
  const auto backend = runtime_.backend_or_null();
  return backend == nullptr ? EngineStats{} : backend->stats();
}

}  // namespace openllm::llm
