#include "llm/embedding.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/error.h"
#include "base/random_id.h"
#include "openllm/stream.h"

namespace openllm::llm {
namespace {

void require_not_negative(const char* name, int value) {
  if (value >= 0) return;
  base::fail_at(ErrorCode::kInvalidArgument, name, "out of range (expected at least 0, got ", value,
                ")");
}

void require_unset(bool is_set, const char* name) {
  if (!is_set) return;
  base::fail_with(ErrorCode::kUnsupported, {name, ErrorReason::kUnsupportedField}, name,
                  ": a classifier scores pairs in its own way (expected it unset)");
}

/// Throws for an end that is no result.
void require_result(const GenerationOutput& output) {
  const auto reason = output.outputs.at(0).finish_reason;
  if (reason == FinishReason::kCancelled)
    base::fail(ErrorCode::kCancelled, "request: was cancelled");
  if (reason == FinishReason::kDeadline)
    base::fail(ErrorCode::kDeadline, "request: deadline passed");
  if (reason == FinishReason::kError) base::fail(ErrorCode::kInternal, output.error);
}

float sigmoid(float x) { return 1.0F / (1.0F + std::exp(-x)); }

}  // namespace

void EmbedRun::set_options(const EmbedOptions& options, std::size_t n_inputs) {
  require_not_negative("dimensions", options.dimensions);
  require_not_negative("max_tokens", options.max_tokens);
  const SentenceSettings& settings = instance_->model().sentence_settings();
  pooling_ = options.pooling;
  normalize_ = options.normalize.value_or(!settings.has_modules || settings.normalize);
  dimensions_ = options.dimensions;
  options_.max_new_tokens = 0;
  options_.output_kind = OutputKind::kFinalOnly;
  options_.adapter_name = options.adapter_name;
  options_.priority = options.priority;
  options_.request_id = options.request_id;
  options_.tenant = options.tenant;
  options_.group = options.group;
  // The inputs of a call count as one request.
  if (options.group.empty() && n_inputs > 1) options_.group = base::random_id("batch-");
  options_.timeout = options.timeout;
  options_.max_wait = options.max_wait;
  options_.stop_token = options.stop_token;
  options_.executor = options.executor;
}

void EmbedRun::start(EmbedInput input) {
  readers_.push_back(instance_->start_hidden(std::move(input), pooling_, options_));
}

EmbedInput EmbedRun::with_prompt(Prompt prompt, const EmbedOptions& options) const {
  EmbedInput input;
  input.prompt = std::move(prompt);
  input.prefix = instance_->model().sentence_settings().prompt_for(options);
  input.add_special_tokens = options.add_special_tokens;
  input.truncate = options.truncate;
  input.max_tokens = options.max_tokens;
  return input;
}

EmbedRun EmbedRun::embed(const std::shared_ptr<Instance>& instance, std::vector<Prompt> inputs,
                         const EmbedOptions& options) {
  instance->require_task(ModelTask::kEmbed);
  EmbedRun run(instance);
  run.set_options(options, inputs.size());
  for (Prompt& input : inputs) run.start(run.with_prompt(std::move(input), options));
  return run;
}

void EmbedRun::start_pairs(const std::string& query, const std::vector<std::string>& documents,
                           const EmbedOptions& options) {
  require_unset(options.pooling.has_value(), "pooling");
  require_unset(options.normalize.has_value(), "normalize");
  require_unset(options.dimensions != 0, "dimensions");
  require_unset(!options.prompt_name.empty(), "prompt_name");
  require_unset(options.prompt.has_value(), "prompt");
  const int n_labels = instance_->info().n_labels;
  if (n_labels != 1) {
    base::fail(ErrorCode::kUnsupported, "model: ", instance_->model().id(),
               " sorts into classes, which are no score (expected 1 class, got ", n_labels, ")");
  }
  is_pairs_ = true;
  for (const std::string& document : documents) {
    EmbedInput input;
    input.prompt = Prompt(query);
    input.second = document;
    input.truncate = options.truncate;
    input.max_tokens = options.max_tokens;
    start(std::move(input));
  }
}

EmbedRun EmbedRun::score(const std::shared_ptr<Instance>& instance, const std::string& query,
                         const std::vector<std::string>& documents, const EmbedOptions& options) {
  EmbedRun run(instance);
  run.set_options(options, documents.size() + 1);
  if (instance->info().task == ModelTask::kClassify) {
    run.start_pairs(query, documents, options);
    return run;
  }
  run.normalize_ = true;
  const SentenceSettings& settings = instance->model().sentence_settings();
  const bool is_open = options.prompt_name.empty() && !options.prompt;
  EmbedOptions of_query = options;
  EmbedOptions of_document = options;
  if (is_open) {
    of_query.prompt_name = settings.first_prompt({"query"});
    of_document.prompt_name = settings.first_prompt({"document", "passage", "corpus"});
  }
  run.start(run.with_prompt(Prompt(query), of_query));
  for (const std::string& document : documents)
    run.start(run.with_prompt(Prompt(document), of_document));
  return run;
}

void EmbedRun::wait() {
  for (const auto& reader : readers_) {
    while (const GenerationOutput* output = reader->next()) {
      require_result(*output);
      results_.push_back({{}, output->usage.n_prompt_tokens});
    }
  }
}

Task<void> EmbedRun::until_done() {
  for (const auto& reader : readers_) {
    AsyncGenerationStream stream(reader);
    while (const GenerationOutput* output = co_await stream.next()) {
      require_result(*output);
      results_.push_back({{}, output->usage.n_prompt_tokens});
    }
  }
}

/// The vector of an input as it is given, or what a classifier makes of it.
std::vector<float> EmbedRun::finish(std::size_t index) const {
  std::vector<float> vector = readers_[index]->take_pooled();
  if (vector.empty()) base::fail(ErrorCode::kInternal, "embed: a request ended without its vector");
  const model::PooledHead& dense = instance_->model().sentence_settings().dense;
  if (!dense.empty()) {
    if (dense.n_in() != static_cast<std::int64_t>(vector.size())) {
      base::fail(ErrorCode::kCorruptData, instance_->model().source().path,
                 "/modules.json: a Dense module is for other vectors (expected ", vector.size(),
                 " in_features, got ", dense.n_in(), ")");
    }
    vector = dense.run(std::move(vector));
  }
  if (dimensions_ > 0) {
    if (static_cast<std::size_t>(dimensions_) > vector.size()) {
      base::fail_at(ErrorCode::kInvalidArgument, "dimensions",
                    "more than the model's vectors have (expected at most ", vector.size(),
                    ", got ", dimensions_, ")");
    }
    vector.resize(static_cast<std::size_t>(dimensions_));
  }
  if (normalize_) normalize(vector);
  return vector;
}

EmbedOutput EmbedRun::embeddings() {
  EmbedOutput output;
  for (std::size_t i = 0; i < readers_.size(); ++i) {
    results_.at(i).values = finish(i);
    output.n_tokens += results_[i].n_tokens;
  }
  output.embeddings = std::move(results_);
  return output;
}

float EmbedRun::score_of(std::size_t index) const {
  const auto backend = instance_->load();
  const std::vector<float> classes =
      backend->hidden_states().head->run(readers_[index]->take_pooled());
  const float score = classes.at(0);
  return instance_->model().sentence_settings().sigmoid ? sigmoid(score) : score;
}

ScoreOutput EmbedRun::scores() {
  ScoreOutput output;
  for (const Embedding& result : results_) output.n_tokens += result.n_tokens;
  if (is_pairs_) {
    for (std::size_t i = 0; i < readers_.size(); ++i) output.scores.push_back(score_of(i));
    return output;
  }
  const std::vector<float> query = finish(0);
  for (std::size_t i = 1; i < readers_.size(); ++i) {
    const std::vector<float> document = finish(i);
    double sum = 0.0;
    for (std::size_t d = 0; d < query.size(); ++d)
      sum += static_cast<double>(query[d]) * static_cast<double>(document[d]);
    output.scores.push_back(static_cast<float>(sum));
  }
  return output;
}

RerankOutput ranked(const ScoreOutput& scores, int top_n) {
  RerankOutput output;
  output.n_tokens = scores.n_tokens;
  for (std::size_t i = 0; i < scores.scores.size(); ++i)
    output.results.push_back({static_cast<int>(i), scores.scores[i]});
  std::stable_sort(
      output.results.begin(), output.results.end(),
      [](const RankedDocument& a, const RankedDocument& b) { return a.score > b.score; });
  if (top_n > 0 && static_cast<std::size_t>(top_n) < output.results.size())
    output.results.resize(static_cast<std::size_t>(top_n));
  return output;
}

}  // namespace openllm::llm
