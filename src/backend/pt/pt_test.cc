// The backend pt with a program in place of the interpreter: choice, options, requests.

#include "backend/pt/pt.h"

#include <gmock/gmock.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <future>

#include "backend/choose.h"
#include "backend/native.h"
#include "engine/fake_runner.h"
#include "format/model_source.h"

namespace openllm::backend {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;

const std::string kModels = OPENLLM_TEST_DATA "/models/";
const std::string kPython = OPENLLM_TEST_DATA "/pt/fake_python";

LoadOptions options_of(const std::function<void(LoadOptions&)>& change = {}) {
  LoadOptions options{.backend = "pt"};
  options.pt.python = kPython;
  options.pt.device = "cpu";
  if (change) change(options);
  return options;
}

std::optional<Refusal> refusal_of(const std::string& path, const LoadOptions& options) {
  return pt_backend().supports(format::open_model(path), options);
}

TEST(PtBackend, SupportsFoldersThatContinueTexts) {
  EXPECT_FALSE(refusal_of(kModels + "llama", options_of()).has_value());
  EXPECT_FALSE(refusal_of(kModels + "gpt2", options_of()).has_value());
  for (const auto& [model, why] :
       {std::pair{"bert", "continues no texts"}, std::pair{"t5", "encoder-decoder"},
        std::pair{"llama-gguf/f32", "GGUF"}}) {
    const auto refusal = refusal_of(kModels + model, options_of());
    ASSERT_TRUE(refusal.has_value()) << model;
    EXPECT_EQ(refusal->code(), ErrorCode::kUnsupported);
    EXPECT_THAT(refusal->what(), HasSubstr(why));
  }
}

TEST(PtBackend, WithoutAnInterpreterItIsUnavailable) {
  const auto refusal =
      refusal_of(kModels + "llama", options_of([](auto& o) { o.pt.python = "/no/python"; }));
  ASSERT_TRUE(refusal.has_value());
  EXPECT_EQ(refusal->code(), ErrorCode::kUnavailable);
  EXPECT_EQ(refusal->where(), "pt.python");
}

TEST(PtBackend, OptionsAreHonouredOrRefusedByName) {
  const auto where = [](const std::function<void(LoadOptions&)>& change, ErrorCode code) {
    const auto refusal = refusal_of(kModels + "llama", options_of(change));
    if (!refusal) return std::string("taken");
    EXPECT_EQ(refusal->code(), code) << refusal->what();
    return std::string(refusal->where());
  };
  using Options = LoadOptions;
  constexpr ErrorCode kNot = ErrorCode::kUnsupported;
  EXPECT_EQ(where([](Options& o) { o.pt.device = "mps"; }, kNot), "pt.device");
  for (const char* device : {"tpu", "cuda:", "cuda:x", "cuda0", "cuda:1234"}) {
    EXPECT_EQ(where([&](Options& o) { o.pt.device = device; }, ErrorCode::kInvalidArgument),
              "pt.device");
  }
  EXPECT_EQ(where([](Options& o) { o.pt.device = "cuda:1"; }, kNot), "taken");
  EXPECT_EQ(where([](Options& o) { o.device = "reference"; }, kNot), "device");
  EXPECT_EQ(where([](Options& o) { o.device = "cpu"; }, kNot), "taken");
  EXPECT_EQ(where([](Options& o) { o.fast_activations = true; }, kNot), "fast_activations");
  EXPECT_EQ(where([](Options& o) { o.kv_cache_bytes = 1 << 20; }, kNot), "kv_cache_bytes");
  EXPECT_EQ(where([](Options& o) { o.kv_dtype = "f16"; }, kNot), "kv_dtype");
  EXPECT_EQ(where([](Options& o) { o.kv_block_size = 16; }, kNot), "kv_block_size");
  EXPECT_EQ(where([](Options& o) { o.max_adapters = 2; }, kNot), "taken");
  EXPECT_EQ(where([](Options& o) { o.trust_remote_code = true; }, kNot), "taken");
  EXPECT_EQ(where([](Options& o) { o.dtype = "bf16"; }, kNot), "taken");
  EXPECT_EQ(where([](Options& o) { o.max_model_len = 1 << 20; }, ErrorCode::kInvalidArgument),
            "max_model_len");
}

/// A folder of a family that native lacks.
class UnknownFamily : public ::testing::Test {
 protected:
  UnknownFamily() {
    std::string name = (fs::temp_directory_path() / "openllm_pt_XXXXXX").string();
    folder_ = ::mkdtemp(name.data());
    std::ofstream(folder_ / "config.json")
        << R"({"model_type":"nosuch","architectures":["NosuchForCausalLM"],"vocab_size":100})";
    fs::copy(kModels + "llama/model.safetensors", folder_ / "model.safetensors");
    ::setenv("OPENLLM_PYTHON", kPython.c_str(), 1);
  }
  ~UnknownFamily() override {
    ::unsetenv("OPENLLM_PYTHON");
    fs::remove_all(folder_);
  }
  fs::path folder_;
};

TEST_F(UnknownFamily, PicksPtByItselfAndSaysWhy) {
  const auto source = format::open_model(folder_.string());
  const Choice choice = choose_backend({native_backend(), pt_backend()}, source, {});
  ASSERT_TRUE(choice.entry.has_value()) << choice.reason;
  EXPECT_EQ(choice.entry->name, "pt");
  EXPECT_TRUE(choice.is_automatic);
  EXPECT_THAT(choice.reason, AllOf(HasSubstr("native skipped"), HasSubstr("nosuch")));
  const ModelFacts facts = choice.entry->describe(source, {});
  EXPECT_EQ(facts.architecture, "nosuch");
  EXPECT_EQ(facts.vocab_size, 100);
  EXPECT_EQ(facts.max_model_len, 2048) << "the files do not say";
  EXPECT_EQ(choice.entry->describe(source, {.max_model_len = 9000}).max_model_len, 9000);
}

TEST_F(UnknownFamily, WithoutPythonNothingCanAndTheReasonNamesIt) {
  ::setenv("OPENLLM_PYTHON", "/no/python", 1);
  const auto source = format::open_model(folder_.string());
  const Choice choice = choose_backend({native_backend(), pt_backend()}, source, {});
  EXPECT_FALSE(choice.entry.has_value());
  EXPECT_THAT(choice.reason, HasSubstr("OPENLLM_PYTHON"));
  EXPECT_THAT(pt_backend().lacks(), HasSubstr("OPENLLM_PYTHON"));
}

/// Waits for the ends of a request's choices.
class WaitingSink final : public engine::RecordingSink {
 public:
  using RecordingSink::RecordingSink;
  void on_end(int choice, FinishReason reason, int cached,
              const base::Failure& failure) noexcept override {
    RecordingSink::on_end(choice, reason, cached, failure);
    if (ended()) done.set_value();
  }
  std::promise<void> done;
};

std::shared_ptr<WaitingSink> ask(Backend& backend, const std::string& id,
                                 std::vector<std::int32_t> prompt, int n_new = 6,
                                 const std::string& adapter = {}) {
  engine::Request request;
  request.id = id;
  request.prompt_ids = std::move(prompt);
  request.max_new_tokens = n_new;
  request.sampling.temperature = 0.0F;
  for (std::int32_t v = 90; v < 100; ++v) request.sampling.logit_bias.emplace_back(v, -100.0F);
  if (!adapter.empty()) {
    AdapterUse use = backend.find_adapter(adapter);
    request.adapter = use.number;
    request.keeps = std::move(use.keeps);
  }
  auto sink = std::make_shared<WaitingSink>(1);
  request.sink = sink;
  backend.submit(std::move(request));
  return sink;
}

std::unique_ptr<Backend> load(const LoadOptions& options) {
  return pt_backend().load(format::open_model(kModels + "llama"), options);
}

TEST(PtBackend, RunsRequestsAndSurvivesWhatTheyDoToTheWorker) {
  const auto backend = load(options_of([](auto& o) { o.max_model_len = 40; }));
  EXPECT_EQ(backend->device(), "cpu");
  EXPECT_THAT(backend->isa(), HasSubstr("fake"));
  EXPECT_EQ(backend->max_model_len(), 40);
  EXPECT_TRUE(backend->capabilities().honours("prompt_logprobs"));
  const auto first = ask(*backend, "a", {3, 4, 5});
  first->done.get_future().wait();
  EXPECT_EQ(first->reasons[0], FinishReason::kLength);
  EXPECT_EQ(first->tokens[0].size(), 6U);

  const auto fatal = ask(*backend, "b", {3, 90});
  fatal->done.get_future().wait();
  EXPECT_EQ(fatal->reasons[0], FinishReason::kError);
  EXPECT_EQ(fatal->codes[0], ErrorCode::kUnavailable);
  EXPECT_THAT(fatal->errors[0], HasSubstr("a fault: die"));

  const auto again = ask(*backend, "c", {3, 4, 5});
  again->done.get_future().wait();
  EXPECT_EQ(again->tokens, first->tokens);
}

TEST(PtBackend, ShuttingDownEndsAStepThatHangs) {
  const auto backend = load(options_of());
  const auto hangs = ask(*backend, "a", {93});
  backend->shut_down({ErrorCode::kCancelled, "over"});
  hangs->done.get_future().wait();
  EXPECT_EQ(hangs->reasons[0], FinishReason::kError);
}

AdapterOptions adapter(const std::string& folder, const std::string& name) {
  return {OPENLLM_TEST_DATA "/adapters/" + folder, name};
}

Error error_of(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    return error;
  }
  ADD_FAILURE() << "nothing was thrown";
  return {ErrorCode::kInternal, ""};
}

