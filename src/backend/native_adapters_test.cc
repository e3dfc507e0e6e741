// LoRA adapters of the native backend: names and numbers, sums, what stays in memory, and comings
// and goings while requests run.

#include "backend/native_adapters.h"

#include <atomic>
#include <future>
#include <thread>

#include "backend/adapter_book.h"
#include "backend/adapter_sum.h"
#include "backend/native.h"
#include "engine/request.h"
#include "format/checkpoint.h"
#include "format/recognise.h"
#include "model/test_support.h"

namespace openllm::backend {
namespace {

using model::test::data_path;
using model::test::error_of;
using testing::ElementsAre;
using testing::HasSubstr;

std::string adapter_path(const std::string& name) {
  return std::string(OPENLLM_TEST_DATA) + "/adapters/" + name;
}

using Terms = std::vector<AdapterTerm>;

TEST(AdapterSumTest, NamesAndFactors) {
  EXPECT_EQ(parse_adapter_sum("style"), (Terms{{"style", 1.0F}}));
  EXPECT_EQ(parse_adapter_sum("a*0.5+b"), (Terms{{"a", 0.5F}, {"b", 1.0F}}));
  EXPECT_EQ(parse_adapter_sum("a*-1e-3"), (Terms{{"a", -1e-3F}}));
  EXPECT_EQ(parse_adapter_sum("org/a:b-c*0"), (Terms{{"org/a:b-c", 0.0F}}));
  for (const char* text : {"", "+", "a+", "+a", "a++b", "*2", "a*", "a*x", "a*1x", "a*nan", "a*inf",
                           "a*1e9", "a+a", "a+a*2", "a*2*", "a+b+"}) {
    const Error error = error_of([&] { (void)parse_adapter_sum(text); });
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument) << text;
    EXPECT_EQ(error.where(), "adapter_name") << text;
  }
  std::string many = "a0";
  for (int i = 1; i < 17; ++i) many += base::cat("+a", i);
  EXPECT_THAT(error_of([&] { (void)parse_adapter_sum(many); }).what(), HasSubstr("more than 16"));
}

/// Greedy tokens of one request.
class Sink final : public engine::EventSink {
 public:
  void on_prompt_logprobs(int, std::vector<engine::TokenEvent>) noexcept override {}
  void on_token(int, engine::TokenEvent event) noexcept override {
    tokens.push_back(event.token);
    if (tokens.size() == 1) first_.set_value();
  }
  void on_end(int, FinishReason, int cached, const base::Failure& failure) noexcept override {
    n_cached = cached;
    message = failure.message;
    done_.set_value();
  }
  void wait() { done_.get_future().wait(); }
  void wait_for_token() { first_.get_future().wait(); }
  std::vector<std::int32_t> tokens{};
  int n_cached = 0;
  std::string message{};

