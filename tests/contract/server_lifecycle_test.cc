// Starting and stopping servers, in any order.

#include <gmock/gmock.h>

#include <string>
#include <utility>

#include "http_probe.h"
#include "openllm/server.h"

namespace openllm::contract {
namespace {

LLM make_llm() { return LLM(OPENLLM_TEST_DATA "/stories260K/hf", {.n_threads = 1}); }

ErrorCode start_failure(Server& server) {
  try {
    server.start();
  } catch (const Error& error) {
    return error.code();
  }
  ADD_FAILURE() << "it started";
  return ErrorCode::kInternal;
}

int health(const Server& server) { return call(server.port(), get("/healthz")).status; }

TEST(ServerLifecycle, AServerServesOnce) {
  Server server(make_llm(), {.port = 0});
  server.start();
  server.wait_until_ready();
  EXPECT_EQ(start_failure(server), ErrorCode::kInvalidArgument);
  EXPECT_EQ(health(server), 200) << "it goes on as before";
  EXPECT_EQ(health(server), 200);
  server.stop();
  server.stop();
  server.wait();
  EXPECT_EQ(start_failure(server), ErrorCode::kInvalidArgument);
}

TEST(ServerLifecycle, AfterAFailedStartAnotherMayFollow) {
  const LLM llm = make_llm();
  Server first(llm, {.port = 0});
  first.start();
  Server second(llm, {.port = first.port()});
  for (int i = 0; i < 2; ++i) EXPECT_EQ(start_failure(second), ErrorCode::kIo);
  first.stop();
  second.start();
  EXPECT_EQ(health(second), 200);
}

TEST(ServerLifecycle, StoppingBeforeStartingChangesNothing) {
  Server server(make_llm(), {.port = 0});
  server.stop();
  server.wait();
  server.start();
  EXPECT_EQ(health(server), 200);
}

TEST(ServerLifecycle, SeveralModelsInBraces) {
  Server server({{make_llm(), "small"}, {make_llm(), "large", {"gpt-4"}}}, {.port = 0});
  server.start();
  server.wait_until_ready();
  for (const std::string name : {"small", "large", "gpt-4"})
    EXPECT_EQ(call(server.port(), get("/v1/models/" + name)).status, 200) << name;
}

TEST(ServerLifecycle, AnLlmThatWasMovedFromServesNobody) {
  LLM llm = make_llm();
  const LLM other = std::move(llm);
  EXPECT_THROW(Server(llm, {.port = 0}), Error);  // NOLINT(*-use-after-move)
}

}  // namespace
}  // namespace openllm::contract
