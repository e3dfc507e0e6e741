// Downloads from a ModelScope of the test's own.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <mutex>

#include "../contract/fake_server.h"
#include "hub/modelscope_api.h"
#include "other_fixture.h"

namespace openllm::hub_test {
namespace {

namespace fs = std::filesystem;
using contract::http_reply;
using ::testing::HasSubstr;
using ::testing::Not;
using Reply = contract::FakeServer::Reply;

std::string content_of(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

/// ModelScope with one repository, "own/name.5"; large files come from another address.
class ModelScope : public Places {
 protected:
  ModelScope()
      : storage_([this](const std::string& request) { return answer(request, true); }),
        server_([this](const std::string& request) { return answer(request, false); }) {
    options_.modelscope.endpoint = server_.address() + "/";
    files_ = {{"config.json", "{}"},
              {"model.safetensors", std::string(5000, 'w')},
              {"README.md", "# read"}};
  }

  Reply answer(const std::string& request, bool is_storage) {
    const std::scoped_lock lock(mutex_);
    const std::string line = request.substr(0, request.find("\r\n"));
    requests_.push_back((is_storage ? "storage " : "") + line);
    n_tokens_ += request.find("ms_secret") != std::string::npos ? 1 : 0;
    if (is_storage && request.find("ms_secret") != std::string::npos) was_token_elsewhere_ = true;
    if (is_storage) return serve(request, line.substr(5, line.find(' ', 5) - 5));
    const std::string prefix = "GET /api/v1/models/own/name.5/repo";
    if (!line.starts_with(prefix))
      return {http_reply(404, "application/json",
                         R"({"Code":10010205001,"Message":"no such",)"
                         R"("Success":false})")};
    if (line.starts_with(prefix + "/files?Revision=" + revision_ + "&"))
      return {http_reply(200, "application/json", list_.empty() ? listing() : list_)};
    const std::string wanted = prefix + "?Revision=" + revision_ + "&FilePath=";
    if (!line.starts_with(wanted)) return {http_reply(404, "application/json", "{}")};
    const std::string path = line.substr(wanted.size(), line.find(' ', 5) - wanted.size());
    if (files_.count(path) == 0) return {http_reply(404, "text/plain", "")};
    if (files_.at(path).size() > 1000)
      return {http_reply(302, "text/plain", "",
                         "Location: " + storage_.address() + "/" + path + "\r\n")};
    return serve(request, path);
  }
  Reply serve(const std::string& request, const std::string& path) const {
    const std::string& content = files_.at(path);
    const std::size_t at = request.find("Range: bytes=");
    if (at == std::string::npos) return {http_reply(200, "application/octet-stream", content)};
    const std::size_t begin = std::stoul(request.substr(at + 13));
    return {http_reply(206, "application/octet-stream", content.substr(begin),
                       "Content-Range: bytes " + std::to_string(begin) + "-" +
                           std::to_string(content.size() - 1) + "/" +
                           std::to_string(content.size()) + "\r\n")};
  }
  std::string listing() const {
    std::string list = R"({"Type":"tree","Path":"assets","Name":"assets","Size":0,"Sha256":""})";
    for (const auto& [path, content] : files_) {
      list += R"(,{"Type":"blob","Path":")" + path + R"(","Name":")" + path + R"(","Size":)" +
              std::to_string(content.size()) + R"(,"Sha256":")" + sha256_text(content) +
              R"(","Revision":"0123","IsLFS":false})";
    }
    return R"({"Code":200,"Data":{"Files":[)" + list + R"(]},"Message":"success","Success":true})";
  }
  int n_requests(const std::string& part) {
    const std::scoped_lock lock(mutex_);
    return static_cast<int>(std::count_if(
        requests_.begin(), requests_.end(),
        [&](const std::string& line) { return line.find(part) != std::string::npos; }));
  }
  fs::path snapshot() const { return root_ / "modelscope/models/own--name.5/snapshots/master"; }

