// What other servers' own tests ask of /v1/completions, asked of ours (llama.cpp's
// tools/server/tests/unit, vLLM's tests/entrypoints/openai/completion).

#include <gmock/gmock.h>

#include <set>

#include "base/error.h"
#include "server_fixture.h"

namespace openllm::contract {
namespace {

using ::testing::AnyOf;

class PeersCompletion : public ServerTest {
 protected:
  PeersCompletion() { start(); }

  base::Json whole(const std::string& body) const { return whole_of(complete(body)); }
  std::vector<base::Json> chunks(const std::string& body) const {
    return chunks_of(complete(body));
  }
};

std::string text_of(const base::Json& answer, const char* choice = "0") {
  return str(answer, {"choices", choice, "text"});
}

TEST_F(PeersCompletion, UsageAddsUp) {
  const base::Json json = whole(R"({"prompt":"Once upon a time","max_tokens":5,"temperature":0})");
  const int n_prompt = std::stoi(str(json, {"usage", "prompt_tokens"}));
  EXPECT_EQ(n_prompt, static_cast<int>(llm_.tokenize("Once upon a time").size()));
  EXPECT_EQ(str(json, {"usage", "completion_tokens"}), "5");
  EXPECT_EQ(str(json, {"usage", "total_tokens"}), std::to_string(n_prompt + 5));
  EXPECT_EQ(str(json, {"choices", "0", "finish_reason"}), "length");
  EXPECT_EQ(str(json, {"choices", "0", "logprobs"}), "null");
}

TEST_F(PeersCompletion, UsageOfAListCountsEveryPromptOnce) {
  const std::string body = R"({"prompt":[[1,403],[1,403,407],"Once upon"],"n":2,"max_tokens":4,)"
                           R"("temperature":0,"ignore_eos":true)";
  const std::size_t n_prompt = 2 + 3 + llm_.tokenize("Once upon").size();
  const auto check = [&](const base::Json& json) {
    EXPECT_EQ(str(json, {"usage", "prompt_tokens"}), std::to_string(n_prompt));
    EXPECT_EQ(str(json, {"usage", "completion_tokens"}), "24");
    EXPECT_EQ(str(json, {"usage", "total_tokens"}), std::to_string(n_prompt + 24));
  };
  check(whole(body + "}"));
  check(chunks(body + R"(,"stream":true,"stream_options":{"include_usage":true}})").back());
}

TEST_F(PeersCompletion, CachedTokensAreThoseOfThePromptWhetherStreamedOrNot) {
  std::string words = "Once";
  for (int i = 0; i < 100; ++i) words += " upon a time";
  const std::string body =
      R"({"prompt":")" + words + R"(","max_tokens":5,"temperature":0,"ignore_eos":true)";
  const std::initializer_list<const char*> cached{"usage", "prompt_tokens_details",
                                                  "cached_tokens"};
  EXPECT_EQ(str(whole(body + "}"), cached), "0");
  const std::string again = str(whole(body + "}"), cached);
  const int n_prompt = static_cast<int>(llm_.tokenize(words).size());
  EXPECT_GT(std::stoi(again), n_prompt / 2);
  EXPECT_LT(std::stoi(again), n_prompt);
  const std::string stream = R"(,"stream":true,"stream_options":{"include_usage":true}})";
  EXPECT_EQ(str(chunks(body + stream).back(), cached), again);
}

TEST_F(PeersCompletion, OnlyTheLastChunkOfAChoiceHasAReason) {
  const std::string body =
      R"({"prompt":"Once upon a time","max_tokens":40,"n":3,"seed":42,"temperature":1)";
  const base::Json expected = whole(body + "}");
  std::map<std::string, std::string> texts;
  std::map<std::string, int> n_ends;
  std::set<std::string> ids;
  for (const base::Json& chunk : chunks(body + R"(,"stream":true})")) {
    ids.insert(str(chunk, {"id"}));
    EXPECT_EQ(str(chunk, {"object"}), "text_completion");
    EXPECT_EQ(str(chunk, {"usage"}), "(absent)") << "it was not asked for";
    const std::string index = str(chunk, {"choices", "0", "index"});
    EXPECT_EQ(n_ends[index], 0) << "nothing follows the end";
    texts[index] += text_of(chunk);
    if (str(chunk, {"choices", "0", "finish_reason"}) != "null") ++n_ends[index];
  }
  EXPECT_EQ(ids.size(), 1U) << "all chunks of an answer have its id";
  ASSERT_EQ(texts.size(), 3U);
  for (const auto& [index, text] : texts) {
    EXPECT_EQ(n_ends[index], 1);
    EXPECT_EQ(text, text_of(expected, index.c_str()));
  }
  EXPECT_EQ(std::set<std::string>({texts["0"], texts["1"], texts["2"]}).size(), 3U)
      << "choices are drawn one by one";
}

TEST_F(PeersCompletion, UsageIsShownWhereItWasAskedFor) {
  const std::string body = R"({"prompt":"Once","max_tokens":3,"temperature":0,"stream":true)";
  for (const char* options : {R"({})", R"({"include_usage":false})", R"({"include_usage":null})"}) {
    for (const base::Json& chunk : chunks(body + R"(,"stream_options":)" + options + "}"))
      EXPECT_THAT(str(chunk, {"usage"}), AnyOf("null", "(absent)"));
  }
  const auto all = chunks(body + R"(,"stream_options":{"include_usage":true}})");
  for (std::size_t i = 0; i + 1 < all.size(); ++i) EXPECT_EQ(str(all[i], {"usage"}), "null");
  EXPECT_EQ(str(all.back(), {"choices"}), "[]");
  EXPECT_EQ(str(all.back(), {"usage", "completion_tokens"}), "3");
  EXPECT_EQ(complete(R"({"prompt":"a","stream_options":{"include_usage":true}})").status, 400)
      << "of no stream";
}

TEST_F(PeersCompletion, LogprobsOfSomeOfNoneAndOfTooMany) {
  const std::string body = R"({"prompt":[1,403],"max_tokens":5,"temperature":0,"ignore_eos":true)";
  const base::Json five = whole(body + R"(,"logprobs":5})");
  const base::Json& logprobs = *five.find("choices")->if_array()->at(0).find("logprobs");
  for (const char* list : {"tokens", "token_logprobs", "top_logprobs", "text_offset"})
    EXPECT_EQ(logprobs.find(list)->if_array()->size(), 5U) << list;
  for (const base::Json& top : *logprobs.find("top_logprobs")->if_array()) {
    EXPECT_GE(top.if_object()->size(), 5U);
    EXPECT_LE(top.if_object()->size(), 6U);
  }
  for (const base::Json& value : *logprobs.find("token_logprobs")->if_array())
    EXPECT_LE(value.as_double("logprob"), 0.0);
  EXPECT_EQ(str(whole(body + R"(,"logprobs":null})"), {"choices", "0", "logprobs"}), "null");
  for (const char* stream : {"", R"(,"stream":true)"}) {
    const Answer refused = complete(body + R"(,"logprobs":21)" + stream + "}");
    EXPECT_EQ(refused.status, 400) << stream;
    EXPECT_EQ(str(refused.json(), {"error", "param"}), "logprobs");
  }
  EXPECT_EQ(complete(body + "}").status, 200) << "the server goes on";
}

TEST_F(PeersCompletion, OffsetsDoNotWaitForTextThatAStopHoldsBack) {
  const std::string body =
      R"({"prompt":"Once upon a time","max_tokens":12,"temperature":0,"logprobs":0,)"
      R"("stop":["little girl named Nobody"])";
  const auto offsets = [](const base::Json& json) {
    return str(json, {"choices", "0", "logprobs", "text_offset"});
  };
  const base::Json expected = whole(body + "}");
  std::string joined = "[";
  std::string text;
  for (const base::Json& chunk : chunks(body + R"(,"stream":true})")) {
    std::string part = offsets(chunk);
    part = part.substr(1, part.size() - 2);
    if (!part.empty()) joined += (joined == "[" ? "" : ",") + part;
    text += text_of(chunk);
  }
  EXPECT_EQ(joined + "]", offsets(expected));
  EXPECT_EQ(text, text_of(expected));
}

TEST_F(PeersCompletion, N30EchoPutsItsPromptBeforeEachChoice) {
  const std::string body = R"({"prompt":["Once upon","One day"],"n":2,"echo":true,"seed":5,)"
                           R"("temperature":1,"max_tokens":6)";
  const base::Json json = whole(body + "}");
  std::map<std::string, std::string> streamed;
  std::set<std::string> heads;
  for (const base::Json& chunk : chunks(body + R"(,"stream":true})")) {
    EXPECT_EQ(chunk.find("choices")->if_array()->size(), 1U);
    heads.insert(str(chunk, {"id"}) + str(chunk, {"created"}) + str(chunk, {"model"}));
    streamed[str(chunk, {"choices", "0", "index"})] += text_of(chunk);
  }
  EXPECT_EQ(heads.size(), 1U);
  for (const char* i : {"0", "1", "2", "3"}) {
    EXPECT_TRUE(text_of(json, i).starts_with(*i < '2' ? "Once upon" : "One day")) << i;
    EXPECT_EQ(streamed[i], text_of(json, i)) << i;
  }
}

TEST_F(PeersCompletion, EchoWithLogprobsScoresAllButTheFirst) {
  for (const char* prompt : {R"("Once upon a time")", "[1,403,407,261,378]"}) {
    for (const std::size_t n_top : {std::size_t{0}, std::size_t{1}, std::size_t{3}}) {
      const base::Json json = whole(std::string(R"({"prompt":)") + prompt +
                                    R"(,"echo":true,"max_tokens":4,"temperature":0,"logprobs":)" +
                                    std::to_string(n_top) + "}");
      EXPECT_TRUE(text_of(json).starts_with("Once upon a time"));
      const base::Json& logprobs = *json.find("choices")->if_array()->at(0).find("logprobs");
      const base::JsonArray& values = *logprobs.find("token_logprobs")->if_array();
      const base::JsonArray& tops = *logprobs.find("top_logprobs")->if_array();
      ASSERT_EQ(values.size(), 9U);
      EXPECT_TRUE(values[0].is_null());
      ASSERT_EQ(tops.size(), n_top == 0 ? 0U : 9U);
      for (std::size_t i = 1; i < values.size(); ++i) {
        EXPECT_LE(values[i].as_double("logprob"), 0.0);
        if (n_top == 0) continue;
        EXPECT_GE(tops[i].if_object()->size(), n_top) << i;
        EXPECT_LE(tops[i].if_object()->size(), n_top + 1) << i;
      }
      EXPECT_TRUE(n_top == 0 || tops[0].is_null());
    }
  }
}

TEST_F(PeersCompletion, ABatchScoresEachTextAsItIsScoredAlone) {
  // What evaluation harnesses send: ids of several lengths, one token more than is looked at.
  const std::string members = R"(,"model":")" + llm_.id() +
                              R"(","temperature":0,"max_tokens":1,"logprobs":1,"seed":1234,)"
                              R"("echo":true})";
  const std::vector<std::string> prompts{"[1,403,407,261,378]", "[1,403]", "[1,5,6,7]",
                                         "[1,403,407,261,378,432,383,286,2]"};
  std::string batch;
  for (const std::string& prompt : prompts) batch += (batch.empty() ? "[" : ",") + prompt;
  const base::Json json = whole("{\"prompt\":" + batch + "]" + members);
  int n_greedy = 0;
  for (std::size_t p = 0; p < prompts.size(); ++p) {
    const base::Json alone = whole("{\"prompt\":" + prompts[p] + members);
    const base::Json& logprobs = *json.find("choices")->if_array()->at(p).find("logprobs");
    EXPECT_EQ(logprobs.dump(), str(alone, {"choices", "0", "logprobs"})) << prompts[p];
    const base::JsonArray& values = *logprobs.find("token_logprobs")->if_array();
    const base::JsonArray& tops = *logprobs.find("top_logprobs")->if_array();
    const auto n_ids =
        static_cast<std::size_t>(std::count(prompts[p].begin(), prompts[p].end(), ',')) + 1;
    ASSERT_EQ(values.size(), n_ids + 1);
    for (std::size_t i = 1; i < values.size(); ++i) {
      double best = -1e9;
      for (const auto& [name, value] : *tops[i].if_object())
        best = std::max(best, value.as_double("logprob"));
      EXPECT_LE(values[i].as_double("logprob"), best);
      EXPECT_EQ(tops[i].if_object()->size(), values[i].as_double("logprob") < best ? 2U : 1U);
      n_greedy += values[i].as_double("logprob") == best ? 1 : 0;
    }
  }
  EXPECT_GE(n_greedy, 8) << "the likeliest has the same number in both lists";
}

