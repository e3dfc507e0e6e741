#include "llm/core.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <map>
#include <random>
#include <utility>

#include "base/error.h"
#include "llm/llm_config.h"
#include "model/decoder.h"

namespace openllm::llm {
namespace {

std::uint64_t random_seed() {
  std::random_device device;
  return (std::uint64_t{device()} << 32U) | device();
}

std::string random_request_id() {
  constexpr char kHex[] = "0123456789abcdef";
  std::string id = "openllm-";
  for (int word = 0; word < 2; ++word) {
    std::uint64_t bits = random_seed();
    for (int i = 0; i < 16; ++i, bits >>= 4U) id += kHex[bits & 15U];
  }
  return id;
}

ModelInfo describe(const ResolvedModel& resolved, const format::Checkpoint& checkpoint,
                   const model::DecoderSpec& spec) {
  ModelInfo info;
  info.id = resolved.id;
  info.path = resolved.path;
  info.architecture = spec.architecture;
  info.format = checkpoint.kind() == format::Checkpoint::Kind::kGguf ? "gguf" : "safetensors";
  info.n_layers = spec.n_layers;
  info.vocab_size = spec.vocab_size;
  std::map<std::string_view, int> types;
  for (const format::NamedTensor& tensor : checkpoint.tensors()) {
    ++types[tensor::info(tensor.view.dtype).name];
    const tensor::Shape& shape = tensor.view.shape;
    info.n_parameters += shape.n_elems();
    if (shape.n_dims() == 2 && shape[0] == info.vocab_size)
      info.n_embedding_parameters += shape.n_elems();
    info.weight_bytes += static_cast<std::int64_t>(tensor.view.bytes.size());
  }
  std::vector<std::pair<std::string_view, int>> sorted(types.begin(), types.end());
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const auto& a, const auto& b) { return a.second > b.second; });
  for (const auto& [name, count] : sorted) {
    info.weight_types += base::cat(info.weight_types.empty() ? "" : ", ", name, " (", count, ")");
  }
  return info;
}

/// config.json's eos_token_id, where generation_config.json has none.
void apply_model_eos(LLMConfig& config, const format::Checkpoint& checkpoint) {
  if (!config.eos_token_ids.empty() || checkpoint.kind() != format::Checkpoint::Kind::kHuggingFace)
    return;
  const base::Json* eos = checkpoint.config().find("eos_token_id");
  if (eos == nullptr || eos->is_null()) {
    const base::Json* text_config = checkpoint.config().find("text_config");
    eos = text_config == nullptr ? nullptr : text_config->find("eos_token_id");
  }
  if (eos == nullptr || eos->is_null()) return;
  base::Json only_eos;
  only_eos["eos_token_id"] = *eos;
  apply_config_json(config, only_eos, checkpoint.path() + "/config.json");
}

/// What the model's files say about requests; wrong values are the files' fault.
void apply_model_defaults(LLMConfig& config, const format::Checkpoint& checkpoint) {
  const std::string place = generation_config_place(checkpoint);
  try {
    apply_config_json(config, read_generation_config(checkpoint), place);
    check_config(config, place);
    apply_model_eos(config, checkpoint);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kInvalidArgument) throw;
    throw Error(ErrorCode::kCorruptData, error.what());
  }
}

void check_options(const GenerateOptions& options) {
  const auto require = [](bool holds, const char* field, const char* expected, std::int64_t got) {
    if (!holds) {
      base::fail(ErrorCode::kInvalidArgument, field, ": out of range (expected ", expected,
                 ", got ", got, ")");
    }
  };
  require(options.n >= 1 && options.n <= 128, "n", "1 to 128", options.n);
  require(!options.logprobs || *options.logprobs >= 0, "logprobs", ">= 0",
          options.logprobs.value_or(0));
  require(!options.prompt_logprobs || *options.prompt_logprobs >= 0, "prompt_logprobs", ">= 0",
          options.prompt_logprobs.value_or(0));
  require(!options.timeout || options.timeout->count() > 0, "timeout", "> 0 ms",
          options.timeout ? options.timeout->count() : 0);
  for (const std::string& stop : options.stop) {
    if (stop.empty())
      base::fail(ErrorCode::kInvalidArgument, "stop: an empty text cannot end an answer");
  }
}

