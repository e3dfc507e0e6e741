// Where the tokens of completions stand in the text, and what echo makes of bytes.

#include <gmock/gmock.h>

#include <random>
#include <set>

#include "base/utf8.h"
#include "server_fixture.h"

namespace openllm::contract {
namespace {

using ::testing::ElementsAreArray;

std::u32string code_points(const std::string& text) {
  std::u32string points;
  for (std::size_t pos = 0; pos < text.size();) points += base::decode_utf8(text, pos);
  return points;
}

std::vector<std::int32_t> ints(const base::Json& list) {
  std::vector<std::int32_t> values;
  for (const base::Json& value : *list.if_array())
    values.push_back(static_cast<std::int32_t>(value.as_int("list")));
  return values;
}

/// One choice, put together if it was streamed.
struct Choice {
  std::string text{};
  std::vector<std::int32_t> ids{};
  std::vector<std::int32_t> offsets{};
  std::vector<std::string> tokens{};

  void add(const base::Json& json) {
    text += *json.find("text")->if_string();
    for (const std::int32_t id : ints(*json.find("token_ids"))) ids.push_back(id);
    const base::Json& logprobs = *json.find("logprobs");
    if (!logprobs.is_object()) return;
    for (const std::int32_t at : ints(*logprobs.find("text_offset"))) offsets.push_back(at);
    for (const base::Json& name : *logprobs.find("tokens")->if_array())
      tokens.push_back(*name.if_string());
  }
};

std::map<int, Choice> choices_of(const Answer& answer) {
  std::map<int, Choice> choices;
  const auto add = [&](const base::Json& json) {
    for (const base::Json& choice : *json.find("choices")->if_array())
      choices[static_cast<int>(choice.find("index")->as_int("index"))].add(choice);
  };
  if (answer.headers.at("content-type").starts_with("application/json")) {
    add(answer.json());
  } else {
    for (const std::string& event : events(answer.body))
      if (event != "[DONE]") add(base::Json::parse(event, "event"));
  }
  return choices;
}

class Offsets : public ServerTest {
 protected:
  /// Ids that are bytes more often than not, and sometimes special.
  std::vector<std::int32_t> random_ids(std::size_t most) {
    std::vector<std::int32_t> ids(1 + random_() % most);
    for (std::int32_t& id : ids) {
      const std::uint32_t kind = random_() % 8;
      id = static_cast<std::int32_t>(kind < 5 ? 3 + random_() % 256 : random_() % 512);
    }
    return ids;
  }
  static std::string list(const std::vector<std::int32_t>& ids) {
    std::string text;
    for (const std::int32_t id : ids) text += (text.empty() ? "[" : ",") + std::to_string(id);
    return text + "]";
  }
  /// A body whose answer is likely to be made of bytes.
  std::string body(const std::string& prompt, const std::string& more) {
    std::string bias;
    std::set<std::uint64_t> bytes;
    while (bytes.size() < 40) bytes.insert(3 + random_() % 256);
    for (const std::uint64_t byte : bytes)
      bias += (bias.empty() ? "\"" : ",\"") + std::to_string(byte) + "\":100";
    return R"({"prompt":)" + prompt + R"(,"logit_bias":{)" + bias +
           R"(},"seed":1,"max_tokens":9,"logprobs":0,"return_token_ids":true)" + more;
  }

