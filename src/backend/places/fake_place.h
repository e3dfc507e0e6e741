#pragma once

// Test support: places whose model is a hash of what it sees, moved on by the test.

#include <algorithm>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "backend/backend.h"
#include "backend/places/relay.h"
#include "backend/places/roster.h"
#include "base/error.h"
#include "base/rng.h"
#include "engine/fake_runner.h"
#include "sampling/sampler.h"

namespace openllm::backend::places::test {

inline constexpr int kVocab = 1000;
inline constexpr int kModelLen = 256;

/// The next token of choice `choice`. It depends on where the answer begins if a penalty does.
inline std::int32_t next_token(const engine::Request& r, const std::vector<std::int32_t>& answer,
                               int choice) {
  std::vector<std::int32_t> tokens = r.prompt_ids;
  tokens.insert(tokens.end(), answer.begin(), answer.end());
  std::uint64_t h = 17;
  for (const std::int32_t t : tokens) h = base::mix64(h ^ static_cast<std::uint64_t>(t));
  if (!sampling::is_greedy(r.sampling)) {
    h = base::mix64(h ^ r.sampling.seed);
    h = base::mix64(h + static_cast<std::uint64_t>(choice));
  }
  if (r.sampling.presence_penalty != 0.0F)
    h = base::mix64(h ^ (answer.size() + static_cast<std::size_t>(r.n_answered)));
  return static_cast<std::int32_t>(h % (kVocab - 1)) + 1;  // 0 ends answers, where a test says so
}

/// The answer of a place that never fails.
inline std::vector<std::int32_t> whole_answer(const engine::Request& r, int choice = 0) {
  std::vector<std::int32_t> answer;
  while (static_cast<int>(answer.size()) < r.max_new_tokens)
    answer.push_back(next_token(r, answer, choice));
  return answer;
}

class FakePlace final : public Backend {
 public:
  explicit FakePlace(Capabilities what = {.prompt_logits = true, .all_fields = true})
      : can(std::move(what)) {}

  Capabilities capabilities() const noexcept override { return can; }
  int vocab_size() const noexcept override { return n_vocab; }
  int max_model_len() const noexcept override { return length; }
  std::string device() const override { return "fake"; }
  std::string isa() const override { return {}; }
  int n_slots() const override { return slots; }
  EngineStats stats() const override { return {}; }

  void submit(engine::Request request) override {
    ++n_submitted;
    if (refusal) throw base::to_error(*refusal);
    base::check(can.continues_answers || (request.n_answered == 0 && request.first_choice == 0),
                "fake: was told what it cannot do");
    Running one{std::move(request)};
    one.answers.resize(static_cast<std::size_t>(one.request.n_choices));
    one.has_ended.resize(one.answers.size());
    running.push_back(std::move(one));
    running.back().request.sink->on_start(base::Clock::TimePoint{});
    if (running.back().request.n_prompt_logprobs >= 0) tell_prompt(running.back());
  }
  void cancel(const std::string& id) override {
    for (Running& one : running) {
      if (one.request.id == id) end(one, FinishReason::kCancelled);
    }
  }
  void stop_choice(const std::string& id, int choice) override {
    for (Running& one : running) {
      if (one.request.id == id) end_choice(one, choice, FinishReason::kStop);
    }
  }
  void shut_down(const base::Failure& failure) override { fail(failure); }

  void mount_adapter(const AdapterOptions& adapter) override {
    if (adapter_refusal) throw base::to_error(*adapter_refusal);
    mounted.emplace(adapter.name, adapter.id);
  }
  void unmount_adapter(const std::string& name) override {
    if (adapter_refusal) throw base::to_error(*adapter_refusal);
    if (mounted.erase(name) == 0) fail_no_adapter(name, adapters());
  }
  std::vector<AdapterOptions> adapters() const override {
    std::vector<AdapterOptions> list;
    for (const auto& [name, id] : mounted) list.push_back({id, name});
    return list;
  }
  AdapterUse find_adapter(const std::string& name) override {
    if (!mounted.contains(name)) fail_no_adapter(name, adapters());
    return {first_adapter + static_cast<int>(name.size()), {}};
  }

  /// One token for each choice, `n` times.
  void step(int n = 1) {
    for (; n > 0; --n) {
      for (Running& one : running) {
        for (int c = 0; c < one.request.n_choices; ++c) give_token(one, c);
      }
    }
  }
  /// All that runs ends with the failure, and what comes is refused with it.
  void fail(const base::Failure& failure) {
    refusal = failure;
    for (Running& one : running) end(one, FinishReason::kError, failure);
  }
  void die() { fail({ErrorCode::kUnavailable, "cannot reach it"}); }
  bool is_idle() const {
    return std::all_of(running.begin(), running.end(), [](const Running& one) {
      return std::count(one.has_ended.begin(), one.has_ended.end(), false) == 0;
    });
  }

