#include "llm/core.h"

#include <unistd.h>

#include <algorithm>
#include <utility>

#include "base/clock.h"
#include "base/error.h"
#include "llm/engine_request.h"
#include "llm/llm_config.h"
#include "model/model.h"
#include "store/names.h"

namespace openllm::llm {
namespace {

std::string random_request_id() {
  constexpr char kHex[] = "0123456789abcdef";
  std::string id = "openllm-";
  for (int word = 0; word < 2; ++word) {
    std::uint64_t bits = random_seed();
    for (int i = 0; i < 16; ++i, bits >>= 4U) id += kHex[bits & 15U];
  }
  return id;
}

void check_prompt_length(std::size_t n_tokens, int room, std::string_view bound = "") {
  if (n_tokens <= static_cast<std::size_t>(room)) return;
  base::fail_with(ErrorCode::kInvalidArgument, {"prompt", ErrorReason::kContextTooLong},
                  "prompt: too long for the context (expected at most ", room, " tokens, got ",
                  bound, n_tokens, "); set truncate_prompt to keep its last tokens");
}

/// Most tokens of a prompt.
int prompt_room(int max_model_len, int max_new_tokens) {
  return max_new_tokens > 0 ? max_model_len - 1 : max_model_len;
}

/// What the time before a request reaches the engine depends on.
std::size_t text_bytes(const Prompt& prompt, const GenerateOptions& options) {
  if (const std::string* text = prompt.text()) return text->size();
  const auto* messages = prompt.messages();
  if (messages == nullptr) return 0;
  std::size_t n_bytes = options.tools_json.size() + options.chat_template_json.size();
  for (const Message& message : *messages)
    n_bytes += message.content.size() + message.extra_json.size();
  return n_bytes;
}

}  // namespace

Core::Core(const std::string& model, const LoadOptions& options)
    : options_(options),
      resolved_(resolve_model(model)),
      checkpoint_(format::open_checkpoint(resolved_.path)),
      choice_(backend::choose_backend(options.backend)),
      output_(std::make_shared<base::Worker>()),
      resume_(std::make_shared<base::Worker>()) {
  const model::ModelSpec spec = model::read_spec(*checkpoint_);
  info_ = describe_model(resolved_, *checkpoint_, spec);
  model_limit_ = backend::resolve_max_model_len(options_, spec.max_positions);
  ConfigLayers layers;
  apply_model_defaults(layers.model, *checkpoint_);
  layers.environment = environment_config();
  layers.load = options_.config;
  check_config(layers.load, "");
  config_ = resolve_config(layers);
  template_source_ =
      options_.chat_template.empty() ? find_chat_template(*checkpoint_) : options_.chat_template;
  info_.has_chat_template = template_source_.has_value();
  // What the caller gave is the caller's to mend, now and not with the first messages.
  if (!options_.chat_template.empty()) require_template();
}

Core::~Core() = default;

bool Core::is_of_this_process() const noexcept {
  const int process = process_.load(std::memory_order_relaxed);
  return process == 0 || process == ::getpid();
}

void Core::require_this_process() {
  const int here = ::getpid();
  int process = 0;
  if (process_.compare_exchange_strong(process, here, std::memory_order_relaxed) || process == here)
    return;
  base::fail(ErrorCode::kUnsupported, resolved_.id, ": was loaded by process ", process,
             ", and its threads stayed there (make an LLM in the forked process)");
}

void Core::load() {
  if (is_loaded()) return;
  const std::lock_guard lock(load_mutex_);
  if (is_loaded()) return;
  require_this_process();
  if (options_.progress) options_.progress("loading tokenizer", 0.0);
  tokenizer_or_null();
  backend_ = choice_.entry.load(*checkpoint_, options_);
  // Now, so that a lack of threads is not found out request by request.
  output_->start();
  resume_->start();
  front_.start();
  loaded_.store(true, std::memory_order_release);
  if (options_.progress) options_.progress("ready", 1.0);
}

std::shared_ptr<backend::Backend> Core::require_backend() {
  load();
  return backend_;
}

std::shared_ptr<const tokenizer::Tokenizer> Core::tokenizer_or_null() {
  const std::lock_guard lock(tokenizer_mutex_);
  if (!tokenizer_loaded_) {
    try {
      tokenizer_ = load_tokenizer(*checkpoint_);
    } catch (const Error& error) {
      if (error.code() != ErrorCode::kUnsupported) throw;
      unsupported_tokenizer_ = error.what();  // whoever sends token ids does not need it
    }
    tokenizer_loaded_ = true;
  }
  return tokenizer_;
}

std::shared_ptr<const tokenizer::Tokenizer> Core::require_tokenizer() {
  auto tokenizer = tokenizer_or_null();
  if (tokenizer == nullptr && !unsupported_tokenizer_.empty()) {
    base::fail(ErrorCode::kUnsupported, unsupported_tokenizer_,
               "; token ids instead of text would do");
  }
  if (tokenizer == nullptr) {
    base::fail(ErrorCode::kUnsupported, resolved_.id,
               ": has no tokenizer (expected tokenizer.json or a vocabulary in ", resolved_.path,
               "); pass token ids instead of text");
  }
  return tokenizer;
}

const chat::Template& Core::require_template() {
  const std::lock_guard lock(template_mutex_);
  if (!template_) {
    if (!template_source_) {
      base::fail_with(ErrorCode::kUnsupported, {"messages", ErrorReason::kTemplateMissing},
                      "messages: ", resolved_.id,
                      " has no chat template (pass a text prompt, or load it with a template)");
    }
    template_ = chat::Template::parse(*template_source_);
  }
  return *template_;
}

std::string Core::render(const std::vector<Message>& messages, const GenerateOptions& options) {
  if (messages.empty()) base::fail_at(ErrorCode::kInvalidArgument, "messages", "empty");
  const chat::Template& chat_template = require_template();
  const auto tokenizer = require_tokenizer();
  return chat_template.render(messages, options,
                              {.bos = tokenizer->bos_piece(), .eos = tokenizer->eos_piece()});
}

PreparedPrompt Core::prepare_prompt(const Prompt& prompt, const GenerateOptions& options,
                                    int room) {
  PreparedPrompt prepared;
  if (const auto* ids = prompt.token_ids()) {
    prepared.token_ids = *ids;
    return prepared;
  }
  const auto tokenizer = require_tokenizer();
  tokenizer::EncodeOptions encode;
  if (const auto* messages = prompt.messages()) {
    prepared.text = render(*messages, options);
    encode.add_special_tokens = false;  // the template writes them itself
  } else {
    prepared.text = *prompt.text();
    encode.add_special_tokens = options.add_special_tokens;
  }
  // What cannot fit is refused before the time is spent to know how long it is.
  if (!options.truncate_prompt)
    check_prompt_length(tokenizer->min_tokens(prepared.text), room, "at least ");
  prepared.token_ids = tokenizer->encode(prepared.text, encode);
  if (prepared.token_ids.empty() && options.add_special_tokens && tokenizer->bos_id()) {
    // An empty prompt starts at the beginning of a text.
    prepared.token_ids.push_back(*tokenizer->bos_id());
  }
  return prepared;
}

void Core::truncate(std::vector<std::int32_t>& ids, bool allowed, int max_new_tokens,
                    int max_model_len) const {
  if (!allowed) return check_prompt_length(ids.size(), prompt_room(max_model_len, max_new_tokens));
  const auto length = static_cast<std::int64_t>(ids.size());
  // Room for the answer comes first, but at least half of the context is the prompt's.
  const int keep = max_model_len - std::min(max_new_tokens, std::max(1, max_model_len / 2));
  if (length > keep)
    ids.erase(ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(length - keep));
}

Core::Started Core::make_request(const GenerateOptions& options, Executor executor) {
  require_this_process();
  check_options(options);
  Started started;
  std::string name = options.request_id;
  if (name.empty()) name = random_request_id();
  // Users may give the same name twice, and cancel one of the two.
  started.engine_id = base::cat(name, "#", next_request_++);
  started.mailbox = std::make_shared<Mailbox>(
      options.n, options.output_kind == OutputKind::kFinalOnly, std::move(executor));
  started.sink =
      std::make_shared<OutputSink>(started.engine_id, options.n, started.mailbox, output_);
  started.request = std::make_shared<Request>(shared_from_this(), started.mailbox, started.sink,
                                              options, std::move(name));
  return started;
}

void Core::submit(const Started& started, const Prompt& prompt, const GenerateOptions& options) {
  const auto backend = require_backend();
  require_capabilities(options, backend->capabilities(), choice_.entry.name);
  const int max_model_len = backend->max_model_len();
  const auto tokenizer = tokenizer_or_null();
  engine::Request request = make_engine_request(options, config_, prompt.messages() != nullptr,
                                                max_model_len, tokenizer.get());
  PreparedPrompt prepared =
      prepare_prompt(prompt, options, prompt_room(max_model_len, request.max_new_tokens));
  truncate(prepared.token_ids, options.truncate_prompt, request.max_new_tokens, max_model_len);
  request.id = started.engine_id;
  request.prompt_ids = prepared.token_ids;
  request.prompt_logits = started.prompt_logits;
  if (options.timeout) {
    request.deadline = base::deadline_after(std::chrono::steady_clock::now(), *options.timeout);
  }
  request.sink = started.sink;

  TextRules rules;
  rules.skip_special_tokens = options.skip_special_tokens;
  rules.stop = options.stop;
  rules.include_stop = options.include_stop_in_output;
  rules.min_new_tokens = request.min_new_tokens;
  rules.stop_token_ids = request.stop_token_ids;
  rules.want_logprobs = options.logprobs.has_value();
  rules.vocab_size = static_cast<std::size_t>(backend->vocab_size());
  rules.continues_text = tokenizer != nullptr &&
                         std::any_of(prepared.token_ids.begin(), prepared.token_ids.end(),
                                     [&](std::int32_t id) { return !tokenizer->is_special(id); });
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

std::shared_ptr<Request> Core::start(const Prompt& prompt, const GenerateOptions& options) {
  const Started started = make_request(options, resume_executor(options));
  submit(started, prompt, options);
  return started.request;
}

std::shared_ptr<Request> Core::start_async(Prompt prompt, GenerateOptions options) {
  Started started = make_request(options, resume_executor(options));
  std::shared_ptr<Request> request = std::move(started.request);
  const std::size_t n_bytes = text_bytes(prompt, options);
  front_.post(n_bytes, [self = shared_from_this(), started, prompt = std::move(prompt),
                        options = std::move(options)] {
    try {
      self->submit(started, prompt, options);
    } catch (const std::exception& error) {
      const base::Failure failure = base::failure_of(error);
      started.sink->end_all(&failure);
    } catch (...) {  // LoadOptions::progress may throw anything
      const base::Failure failure{ErrorCode::kInternal,
                                  "load: something was thrown that is no std::exception"};
      started.sink->end_all(&failure);
    }
  });
  return request;
}

std::vector<float> Core::logits(const std::vector<std::int32_t>& token_ids) {
  if (!require_backend()->capabilities().prompt_logits) {
    base::fail(ErrorCode::kUnsupported, "logits: the backend ", choice_.entry.name,
               " cannot give them");
  }
  GenerateOptions options;
  options.max_new_tokens = 0;
  options.output_kind = OutputKind::kFinalOnly;
  Started started = make_request(options, resume_executor(options));
  started.prompt_logits = true;
  submit(started, Prompt(token_ids), options);
  while (started.request->next() != nullptr) {
  }
  return started.request->take_prompt_logits();
}

Executor Core::resume_executor(const GenerateOptions& options) {
  Executor own = [worker = resume_](std::function<void()> task) { worker->post(std::move(task)); };
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

std::string Core::tag() const {
  return base::cat(choice_.entry.name, "-", store::name_in_tag(resolved_.id), ":",
                   resolved_.version);
}

ModelInfo Core::info() {
  ModelInfo info = info_;
  info.max_context = is_loaded() ? backend_->max_model_len() : model_limit_;
  info.wanted_context = model_limit_;
  info.has_tokenizer = tokenizer_or_null() != nullptr;
  return info;
}

BackendInfo Core::backend_info() {
  BackendInfo info;
  info.name = choice_.entry.name;
  info.reason = choice_.reason;
  const auto backend = require_backend();
  info.device = backend->device();
  info.isa = backend->isa();
  return info;
}

EngineStats Core::stats() {
  if (!is_loaded()) return {};
  const engine::Stats s = backend_->stats();
  EngineStats stats;
  stats.n_requests = s.n_requests;
  stats.n_finished = s.n_finished;
  stats.n_running = s.n_running;
  stats.n_waiting = s.n_waiting;
  stats.n_steps = s.n_steps;
  stats.n_prompt_tokens = s.n_prompt_tokens;
  stats.n_cached_tokens = s.n_cached_tokens;
  stats.n_generated_tokens = s.n_generated_tokens;
  stats.n_preemptions = s.n_preemptions;
  stats.n_blocks_total = s.n_blocks_total;
  stats.n_blocks_free = s.n_blocks_free;
  stats.max_running = s.max_running;
  stats.max_waiting = s.max_waiting;
  return stats;
}

}  // namespace openllm::llm