  std::mt19937 random_{5};
};

/// The parts lie side by side, and are the tokens' own where their bytes are characters.
void expect_parts(const Choice& choice, const std::vector<std::int32_t>& ids, const LLM& llm,
                  bool skip_special) {
  ASSERT_EQ(choice.offsets.size(), ids.size());
  const std::u32string text = code_points(choice.text);
  EXPECT_EQ(choice.offsets[0], 0);
  std::vector<std::int32_t> so_far;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const auto begin = static_cast<std::size_t>(choice.offsets[i]);
    const std::size_t end =
        i + 1 < ids.size() ? static_cast<std::size_t>(choice.offsets[i + 1]) : text.size();
    ASSERT_LE(begin, end);
    ASSERT_LE(end, text.size());
    so_far.push_back(ids[i]);
    // Whatever follows, the text before a token that is no byte is decided.
    const bool is_byte = ids[i] >= 3 && ids[i] < 259;
    if (!is_byte) {
      const std::string decoded = llm.detokenize(so_far, skip_special);
      EXPECT_EQ(text.substr(0, end), code_points(decoded)) << "token " << i;
    }
  }
}

TEST_F(Offsets, SliceTheTextIntoTheTokensParts) {
  start();
  for (int round = 0; round < 30; ++round) {
    const std::vector<std::int32_t> prompt = random_ids(10);
    const bool skip_special = round % 3 != 0;
    const std::string rest = std::string(R"(,"echo":true,"n":2,"skip_special_tokens":)") +
                             (skip_special ? "true" : "false");
    const std::string request = body(list(prompt), rest);
    const Answer answer = complete(request + "}");
    ASSERT_EQ(answer.status, 200) << answer.body;
    auto whole = choices_of(answer);
    auto streamed = choices_of(complete(request + R"(,"stream":true})"));
    for (int i = 0; i < 2; ++i) {
      std::vector<std::int32_t> ids = prompt;
      ids.insert(ids.end(), whole[i].ids.begin(), whole[i].ids.end());
      EXPECT_EQ(whole[i].text, llm_.detokenize(ids, skip_special)) << list(ids);
      expect_parts(whole[i], ids, llm_, skip_special);
      EXPECT_EQ(streamed[i].text, whole[i].text);
      EXPECT_EQ(streamed[i].offsets, whole[i].offsets);
      EXPECT_EQ(streamed[i].tokens, whole[i].tokens);
    }
  }
}

TEST_F(Offsets, OfAnswersAloneBeginAtNought) {
  start();
  for (int round = 0; round < 20; ++round) {
    const std::string request = body(R"("Once upon")", R"(,"n":2)");
    auto whole = choices_of(complete(request + "}"));
    auto streamed = choices_of(complete(request + R"(,"stream":true})"));
    for (int i = 0; i < 2; ++i) {
      expect_parts(whole[i], whole[i].ids, llm_, true);
      EXPECT_EQ(streamed[i].text, whole[i].text);
      EXPECT_EQ(streamed[i].offsets, whole[i].offsets);
    }
  }
}

TEST_F(Offsets, CountSpecialTokensThatTheTextHas) {
  start();
  const auto offsets = [&](const std::string& prompt, const std::string& more = "") {
    const Answer answer = complete(R"({"prompt":)" + prompt +
                                   R"(,"max_tokens":0,"echo":true,"logprobs":0,)"
                                   R"("return_token_ids":true)" +
                                   more + "}");
    return choices_of(answer)[0].offsets;
  };
  // <s> is put before the prompt, and one more space behind a special token in it.
  const std::vector<std::int32_t> ids{1, 403, 2, 410, 407};
  ASSERT_EQ(llm_.tokenize("Once</s> upon"), ids);
  EXPECT_THAT(offsets(R"("Once</s> upon")"), ElementsAreArray({0, 0, 4, 8, 9}));
  EXPECT_THAT(offsets(R"("<s>Once</s>")", R"(,"add_special_tokens":false)"),
              ElementsAreArray({0, 3, 7}));
  EXPECT_THAT(offsets(R"("Once upon")"), ElementsAreArray({0, 0, 4}));
  EXPECT_THAT(offsets(list(ids)), ElementsAreArray({0, 0, 4, 4, 5})) << "left out of the text";
  EXPECT_THAT(offsets(list(ids), R"(,"skip_special_tokens":false)"),
              ElementsAreArray({0, 3, 8, 12, 13}));
}

/// Tokens of a model without a tokenizer have ids and no text.
TEST_F(Offsets, AreThoseOfNoTextWithoutATokenizer) {
  llm_ = LLM(OPENLLM_TEST_DATA "/models/llama", {.n_threads = 1});
  start();
  const std::string request =
      R"({"prompt":[1,2,3],"max_tokens":2,"temperature":0,"logprobs":1,"echo":true)";
  for (const char* stream : {"", R"(,"stream":true)"}) {
    const Choice choice = choices_of(
        complete(request + R"(,"return_tokens_as_token_ids":true,"return_token_ids":true)" +
                 stream + "}"))[0];
    EXPECT_EQ(choice.text, "");
    EXPECT_EQ(choice.ids.size(), 2U);
    EXPECT_THAT(choice.offsets, ElementsAreArray({0, 0, 0, 0, 0}));
  }
  const Answer refused = complete(request + "}");
  EXPECT_EQ(refused.status, 400) << refused.body;
  EXPECT_EQ(str(refused.json(), {"error", "param"}), "logprobs");
}

/// Ids of the bytes of a text.
std::vector<std::int32_t> byte_ids(const std::string& bytes) {
  std::vector<std::int32_t> ids;
  for (const char c : bytes) ids.push_back(3 + static_cast<unsigned char>(c));
  return ids;
}

TEST_F(Offsets, EchoCompletesTheCharacterThatThePromptBegins) {
  start();
  for (const char* stream : {"", R"(,"stream":true)"}) {
    const auto ask_for = [&](const std::string& prompt, char next, const std::string& more) {
      const std::string bias = std::to_string(3 + static_cast<unsigned char>(next));
      return choices_of(complete(
          R"({"prompt":)" + list(byte_ids(prompt)) + R"(,"max_tokens":1,"logit_bias":{")" + bias +
          R"(":100},"temperature":0,"return_token_ids":true)" + more + stream + "}"))[0]
          .text;
    };
    EXPECT_EQ(ask_for("a\xE2\x82", '\xAC', R"(,"echo":true)"), "a\u20AC");
    EXPECT_EQ(ask_for("a\xE2\x82", '\xAC', R"(,"echo":true,"logprobs":1)"), "a\u20AC");
    EXPECT_EQ(ask_for("a\xE2\x82", '\xAC', ""), "\uFFFD") << "the answer alone is no character";
    EXPECT_EQ(ask_for("a\xE2\x82", 'b', R"(,"echo":true)"), "\uFFFD\uFFFD\uFFFD\uFFFD");
    // A stop text that the answer's first bytes are part of.
    EXPECT_EQ(ask_for("\xE2\x82", '\xAC', R"(,"echo":true,"stop":["\ufffd"])"), "");
  }
}

}  // namespace
}  // namespace openllm::contract