void check_prompt_length(std::size_t n_tokens, int max_model_len, std::string_view bound = "") {
  if (n_tokens < static_cast<std::size_t>(max_model_len)) return;
  base::fail(ErrorCode::kInvalidArgument, "prompt: too long for the context (expected at most ",
             max_model_len - 1, " tokens, got ", bound, n_tokens,
             "); set truncate_prompt to keep its last tokens");
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
      output_(std::make_shared<Worker>()),
      resume_(std::make_shared<Worker>()) {
  const model::DecoderSpec spec = model::read_spec(*checkpoint_);
  info_ = describe(resolved_, *checkpoint_, spec);
  model_limit_ = backend::resolve_max_model_len(options_, spec.max_positions);
  apply_model_defaults(config_, *checkpoint_);
  apply_config_environment(config_);
  if (options_.config) {
    const std::vector<std::int32_t> model_eos = std::exchange(config_.eos_token_ids, {});
    config_ = *options_.config;
    if (config_.eos_token_ids.empty()) config_.eos_token_ids = model_eos;
  }
  check_config(config_, resolved_.id);
  template_source_ =
      options_.chat_template.empty() ? find_chat_template(*checkpoint_) : options_.chat_template;
  info_.has_chat_template = template_source_.has_value();
}

Core::~Core() = default;

void Core::load() {
  if (is_loaded()) return;
  const std::lock_guard lock(load_mutex_);
  if (is_loaded()) return;
  if (options_.progress) options_.progress("loading tokenizer", 0.0);
  tokenizer_or_null();
  backend_ = choice_.entry.load(*checkpoint_, options_);
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
    tokenizer_ = load_tokenizer(*checkpoint_);
    tokenizer_loaded_ = true;
  }
  return tokenizer_;
}

std::shared_ptr<const tokenizer::Tokenizer> Core::require_tokenizer() {
  auto tokenizer = tokenizer_or_null();
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
      base::fail(ErrorCode::kUnsupported, "messages: ", resolved_.id,
                 " has no chat template (pass a text prompt, or load it with a template)");
    }
    template_ = chat::Template::parse(*template_source_);
  }
  return *template_;
}

std::string Core::render(const std::vector<Message>& messages, const GenerateOptions& options) {
  if (messages.empty()) base::fail(ErrorCode::kInvalidArgument, "messages: empty");
  const chat::Template& chat_template = require_template();
  const auto tokenizer = require_tokenizer();
  base::Json context = base::Json::object();
  if (!options.chat_template_json.empty()) {
    context = base::Json::parse(options.chat_template_json, "chat_template_json");
    context.as_object("chat_template_json");
  }
  base::Json list = base::Json::array();
  for (const Message& message : messages) {
    base::Json entry = base::Json::object();
    entry["role"] = message.role;
    entry["content"] = message.content;
    if (!message.extra_json.empty()) {
      const base::Json extra = base::Json::parse(message.extra_json, "message");
      for (const auto& [key, value] : extra.as_object("message")) entry[key] = value;
    }
    list.push_back(std::move(entry));
  }
  context["messages"] = std::move(list);
  // transformers passes these two as None when absent, and templates test for that.
  for (const char* name : {"tools", "documents"}) {
    if (context.find(name) == nullptr) context[name] = base::Json();
  }
  if (!options.tools_json.empty()) {
    context["tools"] = base::Json::parse(options.tools_json, "tools");
    context["tools"].as_array("tools");
  }
  context["add_generation_prompt"] = options.add_generation_prompt;
  context["bos_token"] = tokenizer->bos_piece();
  context["eos_token"] = tokenizer->eos_piece();
  return chat_template.render(context);
}

PreparedPrompt Core::prepare_prompt(const Prompt& prompt, const GenerateOptions& options,
                                    int max_model_len) {
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
    check_prompt_length(tokenizer->min_tokens(prepared.text), max_model_len, "at least ");
  prepared.token_ids = tokenizer->encode(prepared.text, encode);
  if (prepared.token_ids.empty() && options.add_special_tokens && tokenizer->bos_id()) {
    prepared.token_ids.push_back(
        *tokenizer->bos_id());  // an empty prompt starts at the beginning of a text
  }
  return prepared;
}

void Core::truncate(std::vector<std::int32_t>& ids, bool allowed, int max_new_tokens,
                    int max_model_len) const {
  if (!allowed) return check_prompt_length(ids.size(), max_model_len);
  const auto length = static_cast<std::int64_t>(ids.size());
  // As the original system did: room for the answer comes first, but at least half of the context
  // is the prompt's.
  const int keep = max_model_len - std::clamp(max_new_tokens, 1, std::max(1, max_model_len / 2));
  if (length > keep)
    ids.erase(ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(length - keep));
}

std::vector<std::int32_t> Core::stop_token_ids(const GenerateOptions& options) {
  std::vector<std::int32_t> ids = options.stop_token_ids;
  if (!options.ignore_eos) {
    ids.insert(ids.end(), config_.eos_token_ids.begin(), config_.eos_token_ids.end());
    if (const auto tokenizer = tokenizer_or_null()) {
      ids.insert(ids.end(), tokenizer->eos_ids().begin(), tokenizer->eos_ids().end());
    }
  }
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  return ids;
}

