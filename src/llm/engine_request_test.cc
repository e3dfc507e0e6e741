#include "llm/engine_request.h"

#include <string>

#include <gmock/gmock.h>

#include "base/error.h"

namespace openllm::llm {
namespace {

std::string refusal(const GenerateOptions& options, const backend::Capabilities& capabilities) {
  try {
    require_capabilities(options, capabilities, "plain");
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUnsupported);
    return error.what();
  }
  return "";
}

TEST(EngineRequest, WhatTheBackendCannotDoIsRefused) {
  EXPECT_EQ(refusal({}, {}), "");
  EXPECT_EQ(refusal({.logprobs = 0}, {}), "logprobs: the backend plain cannot do that");
  EXPECT_EQ(refusal({.logprobs = 0}, {.logprobs = true}), "");
  EXPECT_EQ(refusal({.prompt_logprobs = 2}, {.logprobs = true}),
            "prompt_logprobs: the backend plain cannot do that");
  EXPECT_EQ(refusal({.prompt_logprobs = 2}, {.prompt_logprobs = true}), "");
  EXPECT_EQ(refusal({.seed = 7}, {}), "seed: the backend plain cannot do that");
  EXPECT_EQ(refusal({.seed = 7}, {.seed = true}), "");
}

}  // namespace
}  // namespace openllm::llm