  std::mutex mutex_;
  std::map<std::string, std::string> files_;
  std::string revision_ = "master";
  std::string list_{};
  std::vector<std::string> requests_;
  int n_tokens_ = 0;
  bool was_token_elsewhere_ = false;
  contract::FakeServer storage_;
  contract::FakeServer server_;
};

TEST_F(ModelScope, PutsAModelWhereItsClientLooks) {
  const HubModel model = hub().pull("modelscope://own/name.5");
  EXPECT_EQ(model.id, "own/name.5");
  EXPECT_EQ(model.origin, "modelscope");
  EXPECT_EQ(model.version, "master");
  EXPECT_EQ(model.path, snapshot());
  EXPECT_EQ(content_of(snapshot() / "model.safetensors"), files_["model.safetensors"]);
  EXPECT_FALSE(fs::exists(snapshot() / "README.md")) << "no part of a model";
  EXPECT_EQ(hub().find("own/name.5")->path, model.path);
  EXPECT_FALSE(fs::exists(root_ / "modelscope/models/own--name.5/.openllm"));
  EXPECT_FALSE(fs::exists(root_ / "huggingface"));
}

TEST_F(ModelScope, IsAskedForPlainNamesWhenItIsTheHub) {
  EXPECT_EQ(code_of([&] { (void)hub().pull("own/name.5"); }), ErrorCode::kUnavailable)
      << "the other hub is not there";
  options_.hub = "modelscope";
  EXPECT_EQ(hub().pull("own/name.5").origin, "modelscope");
  EXPECT_EQ(hub().pull("own/name.5@master").origin, "modelscope");
  EXPECT_EQ(code_of([&] { (void)hub().pull("hf://own/name.5"); }), ErrorCode::kUnavailable);
}

TEST_F(ModelScope, TheTokenGoesToItAlone) {
  (void)hub().pull("modelscope://own/name.5");
  EXPECT_GT(n_tokens_, 0);
  EXPECT_FALSE(was_token_elsewhere_);
  EXPECT_GT(n_requests("storage GET /model.safetensors"), 0);
}

TEST_F(ModelScope, WhatIsThereIsNotFetchedAgain) {
  (void)hub().pull("modelscope://own/name.5");
  EXPECT_EQ(n_requests("FilePath="), 2);
  (void)hub().pull("modelscope://own/name.5");
  EXPECT_EQ(n_requests("FilePath="), 2);
  std::ofstream(snapshot() / "config.json") << "xx";
  (void)hub().pull("modelscope://own/name.5");
  EXPECT_EQ(n_requests("FilePath="), 3) << "only what has other bytes";
  EXPECT_EQ(content_of(snapshot() / "config.json"), "{}");
}

TEST_F(ModelScope, ANewStateTakesThePlaceOfTheOldOneWhole) {
  (void)hub().pull("modelscope://own/name.5");
  write("modelscope/models/own--name.5/snapshots/master/README.md", "# read");
  write("modelscope/models/own--name.5/snapshots/master/gone.safetensors", "old");
  {
    const std::scoped_lock lock(mutex_);
    files_["config.json"] = R"({"new":1})";
  }
  (void)hub().pull("modelscope://own/name.5");
  EXPECT_EQ(content_of(snapshot() / "config.json"), R"({"new":1})");
  EXPECT_TRUE(fs::exists(snapshot() / "README.md")) << "its client fetched it, and it is current";
  EXPECT_FALSE(fs::exists(snapshot() / "gone.safetensors"));
  EXPECT_EQ(n_requests("storage GET"), 1) << "the weights were there";
}

TEST_F(ModelScope, OtherBytesThanItListsAreRefused) {
  list_ = listing();
  files_["model.safetensors"][7] = 'x';
  EXPECT_EQ(code_of([&] { (void)hub().pull("modelscope://own/name.5"); }), ErrorCode::kCorruptData);
  EXPECT_THAT(message_, HasSubstr("other bytes than the hub lists (expected SHA-256"));
  EXPECT_FALSE(fs::exists(snapshot()));
  EXPECT_TRUE(hub().list().empty());
  files_["model.safetensors"][7] = 'w';
  EXPECT_TRUE(fs::exists(hub().pull("modelscope://own/name.5").path));
}

