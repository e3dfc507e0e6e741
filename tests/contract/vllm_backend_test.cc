// The backend vllm: asked of our own server, which speaks as vLLM does, and of servers that answer
// what no good one would.

#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <string>
#include <vector>

#include "base/mapped_file.h"
#include "fake_server.h"
#include "fields/access.h"
#include "openllm/backends.h"
#include "openllm/compare.h"
#include "server_fixture.h"

namespace openllm::contract {
namespace {

using ::testing::HasSubstr;

constexpr const char* kModel = OPENLLM_TEST_DATA "/stories260K/hf";
constexpr float kTolerance = 1e-5F;

LoadOptions at(std::vector<std::string> urls) {
  LoadOptions load{.backend = "vllm"};
  load.chat_template = kTemplate;
  load.vllm.urls = std::move(urls);
  return load;
}

template <typename Body>
Error error_of(Body body) {
  try {
    body();
  } catch (const Error& error) {
    return error;
  }
  ADD_FAILURE() << "no error";
  return {ErrorCode::kInternal, ""};
}

void expect_same(const std::vector<TokenLogprobs>& a, const std::vector<TokenLogprobs>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    ASSERT_EQ(a[i].size(), b[i].size()) << i;
    for (std::size_t k = 0; k < a[i].size(); ++k) {
      EXPECT_EQ(a[i][k].token_id, b[i][k].token_id) << i << ", " << k;
      EXPECT_NEAR(a[i][k].logprob, b[i][k].logprob, kTolerance) << i << ", " << k;
    }
  }
}

void expect_same(const GenerationOutput& a, const GenerationOutput& b) {
  ASSERT_EQ(a.outputs.size(), b.outputs.size());
  for (std::size_t i = 0; i < a.outputs.size(); ++i) {
    const CompletionChunk& left = a.outputs[i];
    const CompletionChunk& right = b.outputs[i];
    EXPECT_EQ(left.token_ids, right.token_ids);
    EXPECT_EQ(left.text, right.text);
    EXPECT_EQ(left.finish_reason, right.finish_reason);
    EXPECT_NEAR(left.cumulative_logprob, right.cumulative_logprob, 1e-3);
    ASSERT_EQ(left.logprobs.has_value(), right.logprobs.has_value());
    if (left.logprobs) expect_same(*left.logprobs, *right.logprobs);
  }
  ASSERT_EQ(a.prompt_logprobs.has_value(), b.prompt_logprobs.has_value());
  if (a.prompt_logprobs) expect_same(*a.prompt_logprobs, *b.prompt_logprobs);
  EXPECT_EQ(a.usage.n_prompt_tokens, b.usage.n_prompt_tokens);
  EXPECT_EQ(a.usage.n_completion_tokens, b.usage.n_completion_tokens);
}

class VllmBackend : public ServerTest {
 protected:
  VllmBackend() {
    start({.max_wait_s = 0});  // however slow this machine is
    remote_ = LLM(kModel, at({url()}));
  }
  std::string url() const { return "http://127.0.0.1:" + std::to_string(port()); }

  void expect_as_native(const GenerateOptions& options,
                        const Prompt& prompt = "Once upon a time") const {
    const GenerationOutput expected = llm_.generate(prompt, options);
    expect_same(remote_.generate(prompt, options), expected);
    if (options.best_of) return;
    GenerationOutput last;
    GenerationStream stream = remote_.generate_iterator(prompt, options);
    while (const GenerationOutput* output = stream.next()) last = *output;
    expect_same(last, expected);
  }