TEST_F(PeersCompletion, SeedsDecideWhatIsDrawn) {
  const auto draw = [&](int seed) {
    return text_of(whole(R"({"prompt":"Once upon a time","max_tokens":40,"temperature":1,"seed":)" +
                         std::to_string(seed) + "}"));
  };
  std::set<std::string> texts;
  for (int seed = 0; seed < 4; ++seed) {
    const std::string text = draw(seed);
    EXPECT_EQ(draw(seed), text);
    texts.insert(text);
  }
  EXPECT_EQ(texts.size(), 4U);
}

TEST_F(PeersCompletion, TheCacheChangesNothing) {
  std::string words = "Once";
  for (int i = 0; i < 60; ++i) words += " upon a time";
  const std::string body =
      R"({"prompt":")" + words + R"(","seed":42,"temperature":1,"max_tokens":9)";
  const std::string fresh = text_of(whole(body + R"(,"cache_salt":"a"})"));
  EXPECT_EQ(text_of(whole(body + R"(,"cache_salt":"a"})")), fresh) << "out of the cache";
  EXPECT_EQ(text_of(whole(body + R"(,"cache_salt":"b"})")), fresh);
}

TEST_F(PeersCompletion, IdsAndTextsOfOnePromptGiveOneAnswer) {
  const std::vector<std::int32_t> ids = llm_.tokenize("Once upon a time");
  std::string list;
  for (const std::int32_t id : ids) list += (list.empty() ? "[" : ",") + std::to_string(id);
  list += "]";
  const base::Json json =
      whole(R"({"prompt":[)" + list + "," + list + R"(],"max_tokens":8,"temperature":0})");
  const std::string text =
      text_of(whole(R"({"prompt":"Once upon a time","max_tokens":8,"temperature":0})"));
  EXPECT_EQ(text_of(json, "0"), text);
  EXPECT_EQ(text_of(json, "1"), text);
}

