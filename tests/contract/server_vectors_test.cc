// Routes of vectors and scores: OpenAI's embeddings, vLLM's score, Jina's rerank; and the client's
// verbs for them.

#include <gmock/gmock.h>

#include <cstring>
#include <string>
#include <vector>

#include "openllm/client.h"
#include "server_fixture.h"

namespace openllm::contract {
namespace {

using ::testing::HasSubstr;

class ServerVectors : public ServerTest {
 protected:
  Answer embed(const std::string& body) const { return ask(post("/v1/embeddings", body)); }
  Client client() const {
    return Client({.address = "http://127.0.0.1:" + std::to_string(port()), .max_retries = 0});
  }
  std::vector<float> expected(const Prompt& input, const EmbedOptions& options = {}) const {
    return llm_.embed({input}, options).embeddings[0].values;
  }
};

std::vector<float> floats_of(const base::Json& list) {
  std::vector<float> values;
  for (const base::Json& value : list.as_array("embedding"))
    values.push_back(static_cast<float>(value.as_double("value")));
  return values;
}

std::vector<float> embedding(const Answer& answer, std::size_t index) {
  const base::Json json = answer.json();
  return floats_of(*json.find("data")->as_array("data")[index].find("embedding"));
}

std::vector<float> from_base64(const std::string& text) {
  const std::string digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string bytes;
  unsigned group = 0;
  int bits = 0;
  for (const char c : text) {
    if (c == '=') break;
    group = group << 6U | static_cast<unsigned>(digits.find(c));
    bits += 6;
    if (bits >= 8) bytes += static_cast<char>(group >> static_cast<unsigned>(bits -= 8) & 0xFFU);
  }
  std::vector<float> values(bytes.size() / sizeof(float));
  std::memcpy(values.data(), bytes.data(), values.size() * sizeof(float));
  return values;
}

TEST_F(ServerVectors, EmbeddingsHaveOpenAisForm) {
  start();
  const Answer answer = embed(R"({"model":"hf","input":"Once upon a time","user":"me"})");
  ASSERT_EQ(answer.status, 200) << answer.body;
  const base::Json json = answer.json();
  EXPECT_EQ(str(json, {"object"}), "list");
  EXPECT_EQ(str(json, {"data", "0", "object"}), "embedding");
  EXPECT_EQ(str(json, {"data", "0", "index"}), "0");
  EXPECT_EQ(str(json, {"usage", "prompt_tokens"}), str(json, {"usage", "total_tokens"}));
  EXPECT_EQ(embedding(answer, 0), expected("Once upon a time"));
}

TEST_F(ServerVectors, EveryFormOfInput) {
  start();
  const std::vector<std::int32_t> ids = llm_.tokenize("Once");
  std::string list = "[";
  for (const std::int32_t id : ids) list += (list.size() > 1 ? "," : "") + std::to_string(id);
  list += "]";
  const std::vector<float> once = expected("Once");
  EXPECT_EQ(embedding(embed(R"({"input":["Once","Twice"]})"), 0), once);
  EXPECT_EQ(embedding(embed(R"({"input":["Once","Twice"]})"), 1), expected("Twice"));
  EXPECT_EQ(embedding(embed(R"({"input":)" + list + "}"), 0), once);
  EXPECT_EQ(embedding(embed(R"({"input":[)" + list + "," + list + "]}"), 1), once);
  EXPECT_EQ(from_base64(str(embed(R"({"input":"Once","encoding_format":"base64"})").json(),
                            {"data", "0", "embedding"})),
            once);
  EXPECT_EQ(embedding(embed(R"({"input":"Once","dimensions":5})"), 0),
            expected("Once", {.dimensions = 5}));
  EXPECT_EQ(embedding(embed(R"({"input":"Once","pooling":"mean","normalize":false})"), 0),
            expected("Once", {.pooling = Pooling::kMean, .normalize = false}));
}

TEST_F(ServerVectors, RefusesWhatItCannotDoByName) {
  start();
  struct Case {
    const char* body;
    const char* param;
  };
  for (const Case& c : std::initializer_list<Case>{
           {R"({})", "input"},
           {R"({"input":[]})", "input"},
           {R"({"input":""})", ""},
           {R"({"input":[[]]})", "input[0]"},
           {R"({"input":[1,"a"]})", "input[1]"},
           {R"({"input":3})", "input"},
           {R"({"input":"a","encoding_format":"hex"})", "encoding_format"},
           {R"({"input":"a","dimensions":0})", "dimensions"},
           {R"({"input":"a","dimensions":100000})", "dimensions"},
           {R"({"input":"a","pooling":"median"})", "pooling"},
           {R"({"input":"a","prompt_name":"query"})", "prompt_name"},
           {R"({"input":"a","input_type":"query"})", "input_type"},
           {R"({"input":"a","dimension":3})", "dimension"},
           {R"({"input":"a","priority":-1})", "priority"},
           {R"({"input":"a","truncate_prompt_tokens":0})", "truncate_prompt_tokens"}}) {
    if (*c.param == '\0') continue;
    const Answer answer = embed(c.body);
    EXPECT_EQ(answer.status, 400) << c.body << answer.body;
    EXPECT_EQ(str(answer.json(), {"error", "param"}), c.param) << c.body << answer.body;
  }
  const Answer unknown = embed(R"({"input":"a","tomorrow":3})");
  EXPECT_EQ(unknown.status, 200);
  EXPECT_EQ(unknown.headers.at("openllm-ignored-fields"), "tomorrow");
  EXPECT_EQ(ask(post("/v1/embeddings", R"({"input":"a","model":"other"})")).status, 404);
}

TEST_F(ServerVectors, ScoresAndRanks) {
  start();
  const std::vector<std::string> documents = {"a dog", "Once upon a time", "the sun"};
  const ScoreOutput expected = llm_.score("Once upon a day", documents);
  const Answer score =
      ask(post("/v1/score", R"({"text_1":"Once upon a day",)"
                            R"("text_2":["a dog","Once upon a time","the sun"]})"));
  ASSERT_EQ(score.status, 200) << score.body;
  const Answer rerank =
      ask(post("/rerank", R"({"query":"Once upon a day","top_n":2,)"
                          R"("documents":["a dog",{"text":"Once upon a time"},"the sun"]})"));
  ASSERT_EQ(rerank.status, 200) << rerank.body;
  const base::Json scores = score.json();
  for (std::size_t i = 0; i < documents.size(); ++i) {
    const base::Json& entry = scores.find("data")->as_array("data")[i];
    EXPECT_EQ(static_cast<float>(entry.find("score")->as_double("score")), expected.scores[i]);
  }
  const base::Json ranking = rerank.json();
  EXPECT_EQ(ranking.find("results")->as_array("results").size(), 2U);
  EXPECT_EQ(str(ranking, {"results", "0", "index"}), "1");
  EXPECT_EQ(str(ranking, {"results", "0", "document", "text"}), "Once upon a time");
  // One query for each document.
  const Answer pairs =
      ask(post("/score", R"({"queries":["a","b"],"documents":["a dog","the sun"]})"));
  EXPECT_EQ(static_cast<float>(
                pairs.json().find("data")->as_array("data")[1].find("score")->as_double("score")),
            llm_.score("b", {"the sun"}).scores[0]);
  EXPECT_EQ(ask(post("/v1/score", R"({"text_1":["a","b"],"text_2":["c"]})")).status, 400);
  EXPECT_EQ(ask(post("/v1/rerank", R"({"query":"a"})")).status, 400);
  EXPECT_EQ(ask(post("/v1/rerank", R"({"query":"a","documents":[]})")).status, 400);
}

TEST_F(ServerVectors, TheClientHasTheVerbs) {
  start();
  const Client client = this->client();
  const std::vector<Prompt> inputs = {"Once", llm_.tokenize("upon a time")};
  const EmbedOptions options{.pooling = Pooling::kMean, .dimensions = 7};
  const EmbedOutput there = client.embed(inputs, options);
  const EmbedOutput here = llm_.embed(inputs, options);
  ASSERT_EQ(there.embeddings.size(), 2U);
  for (std::size_t i = 0; i < 2; ++i)
    EXPECT_EQ(there.embeddings[i].values, here.embeddings[i].values);
  EXPECT_EQ(there.n_tokens, here.n_tokens);
  const std::vector<std::string> documents = {"a dog", "Once upon a time"};
  EXPECT_EQ(client.score("Once", documents).scores, llm_.score("Once", documents).scores);
  const RerankOutput ranked = client.rerank("Once", documents, 1);
  ASSERT_EQ(ranked.results.size(), 1U);
  EXPECT_EQ(ranked.results[0].index, llm_.rerank("Once", documents, 1).results[0].index);
  EXPECT_THROW(client.embed({"Once"}, {.tenant = "x"}), Error);
  EXPECT_THROW(client.embed({"Once"}, {.dimensions = 100000}), Error);
}

/// A server with an encoder, which continues no text.
class EncoderServer : public ServerVectors {
 protected:
  EncoderServer() { llm_ = LLM(OPENLLM_TEST_DATA "/encoders/roberta", {.n_threads = 1}); }
};

TEST_F(EncoderServer, RefusesToGenerateByName) {
  start();
  EXPECT_EQ(embed(R"({"input":[5,6,7]})").status, 200);
  for (const char* path : {"/v1/completions", "/v1/generate"}) {
    const Answer answer = ask(post(path, R"({"prompt":[5,6,7],"prompt_token_ids":null})"));
    EXPECT_EQ(answer.status, 400) << answer.body;
  }
  const Answer answer = complete(R"({"prompt":[5,6,7]})");
  EXPECT_EQ(answer.status, 400);
  EXPECT_THAT(answer.body, HasSubstr("is an embedding model and continues no text"));
  EXPECT_THAT(embed(R"({"input":"a text"})").body, HasSubstr("tokenizer"));
}

TEST_F(ServerVectors, AFullQueueRefusesWith429) {
  llm_ = make_llm({.max_sequences = 1, .max_queue = 1});
  start();
  const Answer answer = embed(R"({"input":["a","b","c","d","e","f"]})");
  EXPECT_EQ(answer.status, 400) << "more than it ever takes: " << answer.body;
  EXPECT_EQ(str(answer.json(), {"error", "param"}), "input");
}

}  // namespace
}  // namespace openllm::contract