  LLM remote_ = llm_;
};

TEST_F(VllmBackend, GreedyAnswersAreThoseOfTheEngine) {
  expect_as_native({.max_new_tokens = 40, .temperature = 0.0F, .logprobs = 3});
  expect_as_native({.max_new_tokens = 1, .temperature = 0.0F});
  expect_as_native({.max_new_tokens = 0, .temperature = 0.0F});
  expect_as_native({.max_new_tokens = 5, .temperature = 0.0F, .ignore_eos = true, .logprobs = 0});
  EXPECT_EQ(remote_.backend().name, "vllm");
  EXPECT_EQ(remote_.info().max_context, llm_.info().max_context);
}

TEST_F(VllmBackend, SeededAnswersAreThoseOfTheEngine) {
  for (const std::uint64_t seed : {7U, 8U}) {
    expect_as_native({.max_new_tokens = 24,
                      .temperature = 0.9F,
                      .top_k = 20,
                      .top_p = 0.95F,
                      .min_p = 0.01F,
                      .repetition_penalty = 1.1F,
                      .presence_penalty = 0.2F,
                      .frequency_penalty = 0.1F,
                      .seed = seed,
                      .n = 3,
                      .logprobs = 2});
  }
  expect_as_native({.max_new_tokens = 8, .temperature = 1.0F, .seed = 3, .n = 2, .best_of = 4});
}

TEST_F(VllmBackend, N13StopsAndLengthsReachTheServer) {
  expect_as_native({.max_new_tokens = 60, .temperature = 0.0F, .stop = {" the", "xyz"}});
  expect_as_native({.max_new_tokens = 60,
                    .temperature = 0.0F,
                    .stop = {" the"},
                    .include_stop_in_output = true});
  const GenerationOutput free =
      llm_.generate("Once upon a time", {.max_new_tokens = 20, .temperature = 0.0F});
  const std::int32_t sixth = free.outputs[0].token_ids[5];
  expect_as_native({.max_new_tokens = 20, .temperature = 0.0F, .stop_token_ids = {sixth}});
  expect_as_native(
      {.max_new_tokens = 20, .min_new_tokens = 10, .temperature = 0.0F, .stop_token_ids = {sixth}});
  expect_as_native({.max_length = 12, .temperature = 0.0F});
}

TEST_F(VllmBackend, PromptLogprobsAreThoseOfTheEngine) {
  expect_as_native({.max_new_tokens = 3, .temperature = 0.0F, .prompt_logprobs = 2});
  expect_as_native({.max_new_tokens = 0, .temperature = 0.0F, .prompt_logprobs = 0});
  expect_as_native({.max_new_tokens = 2, .temperature = 0.0F, .prompt_logprobs = 1},
                   std::vector<std::int32_t>{1});
}

TEST_F(VllmBackend, ConversationsGoThroughTheTemplateHere) {
  const std::vector<Message> messages{{.role = "user", .content = "Tell me a story"}};
  expect_as_native({.max_new_tokens = 16, .temperature = 0.0F}, messages);
}

TEST_F(VllmBackend, ACancelledRequestEndsAtTheServer) {
  GenerationStream stream = remote_.generate_iterator(
      "Once", {.max_new_tokens = 400, .temperature = 0.0F, .ignore_eos = true});
  ASSERT_NE(stream.next(), nullptr);
  stream.cancel();
  while (stream.next() != nullptr) {
  }
  EXPECT_TRUE(eventually([&] { return is_idle(); }));
  EXPECT_EQ(remote_.stats().n_running, 0);
}

TEST_F(VllmBackend, ManyStreamsAtOnceAreAllWhole) {
  const GenerateOptions options{.max_new_tokens = 12, .temperature = 0.0F, .ignore_eos = true};
  const GenerationOutput expected = llm_.generate("Once upon", options);
  std::vector<GenerationStream> streams;
  for (int i = 0; i < 64; ++i) streams.push_back(remote_.generate_iterator("Once upon", options));
  for (GenerationStream& stream : streams) {
    GenerationOutput last;
    while (const GenerationOutput* output = stream.next()) last = *output;
    expect_same(last, expected);
  }
}

/// What the table of fields says of the backend is so: it gives the engine's answer, or refuses the
/// field by its name.
TEST_F(VllmBackend, EveryFieldIsHonouredOrRefusedByName) {
  const base::Json samples = base::Json::parse(
      base::read_file(OPENLLM_TEST_DATA "/field_values.json"), "field_values.json");
  for (const fields::Field& field : fields::all()) {
    const base::Json* sample = samples.find(field.name);
    if (!fields::has_request(field) || sample == nullptr || sample->find("messages") != nullptr ||
        sample->find("refused") != nullptr || field.name == "receipt" || field.name == "request_id")
      continue;
    GenerateOptions options{
        .max_new_tokens = 8, .temperature = 1.0F, .top_k = 0, .seed = 5, .ignore_eos = true};
    if (const base::Json* beside = sample->find("beside")) {
      for (const auto& [name, value] : *beside->if_object()) {
        const fields::Field& other = *fields::find(name);
        if (value.is_null()) continue;
        fields::set(other, options, value, name, other.range);
      }
    }
    if (field.instead_of != nullptr) options.max_new_tokens.reset();
    fields::set(field, options, *sample->find("value"), field.name, field.range);
    if (options.max_length) options.max_new_tokens.reset();
    SCOPED_TRACE(field.name);
    if (field.at_vllm != fields::AtVllm::kLacking) {
      expect_same(remote_.generate("Once upon", options), llm_.generate("Once upon", options));
      continue;
    }
    const Error error = error_of([&] { (void)remote_.generate("Once upon", options); });
    EXPECT_EQ(error.code(), ErrorCode::kUnsupported);
    // What belongs to a search cannot be there without it.
    EXPECT_EQ(error.where(), options.num_beams ? "num_beams" : field.name);
    EXPECT_THAT(error.what(), HasSubstr("vllm"));
  }
}

TEST_F(VllmBackend, WithoutFilesHereATokenizerIsEnough) {
  LoadOptions load = at({url()});
  load.tokenizer = kModel;
  const LLM llm("hf", load);
  EXPECT_EQ(llm.id(), "hf");
  const GenerateOptions options{.max_new_tokens = 10, .temperature = 0.0F};
  expect_same(llm.generate("Once upon", options), llm_.generate("Once upon", options));
  load.vllm.urls.clear();
  load.backend = "native";
  EXPECT_EQ(error_of([&] { (void)LLM("hf", load); }).where(), "tokenizer");
  const Error unknown = error_of([&] {
    LoadOptions other = at({url()});
    other.tokenizer = kModel;
    LLM("another", other).load();
  });
  EXPECT_EQ(unknown.code(), ErrorCode::kNotFound);
  EXPECT_THAT(unknown.what(), HasSubstr("expected another, got hf"));
}

TEST_F(VllmBackend, AnswersGoOnElsewhereWhenAServerIsGone) {
  const GenerateOptions options{.max_new_tokens = 16, .temperature = 0.0F, .ignore_eos = true};
  const GenerationOutput expected = llm_.generate("Once upon", options);
  // The first three tokens of the answer, and then nothing.
  const auto& ids = expected.outputs[0].token_ids;
  const auto event = [&](std::size_t i) {
    const std::string id = std::to_string(ids[i]);
    return R"({"choices":[{"index":0,"text":"","token_ids":[)" + id +
           R"(],"logprobs":{"tokens":["token_id:)" + id +
           R"("],"token_logprobs":[-1.0],"top_logprobs":[null]}}]})";
  };
  FakeServer broken([&](const std::string& request) {
    if (request.starts_with("GET /health")) return FakeServer::Reply{http_reply(200, "x/y", "")};
    if (request.starts_with("GET /v1/models")) {
      return FakeServer::Reply{
          http_reply(200, "application/json", R"({"data":[{"id":"hf","max_model_len":512}]})")};
    }
    if (request.starts_with("GET")) return FakeServer::Reply{http_reply(404, "x/y", "")};
    return FakeServer::Reply{event_reply({event(0), event(1), event(2)})};
  });
  const LLM both(kModel, at({broken.address(), url()}));
  for (int i = 0; i < 4; ++i) {
    const GenerationOutput output = both.generate("Once upon", options);
    EXPECT_EQ(output.outputs[0].token_ids, ids);
    EXPECT_EQ(output.outputs[0].text, expected.outputs[0].text);
  }
  const LLM one(kModel, at({broken.address()}));
  EXPECT_EQ(error_of([&] { (void)one.generate("Once upon", options); }).code(), ErrorCode::kIo);
}