TEST(PtBackend, RequestsHaveTheAdaptersThatTheyName) {
  const auto backend = load(options_of());
  EXPECT_TRUE(backend->capabilities().adapters);
  EXPECT_TRUE(backend->reads_adapters());
  backend->mount_adapter(adapter("llama-qv", "qv"));
  backend->mount_adapter(adapter("llama-all", "all"));
  const std::vector<std::string> names{"", "qv", "all", "qv*0.5+all", "qv*0", "qv"};
  std::vector<std::shared_ptr<WaitingSink>> together;
  for (std::size_t i = 0; i < names.size(); ++i)
    together.push_back(ask(*backend, std::to_string(i), {3, 4, 5}, 12, names[i]));
  for (const auto& sink : together) sink->done.get_future().wait();
  for (std::size_t i = 0; i < names.size(); ++i) {
    const auto alone = ask(*backend, "alone", {3, 4, 5}, 12, names[i]);
    alone->done.get_future().wait();
    EXPECT_EQ(alone->tokens, together[i]->tokens) << names[i];
  }
  EXPECT_EQ(together[4]->tokens, together[0]->tokens);
  EXPECT_EQ(together[5]->tokens, together[1]->tokens);
  for (const std::size_t i : {1, 2, 3}) EXPECT_NE(together[i]->tokens, together[0]->tokens) << i;
  EXPECT_EQ(error_of([&] { (void)backend->find_adapter("sql"); }).code(), ErrorCode::kNotFound);
}

