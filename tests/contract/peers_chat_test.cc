// What other servers' own tests ask of /v1/chat/completions, asked of ours (llama.cpp's
// tools/server/tests/unit, vLLM's tests/entrypoints/openai/chat_completion).

#include <gmock/gmock.h>

#include <set>

#include "base/error.h"
#include "server_fixture.h"

namespace openllm::contract {
namespace {

class PeersChat : public ServerTest {
 protected:
  PeersChat() { start(); }

  base::Json whole(const std::string& body) const { return whole_of(chat(body)); }
  std::vector<base::Json> chunks(const std::string& body) const { return chunks_of(chat(body)); }
};

std::string content_of(const base::Json& answer, const char* choice = "0") {
  return str(answer, {"choices", choice, "message", "content"});
}

TEST_F(PeersChat, AStreamBeginsWithTheRoleAndEndsWithTheReason) {
  const base::Json expected = whole(std::string(kHi) + "}");
  const auto all =
      chunks(std::string(kHi) + R"(,"stream":true,"stream_options":{"include_usage":true}})");
  ASSERT_GE(all.size(), 4U);
  EXPECT_EQ(str(all[0], {"choices", "0", "delta"}), R"({"role":"assistant","content":""})");
  std::string content;
  std::set<std::string> ids;
  for (std::size_t i = 0; i < all.size(); ++i) {
    ids.insert(str(all[i], {"id"}));
    EXPECT_EQ(str(all[i], {"object"}), "chat.completion.chunk");
    EXPECT_EQ(str(all[i], {"model"}), llm_.id());
    EXPECT_EQ(str(all[i], {"choices", "0", "delta", "role"}), i == 0 ? "assistant" : "(absent)");
    const bool is_end = i + 2 == all.size();
    if (i + 1 == all.size()) continue;
    EXPECT_EQ(str(all[i], {"usage"}), "null");
    EXPECT_EQ(str(all[i], {"choices", "0", "finish_reason"}), is_end ? "length" : "null");
    if (is_end) {
      EXPECT_EQ(str(all[i], {"choices", "0", "delta"}), "{}");
    } else {
      content += str(all[i], {"choices", "0", "delta", "content"});
    }
  }
  EXPECT_EQ(ids.size(), 1U);
  EXPECT_EQ(content, content_of(expected));
  EXPECT_EQ(str(all.back(), {"choices"}), "[]");
  EXPECT_EQ(str(all.back(), {"usage"}), str(expected, {"usage"}));
}

TEST_F(PeersChat, LogprobsSpellTheAnswer) {
  const std::string body = std::string(kHi) + R"(,"logprobs":true,"top_logprobs":5)";
  const auto spell = [](const base::Json& choice) {
    std::string text;
    std::string names;
    const base::Json* logprobs = choice.find("logprobs");
    if (logprobs == nullptr || !logprobs->is_object()) return text;
    for (const base::Json& token : *logprobs->find("content")->if_array()) {
      EXPECT_LE(token.find("logprob")->as_double("logprob"), 0.0);
      EXPECT_EQ(token.find("top_logprobs")->if_array()->size(), 5U);
      std::string bytes;
      for (const base::Json& byte : *token.find("bytes")->if_array())
        bytes += static_cast<char>(byte.as_int("byte"));
      text += bytes;
      names += *token.find("token")->if_string();
    }
    EXPECT_EQ(names, text) << "of tokens that are whole characters";
    return text;
  };
  const base::Json json = whole(body + "}");
  const std::string spelt = spell((*json.find("choices")->if_array())[0]);
  EXPECT_TRUE(spelt == content_of(json) || spelt == " " + content_of(json)) << spelt;
  std::string streamed;
  for (const base::Json& chunk : chunks(body + R"(,"stream":true})"))
    streamed += spell((*chunk.find("choices")->if_array())[0]);
  EXPECT_EQ(streamed, spelt);
  EXPECT_EQ(chat(std::string(kHi) + R"(,"logprobs":true,"top_logprobs":21})").status, 400);
  EXPECT_EQ(chat(std::string(kHi) + R"(,"top_logprobs":5})").status, 400) << "of no logprobs";
}

TEST_F(PeersChat, LogprobsOfNone) {
  for (const char* members : {"", R"(,"logprobs":false)", R"(,"logprobs":null)"})
    EXPECT_EQ(str(whole(std::string(kHi) + members + "}"), {"choices", "0", "logprobs"}), "null");
  const base::Json json = whole(std::string(kHi) + R"(,"logprobs":true,"top_logprobs":0})");
  const base::Json& list = *json.find("choices")->if_array()->at(0).find("logprobs");
  EXPECT_EQ(list.find("content")->if_array()->size(), 12U);
  for (const base::Json& token : *list.find("content")->if_array())
    EXPECT_EQ(token.find("top_logprobs")->dump(), "[]");
  for (const base::Json& chunk : chunks(std::string(kHi) + R"(,"stream":true})"))
    EXPECT_EQ(str(chunk, {"choices", "0", "logprobs"}), "null");
}

TEST_F(PeersChat, MessagesThatAreNone) {
  for (const char* messages :
       {"null", "\"string\"", "[]", "{}", "[123]", "[{}]", R"([{"role":123}])",
        R"([{"content":"hello"}])", R"([{"role":"system","content":123}])", R"([{"role":"user"}])",
        R"([{"role":"user","content":"test"},{}])",
        R"([{"role":"user","content":[{"type":"text"}]}])",
        R"([{"role":"user","content":[{"type":"image_url","image_url":{"url":"x"}}]}])",
        R"([{"role":"user","content":[{"type":"input_audio","input_audio":{}}]}])"}) {
    const Answer answer = chat(std::string(R"({"max_tokens":1,"messages":)") + messages + "}");
    EXPECT_EQ(answer.status, 400) << messages << answer.body;
    EXPECT_EQ(str(answer.json(), {"error", "type"}), "invalid_request_error") << messages;
  }
}

TEST_F(PeersChat, TextInPartsIsTextInOne) {
  const auto prompt = [&](const std::string& content) {
    return str(whole(R"({"messages":[{"role":"user","content":)" + content +
                     R"(}],"max_tokens":1,"return_token_ids":true})"),
               {"prompt_token_ids"});
  };
  EXPECT_EQ(prompt(R"([{"type":"text","text":"What is"},{"type":"text","text":"it"}])"),
            prompt(R"("What is\nit")"));
  EXPECT_EQ(prompt(R"([{"type":"text","text":"What"}])"), prompt(R"("What")"));
}

TEST_F(PeersChat, RolesOfTheClientsMakingInEitherForm) {
  const auto prompt = [&](const std::string& message) {
    return str(whole(R"({"messages":[)" + message + R"(],"max_tokens":1,"return_token_ids":true})"),
               {"prompt_token_ids"});
  };
  const std::string text = prompt(R"({"role":"my-role","content":"1+1?"})");
  EXPECT_EQ(prompt(R"({"role":"my-role","content":[{"type":"text","text":"1+1?"}]})"), text);
  EXPECT_NE(prompt(R"({"role":"user","content":"1+1?"})"), text);
  EXPECT_EQ(prompt(R"({"role":"user","content":""})"), prompt(R"({"role":"user","content":[]})"));
}

TEST_F(PeersChat, TheLastMessageIsContinuedWhereThatIsAskedFor) {
  const std::string body =
      R"({"messages":[{"role":"user","content":"Hi"},{"role":"assistant","content":"One day"}],)"
      R"("max_tokens":8,"temperature":0,"return_token_ids":true)";
  const auto prompt = [&](const std::string& members) {
    const base::Json json = whole(body + members + "}");
    std::vector<std::int32_t> ids;
    for (const base::Json& id : *json.find("prompt_token_ids")->if_array())
      ids.push_back(static_cast<std::int32_t>(id.as_int("id")));
    return llm_.detokenize(ids);
  };
  const std::string asked = prompt("");
  EXPECT_TRUE(asked.ends_with("One day\nassistant: ")) << asked;
  const std::string continued =
      prompt(R"(,"continue_final_message":true,"add_generation_prompt":false)");
  EXPECT_TRUE(continued.ends_with("assistant: One day")) << continued;
  const std::string closed = prompt(R"(,"add_generation_prompt":false)");
  EXPECT_TRUE(closed.ends_with("One day\n")) << closed;
  for (const char* both : {"", R"(,"add_generation_prompt":true)"}) {
    const Answer answer = chat(body + R"(,"continue_final_message":true)" + both + "}");
    EXPECT_EQ(answer.status, 400) << both;
    EXPECT_EQ(str(answer.json(), {"error", "param"}), "continue_final_message");
  }
}

TEST_F(PeersChat, BothNamesOfTheLength) {
  const std::string body = R"({"messages":[{"role":"user","content":"Hi"}],"temperature":0,)"
                           R"("ignore_eos":true)";
  for (const char* name : {"max_tokens", "max_completion_tokens"}) {
    EXPECT_EQ(str(whole(body + ",\"" + name + "\":5}"), {"usage", "completion_tokens"}), "5");
    EXPECT_EQ(chat(body + ",\"" + name + "\":\"5\"}").status, 400) << name;
  }
}

TEST_F(PeersChat, ABiasForbidsAndForcesTokens) {
  const std::string body = R"({"messages":[{"role":"user","content":"Hi"}],"temperature":0,)"
                           R"("max_tokens":4,"ignore_eos":true,"return_token_ids":true)";
  const auto ids = [&](const std::string& bias) {
    return str(whole(body + R"(,"logit_bias":{)" + bias + "}}"), {"choices", "0", "token_ids"});
  };
  EXPECT_EQ(ids(R"("300":100)"), "[300,300,300,300]");
  const std::string free = ids("");
  const std::string first = free.substr(1, free.find(',') - 1);
  EXPECT_NE(ids("\"" + first + "\":-100").substr(1, first.size() + 1), first + ",");
  for (const char* bias : {R"({"99999":1})", R"({"-1":1})", R"({"1":101})", R"({"1":"x"})", "[1]"})
    EXPECT_EQ(chat(body + R"(,"logit_bias":)" + bias + "}").status, 400) << bias;
}

TEST_F(PeersChat, ChoicesAreNumbered) {
  const std::string body = R"({"messages":[{"role":"user","content":"Hi"}],"max_tokens":6,)"
                           R"("temperature":1,"seed":3,"n":3)";
  const base::Json json = whole(body + "}");
  std::map<std::string, std::string> streamed;
  std::map<std::string, int> n_roles;
  for (const base::Json& chunk : chunks(body + R"(,"stream":true})")) {
    const std::string index = str(chunk, {"choices", "0", "index"});
    if (str(chunk, {"choices", "0", "delta", "role"}) == "assistant") ++n_roles[index];
    const std::string text = str(chunk, {"choices", "0", "delta", "content"});
    if (text != "(absent)") streamed[index] += text;
  }
  for (const char* i : {"0", "1", "2"}) {
    EXPECT_EQ(str(json, {"choices", i, "index"}), i);
    EXPECT_EQ(content_of(json, i), streamed[i]);
    EXPECT_EQ(n_roles[i], 1);
  }
  EXPECT_EQ(streamed.size(), 3U);
}

TEST_F(PeersChat, TheNameThatWasAskedForIsShown) {
  EXPECT_EQ(str(whole(std::string(kHi) + R"(,"model":")" + llm_.id() + "\"}"), {"model"}),
            llm_.id());
  const Answer unknown = chat(std::string(kHi) + R"(,"model":"gpt-3.5-turbo-instruct"})");
  EXPECT_EQ(unknown.status, 404);
  EXPECT_EQ(str(unknown.json(), {"error", "code"}), "model_not_found");
}

}  // namespace
}  // namespace openllm::contract
