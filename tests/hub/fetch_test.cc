// Downloads from a hub of the test's own, and what goes wrong on the way.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <thread>

#include "fetch_fixture.h"

namespace openllm::hub_test {
namespace {

using contract::http_reply;
using ::testing::HasSubstr;
using ::testing::Not;
using Reply = contract::FakeServer::Reply;

TEST_F(Fetch, BringsWhatMakesUpAModelAndNothingElse) {
  const hub::CachedModel model = fetch();
  EXPECT_EQ(model.path, snapshot());
  EXPECT_EQ(content_of(model.path / "model.safetensors"), weights_);
  EXPECT_EQ(content_of(model.path / "config.json"), "{}");
  EXPECT_FALSE(fs::exists(model.path / "README.md"));
  EXPECT_FALSE(fs::exists(model.path / "pytorch_model.bin"));
  EXPECT_EQ(content_of(root_ / "models--org--model/refs/main"), hub_.commit);
  EXPECT_EQ(content_of(root_ / "models--org--model/blobs" / sha256_of_text(weights_)), weights_);
  EXPECT_TRUE(fs::exists(root_ / "models--org--model/blobs" / git_sha1_of_text("{}")));
  EXPECT_EQ(fs::read_symlink(model.path / "config.json"), "../../blobs/" + git_sha1_of_text("{}"));
  EXPECT_GT(hub_.n_requests("/storage/model.safetensors"), 4) << "in parts";
  EXPECT_TRUE(pauses_.empty());
}

TEST_F(Fetch, WhatIsThereIsNotFetchedAgain) {
  (void)fetch();
  hub_.forget_requests();
  (void)fetch();
  EXPECT_EQ(hub_.requests().size(), 1U) << "which commit it is";
  EXPECT_EQ(hub_.n_bytes_served(), 0);
}

TEST_F(Fetch, TheTokenStaysWithTheHub) {
  (void)fetch();
  for (const Request& request : hub_.requests())
    EXPECT_EQ(request.has_token, !request.path.starts_with("/storage")) << request.path;
}

TEST_F(Fetch, ARevisionIsTheOneThatWasAskedFor) {
  EXPECT_EQ(fetch("org/model@refs/pr/1").snapshot.commit, hub_.commit);
  EXPECT_EQ(content_of(root_ / "models--org--model/refs/refs/pr/1"), hub_.commit);
  EXPECT_FALSE(fs::exists(root_ / "models--org--model/refs/main"));
  EXPECT_EQ(code_of("org/model@v9"), ErrorCode::kNotFound);
  EXPECT_THAT(message_, HasSubstr("org/model@v9 does not have that revision"));
}

TEST_F(Fetch, ARenamedRepositoryIsKeptUnderItsNewName) {
  hub_.renamed = "org/model";
  hub_.set_fault([](const Request& request) -> std::optional<Reply> {
    if (!request.path.starts_with("/api/models/old/name/")) return std::nullopt;
    return Reply{http_reply(307, "text/plain", "",
                            "Location: /api/models/org/model/revision/main?blobs=true\r\n")};
  });
  EXPECT_EQ(fetch("old/name").path, snapshot());
}

TEST_F(Fetch, BreaksAreGoneOnFromWhereTheyWere) {
  int n_cut = 0;
  hub_.set_fault([&](const Request& request) -> std::optional<Reply> {
    if (!request.path.starts_with("/storage") || n_cut >= 3) return std::nullopt;
    ++n_cut;
    const std::size_t begin = std::stoul(request.range);
    const std::size_t end = std::stoul(request.range.substr(request.range.find('-') + 1)) + 1;
    const std::string head = "HTTP/1.1 206 X\r\nContent-Length: " + std::to_string(end - begin) +
                             "\r\nContent-Range: bytes " + request.range + "/" +
                             std::to_string(weights_.size()) + "\r\n\r\n";
    return Reply{head + weights_.substr(begin, 100)};
  });
  EXPECT_EQ(content_of(fetch().path / "model.safetensors"), weights_);
  EXPECT_EQ(n_cut, 3);
  // Every byte once: what came before the breaks was kept.
  const std::int64_t small = 2 + 7;
  EXPECT_EQ(hub_.n_bytes_served(), static_cast<std::int64_t>(weights_.size()) - 300 + small);
}

TEST_F(Fetch, ALaterCallGoesOnWithWhatAnEarlierOneLeft) {
  asking_.max_retries = 0;
  hub_.set_fault([&](const Request& request) -> std::optional<Reply> {
    if (request.path.starts_with("/storage") && std::stoul(request.range) >= 3000)
      return Reply{http_reply(503, "text/plain", "")};
    return std::nullopt;
  });
  options_.download.n_connections = 1;
  EXPECT_EQ(code_of(), ErrorCode::kUnavailable);
  EXPECT_FALSE(shows_a_model());
  hub_.set_fault({});
  hub_.forget_requests();
  EXPECT_EQ(content_of(fetch().path / "model.safetensors"), weights_);
  const std::int64_t tokenizer = 7;  // comes after the weights
  EXPECT_EQ(hub_.n_bytes_served(), static_cast<std::int64_t>(weights_.size()) - 3000 + tokenizer);
}

TEST_F(Fetch, BusyHubsAreAskedAgainWhenTheySay) {
  int n = 0;
  hub_.set_fault([&](const Request&) -> std::optional<Reply> {
    if (++n > 2) return std::nullopt;
    return Reply{
        http_reply(n == 1 ? 429 : 503, "text/plain", "", n == 1 ? "Retry-After: 7\r\n" : "")};
  });
  (void)fetch();
  ASSERT_EQ(pauses_.size(), 2U);
  EXPECT_EQ(pauses_[0].count(), 7000);
  EXPECT_EQ(pauses_[1].count(), 1000);
}

TEST_F(Fetch, OtherBytesThanTheHubListsAreNeverKept) {
  hub_.set_fault([&](const Request& request) -> std::optional<Reply> {
    if (!request.path.starts_with("/storage") || std::stoul(request.range) != 2000)
      return std::nullopt;
    return Reply{
        http_reply(206, "application/octet-stream", std::string(1000, 'x'),
                   "Content-Range: bytes 2000-2999/" + std::to_string(weights_.size()) + "\r\n")};
  });
  EXPECT_EQ(code_of(), ErrorCode::kCorruptData);
  EXPECT_THAT(message_,
              HasSubstr("model.safetensors of org/model: other bytes than the hub lists"));
  EXPECT_FALSE(shows_a_model());
  hub_.set_fault({});
  EXPECT_EQ(content_of(fetch().path / "model.safetensors"), weights_);
}

TEST_F(Fetch, DamagedPartsOfAnEarlierCallAreFetchedOnceMore) {
  const fs::path blob = root_ / "models--org--model/blobs" / sha256_of_text(weights_);
  asking_.max_retries = 0;
  options_.download.n_connections = 1;
  hub_.set_fault([&](const Request& request) -> std::optional<Reply> {
    if (request.path.starts_with("/storage") && std::stoul(request.range) >= 3000)
      return Reply{http_reply(503, "text/plain", "")};
    return std::nullopt;
  });
  EXPECT_EQ(code_of(), ErrorCode::kUnavailable);
  std::fstream(blob.string() + ".openllm.incomplete", std::ios::in | std::ios::out) << "damage";
  hub_.set_fault({});
  EXPECT_EQ(content_of(fetch().path / "model.safetensors"), weights_);
}

TEST_F(Fetch, WrongLengthsAreNamed) {
  hub_.set_fault([&](const Request& request) -> std::optional<Reply> {
    if (!request.path.starts_with("/storage")) return std::nullopt;
    return Reply{http_reply(206, "application/octet-stream", "x",
                            "Content-Range: bytes " + request.range + "/77\r\n")};
  });
  EXPECT_EQ(code_of(), ErrorCode::kCorruptData);
  EXPECT_THAT(message_, HasSubstr("another size than it should have"));
}

TEST_F(Fetch, ServersWithoutRangesGiveTheWhole) {
  int n = 0;
  hub_.set_fault([&](const Request& request) -> std::optional<Reply> {
    if (!request.path.starts_with("/storage")) return std::nullopt;
    const std::string whole = http_reply(200, "application/octet-stream", weights_);
    if (request.range.empty() && ++n == 1) return Reply{whole.substr(0, 3000)};  // and a break
    return Reply{whole};
  });
  EXPECT_EQ(content_of(fetch().path / "model.safetensors"), weights_);
  EXPECT_EQ(n, 2);
}

TEST_F(Fetch, GatedPrivateAndMissingOnesSayWhatToDo) {
  EXPECT_EQ(code_of("org/other"), ErrorCode::kNotFound);
  EXPECT_THAT(message_,
              HasSubstr("has no org/other; or the token that HF_TOKEN gives may not see it"));
  asking_.token.clear();
  EXPECT_EQ(code_of("org/other"), ErrorCode::kNotFound);
  EXPECT_THAT(message_, HasSubstr("needs HF_TOKEN"));
  hub_.set_fault([](const Request&) -> std::optional<Reply> {
    return Reply{http_reply(403, "text/plain", "",
                            "X-Error-Code: GatedRepo\r\nX-Error-Message: Ask for access\r\n")};
  });
  EXPECT_EQ(code_of(), ErrorCode::kNotFound);
  EXPECT_THAT(message_, HasSubstr("org/model is gated: accept its licence"));
  EXPECT_THAT(message_, HasSubstr("says: Ask for access"));
  EXPECT_THAT(message_, Not(HasSubstr("secret")));
}

TEST_F(Fetch, AnswersThatAreNoHubsAreNamed) {
  hub_.set_fault([](const Request&) -> std::optional<Reply> {
    return Reply{http_reply(200, "text/html", "<!DOCTYPE html><html>Log in</html>")};
  });
  EXPECT_EQ(code_of(), ErrorCode::kCorruptData);
  EXPECT_THAT(message_, HasSubstr("HTML"));
  hub_.set_fault([](const Request&) -> std::optional<Reply> {
    return Reply{http_reply(200, "application/json", "{}")};
  });
  EXPECT_EQ(code_of(), ErrorCode::kCorruptData);
  EXPECT_THAT(message_, HasSubstr("has no commit"));
}

TEST_F(Fetch, RedirectionsInACircleEnd) {
  hub_.set_fault([](const Request& request) -> std::optional<Reply> {
    return Reply{http_reply(302, "text/plain", "", "Location: " + request.path + "\r\n")};
  });
  EXPECT_EQ(code_of(), ErrorCode::kCorruptData);
  EXPECT_THAT(message_, HasSubstr("redirected more than 10 times"));
  EXPECT_EQ(hub_.requests().size(), 11U);
}

TEST_F(Fetch, FilesThatLeadElsewhereAreNotTaken) {
  hub_.put("../../evil.safetensors", "x", true);
  (void)fetch();
  EXPECT_FALSE(fs::exists(root_ / "models--org--model/evil.safetensors"));
}

TEST_F(Fetch, AStopKeepsWhatCame) {
  std::stop_source stop;
  asking_.stop_token = stop.get_token();
  options_.download.n_connections = 1;
  options_.progress = [&](const hub::FetchProgress& progress) {
    if (progress.file == "model.safetensors" && progress.n_bytes > 2500) stop.request_stop();
  };
  EXPECT_EQ(code_of(), ErrorCode::kCancelled);
  EXPECT_FALSE(shows_a_model());
  asking_.stop_token = {};
  options_.progress = {};
  hub_.forget_requests();
  (void)fetch();
  EXPECT_LT(hub_.n_bytes_served(), static_cast<std::int64_t>(weights_.size()) - 2000);
}

TEST_F(Fetch, ProgressEndsAtTheTotal) {
  hub::FetchProgress last;
  options_.progress = [&](const hub::FetchProgress& progress) {
    EXPECT_GE(progress.n_bytes, last.n_bytes);
    last = progress;
  };
  (void)fetch();
  EXPECT_EQ(last.n_bytes, last.n_bytes_total);
  EXPECT_EQ(last.n_bytes_total, static_cast<std::int64_t>(weights_.size()) + 2 + 7);
}

TEST_F(Fetch, OfTwoAtOnceOneFetches) {
  hub::FetchOptions others = options_;
  std::thread other([&] {
    (void)hub::fetch(asking_, hub::Cache(root_), hub::parse_reference("org/model").value(), others);
  });
  (void)fetch();
  other.join();
  EXPECT_EQ(hub_.n_bytes_served(), static_cast<std::int64_t>(weights_.size()) + 2 + 7);
}

TEST_F(Fetch, NothingIsWrittenOverWhatOthersMade) {
  // As huggingface_hub leaves it: the blob and the link, but not all files.
  const fs::path folder = root_ / "models--org--model";
  fs::create_directories(folder / "blobs");
  fs::create_directories(snapshot());
  std::ofstream(folder / "blobs" / git_sha1_of_text("{}")) << "{}";
  fs::create_symlink("../../blobs/" + git_sha1_of_text("{}"), snapshot() / "config.json");
  (void)fetch();
  EXPECT_EQ(hub_.n_requests("config.json"), 0);
}

}  // namespace
}  // namespace openllm::hub_test