TEST(PtBackend, UsersOfAnUnmountedAdapterGoOn) {
  const auto backend = load(options_of());
  backend->mount_adapter(adapter("llama-qv", "qv"));
  const auto whole = ask(*backend, "a", {3, 4, 5}, 400, "qv");
  whole->done.get_future().wait();
  const auto running = ask(*backend, "b", {3, 4, 5}, 400, "qv");
  backend->unmount_adapter("qv");
  EXPECT_TRUE(backend->adapters().empty());
  EXPECT_EQ(error_of([&] { (void)backend->find_adapter("qv"); }).where(), "adapter_name");
  running->done.get_future().wait();
  EXPECT_EQ(running->tokens, whole->tokens);
  EXPECT_EQ(running->errors[0], "");
}

TEST(PtBackend, WhatPeftCannotDoExactlyIsRefusedByName) {
  const auto backend = load(options_of());
  const auto refusal = [&](const AdapterOptions& what) {
    const Error error = error_of([&] { backend->mount_adapter(what); });
    EXPECT_EQ(error.code(), ErrorCode::kUnsupported) << error.what();
    EXPECT_EQ(error.where(), "adapters");
    return std::string(error.what());
  };
  EXPECT_THAT(refusal(adapter("llama-gguf/adapter.gguf", "a")), HasSubstr("a GGUF file"));
  EXPECT_THAT(refusal(adapter("qwen2-bias", "a")), HasSubstr("bias"));
  EXPECT_EQ(error_of([&] {
              backend->mount_adapter({"/nowhere", "a"});
            }).code(),
            ErrorCode::kNotFound);
  backend->mount_adapter(adapter("llama-qv", "qv"));
  backend->mount_adapter(adapter("llama-dora", "dora"));
  backend->mount_adapter(adapter("llama-saved", "saved"));
  EXPECT_GT(backend->find_adapter("dora").number, 0);
  EXPECT_GT(backend->find_adapter("saved*0.5").number, 0);
  backend->mount_adapter(adapter("llama-head", "head"));
  EXPECT_GT(backend->find_adapter("head+qv").number, 0) << "its copy of a table replaces nothing";
  for (const auto& [sum, why] : {std::pair{"dora*0.5", "DoRA"}, std::pair{"qv+dora", "DoRA"},
                                 std::pair{"qv+saved", "replaces modules"}}) {
    const Error error = error_of([&, name = sum] { (void)backend->find_adapter(name); });
    EXPECT_EQ(error.code(), ErrorCode::kUnsupported) << sum;
    EXPECT_EQ(error.where(), "adapter_name");
    EXPECT_THAT(error.what(), HasSubstr(why));
  }
}

TEST(PtBackend, LoadingFailsWithWhatTheWorkerSays) {
  LoadOptions options = options_of();
  options.pt.startup_timeout = std::chrono::seconds(0);
  try {
    (void)load(options);
    ADD_FAILURE() << "loaded in no time";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUnavailable);
    EXPECT_THAT(error.what(), HasSubstr("no answer in time"));
  }
}

}  // namespace
}  // namespace openllm::backend
