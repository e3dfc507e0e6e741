#include "llm/instance.h"

#include <algorithm>
#include <exception>
#include <utility>

#include "backend/check_options.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/random_id.h"
#include "fields/access.h"
#include "llm/engine_request.h"
#include "llm/model_files.h"
#include "llm/prompt_preparation.h"
#include "openllm/version.h"
#include "store/import.h"
#include "store/names.h"

namespace openllm::llm {
namespace {

TextRules make_rules(const LLMConfig& merged, const engine::Request& request,
                     const backend::Backend& backend, const tokenizer::Tokenizer* tokenizer) {
  TextRules rules;
  rules.skip_special_tokens = merged.skip_special_tokens.value();
  rules.spaces_between_special_tokens = merged.spaces_between_special_tokens.value();
  rules.clean_up_spaces = merged.clean_up_tokenization_spaces.value();
  rules.stream_interval = merged.stream_interval.value();
  rules.stop = merged.stop;
  rules.include_stop = merged.include_stop_in_output.value();
  rules.min_new_tokens = request.min_new_tokens;
  rules.stop_token_ids = request.stop_token_ids;
  rules.want_logprobs = merged.logprobs.has_value();
  rules.vocab_size = static_cast<std::size_t>(backend.vocab_size());
  rules.continues_text = tokenizer != nullptr && request.source_ids.empty() &&
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
void check_against_model(const GenerateOptions& options, const LLMConfig& merged,
                         const engine::Request& request, int vocab_size) {
  // A default of the model's or the configuration's gives way to the request's limit instead.
  const char* field = options.min_new_tokens ? "min_new_tokens" : "min_length";
  if ((options.min_new_tokens || options.min_length) &&
      request.min_new_tokens > request.max_new_tokens) {
    base::fail_at(ErrorCode::kInvalidArgument, field,
                  "more than the answer may have (expected at most ", request.max_new_tokens,
                  " tokens of it, got ", request.min_new_tokens, ")");
  }
  check_token_ids("stop_token_ids", merged.stop_token_ids, vocab_size);
  check_token_ids("eos_token_id", options.eos_token_ids, vocab_size);
}

/// The request of `options` as a receipt has it.
ResolvedRequest resolved(const GenerateOptions& options, LLMConfig config,
                         const engine::Request& request) {
  config.max_new_tokens = request.max_new_tokens;
  config.min_new_tokens = request.min_new_tokens;
  config.max_length = std::nullopt;  // the lengths above count its tokens
  config.min_length = std::nullopt;
  const bool has_source = !request.source_ids.empty();
  ResolvedRequest resolved{has_source ? request.source_ids : request.prompt_ids, options,
                           std::move(config)};
  resolved.options.seed = request.sampling.seed;
  return resolved;
}

Prompt sanitized(const PromptSanitizer& sanitize, const Prompt& prompt) {
  try {
    return sanitize(prompt);
  } catch (const Error&) {
    throw;
  } catch (const std::exception& error) {
    std::throw_with_nested(Error(ErrorCode::kInvalidArgument,
                                 base::cat("prompt: was refused (", error.what(), ")"), "prompt"));
  } catch (...) {
    base::fail_at(ErrorCode::kInvalidArgument, "prompt", "was refused");
  }
}

Pooling pooling_of(const model::PooledHeadSpec& classifier) noexcept {
  switch (classifier.pooling) {
    case model::RowPooling::kFirst:
      return Pooling::kCls;
    case model::RowPooling::kLast:
      return Pooling::kLast;
    case model::RowPooling::kMean:
      break;
  }
  return Pooling::kMean;
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
  if (options.config.min_new_tokens && !config.max_length &&
      *config.min_new_tokens > config.max_new_tokens.value()) {
    base::fail_at(ErrorCode::kInvalidArgument, "config.min_new_tokens",
                  "more than max_new_tokens (expected at most ", *config.max_new_tokens, ", got ",
                  *config.min_new_tokens, ")");
  }
  if (options.config.best_of && *options.config.best_of < config.n.value()) {
    base::fail_at(ErrorCode::kInvalidArgument, "config.best_of", "fewer than n (expected at least ",
                  *config.n, ", got ", *options.config.best_of, ")");
  }
  if (options.config.min_length && config.max_length && *config.min_length > *config.max_length) {
    base::fail_at(ErrorCode::kInvalidArgument, "config.min_length",
                  "more than max_length (expected at most ", *config.max_length, ", got ",
                  *config.min_length, ")");
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

Instance::Started Instance::make_request(const GenerateOptions& options, const LLMConfig& config) {
  runtime_.require_this_process();
  check_options(options);
  Started started;
  started.config = config;
  started.merged = merge_request(config, options);
  std::string name = options.request_id;
  if (name.empty()) name = base::random_id("openllm-");
  // Users may give the same name twice, and cancel one of the two.
  started.engine_id = base::cat(name, "#", next_request_++);
  const int n_choices = llm::n_choices(started.merged);
  started.mailbox = std::make_shared<Mailbox>(
      n_choices, options.output_kind == OutputKind::kFinalOnly, resume_executor(options));
  started.sink = std::make_shared<OutputSink>(started.engine_id, n_choices, started.mailbox,
                                              runtime_.output());
  names_.add(name, started.sink);
  started.request = std::make_shared<RequestReader>(
      shared_from_this(), started.mailbox, started.sink, options, started.merged, std::move(name));
  return started;
}

void Instance::submit(const Started& started, const Prompt& given, const GenerateOptions& options) {
  require_task(ModelTask::kGenerate);
  const auto backend = load();
  const PromptSanitizer& sanitize = runtime_.options().sanitize;
  const bool is_as_given = started.prompt_logits || started.is_resolved;
  const Prompt prompt = sanitize && !is_as_given ? sanitized(sanitize, given) : given;
  const LLMConfig& config = started.config;
  const LLMConfig& merged = started.merged;
  const backend::Capabilities capabilities = backend->capabilities();
  std::vector<std::string> fields;
  if (!capabilities.all_fields || capabilities.is_mixed) fields = fields_of(options, merged);
  require_capabilities(fields, capabilities, runtime_.backend_name());
  const int max_model_len = backend->max_model_len();
  const auto tokenizer = model_.tokenizer();
  const bool is_chat = prompt.messages() != nullptr;
  if (!is_chat && !is_as_given) fields::check_without_messages(options);
  const ModelLimits limits{max_model_len, backend->vocab_size()};
  engine::Request request = make_engine_request(options, config, is_chat, limits, tokenizer.get());
  const TotalLengths lengths = total_lengths(options, config, is_chat);
  const backend::SourceFacts source = backend->source();
  PromptLimits prompt_limits{max_model_len, request.max_new_tokens, *merged.truncate_prompt};
  if (source.max_len > 0) {
    prompt_limits = {source.max_len, 0, *merged.truncate_prompt};  // the answer is not in it
  } else if (prompt_limits.truncate && lengths.max > 0) {
    prompt_limits.max_model_len = std::min(max_model_len, lengths.max);
  }
  PreparedPrompt prepared = prepare_prompt(model_, prompt, options, prompt_limits);
  request.id = started.engine_id;
  if (capabilities.is_mixed) request.fields = std::move(fields);
  use_adapter(options, *backend, request);
  request.prompt_ids = prepared.token_ids;
  if (source.max_len > 0) {
    request.source_ids = std::move(request.prompt_ids);
    request.prompt_ids = {decoder_start(model_.source(), source.decoder_start)};
  }
  count_prompt(request, lengths);
  check_against_model(options, merged, request, backend->vocab_size());
  if (started.is_resolved)
    check_token_ids("eos_token_id", config.eos_token_ids, backend->vocab_size());
  base::Json receipt;
  if (options.receipt) {
    GenerateOptions named = options;  // whoever replays it may have another default
    named.adapter_name = adapter_name_of(options);
    receipt = start_receipt(*backend, named, resolve(named, config, is_chat, limits), request);
  }
  request.prompt_logits = started.prompt_logits;
  if (merged.timeout) {
    request.deadline = base::deadline_after(std::chrono::steady_clock::now(), *merged.timeout);
  }
  request.sink = started.sink;

  TextRules rules = make_rules(merged, request, *backend, tokenizer.get());
  started.mailbox->post_quietly([&](Update& update) {
    update.prompt = std::move(prepared);
    update.receipt = std::move(receipt);
  });
  if (started.sink->is_cancelled()) {
    started.sink->end_all(nullptr);
    return;
  }
  started.sink->configure(std::move(rules), tokenizer, backend);
  hand_over(started, backend, std::move(request));
}

void Instance::hand_over(const Started& started, const std::shared_ptr<backend::Backend>& backend,
                         engine::Request request) {
  backend->submit(std::move(request));
  started.mailbox->post_accepted();
  // A cancellation between the last check and `submit` found nothing to cancel.
  if (started.sink->is_cancelled()) backend->cancel(started.engine_id);
}

void Instance::require_task(ModelTask task) {
  const ModelInfo& info = static_info();
  if (task == ModelTask::kGenerate && info.task != ModelTask::kGenerate) {
    const bool classifies = info.task == ModelTask::kClassify;
    base::fail(ErrorCode::kUnsupported, "model: ", model_.id(), " (", info.architecture, ") is ",
               classifies ? "a classifier" : "an embedding model",
               " and continues no text (ask it for ", classifies ? "scores" : "embeddings", ")");
  }
  if (task == ModelTask::kEmbed && info.is_encoder_decoder) {
    base::fail(ErrorCode::kUnsupported, "model: ", model_.id(), " (", info.architecture,
               ") is an encoder-decoder model and gives no embeddings (ask it for text)");
  }
  if (task == ModelTask::kEmbed && info.task == ModelTask::kClassify) {
    base::fail(ErrorCode::kUnsupported, "model: ", model_.id(), " (", info.architecture,
               ") is a classifier and gives no embeddings (ask it for scores)");
  }
}

const std::string& Instance::adapter_name_of(const GenerateOptions& options) const {
  const std::string& wanted = options.adapter_name;
  return wanted.empty() ? runtime_.options().default_adapter : wanted;
}

void Instance::use_adapter(const GenerateOptions& options, backend::Backend& backend,
                           engine::Request& request) const {
  const std::string& name = adapter_name_of(options);
  if (name.empty() || name == "none") return;
  backend::AdapterUse use = backend.find_adapter(name);
  request.adapter = use.number;
  request.keeps = std::move(use.keeps);
}

void Instance::submit_hidden(const Started& started, EmbedInput input,
                             std::optional<Pooling> pooling, const GenerateOptions& options) {
  const auto backend = load();
  const backend::HiddenStates hidden = backend->hidden_states();
  if (hidden.size == 0) {
    base::fail(ErrorCode::kUnsupported, "embeddings: the backend ", runtime_.backend_name(),
               " cannot give them");
  }
  if (const PromptSanitizer& sanitize = runtime_.options().sanitize)
    input.prompt = sanitized(sanitize, input.prompt);
  const SentenceSettings& settings = model_.sentence_settings();
  if (input.max_tokens == 0) input.max_tokens = settings.max_tokens;
  TokenizedInput tokens = tokenize_input(model_, input, backend->max_model_len());
  if (hidden.classifier != nullptr) pooling = pooling_of(*hidden.classifier);
  if (!pooling)
    pooling = settings.pooling.value_or(hidden.is_causal ? Pooling::kLast : Pooling::kMean);
  const std::size_t n_skipped = settings.pools_prompt ? 0 : tokens.n_prefix;
  Pooler pooler(*pooling, tokens.ids.size(), n_skipped, static_cast<std::size_t>(hidden.size));
  const ModelLimits limits{backend->max_model_len(), backend->vocab_size()};
  engine::Request request = make_engine_request(options, started.config, false, limits, nullptr);
  request.id = started.engine_id;
  request.prompt_ids = std::move(tokens.ids);
  use_adapter(options, *backend, request);
  request.token_types = std::move(tokens.types);
  request.hidden = pooler.rows();
  request.sink = started.sink;
  if (options.timeout)
    request.deadline = base::deadline_after(std::chrono::steady_clock::now(), *options.timeout);
  started.mailbox->post_quietly([&](Update& update) {
    update.prompt.emplace();
    update.prompt->token_ids = request.prompt_ids;
  });
  if (started.sink->is_cancelled()) return started.sink->end_all(nullptr);
  started.sink->configure(std::move(pooler), backend);
  hand_over(started, backend, std::move(request));
}

void Instance::post_to_front(const Started& started, std::size_t n_bytes,
                             std::function<void()> work) {
  runtime_.front().post(n_bytes, [sink = started.sink, work = std::move(work)] {
    try {
      work();
    } catch (const std::exception& error) {
      const base::Failure failure = base::failure_of(error);
      sink->end_all(&failure);
    }
  });
}

std::shared_ptr<RequestReader> Instance::start_hidden(EmbedInput input,
                                                      std::optional<Pooling> pooling,
                                                      GenerateOptions options) {
  Started started = make_request(options, fields::initial_config());
  std::shared_ptr<RequestReader> request = std::move(started.request);
  const std::size_t n_bytes =
      text_bytes(input.prompt, options) + (input.second ? input.second->size() : 0);
  post_to_front(
      started, n_bytes,
      [self = shared_from_this(), started, input = std::move(input), pooling,
       options = std::move(options)] { self->submit_hidden(started, input, pooling, options); });
  return request;
}

std::shared_ptr<RequestReader> Instance::start(const Prompt& prompt,
                                               const GenerateOptions& options) {
  const Started started = make_request(options, model_.defaults_for(options));
  submit(started, prompt, options);
  return started.request;
}

std::shared_ptr<RequestReader> Instance::start_async(Prompt prompt, GenerateOptions options) {
  Started started = make_request(options, model_.defaults_for(options));
  std::shared_ptr<RequestReader> request = std::move(started.request);
  const std::size_t n_bytes = text_bytes(prompt, options);
  const bool waits_for_hash = options.receipt && !knows_sha256_.load();
  std::function<void()> task = [self = shared_from_this(), started, prompt = std::move(prompt),
                                options = std::move(options)] {
    try {
      self->submit(started, prompt, options);
    } catch (const std::exception& error) {
      const base::Failure failure = base::failure_of(error);
      started.sink->end_all(&failure);
    }
  };
  if (waits_for_hash) {
    runtime_.reading().post(std::move(task));  // nobody else waits while files are read
  } else {
    runtime_.front().post(n_bytes, std::move(task));
  }
  return request;
}

std::shared_ptr<RequestReader> Instance::start_resolved(ResolvedRequest resolved) {
  if (resolved.options.adapter_name.empty()) resolved.options.adapter_name = "none";
  Started started = make_request(resolved.options, resolved.config);
  started.is_resolved = true;
  submit(started, Prompt(std::move(resolved.prompt_ids)), resolved.options);
  return started.request;
}

base::Json Instance::start_receipt(const backend::Backend& backend, const GenerateOptions& options,
                                   LLMConfig config, const engine::Request& request) {
  const backend::Capabilities capabilities = backend.capabilities();
  const bool is_repeatable = capabilities.is_repeatable && capabilities.honours("seed");
  return begin_receipt(origin_of(backend), resolved(options, std::move(config), request),
                       options.receipt_hash_only,
                       is_repeatable ? "" : "the backend does not promise the same answer twice");
}

AnswerOrigin Instance::origin() { return origin_of(*load()); }

AnswerOrigin Instance::origin_of(const backend::Backend& backend) {
  const LoadOptions& options = runtime_.options();
  return {.version = version(),
          .tag = tag(),
          .name = model_.id(),
          .sha256 = model_sha256(),
          .backend = runtime_.backend_name(),
          .device = backend.device(),
          .isa = backend.isa(),
          .kv_dtype = backend.kv_dtype(),
          .kv_block_size = options.kv_block_size,
          .max_model_len = backend.max_model_len(),
          .fast_activations = options.fast_activations};
}

std::string Instance::model_sha256() {
  const base::MutexLock lock(sha256_mutex_);
  if (!sha256_) {
    const auto& stored = model_.stored();
    sha256_ = stored && !stored->sha256.empty() ? stored->sha256
                                                : store::hash_model(model_.source().path);
    knows_sha256_.store(true);
  }
  return *sha256_;
}

void Instance::unload() {
  runtime_.unload();
  const base::MutexLock lock(sha256_mutex_);  // other files may lie there when it loads again
  sha256_.reset();
  knows_sha256_.store(false);
}

std::vector<float> Instance::logits(const std::vector<std::int32_t>& token_ids) {
  if (!load()->capabilities().prompt_logits) {
    base::fail(ErrorCode::kUnsupported, "logits: the backend ", runtime_.backend_name(),
               " cannot give them");
  }
  GenerateOptions options;
  options.max_new_tokens = 0;
  options.output_kind = OutputKind::kFinalOnly;
  Started started = make_request(options, model_.defaults_for(options));
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
      info.task = facts.task;
      info.embedding_size = facts.embedding_size;
      info.n_labels = facts.n_labels;
      info.is_encoder_decoder = facts.is_encoder_decoder;
      info.left_out = facts.left_out;
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
  info.draft_model = runtime_.draft_model();
  return info;
}

EngineStats Instance::stats() const {
  const auto backend = runtime_.backend_or_null();
  return backend == nullptr ? EngineStats{} : backend->stats();
}

std::vector<AdapterOptions> Instance::adapters(bool may_ask) const {
  const auto backend = runtime_.backend_or_null();
  if (backend == nullptr) return {};
  return may_ask ? backend->adapters() : backend->known_adapters();
}

void Instance::load_adapter(const AdapterOptions& adapter) {
  (void)load();
  runtime_.mount_adapter(adapter);
}

void Instance::unload_adapter(const std::string& name) { runtime_.unmount_adapter(name); }

}  // namespace openllm::llm