TEST_F(VllmBackend, OptionsOfTheEngineAreRefusedByName) {
  const auto where = [&](const std::function<void(LoadOptions&)>& change) {
    LoadOptions load = at({url()});
    change(load);
    const Error error = error_of([&] { LLM(kModel, load).load(); });
    EXPECT_EQ(error.code(), ErrorCode::kUnsupported) << error.what();
    return std::string(error.what());
  };
  EXPECT_THAT(where([](LoadOptions& o) { o.n_threads = 2; }), HasSubstr("n_threads"));
  EXPECT_THAT(where([](LoadOptions& o) { o.dtype = "bf16"; }), HasSubstr("dtype"));
  EXPECT_THAT(where([](LoadOptions& o) { o.kv_cache_bytes = 1 << 20; }),
              HasSubstr("kv_cache_bytes"));
  EXPECT_THAT(where([](LoadOptions& o) { o.tensor_parallel = 2; }), HasSubstr("tensor_parallel"));
}

std::vector<CompareTarget> native_and(const std::string& url) {
  std::vector<CompareTarget> list = parse_compare_targets("native,vllm:url=" + url);
  for (CompareTarget& target : list) target.load.chat_template = kTemplate;
  return list;
}

TEST_F(VllmBackend, ComparedWithTheEngineItDiffersInNothing) {
  const std::vector<Prompt> prompts{"Once upon a time", std::vector<std::int32_t>{1, 403, 407}};
  const Comparison comparison =
      compare(kModel, native_and(url()), prompts, {.max_new_tokens = 12, .top = 5});
  const ComparedBackend& remote = comparison.backends.at(1);
  ASSERT_FALSE(remote.code) << remote.error;
  EXPECT_EQ(remote.info.name, "vllm");
  EXPECT_FALSE(remote.has_all_logits);
  EXPECT_GT(remote.missing_mean, 0.0);
  EXPECT_LT(remote.kl_max, 1e-6);
  EXPECT_LT(remote.logprob_difference_max, kTolerance);
  EXPECT_EQ(remote.top1_agreement, 1.0);
  EXPECT_EQ(remote.n_same_answers, 2U);
  EXPECT_EQ(remote.n_positions, comparison.backends[0].n_positions);
}