TEST_F(PeersCompletion, StopsEndTheTextBeforeThem) {
  const std::string full =
      text_of(whole(R"({"prompt":"Once upon a time","max_tokens":30,"temperature":0})"));
  const std::string stop = full.substr(full.size() / 2, 3);
  const std::string body =
      R"({"prompt":"Once upon a time","max_tokens":30,"temperature":0,"stop":[")" + stop + R"("])";
  const base::Json json = whole(body + "}");
  EXPECT_EQ(text_of(json), full.substr(0, full.find(stop)));
  EXPECT_EQ(str(json, {"choices", "0", "finish_reason"}), "stop");
  const base::Json kept = whole(body + R"(,"include_stop_str_in_output":true})");
  EXPECT_EQ(text_of(kept), full.substr(0, full.find(stop)) + stop);
}

TEST_F(PeersCompletion, PromptsThatAreNone) {
  for (const char* prompt : {"[]", "[[]]", "5", "true", "{}", "null", "[null]", "[{}]", "[true]"}) {
    const Answer answer = complete(std::string(R"({"prompt":)") + prompt + "}");
    EXPECT_EQ(answer.status, 400) << prompt << answer.body;
    EXPECT_NE(answer.json().find("error"), nullptr) << prompt;
  }
  for (const char* body : {"", "[]", "null", "5", "\"text\"", "{", "{}x"})
    EXPECT_EQ(complete(body).status, 400) << body;
}

}  // namespace
}  // namespace openllm::contract