TEST_F(ModelScope, RevisionsAndFilesAreAskedForByName) {
  revision_ = "v1.0";
  files_["sub/m-Q8_0.gguf"] = "GGUF8";
  files_["sub%2Fm-Q8_0.gguf"] = "GGUF8";
  list_ = R"({"Code":200,"Data":{"Files":[{"Type":"blob","Path":"sub/m-Q8_0.gguf","Size":5,)"
          R"("Sha256":")" +
          sha256_text("GGUF8") + R"("}]}})";
  const HubModel model = hub().pull("modelscope://own/name.5@v1.0/sub/m-Q8_0.gguf");
  EXPECT_EQ(model.version, "v1.0");
  EXPECT_EQ(model.variant, "Q8_0");
  EXPECT_TRUE(model.path.ends_with("snapshots/v1.0/sub/m-Q8_0.gguf"));
  EXPECT_EQ(code_of([&] { (void)hub().pull("modelscope://own/name.5"); }), ErrorCode::kNotFound);
}

TEST_F(ModelScope, ErrorsSayWhatToDoAndNoToken) {
  EXPECT_EQ(code_of([&] { (void)hub().pull("modelscope://own/none"); }), ErrorCode::kNotFound);
  EXPECT_THAT(message_, HasSubstr("MODELSCOPE_API_TOKEN"));
  EXPECT_THAT(message_, HasSubstr("says: no such"));
  EXPECT_THAT(message_, Not(HasSubstr("ms_secret")));
  list_ = R"({"Code":10010205001,"Message":"not for you","Success":false})";
  EXPECT_EQ(code_of([&] { (void)hub().pull("modelscope://own/name.5"); }), ErrorCode::kNotFound);
  EXPECT_THAT(message_, HasSubstr("not for you"));
  for (const char* text : {"{}", "[]", "<html>", R"({"Data":{"Files":{}}})", R"({"Data":7})"}) {
    list_ = text;
    EXPECT_EQ(code_of([&] { (void)hub().pull("modelscope://own/name.5"); }),
              ErrorCode::kCorruptData)
        << text;
  }
  options_.offline = true;
  EXPECT_EQ(code_of([&] { (void)hub().pull("modelscope://own/name.5"); }), ErrorCode::kUnavailable);
}

TEST_F(ModelScope, FilesThatLeadElsewhereAreNotTaken) {
  const hub::ModelScopeFiles files = hub::parse_modelscope_files(
      R"({"Data":{"Files":[{"Path":"../evil","Size":1},{"Path":"/evil","Size":1},7,{},)"
      R"({"Path":"good","Size":-3,"Sha256":"../x"},{"Path":"none","Size":0}]}})",
      "own/name");
  EXPECT_EQ(files.n_entries, 6U);
  ASSERT_EQ(files.files.size(), 2U);
  EXPECT_EQ(files.files[0].path, "good");
  EXPECT_EQ(files.files[0].size, -1);
  EXPECT_EQ(files.files[0].sha256, "");
  EXPECT_EQ(files.files[1].size, -1) << "0 is what it says of unknown sizes too";
}

TEST_F(ModelScope, AListThatIsCutOffIsAskedForOnceMore) {
  std::string many;
  for (int i = 0; i < 3000; ++i)
    many += R"({"Type":"blob","Path":"a/)" + std::to_string(i) + R"(.txt","Size":1},)";
  const std::string whole = listing();
  contract::FakeServer server([&](const std::string& request) {
    if (request.find("Recursive=True") != std::string::npos)
      return Reply{http_reply(
          200, "application/json",
          R"({"Code":200,"Data":{"Files":[)" + many + R"({"Path":"config.json","Size":2}]}})")};
    return Reply{http_reply(200, "application/json", whole)};
  });
  hub::Asking asking;
  asking.endpoint = server.address();
  EXPECT_EQ(hub::ask_modelscope(asking, {.repo = "own/name"}).size(), 3000U + 3U);
  EXPECT_EQ(server.n_requests(), 2);
}

}  // namespace
}  // namespace openllm::hub_test