 private:
  std::promise<void> first_{};
  std::promise<void> done_{};
};

class NativeAdaptersTest : public testing::Test {
 protected:
  static std::unique_ptr<Backend> load(const LoadOptions& options = {}) {
    return native_backend().load(format::open_model(data_path("llama")), options);
  }
  static std::shared_ptr<Sink> submit(Backend& backend, const std::string& adapter,
                                      int max_new_tokens = 8) {
    static std::atomic<int> next{0};
    const model::test::Golden golden = model::test::read_golden(adapter_path("llama-qv"));
    engine::Request request;
    request.id = base::cat("r", ++next);
    request.prompt_ids = golden.prompt;
    request.sampling.temperature = 0.0F;
    request.max_new_tokens = max_new_tokens;
    if (!adapter.empty()) {
      AdapterUse use = backend.find_adapter(adapter);
      request.adapter = use.number;
      request.keeps = std::move(use.keeps);
    }
    auto sink = std::make_shared<Sink>();
    request.sink = sink;
    backend.submit(std::move(request));
    return sink;
  }
  static std::vector<std::int32_t> answer(Backend& backend, const std::string& adapter) {
    const auto sink = submit(backend, adapter);
    sink->wait();
    return sink->tokens;
  }
  static std::vector<std::int32_t> expected(const std::string& adapter) {
    return model::test::read_golden(adapter_path(adapter)).greedy;
  }
  static void mount_both(Backend& backend) {
    backend.mount_adapter({adapter_path("llama-qv"), "qv"});
    backend.mount_adapter({adapter_path("llama-all"), "all"});
  }
};

TEST_F(NativeAdaptersTest, AnswersAreThoseOfPeft) {
  const auto backend = load();
  const std::vector<std::int32_t> bare = answer(*backend, "");
  mount_both(*backend);
  std::vector<std::shared_ptr<Sink>> sinks;
  for (const char* name : {"qv", "all", "", "qv"}) sinks.push_back(submit(*backend, name));
  for (const auto& sink : sinks) sink->wait();
  EXPECT_EQ(sinks[0]->tokens, expected("llama-qv"));
  EXPECT_EQ(sinks[1]->tokens, expected("llama-all"));
  EXPECT_EQ(sinks[2]->tokens, bare);
  EXPECT_EQ(sinks[3]->tokens, expected("llama-qv"));
  EXPECT_NE(sinks[0]->tokens, bare);
}

TEST_F(NativeAdaptersTest, NamesAreListedAndRefused) {
  const auto backend = load();
  EXPECT_THAT(error_of([&] { (void)backend->find_adapter("qv"); }).what(),
              HasSubstr("no adapter of that name is mounted"));
  mount_both(*backend);
  std::vector<std::string> names;
  for (const AdapterOptions& adapter : backend->adapters()) names.push_back(adapter.name);
  EXPECT_THAT(names, ElementsAre("all", "qv"));
  const Error unknown = error_of([&] { (void)backend->find_adapter("qv+sql"); });
  EXPECT_EQ(unknown.code(), ErrorCode::kNotFound);
  EXPECT_EQ(unknown.where(), "adapter_name");
  EXPECT_THAT(unknown.what(), HasSubstr("expected one of all, qv; got sql"));
  const Error taken = error_of([&] { backend->mount_adapter({adapter_path("llama-all"), "qv"}); });
  EXPECT_EQ(taken.code(), ErrorCode::kInvalidArgument);
  EXPECT_THAT(taken.what(), HasSubstr("the name qv is taken"));
  for (const char* name : {"none", "a+b", "a*2"}) {
    EXPECT_EQ(error_of([&] {
                backend->mount_adapter({adapter_path("llama-qv"), name});
              }).code(),
              ErrorCode::kInvalidArgument);
  }
  backend->mount_adapter({adapter_path("llama-qv"), "qv"});  // the same: nothing happens
  EXPECT_EQ(error_of([&] { backend->unmount_adapter("sql"); }).code(), ErrorCode::kNotFound);
  EXPECT_EQ(error_of([&] {
              backend->mount_adapter({adapter_path("gpt2"), "other"});
            }).code(),
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(error_of([&] {
              backend->mount_adapter({"/nonexistent", "other"});
            }).code(),
            ErrorCode::kNotFound);
}

TEST_F(NativeAdaptersTest, FactorsAndSums) {
  const auto backend = load();
  const std::vector<std::int32_t> bare = answer(*backend, "");
  mount_both(*backend);
  EXPECT_EQ(answer(*backend, "qv*1"), expected("llama-qv"));
  EXPECT_EQ(answer(*backend, "qv*0"), bare);
  EXPECT_EQ(answer(*backend, "qv*0+all*0"), bare);
  EXPECT_EQ(answer(*backend, "qv+all*0"), expected("llama-qv"));
  EXPECT_NE(answer(*backend, "qv+all"), expected("llama-qv"));
}

TEST_F(NativeAdaptersTest, PrefixesAreOfOneAdapter) {
  const auto backend = load({.kv_block_size = 4});
  mount_both(*backend);
  const auto cached = [&](const std::string& adapter) {
    const auto sink = submit(*backend, adapter);
    sink->wait();
    return sink->n_cached;
  };
  EXPECT_EQ(cached("qv"), 0);
  EXPECT_GT(cached("qv"), 0);
  EXPECT_EQ(cached("all"), 0);
  EXPECT_EQ(cached(""), 0);
  EXPECT_EQ(cached("qv*0.5"), 0);
  EXPECT_GT(cached("qv*0.5"), 0);
  // Another adapter under the same name has nothing of the first one's.
  backend->unmount_adapter("qv");
  backend->mount_adapter({adapter_path("llama-dora"), "qv"});
  EXPECT_EQ(cached("qv"), 0);
  EXPECT_EQ(answer(*backend, "qv"), expected("llama-dora"));
}

TEST_F(NativeAdaptersTest, UsersOfAnUnmountedOneGoOn) {
  const auto backend = load();
  mount_both(*backend);
  const auto whole = submit(*backend, "qv", 60);
  whole->wait();
  const auto running = submit(*backend, "qv", 60);
  running->wait_for_token();
  backend->unmount_adapter("qv");
  EXPECT_EQ(error_of([&] { (void)backend->find_adapter("qv"); }).code(), ErrorCode::kNotFound);
  backend->mount_adapter({adapter_path("llama-all"), "qv"});
  EXPECT_EQ(answer(*backend, "qv"), expected("llama-all"));
  running->wait();
  EXPECT_EQ(running->tokens, whole->tokens);
  EXPECT_EQ(running->message, "");
}

TEST_F(NativeAdaptersTest, TheLeastRecentlyUsedMakeRoomAndComeBack) {
  const auto device = device::make_device("cpu", {});
  const auto checkpoint = format::open_checkpoint(data_path("llama"));
  const auto model = model::Model::load(*checkpoint, *device, {});
  NativeAdapters host(*model);
  AdapterBook adapters(host, 2);
  adapters.mount({adapter_path("llama-qv"), "a"});
  adapters.mount({adapter_path("llama-all"), "b"});
  EXPECT_EQ(adapters.n_loaded(), 2U);
  AdapterUse a = adapters.find("a");
  adapters.mount({adapter_path("llama-dora"), "c"});
  EXPECT_EQ(adapters.n_loaded(), 2U);
  EXPECT_EQ(adapters.list().size(), 3U);
  EXPECT_EQ(adapters.find("a").number, a.number) << "in use: it stayed";
  const std::int32_t b = adapters.find("b").number;
  EXPECT_EQ(adapters.n_loaded(), 2U);
  a.keeps.reset();
  const std::int32_t c = adapters.find("c").number;
  EXPECT_EQ(adapters.n_loaded(), 2U);
  EXPECT_EQ(adapters.find("b").number, b);
  EXPECT_EQ(adapters.find("c").number, c);
  EXPECT_NE(adapters.find("a").number, a.number) << "it was away, and is another one for caches";
}

TEST_F(NativeAdaptersTest, TwoThatReplaceOneModuleHaveNoSum) {
  const auto backend = load();
  backend->mount_adapter({adapter_path("llama-saved"), "a"});
  backend->mount_adapter({adapter_path("llama-head"), "b"});
  const Error error = error_of([&] { (void)backend->find_adapter("a+b"); });
  EXPECT_EQ(error.code(), ErrorCode::kUnsupported);
  EXPECT_THAT(error.what(), HasSubstr("replace one module"));
}

// Comings and goings from several threads, while answers are checked.
TEST_F(NativeAdaptersTest, ManyAtOnce) {
  const auto backend = load({.max_adapters = 2});
  mount_both(*backend);
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&, t] {
      const std::string name = base::cat("own", t);
      for (int i = 0; i < 40; ++i) {
        backend->mount_adapter({adapter_path("llama-dora"), name});
        EXPECT_EQ(answer(*backend, name), expected("llama-dora"));
        backend->unmount_adapter(name);
      }
    });
  }
  std::thread user([&] {
    while (!stop) {
      EXPECT_EQ(answer(*backend, "qv"), expected("llama-qv"));
      EXPECT_EQ(answer(*backend, "all"), expected("llama-all"));
    }
  });
  for (std::thread& thread : threads) thread.join();
  stop = true;
  user.join();
  EXPECT_EQ(backend->adapters().size(), 2U);
}

}  // namespace
}  // namespace openllm::backend
