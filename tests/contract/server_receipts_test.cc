// Receipts over HTTP: every route gives them, and the library replays them.

#include <gmock/gmock.h>

#include <string>
#include <vector>

#include "openllm/client.h"
#include "server_fixture.h"

namespace openllm::contract {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* kSampled = R"({"prompt":"Once upon","max_tokens":6,"temperature":0.9)";

class ServerReceipts : public ServerTest {
 protected:
  /// A receipt that says the same as the answer has and replays.
  void expect_replays(const base::Json& receipt, const std::string& text) const {
    ASSERT_TRUE(receipt.is_object()) << receipt.dump();
    const ReplayResult result = llm_.replay(receipt.dump());
    EXPECT_TRUE(result.same);
    EXPECT_EQ(result.output.outputs.at(0).text, text);
  }
};

TEST_F(ServerReceipts, AreMembersOfWholeAnswers) {
  start();
  const base::Json whole = whole_of(complete(with_members(kSampled, R"("receipt":true,"n":2)")));
  expect_replays(*whole.find("receipt"), str(whole, {"choices", "0", "text"}));
}

TEST_F(ServerReceipts, EndEveryKindOfStream) {
  start();
  for (const char* members :
       {R"("stream":true,"receipt":true)",
        R"("stream":true,"receipt":true,"stream_options":{"include_usage":true})"}) {
    const std::vector<base::Json> chunks = chunks_of(complete(with_members(kSampled, members)));
    std::string text;
    for (const base::Json& chunk : chunks) {
      if (!chunk.find("choices")->if_array()->empty()) text += str(chunk, {"choices", "0", "text"});
    }
    EXPECT_TRUE(chunks.back().find("choices")->if_array()->empty());
    expect_replays(*chunks.back().find("receipt"), text);
    EXPECT_EQ(chunks[0].find("receipt"), nullptr);
  }
  const std::vector<base::Json> chat =
      chunks_of(this->chat(with_members(kHi, R"("stream":true,"receipt":true)")));
  expect_replays(*chat.back().find("receipt"), str(whole_of(this->chat(std::string(kHi) + "}")),
                                                   {"choices", "0", "message", "content"}));
}

TEST_F(ServerReceipts, ChatsAndNativeRoutes) {
  start();
  const base::Json chat = whole_of(this->chat(with_members(kHi, R"("receipt":true)")));
  expect_replays(*chat.find("receipt"), str(chat, {"choices", "0", "message", "content"}));
  const std::string body =
      R"({"prompt":"Once","receipt":true,"llm_config":{"max_new_tokens":5,"temperature":1.1}})";
  const base::Json native = whole_of(ask(post("/v1/generate", body)));
  expect_replays(*native.find("receipt"), str(native, {"outputs", "0", "text"}));
  const std::vector<base::Json> stream = chunks_of(ask(post("/v1/generate_stream", body)));
  expect_replays(*stream.back().find("receipt"),
                 llm_.replay(stream.back().find("receipt")->dump()).output.outputs[0].text);
}

TEST_F(ServerReceipts, SeveralPromptsHaveAListInTheirOrder) {
  start();
  const base::Json whole = whole_of(complete(
      R"({"prompt":["Once","The end","One day"],"max_tokens":4,"temperature":1,"receipt":true})"));
  const base::JsonArray& receipts = whole.find("receipt")->as_array("receipt");
  ASSERT_EQ(receipts.size(), 3U);
  for (std::size_t i = 0; i < receipts.size(); ++i) {
    const std::string index = std::to_string(i);
    expect_replays(receipts[i], str(whole, {"choices", index.c_str(), "text"}));
  }
}

TEST_F(ServerReceipts, HashesAloneAndWhatMakesNoSense) {
  start();
  const base::Json whole =
      whole_of(complete(with_members(kSampled, R"("receipt":true,"receipt_hash_only":true)")));
  EXPECT_THAT(whole.find("receipt")->dump(), Not(HasSubstr("\"token_ids\":")));
  EXPECT_TRUE(llm_.replay(whole.find("receipt")->dump(), llm_.tokenize("Once upon")).same);
  const Answer wrong = complete(with_members(kSampled, R"("receipt_hash_only":true)"));
  EXPECT_EQ(wrong.status, 400);
  EXPECT_EQ(str(wrong.json(), {"error", "param"}), "receipt_hash_only");
  EXPECT_EQ(complete(with_members(kSampled, R"("receipt":"yes")")).status, 400);
  EXPECT_EQ(whole_of(complete(std::string(kSampled) + "}")).find("receipt"), nullptr);
}

TEST_F(ServerReceipts, TheClientGivesThem) {
  start();
  const Client client({.address = "127.0.0.1:" + std::to_string(port())});
  GenerateOptions options{.max_new_tokens = 5, .temperature = 0.9F};
  options.receipt = true;
  std::string last;
  for (const GenerationOutput& output : client.generate_iterator("Once", options))
    last = output.receipt;
  for (const std::string& receipt :
       {client.generate("Once", options).receipt,
        client.chat({{.role = "user", .content = "Hi"}}, options).receipt,
        client.generate_stream("Once", options, [](const auto&) { return true; }).receipt,
        client.async_generate("Once", options).get().receipt, last}) {
    ASSERT_NE(receipt, "");
    EXPECT_TRUE(llm_.replay(receipt).same);
  }
}

}  // namespace
}  // namespace openllm::contract
