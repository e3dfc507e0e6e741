#include "openllm/llm.h"

#include <utility>

#include "base/error.h"
#include "base/json.h"
#include "fields/access.h"
#include "llm/embedding.h"
#include "llm/instance.h"
#include "llm/last_output.h"
#include "llm/load_environment.h"
#include "llm/replay.h"
#include "llm/text_decoder.h"
#include "openllm/tokenizer.h"

namespace openllm {

class [[gnu::visibility("hidden")]] LLM::Impl final : public llm::Instance {
 public:
  using Instance::Instance;

  static std::shared_ptr<Impl> make(const std::string& model, const LoadOptions& options) {
    const llm::EffectiveOptions effective = llm::with_environment(model, options);
    try {
      return {new Impl(effective.model, effective.options), [](const Impl* impl) {
                if (impl->is_of_this_process())
                  delete impl;  // else it waits for threads that are not
              }};
    } catch (const Error& error) {
      throw effective.blame(error);
    }
  }
};

namespace {

const char* not_null(const char* text, const char* where) {
  if (text == nullptr)
    base::fail_at(ErrorCode::kInvalidArgument, where, "is a null pointer (expected a text)");
  return text;
}

}  // namespace

LLM::LLM(const std::string& model, const LoadOptions& options) : impl_(Impl::make(model, options)) {
  if (options.eager) load();
}
LLM::LLM(const char* model, const LoadOptions& options)
    : LLM(std::string(not_null(model, "model")), options) {}
LLM::~LLM() = default;
LLM::LLM(const LLM&) = default;
LLM& LLM::operator=(const LLM&) = default;
LLM::LLM(LLM&&) noexcept = default;
LLM& LLM::operator=(LLM&&) noexcept = default;

LLM::Impl& LLM::impl() const {
  if (impl_ == nullptr)
    base::fail(ErrorCode::kInvalidArgument, "LLM: has no model (it was moved from)");
  return *impl_;
}

namespace {

GenerateOptions final_only(GenerateOptions options) {
  options.output_kind = OutputKind::kFinalOnly;
  return options;
}

Task<GenerationOutput> run_to_end(AsyncGenerationStream stream) {
  llm::LastOutput last;
  while (const GenerationOutput* output = co_await stream.next()) last.add(*output);
  co_return last.take();
}

}  // namespace

GenerationOutput LLM::generate(const Prompt& prompt, const GenerateOptions& options) const {
  GenerationStream stream(impl().start(prompt, final_only(options)));
  llm::LastOutput last;
  while (const GenerationOutput* output = stream.next()) last.add(*output);
  return last.take();
}

GenerationStream LLM::generate_iterator(const Prompt& prompt,
                                        const GenerateOptions& options) const {
  return GenerationStream(impl().start(prompt, options));
}

Task<GenerationOutput> LLM::async_generate(Prompt prompt, GenerateOptions options) const {
  return run_to_end(
      AsyncGenerationStream(impl().start_async(std::move(prompt), final_only(std::move(options)))));
}

AsyncGenerationStream LLM::async_generate_iterator(const Prompt& prompt,
                                                   const GenerateOptions& options) const {
  return AsyncGenerationStream(impl().start_async(prompt, options));
}

GenerationOutput LLM::chat(const std::vector<Message>& messages,
                           const GenerateOptions& options) const {
  return generate(Prompt(messages), options);
}

Task<GenerationOutput> LLM::async_chat(std::vector<Message> messages,
                                       GenerateOptions options) const {
  return async_generate(Prompt(std::move(messages)), std::move(options));
}

namespace {

// The requests run already when these get them. The run is moved into the coroutine's own frame.
Task<EmbedOutput> embeddings_of(llm::EmbedRun run) {
  Task<void> done = run.until_done();
  co_await done;
  co_return run.embeddings();
}
Task<ScoreOutput> scores_of(llm::EmbedRun run) {
  Task<void> done = run.until_done();
  co_await done;
  co_return run.scores();
}
Task<RerankOutput> ranking_of(llm::EmbedRun run, int top_n) {
  Task<void> done = run.until_done();
  co_await done;
  co_return llm::ranked(run.scores(), top_n);
}

void check_top_n(int top_n) {
  if (top_n < 0) {
    base::fail_at(ErrorCode::kInvalidArgument, "top_n", "out of range (expected at least 0, got ",
                  top_n, ")");
  }
}

}  // namespace

EmbedOutput LLM::embed(const std::vector<Prompt>& inputs, const EmbedOptions& options) const {
  (void)impl();
  llm::EmbedRun run = llm::EmbedRun::embed(impl_, inputs, options);
  run.wait();
  return run.embeddings();
}
Task<EmbedOutput> LLM::async_embed(std::vector<Prompt> inputs, EmbedOptions options) const {
  (void)impl();
  return embeddings_of(llm::EmbedRun::embed(impl_, std::move(inputs), options));
}

ScoreOutput LLM::score(const std::string& query, const std::vector<std::string>& documents,
                       const EmbedOptions& options) const {
  (void)impl();
  llm::EmbedRun run = llm::EmbedRun::score(impl_, query, documents, options);
  run.wait();
  return run.scores();
}
Task<ScoreOutput> LLM::async_score(std::string query, std::vector<std::string> documents,
                                   EmbedOptions options) const {
  (void)impl();
  return scores_of(llm::EmbedRun::score(impl_, query, documents, options));
}

RerankOutput LLM::rerank(const std::string& query, const std::vector<std::string>& documents,
                         int top_n, const EmbedOptions& options) const {
  check_top_n(top_n);
  return llm::ranked(score(query, documents, options), top_n);
}
Task<RerankOutput> LLM::async_rerank(std::string query, std::vector<std::string> documents,
                                     int top_n, EmbedOptions options) const {
  (void)impl();
  check_top_n(top_n);
  return ranking_of(llm::EmbedRun::score(impl_, query, documents, options), top_n);
}

ReplayResult LLM::replay(const std::string& receipt) const {
  return llm::replay(impl(), receipt, nullptr);
}
ReplayResult LLM::replay(const std::string& receipt,
                         const std::vector<std::int32_t>& prompt_token_ids) const {
  return llm::replay(impl(), receipt, &prompt_token_ids);
}

void LLM::load() const { (void)impl().load(); }
void LLM::unload() const { impl().unload(); }
std::string LLM::packed_copy() const {
  const auto backend = impl().runtime().backend_or_null();
  return backend == nullptr ? std::string() : backend->packed_copy();
}
bool LLM::is_writing_packed_copy() const {
  const auto backend = impl().runtime().backend_or_null();
  return backend != nullptr && backend->is_writing_packed_copy();
}
void LLM::finish_packed_copy(const std::stop_token& stop) const {
  const auto backend = impl().runtime().backend_or_null();
  if (backend != nullptr) backend->finish_packed_copy([&] { return stop.stop_requested(); });
}
std::size_t LLM::cancel(const std::string& request_id) const { return impl().cancel(request_id); }
bool LLM::is_loaded() const noexcept {
  return impl_ != nullptr && impl_->runtime().backend_or_null() != nullptr;
}
const std::string& LLM::id() const noexcept {
  static const std::string kNone;
  return impl_ == nullptr ? kNone : impl_->model().id();
}
std::string LLM::tag() const { return impl().tag(); }
std::string LLM::revision() const { return impl().model().source().version; }
bool LLM::is_local() const { return !impl().model().stored().has_value(); }
std::optional<StoredModel> LLM::stored_model() const { return impl().model().stored(); }
std::string LLM::identifying_params() const {
  base::Json params = base::Json::object();
  params["configuration"] = fields::to_json(config()).dump();
  base::Json ids = base::Json::array();
  ids.push_back(id());
  params["model_ids"] = ids.dump();
  params["model_id"] = id();
  return params.dump();
}
std::string LLM::llm_type() const {
  std::string type;
  for (const char c : id()) {
    if (c == '/') {
      type += "--";
    } else {
      type += c == '_' ? '-' : c;
    }
  }
  return type;
}
ModelInfo LLM::info() const { return impl().info(); }
BackendInfo LLM::backend() const { return impl().backend_info(); }
LLMConfig LLM::config() const { return impl().model().config(); }
EngineStats LLM::stats() const { return impl().stats(); }
std::vector<AdapterOptions> LLM::adapters(bool may_ask) const { return impl().adapters(may_ask); }
void LLM::load_adapter(const AdapterOptions& adapter) const { impl().load_adapter(adapter); }
void LLM::unload_adapter(const std::string& name) const { impl().unload_adapter(name); }

Tokenizer LLM::tokenizer() const {
  (void)impl();
  return Tokenizer(*this);
}

std::vector<std::int32_t> LLM::tokenize(std::string_view text,
                                        const TokenizeOptions& options) const {
  return impl().model().require_tokenizer()->encode(
      text,
      {.add_special_tokens = options.add_special_tokens, .parse_special = options.parse_special});
}

std::vector<std::int32_t> LLM::tokenize(const char* text, const TokenizeOptions& options) const {
  return tokenize(std::string_view(not_null(text, "text")), options);
}

std::string LLM::detokenize(const std::vector<std::int32_t>& token_ids,
                            bool skip_special_tokens) const {
  for (const std::int32_t id : token_ids) impl().require_token("token_ids", id);
  return impl().model().require_tokenizer()->decode(token_ids, skip_special_tokens);
}

TextDecoder LLM::text_decoder(bool skip_special_tokens, bool continues_text) const {
  return TextDecoder(std::make_unique<TextDecoder::Impl>(impl().model().require_tokenizer(),
                                                         skip_special_tokens, continues_text));
}

std::string LLM::token_text(std::int32_t token_id) const {
  impl().require_token("token_id", token_id);
  return std::string(impl().model().require_tokenizer()->token_bytes(token_id));
}

std::vector<std::int32_t> LLM::eos_token_ids() const {
  std::vector<std::int32_t> ids = config().eos_token_ids;
  const auto tokenizer = ids.empty() ? impl().model().tokenizer() : nullptr;
  return tokenizer == nullptr ? ids : tokenizer->eos_ids();
}

std::string LLM::apply_chat_template(const std::vector<Message>& messages,
                                     const GenerateOptions& options) const {
  return impl().model().render(messages, options);
}

std::vector<float> LLM::logits(const std::vector<std::int32_t>& token_ids) const {
  return impl().logits(token_ids);
}

}  // namespace openllm
