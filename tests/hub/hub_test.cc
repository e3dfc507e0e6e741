// The public Hub, on a cache of the test's own.
#include "openllm/hub.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <thread>

#include "fake_hub.h"
#include "hub/cache.h"
#include "hub/lock_file.h"
#include "hub/upkeep.h"

namespace openllm::hub_test {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class HubTest : public ::testing::Test {
 protected:
  HubTest() {
    char name[] = "/tmp/openllm-hub-XXXXXX";
    root_ = ::mkdtemp(name);
    fake_.put("config.json", "{}");
    fake_.put("model.safetensors", std::string(5000, 'w'), true);
  }
  ~HubTest() override { fs::remove_all(root_); }

  Hub hub(bool offline = false) const {
    return Hub({.cache = root_.string(),
                .downloads = (root_ / "downloads").string(),
                .endpoint = fake_.address() + "/",
                .token = "secret",
                .offline = offline});
  }
  ErrorCode code_of(const std::function<void()>& call) {
    try {
      call();
    } catch (const Error& error) {
      message_ = error.what();
      return error.code();
    }
    return ErrorCode::kInternal;
  }
  fs::path blobs() const { return root_ / "models--org--model/blobs"; }

  FakeHub fake_;
  fs::path root_;
  std::string message_;
};

TEST_F(HubTest, PullsFindsAndLists) {
  EXPECT_FALSE(hub().find("org/model"));
  const HubModel model = hub().pull("org/model");
  EXPECT_EQ(model.id, "org/model");
  EXPECT_EQ(model.commit, fake_.commit);
  EXPECT_EQ(model.format, "safetensors");
  EXPECT_EQ(model.bytes, 5002);
  EXPECT_GT(model.changed_ns, 0);
  EXPECT_EQ(hub(true).find("org/model")->path, model.path);
  EXPECT_EQ(hub(true).pull("org/model@" + fake_.commit).path, model.path);
  ASSERT_EQ(hub().list().size(), 1U);
  EXPECT_THAT(hub().list()[0].refs, ElementsAre("main"));
}

/// Something that happens once, for which others wait.
class Event {
 public:
  void happen() {
    const std::scoped_lock lock(mutex_);
    has_happened_ = true;
    changed_.notify_all();
  }
  void wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return has_happened_; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool has_happened_ = false;
};

/// Two hubs that pull the same: the second begins when the first has got something, and the first
/// goes on when the second waits.
class TwoHubs : public HubTest {
 protected:
  void pull_both(const std::function<void(std::stop_source&)>& once_the_other_waits,
                 ErrorCode expected_of_first) {
    Event first_has_some;
    Event second_waits;
    std::stop_source stop;
    std::thread first([&] {
      PullOptions options;
      options.stop_token = stop.get_token();
      options.progress = [&](const PullProgress& now) {
        if (now.file != "model.safetensors" || now.n_bytes <= 2) return;
        first_has_some.happen();
        second_waits.wait();
        once_the_other_waits(stop);
      };
      EXPECT_EQ(code_of([&] { (void)hub().pull("org/model", options); }), expected_of_first);
    });
    first_has_some.wait();
    int n_waits = 0;
    const HubModel model = hub().pull("org/model", {.progress = [&](const PullProgress& now) {
                                        if (!now.is_waiting) return;
                                        ++n_waits;
                                        EXPECT_EQ(now.file, "model.safetensors");
                                        second_waits.happen();
                                      }});
    first.join();
    EXPECT_EQ(model.bytes, 5002);
    EXPECT_EQ(n_waits, 1);
    EXPECT_TRUE(hub().verify("org/model").empty());
    EXPECT_EQ(fake_.n_bytes_served(), 5002) << "one download";
  }
};

TEST_F(TwoHubs, OneFetchesAndTheOtherSaysThatItWaits) {
  pull_both([](std::stop_source&) {}, ErrorCode::kInternal);  // no error
}

TEST_F(TwoHubs, WhatAStoppedOneLeftTheOtherGoesOnWith) {
  pull_both([](std::stop_source& stop) { stop.request_stop(); }, ErrorCode::kCancelled);
}

TEST_F(HubTest, WhoWaitsForAnotherCanBeStopped) {
  const std::string lock =
      (root_ / ".locks/models--org--model" / (sha256_of_text(std::string(5000, 'w')) + ".lock"))
          .string();
  const hub::LockFile others(lock, {});
  std::stop_source stop;
  PullOptions options;
  options.stop_token = stop.get_token();
  options.progress = [&](const PullProgress& now) {
    if (now.is_waiting) stop.request_stop();
  };
  EXPECT_EQ(code_of([&] { (void)hub().pull("org/model", options); }), ErrorCode::kCancelled);
  EXPECT_TRUE(hub().list().empty());
}

TEST_F(HubTest, ALockWhoseFileIsDeletedKeepsNobodyOut) {
  const fs::path path = root_ / "x.lock";
  std::optional<hub::LockFile> first(std::in_place, path, std::stop_token());
  Event waits;
  std::optional<hub::LockFile> second;
  std::thread other([&] {
    second.emplace(path, std::stop_token(), hub::LockFile::Kind::kExclusive,
                   [&] { waits.happen(); });
  });
  waits.wait();
  fs::remove(path);
  std::optional<hub::LockFile> third(std::in_place, path, std::stop_token());
  first.reset();  // the second has the deleted file now, and must not take that for the lock
  std::stop_source stop;
  EXPECT_EQ(code_of([&] {
              hub::LockFile(path, stop.get_token(), hub::LockFile::Kind::kExclusive,
                            [&] { stop.request_stop(); });
            }),
            ErrorCode::kCancelled);
  third.reset();
  other.join();
  EXPECT_TRUE(second.has_value());
}

TEST_F(HubTest, OfflineNobodyIsAsked) {
  EXPECT_EQ(code_of([&] { (void)hub(true).pull("org/model"); }), ErrorCode::kUnavailable);
  EXPECT_TRUE(fake_.requests().empty());
}

TEST_F(HubTest, NamesAndOptionsThatCannotBeAreRefused) {
  EXPECT_EQ(code_of([&] { (void)hub().pull("a/b/c"); }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code_of([&] { (void)Hub({.cache = root_.string(), .endpoint = "nowhere"}); }),
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(code_of([&] { (void)Hub({.cache = root_.string(), .n_connections = 0}); }),
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(code_of([&] { (void)Hub({.cache = root_.string(), .timeout_s = 0}); }),
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(code_of([&] { (void)hub().verify("org/model"); }), ErrorCode::kNotFound);
  EXPECT_FALSE(hub().remove("org/model"));
}

TEST_F(HubTest, VerifyNamesFilesWithOtherBytes) {
  (void)hub().pull("org/model");
  EXPECT_TRUE(hub().verify("org/model").empty());
  std::fstream(blobs() / sha256_of_text(std::string(5000, 'w')), std::ios::in | std::ios::out)
      << "x";
  std::ofstream(blobs() / git_sha1_of_text("{}")) << "[]";
  ASSERT_EQ(hub().verify("org/model").size(), 2U);
  EXPECT_THAT(hub().verify("org/model")[0].reason, HasSubstr("other bytes"));
  fs::remove(blobs() / git_sha1_of_text("{}"));
  EXPECT_EQ(hub().verify("org/model").size(), 2U);
}

TEST_F(HubTest, RemovingKeepsWhatOtherCommitsNeed) {
  const HubModel first = hub().pull("org/model");
  fake_.commit = std::string(40, 'd');
  fake_.put("config.json", "[]");
  const HubModel second = hub().pull("org/model");
  EXPECT_NE(first.path, second.path);
  EXPECT_TRUE(hub().remove("org/model@" + first.commit));
  EXPECT_FALSE(hub().find("org/model@" + first.commit));
  EXPECT_EQ(hub().find("org/model")->commit, second.commit);
  EXPECT_FALSE(fs::exists(blobs() / git_sha1_of_text("{}")));
  EXPECT_TRUE(hub().verify("org/model").empty());
  EXPECT_TRUE(hub().remove("org/model"));
  EXPECT_FALSE(fs::exists(root_ / "models--org--model"));
}

TEST_F(HubTest, RemovingDoesNotFollowLinksOutOfTheCache) {
  (void)hub().pull("org/model");
  const fs::path shared = root_ / "shared";
  fs::rename(blobs() / git_sha1_of_text("{}"), shared);
  fs::create_symlink(shared, blobs() / git_sha1_of_text("{}"));
  EXPECT_TRUE(hub().remove("org/model"));
  EXPECT_TRUE(fs::exists(shared));
}

TEST_F(HubTest, LeftoversAreWhatNothingLinksTo) {
  (void)hub().pull("org/model");
  const hub::Cache cache(root_);
  EXPECT_TRUE(hub::leftovers(cache).empty());
  std::ofstream(blobs() / "0000.openllm.incomplete") << "abc";
  ASSERT_EQ(hub::leftovers(cache).size(), 1U);
  EXPECT_EQ(hub::leftovers(cache)[0].bytes, 3);
}

TEST_F(HubTest, FilesFromElsewhereAreModelsToo) {
  FakeHub elsewhere;
  const std::string content = "GGUF" + std::string(3000, 'x');
  elsewhere.put("m-Q4_0.gguf", content);
  elsewhere.put("page.gguf", "<!DOCTYPE html><html>");
  const std::string folder = elsewhere.address() + "/org/model/resolve/" + elsewhere.commit;
  const std::string url = folder + "/m-Q4_0.gguf";
  EXPECT_FALSE(hub().find(url));
  const HubModel model = hub().pull(url);
  EXPECT_EQ(model.id, "m-Q4_0");
  EXPECT_EQ(model.url, url);
  EXPECT_EQ(model.bytes, 3004);
  for (const Request& request : elsewhere.requests()) EXPECT_FALSE(request.has_token);
  elsewhere.forget_requests();
  EXPECT_EQ(hub(true).pull(url).path, model.path);
  EXPECT_TRUE(elsewhere.requests().empty());
  ASSERT_EQ(hub().list().size(), 1U);
  EXPECT_TRUE(hub().verify(url).empty());
  EXPECT_TRUE(hub().remove(url));
  EXPECT_TRUE(hub().list().empty());
  EXPECT_EQ(code_of([&] { (void)hub().pull(folder + "/page.gguf"); }), ErrorCode::kCorruptData);
  EXPECT_THAT(message_, HasSubstr("is no GGUF file"));
  EXPECT_TRUE(hub().list().empty());
}

TEST_F(HubTest, FamiliesStandForModels) {
  ::setenv("OPENLLM_HOME", root_.c_str(), 1);
  EXPECT_EQ(model_of_family("llama"), "NousResearch/llama-2-7b-hf");
  EXPECT_EQ(model_of_family("Chat_GLM"), "thudm/chatglm-6b");
  EXPECT_EQ(model_of_family("flan-t5"), "google/flan-t5-large");
  EXPECT_EQ(model_of_family("gpt_neo_x"), "eleutherai/gpt-neox-20b");
  EXPECT_FALSE(model_of_family("lama"));
  EXPECT_FALSE(model_of_family("org/llama"));
  std::ofstream(root_ / "families.json") << R"({"llama":"org/model","mine":"org/mine"})";
  EXPECT_EQ(model_of_family("llama"), "org/model");
  EXPECT_EQ(model_of_family("mine"), "org/mine");
  EXPECT_EQ(model_of_family("opt"), "facebook/opt-1.3b");
  std::ofstream(root_ / "families.json") << "[]";
  EXPECT_EQ(code_of([] { (void)model_of_family("llama"); }), ErrorCode::kCorruptData);
  ::unsetenv("OPENLLM_HOME");
}

}  // namespace
}  // namespace openllm::hub_test
