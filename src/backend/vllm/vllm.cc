#include "backend/vllm/vllm.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <utility>

#include "backend/check_options.h"
#include "backend/vllm/launch.h"
#include "backend/vllm/probe.h"
#include "backend/vllm/remote.h"
#include "base/error.h"
#include "net/url.h"

namespace openllm::backend {
namespace {

using namespace vllm;

/// Of a question to a server that is to be used.
constexpr std::chrono::seconds kAttachLimit{10};

std::string path_variable() {
  const char* path = std::getenv("PATH");
  return path == nullptr ? std::string() : path;
}

std::string executable_of(const LoadOptions& options) {
  const std::string& name = options.vllm.executable;
  return find_executable(name.empty() ? "vllm" : name, path_variable());
}

bool is_named(const LoadOptions& options) { return options.backend == "vllm"; }

/// By what names a server may have the model.
std::vector<std::string> names_of(const format::ModelSource& source) {
  std::vector<std::string> names{source.id};
  if (!source.asked.empty()) names.push_back(source.asked);
  names.push_back(source.path);
  if (!source.version.empty()) names.push_back(base::cat(source.id, ":", source.version));
  return names;
}

Question question_for(const std::string& url, const format::ModelSource& source,
                      const LoadOptions& options) {
  return {checked_url(url), options.vllm.api_key, names_of(source)};
}

[[noreturn]] void refuse(const char* option, const char* why) {
  base::fail_with(ErrorCode::kUnsupported, {option, ErrorReason::kUnsupportedField}, option,
                  ": unsupported (", why, ")");
}

/// Options of the engine of this library that no server can be given. The rest of them becomes
/// arguments of one that is started.
void refuse_options_of_native(const LoadOptions& options, bool is_started) {
  const LoadOptions initial;
  const char* why = "the model runs in a server, not here";
  if (options.n_threads != initial.n_threads) refuse("n_threads", why);
  if (options.fast_activations) refuse("fast_activations", why);
  if (!options.device.empty()) refuse("device", why);
  if (options.kv_dtype != initial.kv_dtype) refuse("kv_dtype", why);
  if (!options.draft_model.empty()) refuse("draft_model", why);
  if (options.max_queue != initial.max_queue) refuse("max_queue", why);
  if (options.max_adapters != initial.max_adapters) refuse("max_adapters", why);
  if (is_started) return;
  why = "the server runs already, with options of its own";
  if (options.max_step_tokens != initial.max_step_tokens) refuse("max_step_tokens", why);
  if (options.max_sequences != initial.max_sequences) refuse("max_sequences", why);
  if (options.kv_cache_bytes != 0) refuse("kv_cache_bytes", why);
  if (options.kv_block_size != initial.kv_block_size) refuse("kv_block_size", why);
  if (!options.prefix_caching) refuse("prefix_caching", why);
  if (options.max_draft_tokens != initial.max_draft_tokens) refuse("max_draft_tokens", why);
  if (!options.dtype.empty() && options.dtype != "auto") refuse("dtype", why);
  if (options.gpu_memory_utilization) refuse("gpu_memory_utilization", why);
  if (options.tensor_parallel != 1) refuse("tensor_parallel", why);
  if (options.trust_remote_code.value_or(false)) refuse("trust_remote_code", why);
  if (!options.quantize.empty()) refuse("quantize", why);
  if (!options.vllm.args.empty()) refuse("vllm.args", why);
  if (!options.vllm.executable.empty() && is_named(options)) refuse("vllm.executable", why);
}

/// Whether one of the servers has the model; the first reason against it otherwise.
std::optional<Refusal> ask_servers(Prober& prober, const format::ModelSource& source,
                                   const LoadOptions& options) {
  std::optional<Refusal> first;
  for (const std::string& url : options.vllm.urls) {
    std::optional<Refusal> refusal = prober.refusal(question_for(url, source, options));
    if (!refusal) return std::nullopt;
    if (!first) first = std::move(refusal);
  }
  return first;
}

void require_startable(const format::ModelSource& source, const LoadOptions& options) {
  if (executable_of(options).empty()) {
    if (options.vllm.executable.empty()) {
      base::fail(ErrorCode::kUnavailable,
                 "no vLLM here (expected the address of a server, or an executable vllm in PATH)");
    }
    base::fail_at(ErrorCode::kUnavailable, "vllm.executable", "no program that can be run (got ",
                  options.vllm.executable, ")");
  }
  if (source.layout == format::Layout::kGguf) {
    base::fail(ErrorCode::kUnsupported, source.path,
               ": a GGUF file (vLLM is started for models in Hugging Face's format)");
  }
  if (!source.has_weights())
    base::fail(ErrorCode::kNotFound, source.path, ": has no weights for a vLLM to be started");
  using format::WeightFormat;
  if (source.weights == WeightFormat::kFlax || source.weights == WeightFormat::kTensorflow) {
    base::fail(ErrorCode::kUnsupported, source.path, ": weights of ",
               format::to_string(source.weights), ", which vLLM does not read");
  }
}

void require_supported(Prober& prober, const VllmPlaces& places, const format::ModelSource& source,
                       const LoadOptions& options) {
  check_options(options);
  refuse_options_of_native(options, options.vllm.urls.empty());
  if (!options.vllm.urls.empty()) {
    // One that was asked for by name may be away for now.
    for (const std::string& url : options.vllm.urls) (void)checked_url(url);
    if (is_named(options)) return;
    if (const auto refusal = ask_servers(prober, source, options)) throw *refusal;
    return;
  }
  require_startable(source, options);
  if (is_named(options) || !find_accelerator(places.root).empty()) return;
  base::fail(ErrorCode::kUnavailable, "there is ", executable_of(options),
             ", but no accelerator for it: slower than native on a CPU");
}

ModelFacts describe(const format::ModelSource& source, const LoadOptions& options) {
  const format::ModelOutline outline = source.outline();
  return {source.architecture, outline.n_layers, outline.vocab_size,
          options.max_model_len > 0 ? options.max_model_len : outline.max_positions};
}

/// The context that all servers have room for.
int common_length(const std::vector<Facts>& facts, const format::ModelSource& source,
                  const LoadOptions& options) {
  int length = 0;
  for (const Facts& server : facts) {
    if (server.max_model_len > 0)
      length = length == 0 ? server.max_model_len : std::min(length, server.max_model_len);
  }
  if (length == 0) length = source.outline().max_positions;
  if (length == 0) length = options.max_model_len;
  if (length == 0) {
    base::fail_at(ErrorCode::kInvalidArgument, "max_model_len",
                  "is needed, as neither the server nor the model's files say it");
  }
  if (options.max_model_len > length) {
    base::fail_at(ErrorCode::kInvalidArgument, "max_model_len",
                  "more than the server has room for (expected at most ", length, ", got ",
                  options.max_model_len, ")");
  }
  return options.max_model_len > 0 ? options.max_model_len : length;
}

/// As far as both sides say theirs.
void require_same_vocabulary(const Facts& server, const format::ModelSource& source) {
  const int vocab_size = source.outline().vocab_size;
  if (vocab_size == 0 || server.vocab_size == 0 || vocab_size == server.vocab_size) return;
  base::fail_with(ErrorCode::kInvalidArgument, {.where = "vocab_size"},
                  "vllm: ", net::shown_url(server.server.url), " has another vocabulary (expected ",
                  vocab_size, " tokens as in ", source.path, ", got ", server.vocab_size, ")");
}

/// Servers that are away now may come later; one must be there.
RemoteModel attach(const format::ModelSource& source, const LoadOptions& options) {
  RemoteModel model;
  std::vector<Facts> facts;
  std::vector<std::string> away;
  std::optional<Error> first;
  for (const std::string& url : options.vllm.urls) {
    const Question question = question_for(url, source, options);
    try {
      facts.push_back(ask_server(question, kAttachLimit));
      model.servers.push_back(facts.back().server);
      model.adapters.push_back(facts.back().adapters);
    } catch (const Error& error) {
      const bool is_away =
          error.code() == ErrorCode::kUnavailable || error.code() == ErrorCode::kIo;
      if (!is_away) throw;
      away.push_back(question.url);
      if (!first) first = error;
    }
  }
  if (facts.empty()) throw *first;
  for (const Facts& server : facts) {
    require_same_vocabulary(server, source);
    model.n_slots += server.n_slots;
  }
  // A server that does not say, or is not there, has more than nothing.
  const auto says = [](const Facts& server) { return server.n_slots > 0; };
  if (!away.empty() || !std::all_of(facts.begin(), facts.end(), says)) model.n_slots = 0;
  for (const std::string& url : away)
    model.servers.push_back({url,
                             facts.front().server.model,
                             facts.front().server.repeats_seeds,
                             {},
                             facts.front().server.is_ours});
  model.version = facts.front().version;
  model.max_model_len = common_length(facts, source, options);
  return model;
}

RemoteModel start(const format::ModelSource& source, const LoadOptions& options) {
  require_startable(source, options);
  LaunchedServer launched = launch(executable_of(options), source, options);
  RemoteModel model;
  LoadOptions again = options;
  again.vllm.api_key = launched.api_key;
  again.progress = {};
  model.start = [executable = executable_of(options), source,
                 again = std::move(again)](const std::stop_token& stop) mutable {
    again.stop_token = stop;
    return launch(executable, source, again);
  };
  const Facts facts = ask_server({launched.url, launched.api_key, {source.id}}, kAttachLimit);
  model.servers.push_back(facts.server);
  model.api_key = launched.api_key;
  model.started = std::move(launched.process);
  model.adapters = {facts.adapters};
  model.version = facts.version;
  model.max_model_len = common_length({facts}, source, options);
  return model;
}

std::unique_ptr<Backend> load(const format::ModelSource& source, const LoadOptions& options) {
  check_options(options);
  const bool attaches = !options.vllm.urls.empty();
  RemoteModel model = attaches ? attach(source, options) : start(source, options);
  if (attaches) model.api_key = options.vllm.api_key;
  model.vocab_size = source.outline().vocab_size;
  return make_remote_backend(std::move(model));
}

}  // namespace

BackendEntry vllm_backend(const VllmPlaces& places) {
  const auto prober = std::make_shared<Prober>();
  const auto supports = [prober, places](const format::ModelSource& source,
                                         const LoadOptions& options) -> std::optional<Refusal> {
    try {
      require_supported(*prober, places, source, options);
      return std::nullopt;
    } catch (const Error& error) {
      return error;
    }
  };
  return {"vllm",
          true,
          "a vLLM server that runs already, or one that is started",
          supports,
          describe,
          load,
          remote_capabilities()};
}

}  // namespace openllm::backend