// Servers that are not ours, or have another model.

/// The first difference is where the answer of a model with other weights leaves ours.
TEST(VllmServers, AComparisonWithAnotherModelSaysWhereItDiffers) {
  const LLM here(OPENLLM_TEST_DATA "/models/llama", {.n_threads = 1});
  const LLM there(OPENLLM_TEST_DATA "/models/qwen3", {.model_name = "llama", .n_threads = 1});
  Server server(there, {.port = 0, .max_wait_s = 0});
  server.start();
  server.wait_until_ready();
  const std::vector<std::int32_t> ids{1, 2, 3};
  const GenerateOptions greedy{.max_new_tokens = 8, .temperature = 0.0F, .logprobs = 2};
  const CompletionChunk ours = here.generate(ids, greedy).outputs[0];
  const CompletionChunk theirs = there.generate(ids, greedy).outputs[0];
  const auto [at, other] = std::mismatch(ours.token_ids.begin(), ours.token_ids.end(),
                                         theirs.token_ids.begin(), theirs.token_ids.end());
  ASSERT_NE(at, ours.token_ids.end());
  const auto position = static_cast<std::size_t>(at - ours.token_ids.begin());
  const Comparison comparison =
      compare(OPENLLM_TEST_DATA "/models/llama",
              native_and("http://127.0.0.1:" + std::to_string(server.port())), {ids},
              {.max_new_tokens = 8});
  const ComparedBackend& remote = comparison.backends.at(1);
  ASSERT_FALSE(remote.code) << remote.error;
  EXPECT_GT(remote.kl_mean, 1e-3);
  ASSERT_EQ(remote.differences.size(), 1U);
  const TokenDifference& difference = remote.differences[0];
  EXPECT_EQ(difference.position, position);
  EXPECT_EQ(difference.expected.token_id, *at);
  EXPECT_EQ(difference.got.token_id, *other);
  const TokenLogprobs& top = (*theirs.logprobs)[position];
  EXPECT_NEAR(difference.got.gap.value_or(-1), top[0].logprob - top[1].logprob, kTolerance);
}