engine::Request Core::make_engine_request(const Prompt& prompt, const GenerateOptions& options,
                                          int max_model_len) {
  engine::Request request;
  const bool is_chat = prompt.messages() != nullptr;
  request.max_new_tokens =
      options.max_new_tokens.value_or(is_chat ? max_model_len : config_.max_new_tokens);
  request.min_new_tokens = options.min_new_tokens.value_or(config_.min_new_tokens);
  request.n_choices = options.n;
  request.stop_token_ids = stop_token_ids(options);
  request.n_logprobs = options.logprobs.value_or(0);
  request.n_prompt_logprobs = options.prompt_logprobs.value_or(-1);
  request.priority = options.priority;
  sampling::SamplingParams& sampling = request.sampling;
  sampling.temperature = options.temperature.value_or(config_.temperature);
  sampling.top_k = options.top_k.value_or(config_.top_k);
  sampling.top_p = options.top_p.value_or(config_.top_p);
  sampling.min_p = options.min_p.value_or(config_.min_p);
  sampling.repetition_penalty = options.repetition_penalty.value_or(config_.repetition_penalty);
  sampling.presence_penalty = options.presence_penalty.value_or(config_.presence_penalty);
  sampling.frequency_penalty = options.frequency_penalty.value_or(config_.frequency_penalty);
  sampling.logit_bias.assign(options.logit_bias.begin(), options.logit_bias.end());
  sampling.seed = options.seed ? *options.seed : random_seed();
  if (!options.adapter_name.empty()) {
    base::fail(ErrorCode::kNotFound, "adapter_name: no adapter of that name is mounted (got ",
               options.adapter_name, ")");
  }
  return request;
}

Core::Started Core::make_request(const GenerateOptions& options, Executor executor) {
  check_options(options);
  Started started;
  started.request_id = options.request_id;
  if (started.request_id.empty()) started.request_id = random_request_id();
  started.mailbox = std::make_shared<Mailbox>(
      options.n, options.output_kind == OutputKind::kFinalOnly, std::move(executor));
  started.sink =
      std::make_shared<OutputSink>(started.request_id, options.n, started.mailbox, output_);
  started.request = std::make_shared<Request>(shared_from_this(), started.mailbox, started.sink,
                                              options, started.request_id);
  return started;
}

void Core::submit(const Started& started, const Prompt& prompt, const GenerateOptions& options) {
  const auto backend = require_backend();
  const int max_model_len = backend->max_model_len();
  engine::Request request = make_engine_request(prompt, options, max_model_len);
  PreparedPrompt prepared = prepare_prompt(prompt, options, max_model_len);
  truncate(prepared.token_ids, options.truncate_prompt, request.max_new_tokens, max_model_len);
  request.id = started.request_id;
  request.prompt_ids = prepared.token_ids;
  request.prompt_logits = started.prompt_logits;
  if (options.timeout) request.deadline = std::chrono::steady_clock::now() + *options.timeout;
  request.sink = started.sink;

  TextRules rules;
  rules.skip_special_tokens = options.skip_special_tokens;
  rules.stop = options.stop;
  rules.include_stop = options.include_stop_in_output;
  rules.min_new_tokens = request.min_new_tokens;
  rules.stop_token_ids = request.stop_token_ids;
  rules.want_logprobs = options.logprobs.has_value();
  rules.vocab_size = static_cast<std::size_t>(backend->vocab_size());
  const auto tokenizer = tokenizer_or_null();
  rules.continues_text = tokenizer != nullptr &&
                         std::any_of(prepared.token_ids.begin(), prepared.token_ids.end(),
                                     [&](std::int32_t id) { return !tokenizer->is_special(id); });
  started.mailbox->post_quietly([&](Update& update) { update.prompt = std::move(prepared); });
  if (started.sink->is_cancelled()) {
    started.sink->end_unsubmitted(nullptr);
    return;
  }
  started.sink->configure(std::move(rules), tokenizer, backend);
  backend->submit(std::move(request));
  started.mailbox->post_accepted();
  // A cancellation between the check above and `submit` found nothing to cancel.
  if (started.sink->is_cancelled()) backend->cancel(started.request_id);
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
    } catch (const Error& error) {
      started.sink->end_unsubmitted(&error);
    } catch (const std::exception& error) {
      const Error wrapped(ErrorCode::kInternal, error.what());
      started.sink->end_unsubmitted(&wrapped);
    }
  });
  return request;
}

std::vector<float> Core::logits(const std::vector<std::int32_t>& token_ids) {
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
  if (options.executor) return options.executor;
  return [worker = resume_](std::function<void()> task) { worker->post(std::move(task)); };
}

std::string Core::tag() const {
  std::string tag = choice_.entry.name + "-";
  for (const char c : resolved_.id) {
    if (c == '/') {
      tag += "--";
    } else {
      tag += c == '_' ? '-' : static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    }
  }
  return tag + ":" + resolved_.version;
}

ModelInfo Core::info() {
  ModelInfo info = info_;
  info.max_context = is_loaded() ? backend_->max_model_len() : model_limit_;
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
  return stats;
}

}  // namespace openllm::llm
