// Encoder-decoder models and beam search through the native engine, against transformers.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <map>

#include "backend/native.h"
#include "model/test_support.h"
#include "sampling/constraints/token_rules.h"

namespace openllm::backend {
namespace {

using model::test::data_path;
using model::test::Golden;
using model::test::read_golden;

/// Keeps what a request produced; `wait` returns when all of its choices have ended.
class Sink final : public engine::EventSink {
 public:
  explicit Sink(int n_choices)
      : tokens(static_cast<std::size_t>(n_choices)), scores(tokens.size()), n_open_(n_choices) {}
  void on_prompt_logprobs(int, std::vector<engine::TokenEvent>) noexcept override {}
  void on_prompt_logits(int, int n, const float* values) noexcept override {
    n_logit_rows += n;
    first_logit = values[0];
  }
  void on_score(int choice, float score) noexcept override {
    scores[static_cast<std::size_t>(choice)] = score;
  }
  void on_token(int choice, engine::TokenEvent event) noexcept override {
    tokens[static_cast<std::size_t>(choice)].push_back(event.token);
  }
  void on_end(int, FinishReason, int, const base::Failure& failure) noexcept override {
    error = failure.message;
    if (--n_open_ == 0) done_.set_value();
  }
  void wait() { done_.get_future().wait(); }

  std::vector<std::vector<std::int32_t>> tokens;
  std::vector<float> scores;
  std::string error;
  int n_logit_rows = 0;
  float first_logit = 0.0F;

