#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/rng.h"
#include "engine/engine.h"
#include "engine/fake_runner.h"

// Traffic on a clock that only steps move: what a device takes for a step is a formula.
namespace openllm::engine::test {

/// Seconds that a device takes for a step, from its rows and the keys that they attend to.
using StepTime = std::function<double(double rows, double decodes, double keys)>;

/// A small model on a small CPU: rows are what takes time.
inline StepTime small_model() {
  return [](double rows, double decodes, double keys) {
    return 0.5e-3 + 1.5e-3 * rows + 0.3e-3 * decodes + 3e-7 * keys;
  };
}
/// A large model: reading the weights takes as long as some dozens of rows.
inline StepTime large_model() {
  return [](double rows, double decodes, double keys) {
    return std::max(0.1, 2e-3 * rows) + 1e-4 * decodes + 1e-6 * keys;
  };
}

class TimedRunner final : public StepRunner {
 public:
  TimedRunner(FakeClock& clock, StepTime time) : clock_(clock), time_(std::move(time)) {}
  int vocab_size() const noexcept override { return static_cast<int>(kVocabSize); }
  step::Outputs run(const step::Step& step) override {
    double decodes = 0;
    double keys = 0;
    for (const step::SequenceRows& s : step.sequences) {
      decodes += s.n_rows == 1 && s.past_len > 0 ? 1 : 0;
      keys += s.n_rows * (s.past_len + 1.0) + s.n_rows * (s.n_rows - 1.0) / 2;
    }
    const auto rows = static_cast<double>(step.token_ids.size());
    double taken = time_(rows, decodes, keys);
    ++n_steps_;
    // A machine that others use too: a tenth more or less, and now and then an interruption.
    const std::uint64_t dice = base::mix64(n_steps_);
    taken *= 0.9 + 0.2 * static_cast<double>(dice % 1000) / 1000.0;
    if (has_interruptions && dice % 97 == 0) taken *= 8;
    clock_.time += std::chrono::duration_cast<base::Clock::TimePoint::duration>(
        std::chrono::duration<double>(taken));
    last_step_s = taken;
    last_rows = rows;
    logits_.assign(step.logit_rows.size() * kVocabSize, 0.0F);
    return {.logits = logits_.data()};
  }

  static constexpr std::size_t kVocabSize = 16;
  bool has_interruptions = false;
  double last_step_s = 0;
  double last_rows = 0;

 private:
  FakeClock& clock_;
  StepTime time_;
  std::uint64_t n_steps_ = 0;
  std::vector<float> logits_;
};

/// When the tokens of a request came.
class TimedSink final : public EventSink {
 public:
  TimedSink(const FakeClock& clock, int n_choices) : clock_(clock), n_open_(n_choices) {}
  void on_prompt_logprobs(int, std::vector<TokenEvent>) noexcept override {}
  void on_token(int, TokenEvent) noexcept override { times.push_back(seconds_now()); }
  void on_end(int, FinishReason, int, const base::Failure&) noexcept override {
    if (--n_open_ == 0) end_s = seconds_now();
  }
  bool ended() const noexcept { return n_open_ == 0; }
  /// The longest time between two tokens after `from` seconds.
  double longest_gap(double from) const {
    double longest = 0;
    for (std::size_t i = 1; i < times.size(); ++i) {
      if (times[i - 1] >= from) longest = std::max(longest, times[i] - times[i - 1]);
    }
    return longest;
  }

  std::vector<double> times{};
  double end_s = 0;

 private:
  double seconds_now() const {
    return std::chrono::duration<double>(clock_.time.time_since_epoch()).count();
  }
  const FakeClock& clock_;
  int n_open_;
};

struct SimOptions {
  StepTime time = small_model();
  int max_sequences = 64;
  int max_queue = 4096;
};

class Sim {
 public:
  explicit Sim(const SimOptions& o = {})
      : runner(clock, o.time), engine(runner, engine_options(o), clock, false) {}

  double now() const {
    return std::chrono::duration<double>(clock.time.time_since_epoch()).count();
  }

  /// A request with a prompt that nobody else has.
  Request make(int n_prompt, int max_new) {
    Request r;
    r.id = std::to_string(++n_made_);
    for (int i = 0; i < n_prompt; ++i) {
      const std::uint64_t dice = base::mix64(n_made_ * 100000 + static_cast<std::uint64_t>(i));
      r.prompt_ids.push_back(static_cast<std::int32_t>(dice % TimedRunner::kVocabSize));
    }
    r.max_new_tokens = max_new;
    return r;
  }
  std::shared_ptr<TimedSink> submit(Request r) {
    auto sink = std::make_shared<TimedSink>(clock, r.n_choices);
    r.sink = sink;
    engine.submit(std::move(r));
    return sink;
  }
  std::shared_ptr<TimedSink> submit(int n_prompt, int max_new) {
    return submit(make(n_prompt, max_new));
  }
  void run_until_ended(const TimedSink& sink) {
    while (!sink.ended() && engine.step()) {
    }
  }
  void run_for(double seconds) {
    const double end = now() + seconds;
    while (now() < end && engine.step()) {
    }
  }
  /// Steps of every kind, so that costs are known.
  void warm_up() {
    const auto prompt = submit(600, 40);
    for (int i = 0; i < 4; ++i) submit(30, 60);
    run_until_ended(*prompt);
    while (engine.step()) {
    }
  }

  FakeClock clock;
  TimedRunner runner;
  Engine engine;

 private:
  static EngineOptions engine_options(const SimOptions& o) {
    EngineOptions options;
    options.max_sequences = o.max_sequences;
    options.max_queue = o.max_queue;
    options.max_model_len = 8192;
    options.kv_groups.resize(1);
    options.blocks_per_group = {2048};
    return options;
  }
  std::uint64_t n_made_ = 0;
};

}  // namespace openllm::engine::test