/// One that has the model, and answers requests with the bytes of a function.
class Fake {
 public:
  explicit Fake(std::function<FakeServer::Reply(const std::string&)> answer)
      : server_([answer = std::move(answer)](const std::string& request) {
          if (request.starts_with("GET /v1/models")) return FakeServer::Reply{models()};
          if (request.starts_with("GET")) return FakeServer::Reply{http_reply(200, "x/y", "")};
          return answer(request);
        }) {}
  explicit Fake(const std::string& bytes)
      : Fake([bytes](const std::string& /*request*/) { return FakeServer::Reply{bytes}; }) {}

  std::string address() const { return server_.address(); }
  LLM llm() const { return LLM(kModel, at({server_.address()})); }
  Error refusal(GenerateOptions options = {}) const {
    options.max_new_tokens = options.max_new_tokens.value_or(4);
    options.temperature = 0.0F;
    return error_of([&] { (void)llm().generate("Once upon", options); });
  }

 private:
  static std::string models() {
    return http_reply(200, "application/json",
                      R"({"data":[{"id":"hf","root":"m","max_model_len":256}]})");
  }
  FakeServer server_;
};

/// The answer in a file of tests/data/vllm.
std::string recorded(const std::string& name) {
  const std::string text = base::read_file(OPENLLM_TEST_DATA "/vllm/" + name + ".txt");
  const std::size_t at = text.find("\n---- ") + 1;
  return text.substr(text.find('\n', at) + 1);
}

TEST(VllmServers, ARecordedStreamIsRead) {
  const Fake fake(
      "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n" +
      recorded("completion_stream_n2"));
  const GenerationOutput output = fake.llm().generate(
      std::vector<std::int32_t>{1, 2, 3}, {.max_new_tokens = 4, .n = 2, .ignore_eos = true});
  EXPECT_EQ(output.outputs[0].token_ids, (std::vector<std::int32_t>{495, 249, 444, 181}));
  EXPECT_EQ(output.outputs[1].token_ids, (std::vector<std::int32_t>{418, 204, 304, 245}));
  EXPECT_NEAR(output.outputs[1].cumulative_logprob, -6.103860 - 6.165072 - 5.728640 - 5.297561,
              1e-4);
  EXPECT_EQ(output.outputs[0].finish_reason, FinishReason::kLength);
}

TEST(VllmServers, AWholeAnswerIsReadToo) {
  const Fake fake(http_reply(200, "application/json", recorded("completion_token_id_tokens")));
  const GenerationOutput output =
      fake.llm().generate(std::vector<std::int32_t>{1, 2, 3}, {.max_new_tokens = 4});
  EXPECT_EQ(output.outputs[0].token_ids, (std::vector<std::int32_t>{134, 241, 290, 416}));
}