 private:
  int n_open_;
  std::promise<void> done_;
};

std::shared_ptr<Sink> submit(Backend& backend, engine::Request request) {
  const auto sink = std::make_shared<Sink>(request.n_choices);
  request.sink = sink;
  backend.submit(std::move(request));
  return sink;
}

LoadOptions small_options(const std::string& device) {
  LoadOptions options;
  options.device = device;
  options.n_threads = 1;
  options.kv_block_size = 4;
  options.max_step_tokens = 24;
  options.max_sequences = 16;
  options.kv_cache_bytes = 1 << 20;
  return options;
}

std::unique_ptr<Backend> load(const std::string& name, const std::string& device = "cpu") {
  return native_backend().load(format::open_model(data_path(name)), small_options(device));
}

engine::Request greedy_request(const std::string& id, const Golden& golden) {
  engine::Request r;
  r.id = id;
  r.source_ids = golden.source;
  r.prompt_ids = golden.prompt;
  r.max_new_tokens = static_cast<int>(golden.greedy.size());
  r.sampling.temperature = 0.0F;
  return r;
}

TEST(Seq2Seq, EveryFamilyContinuesAsTransformersDoes) {
  int n_different = 0;
  for (const char* name : {"t5", "t5-gated", "mt5", "umt5", "bart", "mbart", "marian", "m2m-100",
                           "pegasus", "blenderbot", "blenderbot-small"}) {
    const Golden golden = read_golden(data_path(name));
    const auto backend = load(name);
    EXPECT_GE(backend->source().max_len, static_cast<int>(golden.source.size()));
    std::vector<std::shared_ptr<Sink>> sinks;
    for (int i = 0; i < 4; ++i) {
      engine::Request r = greedy_request(std::to_string(i), golden);
      r.n_choices = 1 + i % 2;
      if (i == 3) r.source_ids = {5, 7};  // somebody else's
      sinks.push_back(submit(*backend, std::move(r)));
    }
    for (const auto& sink : sinks) sink->wait();
    for (int i = 0; i < 3; ++i) {
      for (const auto& tokens : sinks[static_cast<std::size_t>(i)]->tokens)
        EXPECT_EQ(tokens, golden.greedy) << name;
    }
    n_different += sinks[3]->tokens[0] != golden.greedy ? 1 : 0;
  }
  EXPECT_GE(n_different, 8) << "another source, another answer";
}

TEST(Seq2Seq, LogitsAreThoseOfTheFirstPosition) {
  const Golden golden = read_golden(data_path("bart"));
  const auto backend = load("bart", "reference");
  engine::Request r = greedy_request("a", golden);
  r.prompt_ids.resize(1);
  r.max_new_tokens = 0;
  r.prompt_logits = true;
  const auto sink = submit(*backend, std::move(r));
  sink->wait();
  EXPECT_EQ(sink->n_logit_rows, 1);
  EXPECT_NEAR(sink->first_logit, golden.logits[0], 1e-4);
}

// ---- beam search
// ----------------------------------------------------------------------------------

struct Search {
  std::string model;
  engine::Request request{};
  std::vector<std::vector<std::int32_t>> ids{};
  std::vector<double> scores{};
};

int int_of(const base::Json& options, const char* name, int otherwise) {
  const base::Json* value = options.find(name);
  return value == nullptr ? otherwise : static_cast<int>(value->as_int(name));
}
float float_of(const base::Json& options, const char* name, float otherwise) {
  const base::Json* value = options.find(name);
  return value == nullptr ? otherwise : static_cast<float>(value->as_double(name));
}

engine::BeamOptions::Stopping stopping_of(const base::Json* value) {
  using Stopping = engine::BeamOptions::Stopping;
  if (value == nullptr) return Stopping::kWhenUnlikely;
  if (const bool* flag = value->if_bool())
    return *flag ? Stopping::kWhenFull : Stopping::kWhenUnlikely;
  return Stopping::kWhenSure;
}

void add_rules(const base::Json& options, int vocab_size, engine::Request& request) {
  sampling::TokenRules rules;
  rules.no_repeat_ngram_size = int_of(options, "no_repeat_ngram_size", 0);
  if (const base::Json* words = options.find("bad_words_ids")) {
    for (const base::Json& word : words->as_array("bad_words_ids"))
      rules.bad_words_ids.push_back(model::test::to_ids(word));
  }
  if (const base::Json* ids = options.find("forced_eos_token_id"))
    rules.forced_eos = model::test::to_ids(*ids);
  if (options.find("forced_bos_token_id") != nullptr)
    rules.forced_bos = int_of(options, "forced_bos_token_id", 0);
  if (!sampling::has_rules(rules)) return;
  rules.eos = request.stop_token_ids;
  sampling::validate(rules, vocab_size);
  const auto shared = std::make_shared<const sampling::TokenRules>(rules);
  request.constraints.emplace_back([shared](const sampling::ConstraintContext& context) {
    return std::make_unique<sampling::RuledTokens>(shared, context);
  });
}

std::vector<Search> read_searches() {
  const std::string path = std::string(OPENLLM_TEST_DATA) + "/beams/goldens.json";
  const base::Json goldens = base::Json::parse(base::read_file(path), path);
  std::vector<Search> searches;
  for (const base::Json& golden : goldens.as_array("goldens")) {
    Search& search = searches.emplace_back();
    search.model = golden.find("model")->as_string("model");
    const base::Json& options = *golden.find("options");
    engine::Request& r = search.request;
    r.prompt_ids = model::test::to_ids(*golden.find("prompt"));
    r.max_new_tokens = int_of(options, "max_new_tokens", 0);
    r.min_new_tokens = int_of(options, "min_new_tokens", 0);
    r.stop_token_ids = model::test::to_ids(*options.find("eos_token_id"));
    r.n_choices = int_of(options, "num_return_sequences", 1);
    r.beams = {int_of(options, "num_beams", 1), int_of(options, "num_beam_groups", 1),
               float_of(options, "diversity_penalty", 0.0F),
               float_of(options, "length_penalty", 1.0F),
               stopping_of(options.find("early_stopping"))};
    r.sampling.repetition_penalty = float_of(options, "repetition_penalty", 1.0F);
    for (const base::Json& ids : golden.find("ids")->as_array("ids"))
      search.ids.push_back(model::test::to_ids(ids));
    for (const base::Json& score : golden.find("scores")->as_array("scores"))
      search.scores.push_back(score.as_double("score"));
    add_rules(options, 1000, r);
  }
  return searches;
}

TEST(BeamGoldens, IdsAndScoresAreThoseOfTransformers) {
  const std::vector<Search> searches = read_searches();
  ASSERT_GT(searches.size(), 30U);
  for (const char* device : {"cpu", "reference"}) {
    std::map<std::string, std::unique_ptr<Backend>> backends;
    std::vector<std::shared_ptr<Sink>> sinks;
    // All searches of a model run together.
    for (std::size_t i = 0; i < searches.size(); ++i) {
      auto& backend = backends[searches[i].model];
      if (backend == nullptr) backend = load(searches[i].model, device);
      engine::Request r = searches[i].request;
      r.id = std::to_string(i);
      if (backend->source().max_len > 0) {
        r.source_ids = std::move(r.prompt_ids);
        r.prompt_ids = {backend->source().decoder_start};
      }
      sinks.push_back(submit(*backend, std::move(r)));
    }
    for (std::size_t i = 0; i < searches.size(); ++i) {
      sinks[i]->wait();
      EXPECT_EQ(sinks[i]->error, "");
      EXPECT_EQ(sinks[i]->tokens, searches[i].ids) << searches[i].model << " " << i;
      for (std::size_t k = 0; k < searches[i].scores.size(); ++k)
        EXPECT_NEAR(sinks[i]->scores[k], searches[i].scores[k], 1e-4) << i;
    }
  }
}

}  // namespace
}  // namespace openllm::backend
