// Files without a digest, which only the server's own marks tell from another content.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "fetch_fixture.h"
#include "hub/download.h"

namespace openllm::hub_test {
namespace {

using contract::http_reply;
using ::testing::HasSubstr;
using Reply = contract::FakeServer::Reply;

class UndigestedFile : public Fetch {
 protected:
  UndigestedFile() { options_.download.n_connections = 1; }

  /// A server with these fields in each answer, that gives nothing from byte `n_given` on.
  void serve(const std::string& content, const std::string& fields, std::size_t n_given) {
    hub_.set_fault([=](const Request& request) -> std::optional<Reply> {
      const std::size_t begin = request.range.empty() ? 0 : std::stoul(request.range);
      if (begin >= n_given) return Reply{http_reply(503, "text/plain", "")};
      const std::size_t last = std::min(
          request.range.empty() ? content.size()
                                : std::stoul(request.range.substr(request.range.find('-') + 1)),
          content.size() - 1);
      const std::string range = "Content-Range: bytes " + std::to_string(begin) + "-" +
                                std::to_string(last) + "/" + std::to_string(content.size()) +
                                "\r\n";
      return Reply{http_reply(206, "application/octet-stream",
                              content.substr(begin, last + 1 - begin), range + fields)};
    });
  }
  void download() {
    hub::download(asking_, {hub_.address() + "/m.gguf", "m.gguf"}, target_, options_.download);
  }
  void fail_at(std::size_t n, const std::string& content, const std::string& fields) {
    serve(content, fields, n);
    asking_.max_retries = 0;
    EXPECT_THROW(download(), Error);
    EXPECT_FALSE(fs::exists(target_));
    asking_.max_retries = 5;
    hub_.forget_requests();
  }
  bool has_asked_for_the_beginning() {
    const std::vector<Request> all = hub_.requests();
    return std::any_of(all.begin(), all.end(),
                       [](const Request& request) { return request.range == "0-999"; });
  }

  const std::string other_ = std::string(weights_.rbegin(), weights_.rend());
  const fs::path target_ = root_ / "m.gguf";
};

TEST_F(UndigestedFile, IsGoneOnWithWhileTheServerSaysThatItIsTheSame) {
  for (const char* fields : {"ETag: \"1\"\r\n", "ETag: W/\"1\"\r\n",
                             "Last-Modified: Sun, 29 Nov 2026 06:00:00 GMT\r\n"}) {
    fs::remove(target_);
    fail_at(3000, weights_, fields);
    serve(weights_, fields, weights_.size());
    download();
    EXPECT_EQ(content_of(target_), weights_);
    EXPECT_FALSE(has_asked_for_the_beginning()) << fields;
  }
}

TEST_F(UndigestedFile, IsFetchedAnewWhenItHasChanged) {
  fail_at(3000, weights_, "ETag: \"1\"\r\n");
  serve(other_, "ETag: \"2\"\r\n", other_.size());
  download();
  EXPECT_EQ(content_of(target_), other_);
}

TEST_F(UndigestedFile, IsFetchedAnewWhereNothingTells) {
  fail_at(3000, weights_, "");
  serve(other_, "", other_.size());
  download();
  EXPECT_EQ(content_of(target_), other_);
}

TEST_F(UndigestedFile, ThatChangesMeanwhileIsNamed) {
  int n = 0;
  hub_.set_fault([&](const Request& request) -> std::optional<Reply> {
    const std::string& content = ++n < 4 ? weights_ : other_;
    const std::size_t begin = std::stoul(request.range);
    const std::size_t last =
        std::min(std::stoul(request.range.substr(request.range.find('-') + 1)), content.size() - 1);
    return Reply{http_reply(
        206, "application/octet-stream", content.substr(begin, last + 1 - begin),
        "Content-Range: bytes " + std::to_string(begin) + "-" + std::to_string(last) + "/" +
            std::to_string(content.size()) + "\r\nETag: \"" + (n < 4 ? "1" : "2") + "\"\r\n")};
  });
  try {
    download();
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kCorruptData);
    EXPECT_THAT(error.what(), HasSubstr("changed at its address while it was fetched; try again"));
  }
  EXPECT_FALSE(fs::exists(target_));
  download();
  EXPECT_EQ(content_of(target_), other_);
}

}  // namespace
}  // namespace openllm::hub_test
