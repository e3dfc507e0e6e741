// Streams of several choices that end at different times: what each event brings.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "server_fixture.h"

namespace openllm::contract {
namespace {

using ::testing::HasSubstr;

/// Choices that a name ends, most of them long before the others.
constexpr const char* kSeveral =
    R"("temperature":1,"seed":3,"n":6,"max_tokens":200,"ignore_eos":true,"stop":"Lily")";

/// What the events of one choice brought together.
struct Told {
  std::string text{};
  std::string reason = "null";
  int n_ends = 0;
  int n_prompts = 0;
  int n_ids = 0;
  int n_empty = 0;  // neither text, ids nor an end
};

int size_at(const base::Json& json, const char* name) {
  const base::Json* list = json.find(name);
  return list == nullptr || !list->is_array() ? 0 : static_cast<int>(list->if_array()->size());
}

/// `text`: where a choice has its text.
std::map<std::string, Told> read_stream(const std::vector<base::Json>& chunks,
                                        std::initializer_list<const char*> text,
                                        const char* list = "choices") {
  std::map<std::string, Told> all;
  for (const base::Json& chunk : chunks) {
    for (const base::Json& choice : *chunk.find(list)->if_array()) {
      Told& told = all[str(choice, {"index"})];
      const std::string more = str(choice, text);
      const bool has_text = more != "(absent)" && !more.empty();
      const std::string reason = str(choice, {"finish_reason"});
      const bool is_begin = str(choice, {"delta", "role"}) != "(absent)";
      const bool has_ids = size_at(choice, "token_ids") + size_at(choice, "prompt_token_ids") > 0;
      told.n_empty += has_text || reason != "null" || is_begin || has_ids ? 0 : 1;
      told.n_ids += size_at(choice, "token_ids");
      told.n_prompts += size_at(choice, "prompt_token_ids") > 0 ? 1 : 0;
      if (has_text) told.text += more;
      if (reason != "null") {
        ++told.n_ends;
        told.reason = reason;
      }
    }
  }
  return all;
}

class ServerStreams : public ServerTest {
 protected:
  /// Each choice of a stream against the same one of a whole answer.
  static void expect_same(std::map<std::string, Told> told, const base::Json& whole,
                          std::initializer_list<const char*> text, const char* list = "choices") {
    const base::JsonArray& choices = *whole.find(list)->if_array();
    ASSERT_EQ(told.size(), choices.size());
    std::map<std::string, int> reasons;
    for (const base::Json& choice : choices) {
      const std::string index = str(choice, {"index"});
      EXPECT_EQ(told[index].text, str(choice, text)) << index;
      EXPECT_EQ(told[index].reason, str(choice, {"finish_reason"})) << index;
      EXPECT_EQ(told[index].n_ends, 1) << index;
      EXPECT_EQ(told[index].n_empty, 0) << index;
      ++reasons[told[index].reason];
    }
    EXPECT_GT(reasons["stop"], 0);
    EXPECT_GT(reasons["length"], 0);
  }
};

TEST_F(ServerStreams, N22CompletionsTellEachEndOnce) {
  start();
  const std::string body = R"({"prompt":["Once upon a time","One day"],"return_token_ids":true,)" +
                           std::string(kSeveral);
  const base::Json whole = whole_of(complete(body + "}"));
  const auto told = read_stream(chunks_of(complete(body + R"(,"stream":true})")), {"text"});
  expect_same(told, whole, {"text"});
  for (const auto& [index, choice] : told) {
    EXPECT_EQ(choice.n_prompts, 1) << index << ": with the first event";
    EXPECT_GT(choice.n_ids, 0) << index;
  }
}

TEST_F(ServerStreams, N22ChatsTellEachEndOnce) {
  start();
  const std::string body =
      R"({"messages":[{"role":"user","content":"Once upon a time"}],)" + std::string(kSeveral);
  const base::Json whole = whole_of(chat(body + "}"));
  expect_same(read_stream(chunks_of(chat(body + R"(,"stream":true})")), {"delta", "content"}),
              whole, {"message", "content"});
}

TEST_F(ServerStreams, NativeOnesTellEachEndOnceAndCount) {
  start();
  const std::string body =
      R"({"prompt":"Once upon a time","stop":"Lily","llm_config":{"temperature":1,"seed":3,"n":6,)"
      R"("max_new_tokens":200,"ignore_eos":true}})";
  const base::Json whole = whole_of(ask(post("/v1/generate", body)));
  const std::vector<base::Json> chunks = chunks_of(ask(post("/v1/generate_stream", body)));
  expect_same(read_stream(chunks, {"delta"}, "outputs"), whole, {"text"}, "outputs");
  for (std::size_t i = 1; i < chunks.size(); ++i)
    EXPECT_GT(size_at(chunks[i], "outputs"), 0) << "an event brings something";
  EXPECT_EQ(str(chunks.back(), {"finished"}), "true");
  EXPECT_EQ(str(chunks.back(), {"usage", "n_completion_tokens"}),
            str(whole, {"usage", "n_completion_tokens"}));
  EXPECT_NE(str(chunks.back(), {"usage", "n_completion_tokens"}), "0");
}

TEST_F(ServerStreams, TokensWithoutTextAreTold) {
  start();
  const std::string begin = std::string(kHi) + R"(,"return_token_ids":true)";
  const std::string first = str(whole_of(chat(begin + "}")), {"choices", "0", "token_ids", "0"});
  // An answer of one token, which has no text.
  const std::string body = begin + R"(,"stream":true,"stop_token_ids":[)" + first + "]";
  for (const char* more : {"}", R"(,"logprobs":true})"}) {
    const auto told = read_stream(chunks_of(chat(body + more)), {"delta", "content"});
    EXPECT_EQ(told.at("0").n_ids, 1);
    EXPECT_EQ(told.at("0").text, "");
    EXPECT_EQ(told.at("0").reason, "stop");
  }
  const Answer logprobs = chat(std::string(kHi) + R"(,"logprobs":true,"stream":true,)" +
                               R"("stop_token_ids":[)" + first + "]}");
  EXPECT_THAT(logprobs.body, HasSubstr("\"logprobs\":{\"content\":[{\"token\":"));
}

TEST_F(ServerStreams, TheUsageIsThatOfTheWholeAnswer) {
  start();
  std::string words = "Once";
  for (int i = 0; i < 30; ++i) words += " upon a time";
  const std::string body = "{\"prompt\":[\"" + words + "\",\"" + words + " there\"]," + kSeveral;
  whole_of(complete(body + "}"));  // its blocks are found again
  const base::Json usage = *whole_of(complete(body + "}")).find("usage");
  EXPECT_GT(std::stoi(str(usage, {"prompt_tokens_details", "cached_tokens"})), 0);
  EXPECT_LT(std::stoi(str(usage, {"prompt_tokens_details", "cached_tokens"})),
            std::stoi(str(usage, {"prompt_tokens"})));
  const std::vector<base::Json> chunks =
      chunks_of(complete(body + R"(,"stream":true,"stream_options":{"include_usage":true}})"));
  EXPECT_EQ(str(chunks.back(), {"usage"}), usage.dump());
}

}  // namespace
}  // namespace openllm::contract
