// What other servers' own tests ask about tokens, asked of ours: their ids beside texts, stops and
// biases by id (vLLM's tests/entrypoints/openai, llama.cpp's tools/server/tests/unit).

#include <gmock/gmock.h>

#include "server_fixture.h"

namespace openllm::contract {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

std::string list_of(const std::vector<std::int32_t>& ids) {
  base::JsonArray list;
  for (const std::int32_t id : ids) list.emplace_back(std::int64_t{id});
  return base::Json(std::move(list)).dump();
}

std::vector<std::int32_t> ids_of(const base::Json* list) {
  std::vector<std::int32_t> ids;
  if (list == nullptr) return ids;
  for (const base::Json& id : *list->if_array())
    ids.push_back(static_cast<std::int32_t>(id.as_int("token id")));
  return ids;
}

const base::Json& choice_of(const base::Json& answer, std::size_t index = 0) {
  return answer.find("choices")->if_array()->at(index);
}

class PeersTokens : public ServerTest {
 protected:
  PeersTokens() { start(); }

  base::Json completion(const std::string& members) const {
    return whole_of(complete(with_members(kGreedy, members)));
  }
  base::Json chat_answer(const std::string& members) const {
    return whole_of(chat(with_members(kHi, members)));
  }
  /// The message of a 400 about `param`.
  static std::string refusal(const Answer& answer, const std::string& param) {
    EXPECT_EQ(answer.status, 400) << answer.body;
    EXPECT_EQ(str(answer.json(), {"error", "param"}), param);
    EXPECT_EQ(str(answer.json(), {"error", "type"}), "invalid_request_error");
    return str(answer.json(), {"error", "message"});
  }
};

TEST_F(PeersTokens, IdsAreThoseOfTheTexts) {
  const base::Json text = completion(R"("return_token_ids":true)");
  EXPECT_EQ(str(text, {"choices", "0", "prompt_token_ids"}),
            list_of(llm_.tokenize("Once upon a time")));
  const std::vector<std::int32_t> ids = ids_of(choice_of(text).find("token_ids"));
  EXPECT_EQ(std::to_string(ids.size()), str(text, {"usage", "completion_tokens"}));
  std::vector<std::int32_t> all = llm_.tokenize("Once upon a time");
  all.insert(all.end(), ids.begin(), ids.end());
  EXPECT_EQ(llm_.detokenize(all), "Once upon a time" + str(text, {"choices", "0", "text"}));
  const base::Json talk = chat_answer(R"("return_token_ids":true)");
  EXPECT_EQ(str(talk, {"prompt_token_ids"}),
            list_of(llm_.tokenize("user: Hi\nassistant: ", {.add_special_tokens = false})));
  EXPECT_EQ(ids_of(choice_of(talk).find("token_ids")).size(), 12U);
}

TEST_F(PeersTokens, IdsAreShownToThoseWhoAskOnly) {
  for (const char* members : {R"("return_token_ids":false)", R"("return_token_ids":null)"}) {
    for (const base::Json& answer : {completion(members), chat_answer(members)}) {
      EXPECT_EQ(str(answer, {"prompt_token_ids"}), "(absent)");
      EXPECT_EQ(str(answer, {"choices", "0", "prompt_token_ids"}), "(absent)");
      EXPECT_EQ(str(answer, {"choices", "0", "token_ids"}), "(absent)");
    }
  }
}

TEST_F(PeersTokens, StreamsSendThePromptsIdsOnceAndEachTokensIdOnce) {
  const std::string members = R"("return_token_ids":true,"n":2,"seed":1,"temperature":1)";
  const std::string texts = R"({"prompt":"Once","max_tokens":30,)" + members;
  const std::string talks =
      R"({"messages":[{"role":"user","content":"Hi"}],"max_tokens":30,)" + members;
  for (const bool is_chat : {false, true}) {
    const auto ask_for = [&](const std::string& end) {
      return is_chat ? chat(talks + end) : complete(texts + end);
    };
    const base::Json whole = whole_of(ask_for("}"));
    std::map<std::string, std::vector<std::int32_t>> streamed;
    int n_prompts = 0;
    for (const base::Json& chunk : chunks_of(ask_for(R"(,"stream":true})"))) {
      const base::Json& choice = choice_of(chunk);
      const base::Json* prompt =
          is_chat ? chunk.find("prompt_token_ids") : choice.find("prompt_token_ids");
      if (prompt != nullptr) {
        ++n_prompts;
        EXPECT_EQ(prompt->dump(), str(is_chat ? whole : choice_of(whole), {"prompt_token_ids"}));
      }
      std::vector<std::int32_t>& ids = streamed[str(choice, {"index"})];
      const std::vector<std::int32_t> more = ids_of(choice.find("token_ids"));
      ids.insert(ids.end(), more.begin(), more.end());
    }
    EXPECT_EQ(n_prompts, 2) << "where each choice begins";
    for (const char* i : {"0", "1"})
      EXPECT_EQ(list_of(streamed[i]), str(whole, {"choices", i, "token_ids"})) << i;
  }
}

TEST_F(PeersTokens, NamesInLogprobsMayBeIds) {
  const base::Json text = completion(
      R"("echo":true,"logprobs":1,"return_token_ids":true,"return_tokens_as_token_ids":true)");
  const base::Json& choice = choice_of(text);
  std::vector<std::int32_t> ids = ids_of(choice.find("prompt_token_ids"));
  const std::vector<std::int32_t> answer = ids_of(choice.find("token_ids"));
  ids.insert(ids.end(), answer.begin(), answer.end());
  const base::JsonArray& names = *choice.find("logprobs")->find("tokens")->if_array();
  const base::JsonArray& tops = *choice.find("logprobs")->find("top_logprobs")->if_array();
  ASSERT_EQ(names.size(), ids.size());
  ASSERT_EQ(tops.size(), ids.size());
  for (std::size_t i = 0; i < ids.size(); ++i) {
    EXPECT_EQ(*names[i].if_string(), "token_id:" + std::to_string(ids[i]));
    EXPECT_TRUE(i == 0 || tops[i].find(*names[i].if_string()) != nullptr) << i;
  }
  const base::Json talk =
      chat_answer(R"("logprobs":true,"return_token_ids":true,"return_tokens_as_token_ids":true)");
  const std::vector<std::int32_t> said = ids_of(choice_of(talk).find("token_ids"));
  const base::JsonArray& list = *choice_of(talk).find("logprobs")->find("content")->if_array();
  ASSERT_EQ(list.size(), said.size());
  for (std::size_t i = 0; i < said.size(); ++i)
    EXPECT_EQ(*list[i].find("token")->if_string(), "token_id:" + std::to_string(said[i]));
}

TEST_F(PeersTokens, TheEndOfSequenceIsATokenOfTheAnswerButNotOfItsText) {
  const std::string to_the_end = R"("logit_bias":{"2":100},"return_token_ids":true)";
  const base::Json at_once = completion(to_the_end + R"(,"logprobs":1)");
  EXPECT_EQ(str(at_once, {"choices", "0", "finish_reason"}), "stop");
  EXPECT_EQ(str(at_once, {"choices", "0", "text"}), "");
  EXPECT_EQ(str(at_once, {"choices", "0", "token_ids"}), "[2]");
  EXPECT_EQ(str(at_once, {"choices", "0", "logprobs", "tokens"}), R"(["</s>"])");
  EXPECT_EQ(str(at_once, {"usage", "completion_tokens"}), "1");
  const base::Json later = completion(to_the_end + R"(,"min_tokens":3)");
  const std::vector<std::int32_t> ids = ids_of(choice_of(later).find("token_ids"));
  ASSERT_EQ(ids.size(), 4U) << "three that are no end, then the end";
  EXPECT_EQ(std::count(ids.begin(), ids.end(), 2), 1);
  EXPECT_EQ(ids.back(), 2);
  const base::Json never = completion(to_the_end + R"(,"ignore_eos":true,"max_tokens":4)");
  EXPECT_EQ(str(never, {"choices", "0", "token_ids"}), "[2,2,2,2]");
  EXPECT_EQ(str(never, {"choices", "0", "finish_reason"}), "length");
}

TEST_F(PeersTokens, StopsById) {
  const std::string body = R"("logit_bias":{"300":100},"return_token_ids":true)";
  for (const bool is_kept : {false, true}) {
    const base::Json json =
        completion(body + R"(,"stop_token_ids":[511,300],"include_stop_str_in_output":)" +
                   (is_kept ? "true" : "false"));
    EXPECT_EQ(str(json, {"choices", "0", "finish_reason"}), "stop");
    EXPECT_EQ(str(json, {"choices", "0", "token_ids"}), "[300]");
    EXPECT_EQ(str(json, {"choices", "0", "text"}), is_kept ? " ha" : "");
  }
  const std::string beyond =
      refusal(chat(std::string(kHi) + R"(,"stop_token_ids":[512]})"), "stop_token_ids");
  EXPECT_THAT(beyond, AllOf(HasSubstr("got 512"), HasSubstr("0 to 511")));
  refusal(chat(std::string(kHi) + R"(,"stop_token_ids":[5,-1]})"), "stop_token_ids[1]");
}

TEST_F(PeersTokens, BiasesInEitherForm) {
  const std::string object = completion(R"("logit_bias":{"300":100})").find("choices")->dump();
  EXPECT_THAT(object, HasSubstr(" ha ha ha"));
  EXPECT_EQ(completion(R"("logit_bias":[[300,100]])").find("choices")->dump(), object);
  EXPECT_EQ(completion(R"("logit_bias":[[300,100.0]])").find("choices")->dump(), object);
  const auto wrong = [&](const std::string& bias, const std::string& param) {
    return refusal(chat(std::string(kHi) + R"(,"logit_bias":)" + bias + "}"), param);
  };
  EXPECT_THAT(wrong(R"({"512":1})", "logit_bias"),
              AllOf(StartsWith("logit_bias: "), HasSubstr("got 512"), HasSubstr("0 to 511")));
  EXPECT_THAT(wrong(R"({"not_an_id":50})", "logit_bias.not_an_id"), HasSubstr("not_an_id"));
  EXPECT_THAT(wrong(R"({"7":"much"})", "logit_bias.7"), StartsWith("logit_bias.7: "));
  EXPECT_THAT(wrong(R"([[7,"much"]])", "logit_bias[0][1]"), HasSubstr("number"));
}

TEST_F(PeersTokens, PromptsOfIdsThatThereAreNot) {
  for (const auto& [prompt, param] :
       {std::pair{"[-1]", "prompt[0]"}, std::pair{"[[1],[-1]]", "prompt[1][0]"},
        std::pair{"[512]", "prompt"}, std::pair{"[[1,2],[512]]", "prompt"}}) {
    const std::string message =
        refusal(complete(std::string(R"({"max_tokens":1,"prompt":)") + prompt + "}"), param);
    EXPECT_THAT(message, AnyOf(HasSubstr("got -1"), HasSubstr("0 to 511, got 512"))) << prompt;
  }
}

}  // namespace
}  // namespace openllm::contract