  struct Running {
    engine::Request request;
    std::vector<std::vector<std::int32_t>> answers{};
    std::vector<bool> has_ended{};
  };

  Capabilities can;
  int n_vocab = kVocab;
  int length = kModelLen;
  int slots = 0;
  int n_submitted = 0;
  int n_prompt_told = -1;  ///< Logprobs of so many tokens are told; < 0: all.
  std::optional<base::Failure> refusal;
  std::deque<Running> running;
  std::map<std::string, std::string> mounted;    ///< Adapters: where each lies, by name.
  std::optional<base::Failure> adapter_refusal;  ///< Of changes of them.
  int first_adapter = 0;                         ///< Numbers are this plus the name's length.

 private:
  void tell_prompt(Running& one) const {
    const auto n = static_cast<int>(one.request.prompt_ids.size()) - 1;
    for (int i = 1; i <= (n_prompt_told < 0 ? n : n_prompt_told); ++i) {
      const std::int32_t token = one.request.prompt_ids[static_cast<std::size_t>(i)];
      one.request.sink->on_prompt_logprobs(i, {{.token = token}});
    }
  }
  void give_token(Running& one, int c) {
    const auto i = static_cast<std::size_t>(c);
    if (one.has_ended[i]) return;
    const engine::Request& r = one.request;
    const std::int32_t token = next_token(r, one.answers[i], r.first_choice + c);
    one.answers[i].push_back(token);
    r.sink->on_token(c, {.token = token, .logprob = -static_cast<float>(token)});
    if (static_cast<int>(one.answers[i].size()) >= r.max_new_tokens)
      end_choice(one, c, FinishReason::kLength);
  }
  static void end_choice(Running& one, int c, FinishReason reason,
                         const base::Failure& failure = {}) {
    const auto i = static_cast<std::size_t>(c);
    if (one.has_ended[i]) return;
    one.has_ended[i] = true;
    one.request.sink->on_end(c, reason, 3, failure);
  }
  static void end(Running& one, FinishReason reason, const base::Failure& failure = {}) {
    for (int c = 0; c < one.request.n_choices; ++c) end_choice(one, c, reason, failure);
  }
};

/// As a server that speaks HTTP: it cannot be told where an answer began.
inline Capabilities remote(bool draws_as_engine = true) {
  return {.is_repeatable = false,
          .draws_as_engine = draws_as_engine,
          .continues_answers = false,
          .fields = {"temperature", "seed", "n", "presence_penalty"}};
}

/// Places "a", "b", ... and what hands requests to them.
struct Bench {
  explicit Bench(std::vector<Capabilities> kinds)
      : roster(sources(kinds.size()), clock),
        relay(roster, clock, [this](std::function<void()> task) { tasks.push_back(task); }) {
    for (std::size_t i = 0; i < kinds.size(); ++i) {
      auto place = std::make_unique<FakePlace>(kinds[i]);
      places.push_back(place.get());
      roster.admit(i, std::move(place));
    }
    roster.settle();
  }
  explicit Bench(int n = 2)
      : Bench(std::vector<Capabilities>(static_cast<std::size_t>(n), kWhole)) {}

  static std::vector<PlaceSource> sources(std::size_t n) {
    std::vector<PlaceSource> list;
    for (std::size_t i = 0; i < n; ++i) {
      const std::string name(1, static_cast<char>('a' + i));
      list.push_back({.name = name, .url = "http://" + name});
    }
    return list;
  }
  std::shared_ptr<engine::RecordingSink> submit(engine::Request& r) {
    auto sink = std::make_shared<engine::RecordingSink>(r.n_choices);
    r.sink = sink;
    relay.submit(r);
    return sink;
  }
  FakePlace& at(std::size_t i) { return *places[i]; }
  void mend() {
    while (!tasks.empty()) {
      const auto task = tasks.front();
      tasks.pop_front();
      task();
    }
  }
  void finish() {
    mend();
    for (FakePlace* place : places) place->step(kModelLen);
    for (const PlaceStats& place : roster.stats()) n_open += place.n_open;
  }

  static inline const Capabilities kWhole{.prompt_logits = true, .all_fields = true};
  engine::FakeClock clock;
  std::deque<std::function<void()>> tasks;
  Roster roster;
  Relay relay;
  std::vector<FakePlace*> places;
  std::int64_t n_open = 0;  ///< What the roster counts when all is done.
};

inline engine::Request make_request(int max_new = 12, int n = 1) {
  engine::Request r;
  r.id = "r";
  r.prompt_ids = {1, 2, 3, 4, 5};
  r.max_new_tokens = max_new;
  r.n_choices = n;
  r.sampling.temperature = 0.0F;
  return r;
}

inline engine::Request make_random(int max_new = 12, int n = 1) {
  engine::Request r = make_request(max_new, n);
  r.sampling.temperature = 1.0F;
  r.sampling.seed = 9;
  return r;
}

}  // namespace openllm::backend::places::test
