// Names that may have been meant by one that nobody has.
#include "hub/suggest.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <mutex>

#include "../contract/fake_server.h"
#include "other_fixture.h"

namespace openllm::hub_test {
namespace {

using contract::http_reply;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using Reply = contract::FakeServer::Reply;

TEST(NearNames, TheNearestFirstAndAtMostThree) {
  const std::vector<std::string> names = {"Qwen/Qwen3-0.6B",         "Qwen/Qwen3-8B",
                                          "Qwen/Qwen3-4B",           "Qwen/Qwen3-1.7B",
                                          "meta-llama/Llama-3.2-1B", "falcon"};
  EXPECT_EQ(hub::near_names("Qwen/Qwen3-0.6", names).front(), "Qwen/Qwen3-0.6B");
  EXPECT_EQ(hub::near_names("qwen3-0.6b", names).front(), "Qwen/Qwen3-0.6B");
  EXPECT_EQ(hub::near_names("qwen3", names).size(), 3U);
  EXPECT_THAT(hub::near_names("flacon", names), ElementsAre("falcon"));
  EXPECT_THAT(hub::near_names("mistral", names), IsEmpty());
  EXPECT_THAT(hub::near_names("", names), IsEmpty());
  EXPECT_THAT(hub::near_names("Qwen/Qwen3-8B", {"Qwen/Qwen3-8B"}), IsEmpty()) << "is not news";
}

TEST(NearNames, AsASentence) {
  EXPECT_EQ(hub::did_you_mean({}), "");
  EXPECT_EQ(hub::did_you_mean({"a"}), "; did you mean a?");
  EXPECT_EQ(hub::did_you_mean({"a", "b", "c"}), "; did you mean a, b or c?");
}

/// A hub without models that answers searches.
class Suggest : public Places {
 protected:
  Suggest()
      : server_([this](const std::string& request) {
          const std::scoped_lock lock(mutex_);
          requests_.push_back(request.substr(0, request.find("\r\n")));
          if (request.find("/api/models?search=") != std::string::npos) return search_;
          return Reply{http_reply(404, "application/json", R"({"error":"Repository not found"})",
                                  "X-Error-Code: RepoNotFound\r\n")};
        }) {
    options_.endpoint = server_.address();
  }
  int n_searches() {
    const std::scoped_lock lock(mutex_);
    return static_cast<int>(std::count_if(
        requests_.begin(), requests_.end(),
        [](const std::string& line) { return line.find("search=") != std::string::npos; }));
  }

  std::mutex mutex_;
  std::vector<std::string> requests_;
  Reply search_{http_reply(200, "application/json",
                           R"([{"id":"org/model-7B"},{"id":"org/other"},{"id":"../evil"},{}])")};
  contract::FakeServer server_;
};

TEST_F(Suggest, AnUnknownNameBringsWhatTheHubHas) {
  EXPECT_EQ(code_of([&] { (void)hub().pull("org/model-7b-it"); }), ErrorCode::kNotFound);
  EXPECT_THAT(message_, HasSubstr("; did you mean org/model-7B?"));
  EXPECT_THAT(message_, HasSubstr("has no org/model-7b-it"));
  EXPECT_EQ(n_searches(), 1);
  EXPECT_THAT(requests_.back(), HasSubstr("search=model&limit=50"));
}

TEST_F(Suggest, AndWhatIsHere) {
  write_model("modelscope/models/org--model-7B-it/snapshots/master");
  EXPECT_EQ(code_of([&] { (void)hub().pull("org/model-7B-itt"); }), ErrorCode::kNotFound);
  EXPECT_THAT(message_, HasSubstr("did you mean org/model-7B-it or org/model-7B?"));
}

TEST_F(Suggest, ASearchThatFailsChangesNothing) {
  for (const std::string& reply :
       {http_reply(500, "text/plain", ""), http_reply(200, "application/json", "{"),
        http_reply(200, "text/html", "<html>"), http_reply(429, "text/plain", ""), std::string()}) {
    search_ = {reply};
    EXPECT_EQ(code_of([&] { (void)hub().pull("org/model-7b-it"); }), ErrorCode::kNotFound);
    EXPECT_THAT(message_, HasSubstr("has no org/model-7b-it"));
    EXPECT_THAT(message_, Not(HasSubstr("did you mean")));
  }
  EXPECT_EQ(n_searches(), 5) << "one each";
}

TEST_F(Suggest, ASearchWithoutAnEndIsEnded) {
  search_ = {http_reply(200, "application/json", "").substr(0, 17), true};
  hub::Asking asking;
  asking.endpoint = server_.address();
  EXPECT_THAT(hub::near_on_hub(asking, "org/model", std::chrono::milliseconds(50)), IsEmpty());
}

TEST_F(Suggest, OfflineNobodyIsAsked) {
  options_.offline = true;
  EXPECT_EQ(code_of([&] { (void)hub().pull("org/model-7b-it"); }), ErrorCode::kUnavailable);
  EXPECT_THAT(requests_, IsEmpty());
}

TEST_F(Suggest, ARevisionThatIsMissingIsNoMisspeltName) {
  search_ = {};
  contract::FakeServer server([](const std::string&) {
    return Reply{http_reply(404, "application/json", "{}", "X-Error-Code: RevisionNotFound\r\n")};
  });
  options_.endpoint = server.address();
  EXPECT_EQ(code_of([&] { (void)hub().pull("org/model@v9"); }), ErrorCode::kNotFound);
  EXPECT_EQ(server.n_requests(), 1);
}

/// A hub whose repository has another name now.
TEST_F(Places, N7ARenamedModelIsFoundByBothNamesAndAsksNobody) {
  const std::string commit(40, 'c');
  contract::FakeServer server([&](const std::string& request) {
    if (request.starts_with("GET /api/models/old/name/"))
      return Reply{http_reply(307, "text/plain", "",
                              "Location: /api/models/new/name/revision/main?blobs=true\r\n")};
    if (request.starts_with("GET /api/models/new/name/"))
      return Reply{http_reply(
          200, "application/json",
          R"({"id":"new/name","sha":")" + commit + R"(","siblings":[{"rfilename":"m-Q8_0.gguf",)" +
              R"("size":5,"lfs":{"sha256":")" + sha256_text("GGUF8") + R"(","size":5}}]})")};
    if (request.starts_with("GET /new/name/resolve/" + commit + "/m-Q8_0.gguf"))
      return Reply{http_reply(200, "application/octet-stream", "GGUF8")};
    return Reply{http_reply(404, "text/plain", "")};
  });
  options_.endpoint = server.address();
  EXPECT_EQ(hub().pull("old/name").id, "new/name");
  const int n = server.n_requests();
  for (const char* name : {"new/name", "old/name", "old/name:Q8_0", "new/name@main"})
    EXPECT_TRUE(hub().find(name)) << name;
  EXPECT_EQ(server.n_requests(), n);
  ASSERT_EQ(hub().list().size(), 1U) << "its bytes are there once";
  EXPECT_EQ(hub().list()[0].id, "new/name");
  EXPECT_TRUE(hub().verify("old/name").empty());
  write("downloads/renamed/models--evil--name", "../../x");
  EXPECT_FALSE(hub().find("evil/name"));
  EXPECT_TRUE(hub().remove("old/name"));
  EXPECT_FALSE(hub().find("new/name"));
  EXPECT_FALSE(hub().remove("old/name"));
}

}  // namespace
}  // namespace openllm::hub_test