TEST(VllmServers, ItsErrorsComeOut) {
  const Error bad =
      Fake(http_reply(400, "application/json", recorded("error_bad_param"))).refusal();
  EXPECT_EQ(bad.code(), ErrorCode::kInvalidArgument);
  EXPECT_THAT(bad.what(), HasSubstr("temperature must be non-negative, got -1.0"));
  EXPECT_EQ(bad.where(), "temperature");
  EXPECT_EQ(
      Fake(http_reply(404, "application/json", recorded("error_unknown_model"))).refusal().code(),
      ErrorCode::kNotFound);
  const Error key =
      Fake(http_reply(401, "application/json", R"({"error":"Unauthorized"})")).refusal();
  EXPECT_EQ(key.code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(key.where(), "vllm.api_key");
  const Error busy = Fake(http_reply(429, "application/json", R"({"error":{"message":"full"}})",
                                     "Retry-After: 7\r\n"))
                         .refusal();
  EXPECT_EQ(busy.code(), ErrorCode::kBusy);
  EXPECT_EQ(busy.retry_after(), std::chrono::seconds(7));
  const std::string down = R"({"error":{"message":"away","code":503}})";
  EXPECT_EQ(Fake(http_reply(503, "application/json", down)).refusal().code(),
            ErrorCode::kUnavailable);
  EXPECT_EQ(Fake(http_reply(503, "application/json", down, "Retry-After: 2\r\n")).refusal().code(),
            ErrorCode::kBusy);
  EXPECT_EQ(Fake(event_reply({R"({"error":{"message":"broke","code":400}})"})).refusal().code(),
            ErrorCode::kInvalidArgument);
}

constexpr const char* kToken =
    R"({"choices":[{"index":0,"token_ids":[5],"logprobs":{"tokens":["token_id:5"],)"
    R"("token_logprobs":[-1.5],"top_logprobs":[{"token_id:5":-1.5}]},"finish_reason":"stop"}]})";

TEST(VllmServers, LostTokensAreAnError) {
  const auto with_usage = [](int n) {
    return R"({"choices":[],"usage":{"completion_tokens":)" + std::to_string(n) + "}}";
  };
  const Fake good(event_reply({kToken, with_usage(1), "[DONE]"}));
  EXPECT_EQ(good.llm().generate("a", {.max_new_tokens = 4}).outputs[0].token_ids,
            std::vector<std::int32_t>{5});
  const Error lost = Fake(event_reply({kToken, with_usage(2), "[DONE]"})).refusal();
  EXPECT_EQ(lost.code(), ErrorCode::kIo);
  EXPECT_THAT(lost.what(), HasSubstr("tokens were lost (expected 2, got 1)"));
  EXPECT_EQ(Fake(event_reply({kToken, "[DONE]"})).refusal().code(), ErrorCode::kIo);
}

TEST(VllmServers, WhatIsNoAnswerIsAnError) {
  for (const std::string event :
       {"nonsense", "[]", R"({"choices":7})", R"({"choices":[{"index":3,"token_ids":[1]}]})",
        R"({"choices":[{"index":0,"text":"a"}]})", R"({"choices":[{"index":0,"token_ids":[-1]}]})",
        R"({"choices":[{"index":0,"token_ids":["a"]}]})",
        R"({"choices":[{"index":0,"token_ids":[1],"logprobs":{"tokens":["x"],)"
        R"("token_logprobs":[-1]}}]})",
        R"({"choices":[{"index":0,"token_ids":[1],"logprobs":{"tokens":["token_id:2"],)"
        R"("token_logprobs":[-1]}}]})",
        R"({"choices":[{"index":0,"token_ids":[1,2],"finish_reason":"stop"}]})",
        R"({"choices":[{"index":0,"token_ids":[],"finish_reason":"magic"}]})"}) {
    EXPECT_EQ(Fake(event_reply({event, "[DONE]"})).refusal().code(), ErrorCode::kIo) << event;
  }
  EXPECT_EQ(Fake("garbage\r\n\r\n").refusal().code(), ErrorCode::kIo);
  EXPECT_EQ(Fake(event_reply({})).refusal().code(), ErrorCode::kIo);
}

TEST(VllmServers, ARequestThatTheServerHoldsEndsAtItsTime) {
  const Fake fake([](const std::string& /*request*/) { return FakeServer::Reply{.hangs = true}; });
  const LLM llm = fake.llm();
  const GenerationOutput late =
      llm.generate("a", {.max_new_tokens = 4, .timeout = std::chrono::milliseconds(20)});
  EXPECT_EQ(late.outputs[0].finish_reason, FinishReason::kDeadline);
  const Error busy = error_of([&] {
    (void)llm.generate("a", {.max_new_tokens = 4, .max_wait = std::chrono::milliseconds(20)});
  });
  EXPECT_EQ(busy.code(), ErrorCode::kBusy);
  GenerationStream stream = llm.generate_iterator("a", {.max_new_tokens = 4});
  llm.unload();
  EXPECT_EQ(error_of([&] { (void)stream.next(); }).code(), ErrorCode::kUnavailable);
}

TEST(VllmServers, N35CommentsBordersAndLineEndsMakeNoDifference) {
  std::string bytes =
      "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n";
  bytes += ": ping\r\n\r\nevent: message\r\ndata:" + std::string(kToken) + "\r\n\r\n: more\n\n";
  bytes += "data: {\"choices\":[],\ndata: \"usage\":{\"completion_tokens\":1}}\n\ndata: [DONE]\n\n";
  EXPECT_EQ(Fake(bytes).llm().generate("a", {.max_new_tokens = 4}).outputs[0].token_ids,
            std::vector<std::int32_t>{5});
}

/// A server of which everything is known: its answer is 5, 6 where the engine's has `second` at the
/// second place, and of each token of the prompt it says the same two logprobs.
TEST(VllmServers, AComparisonSaysWhatAServerSaid) {
  const LLM here = make_llm();
  const std::vector<std::int32_t> ids{1, 403, 407};
  const auto answer =
      here.generate(ids, {.max_new_tokens = 2, .temperature = 0.0F}).outputs[0].token_ids;
  const std::int32_t wrong = answer[1] == 6 ? 7 : 6;
  const auto id = [](std::int32_t token) { return std::to_string(token); };
  const auto list = [&](std::int32_t token) {  // ln 0.5, ln 0.25
    return R"({")" + id(token) +
           R"(":{"logprob":-0.6931472,"rank":1},"9":{"logprob":-1.3862944,"rank":2}})";
  };
  const std::vector<std::int32_t> sequence{1, 403, 407, answer[0], answer[1]};
  std::string lists = "null";
  for (std::size_t i = 1; i < sequence.size(); ++i) lists += "," + list(sequence[i]);
  const Fake fake([&](const std::string& request) {
    if (request.find("prompt_logprobs") != std::string::npos) {
      return FakeServer::Reply{http_reply(
          200, "application/json",
          R"({"choices":[{"index":0,"text":"","token_ids":[5],"finish_reason":"length",)"
          R"("prompt_token_ids":[1,403,407,)" +
              id(answer[0]) + "," + id(answer[1]) + R"(],"prompt_logprobs":[)" + lists +
              R"(],"logprobs":{"tokens":["token_id:5"],"token_logprobs":[-1.0],"top_logprobs":[null]}}],)"
              R"("usage":{"prompt_tokens":5,"completion_tokens":1}})")};
    }
    const auto event = [&](std::int32_t token, const char* end) {
      return R"({"choices":[{"index":0,"text":"","token_ids":[)" + id(token) +
             R"(],"logprobs":{"tokens":["token_id:)" + id(token) +
             R"("],"token_logprobs":[-0.5],"top_logprobs":[{"token_id:)" + id(token) +
             R"(":-0.5,"token_id:9":-2.0}]},"finish_reason":)" + end + "}]}";
    };
    return FakeServer::Reply{
        event_reply({event(answer[0], "null"), event(wrong, "\"length\""),
                     R"({"choices":[],"usage":{"completion_tokens":2}})", "[DONE]"})};
  });
  const Comparison comparison =
      compare(kModel, native_and(fake.address()), {ids}, {.max_new_tokens = 2, .top = 2});
  const ComparedBackend& backend = comparison.backends.at(1);
  ASSERT_FALSE(backend.code) << backend.error;
  ASSERT_EQ(backend.differences.size(), 1U);
  const TokenDifference& difference = backend.differences[0];
  EXPECT_EQ(difference.position, 1U);
  EXPECT_EQ(difference.expected.token_id, answer[1]);
  EXPECT_EQ(difference.expected.text, here.token_text(answer[1]));
  EXPECT_EQ(difference.got.token_id, wrong);
  EXPECT_NEAR(difference.got.gap.value_or(0), 1.5, 1e-6);
  EXPECT_FALSE(backend.has_all_logits);
  EXPECT_EQ(backend.n_positions, 4);
  // By the engine's own logits: p of the two tokens that are listed, and of the rest.
  const std::vector<float> logits = here.logits(sequence);
  const std::size_t n = logits.size() / sequence.size();
  double kl = 0.0;
  double rest = 0.0;
  for (std::size_t i = 0; i + 1 < sequence.size(); ++i) {
    const auto row = logits.begin() + static_cast<std::ptrdiff_t>(i * n);
    double sum = 0.0;
    for (std::size_t k = 0; k < n; ++k) sum += std::exp(row[static_cast<std::ptrdiff_t>(k)]);
    const double p = std::exp(row[sequence[i + 1]]) / sum;
    const double p9 = std::exp(row[9]) / sum;
    const double other = 1.0 - p - p9;
    kl += p * std::log(p / 0.5) + p9 * std::log(p9 / 0.25) + other * std::log(other / 0.25);
    rest += other;
  }
  EXPECT_NEAR(backend.kl_mean, kl / 4, 1e-4);
  EXPECT_NEAR(backend.missing_mean, rest / 4, 1e-5);
}

