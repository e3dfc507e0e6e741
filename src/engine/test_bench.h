#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "engine/fake_runner.h"

namespace openllm::engine::test {

inline constexpr int kVocab = 61;

struct Bench {
  explicit Bench(EngineOptions o = small_options())
      : options(o), runner(kVocab, options), engine(runner, options, clock, false) {}
  std::shared_ptr<RecordingSink> submit(Request& r) {
    auto sink = std::make_shared<RecordingSink>(r.n_choices);
    sink->vocab = kVocab;
    r.sink = sink;
    engine.submit(r);
    return sink;
  }
  void run_all() {
    for (int i = 0; i < 5000 && engine.step(); ++i) {
    }
    EXPECT_EQ(engine.stats().n_blocks_free, engine.stats().n_blocks_total);
    EXPECT_EQ(runner.n_remembered(), 0U);
  }

  EngineOptions options;
  FakeClock clock;
  FakeRunner runner;
  Engine engine;
};

inline Request make_request(const std::string& id, int n_prompt, int max_new) {
  Request r;
  r.id = id;
  for (int i = 0; i < n_prompt; ++i) r.prompt_ids.push_back((i * 7 + 3) % kVocab);
  r.max_new_tokens = max_new;
  return r;
}

}  // namespace openllm::engine::test