// Which backend it is.

/// Changes a variable until the end of the scope.
class Variable {
 public:
  Variable(const char* name, const std::string& value) : name_(name) {
    const char* old = std::getenv(name);
    if (old != nullptr) old_ = old;
    ::setenv(name, value.c_str(), 1);
  }
  ~Variable() { old_.empty() ? ::unsetenv(name_) : ::setenv(name_, old_.c_str(), 1); }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;

 private:
  const char* name_;
  std::string old_;
};

TEST(VllmChoice, AServerThatHasTheModelWinsAndOthersMakeRoom) {
  const Variable none("PATH", "/nonexistent");
  LoadOptions load;
  EXPECT_EQ(ask_backends(kModel, load).chosen, "native");
  load.vllm.urls = {"http://127.0.0.1:9"};  // nobody listens
  const BackendReport dead = ask_backends(kModel, load);
  EXPECT_EQ(dead.chosen, "native");
  EXPECT_THAT(dead.reason, HasSubstr("vllm skipped: vllm: cannot reach http://127.0.0.1:9"));
  const Fake fake("");
  load.vllm.urls.push_back(fake.address());
  EXPECT_EQ(ask_backends(kModel, load).chosen, "vllm");
  EXPECT_EQ(ask_backends(OPENLLM_TEST_DATA "/stories260K/hf", load).chosen, "vllm");
  load.model_name = "";
  load.vllm.urls = {"ftp://a"};
  EXPECT_THAT(ask_backends(kModel, load).reason, HasSubstr("not the address of a server"));
  load.vllm.urls = {"http://127.0.0.1:9"};
  load.backend = "vllm";
  const Error away = error_of([&] { LLM(kModel, load).load(); });
  EXPECT_EQ(away.code(), ErrorCode::kUnavailable) << "named: no other backend takes its place";
}

TEST(VllmChoice, EndedBackendsAreAnsweredByName) {
  for (const char* name : {"tf", "flax"}) {
    const Error error = error_of([&] { (void)LLM(kModel, {.backend = name}); });
    EXPECT_EQ(error.code(), ErrorCode::kUnsupported);
    EXPECT_THAT(error.what(), HasSubstr("TensorFlow"));
  }
}

TEST(VllmChoice, OptionsThatOnlyVllmFollowsAreNotDropped) {
  const Variable none("PATH", "/nonexistent");
  const BackendReport report = ask_backends(kModel, {.tensor_parallel = 2});
  EXPECT_EQ(report.chosen, "");
  EXPECT_THAT(report.reason, HasSubstr("tensor_parallel: unsupported"));
}

}  // namespace
}  // namespace openllm::contract
