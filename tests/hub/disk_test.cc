// Disks and caches that do not do what they should, below a download.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <string>

#include "fetch_fixture.h"

namespace openllm::hub_test {
namespace {

using ::testing::HasSubstr;
using Reply = contract::FakeServer::Reply;

class Disk : public Fetch {
 protected:
  fs::path folder() const { return root_ / "models--org--model"; }
  fs::path blob() const { return folder() / "blobs" / sha256_of_text(weights_); }

  void expect_right() { EXPECT_EQ(content_of(fetch().path / "model.safetensors"), weights_); }
};

/// While it lives, no file can be longer, as on a full disk.
class LongestFile {
 public:
  explicit LongestFile(rlim_t n_bytes) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    rlimit limit{n_bytes, before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~LongestFile() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    (void)std::signal(SIGXFSZ, handler_);
  }
  LongestFile(const LongestFile&) = delete;
  LongestFile& operator=(const LongestFile&) = delete;

 private:
  rlimit before_{};
  void (*handler_)(int);
};

TEST_F(Disk, FullItIsNamedAndWhatCameIsGoneOnWith) {
  options_.download.n_connections = 1;
  {
    const LongestFile limit(3500);
    EXPECT_EQ(code_of(), ErrorCode::kResourceExhausted);
  }
  EXPECT_THAT(message_, HasSubstr("make room, or have HF_HUB_CACHE name a folder on another disk"));
  EXPECT_FALSE(shows_a_model());
  hub_.forget_requests();
  expect_right();
  EXPECT_LT(hub_.n_bytes_served(), static_cast<std::int64_t>(weights_.size()) - 2000);
}

TEST_F(Disk, FullFromTheFirstByteOnItIsNamed) {
  {
    const LongestFile limit(0);
    EXPECT_EQ(code_of(), ErrorCode::kResourceExhausted);
  }
  EXPECT_FALSE(shows_a_model());
  expect_right();
}

TEST_F(Disk, TooSmallForTheFileNothingIsFetched) {
  // The listing says 2^45 bytes.
  hub_.set_fault([&](const Request& request) -> std::optional<Reply> {
    if (!request.path.starts_with("/api/")) return std::nullopt;
    std::string body = hub_.usual_reply(request).bytes;
    body.erase(0, body.find("\r\n\r\n") + 4);
    const std::string size = std::to_string(weights_.size());
    for (std::size_t at = 0; (at = body.find(":" + size, at)) != std::string::npos; at += 10)
      body.replace(at + 1, size.size(), "35184372088832");
    return Reply{contract::http_reply(200, "application/json", body)};
  });
  options_.download.part_size = std::int64_t{64} << 20U;
  EXPECT_EQ(code_of(), ErrorCode::kResourceExhausted);
  EXPECT_THAT(message_, HasSubstr("not enough space"));
  EXPECT_FALSE(fs::exists(blob().string() + ".openllm.parts"));
  EXPECT_EQ(hub_.n_requests("/storage"), 0);
  hub_.set_fault({});
  expect_right();
}

TEST_F(Disk, WhereNothingCanBeWrittenItIsSaid) {
  fs::remove_all(root_);
  std::ofstream(root_) << "a file";
  EXPECT_EQ(code_of(), ErrorCode::kIo);
  EXPECT_THAT(message_, HasSubstr("have HF_HUB_CACHE name a folder that can be written"));
  fs::remove(root_);
  fs::create_directories(folder());
  std::ofstream(folder() / "snapshots") << "a file";
  EXPECT_EQ(code_of(), ErrorCode::kIo);
  fs::remove(folder() / "snapshots");
  std::ofstream(root_ / ".locks" / "x") << "";
  expect_right();
}

/// While it lives, files are opened as by a user who is not their owner.
class Nobody {
 public:
  Nobody() : is_root_(::geteuid() == 0) {
    if (is_root_ && ::seteuid(65534) != 0) ADD_FAILURE() << "cannot be nobody";
  }
  ~Nobody() {
    if (is_root_ && ::seteuid(0) != 0) ADD_FAILURE() << "cannot be root again";
  }
  Nobody(const Nobody&) = delete;
  Nobody& operator=(const Nobody&) = delete;

 private:
  bool is_root_;
};

TEST_F(Disk, WithoutPermissionItIsSaidAndWhatIsThereCanBeUsed) {
  ::chmod(root_.c_str(), 0555);
  {
    const Nobody nobody;
    EXPECT_EQ(code_of(), ErrorCode::kIo);
  }
  EXPECT_THAT(message_, HasSubstr("Permission denied; have HF_HUB_CACHE"));
  ::chmod(root_.c_str(), 0755);
  (void)fetch();
  const auto set_rights = [&](mode_t folders, mode_t files) {
    for (const auto& entry : fs::recursive_directory_iterator(root_)) {
      if (!entry.is_symlink())
        ::chmod(entry.path().c_str(), entry.is_directory() ? folders : files);
    }
  };
  set_rights(0555, 0444);
  {
    const Nobody nobody;
    expect_right();  // nothing has to be written
  }
  set_rights(0755, 0644);
}

TEST_F(Disk, ACacheThatVanishesIsNamedAndMadeAnew) {
  bool was_removed = false;
  hub_.set_fault([&](const Request& request) -> std::optional<Reply> {
    if (!request.path.starts_with("/storage") || was_removed) return std::nullopt;
    was_removed = true;
    fs::remove_all(root_);
    return std::nullopt;
  });
  EXPECT_EQ(code_of(), ErrorCode::kIo);
  EXPECT_THAT(message_, HasSubstr("something deletes the cache, try again"));
  EXPECT_FALSE(shows_a_model());
  expect_right();
}

TEST_F(Disk, AFileThatVanishesBeforeTheLinksIsNamed) {
  // The configuration, which comes first, once the weights are asked for.
  hub_.set_fault([&](const Request& request) -> std::optional<Reply> {
    if (request.path.starts_with("/storage"))
      fs::remove(folder() / "blobs" / git_sha1_of_text("{}"));
    return std::nullopt;
  });
  EXPECT_EQ(code_of(), ErrorCode::kIo);
  EXPECT_FALSE(shows_a_model());
  hub_.set_fault({});
  expect_right();
}

TEST_F(Disk, LinksInACircleAreReplaced) {
  fs::create_directories(folder() / "blobs");
  fs::create_directories(snapshot());
  fs::create_symlink(blob().filename(), blob());
  fs::create_symlink("config.json", snapshot() / "config.json");
  fs::create_symlink("b", snapshot() / "a");
  fs::create_symlink("a", snapshot() / "b");
  fs::create_directory_symlink("..", snapshot() / "up");
  EXPECT_TRUE(hub::Cache(root_).list().empty());
  expect_right();
  EXPECT_EQ(hub::Cache(root_).list().size(), 1U);
}

TEST_F(Disk, ABlobThatWasCutIsFetchedAgain) {
  (void)fetch();
  fs::resize_file(blob(), 100);
  expect_right();
}

TEST_F(Disk, WhatAKilledDownloadLeftOfAFileThatIsWholeIsRemoved) {
  (void)fetch();
  for (const char* ending : {".openllm.parts", ".openllm.incomplete"})
    std::ofstream(blob().string() + ending) << "left";
  expect_right();
  for (const auto& entry : fs::directory_iterator(folder() / "blobs"))
    EXPECT_THAT(entry.path().string(), ::testing::Not(HasSubstr("openllm.")));
}

TEST_F(Disk, BlobsThatAreLinksIntoAStoreOfOthersAreLeftAlone) {
  (void)fetch();
  const fs::path shared = root_ / "blobs" / "ab" / "abc";
  fs::create_directories(shared.parent_path());
  fs::rename(blob(), shared);
  fs::create_symlink("../../blobs/ab/abc", blob());
  hub_.forget_requests();
  expect_right();
  EXPECT_EQ(hub_.n_bytes_served(), 0);
  // Where it is damaged, the link is replaced and what it led to stays as it is.
  fs::resize_file(shared, 100);
  expect_right();
  EXPECT_FALSE(fs::is_symlink(blob()));
  EXPECT_EQ(fs::file_size(shared), 100U);
}

TEST_F(Disk, TimesOfFilesDoNotMatter) {
  asking_.max_retries = 0;
  options_.download.n_connections = 1;
  hub_.set_fault([&](const Request& request) -> std::optional<Reply> {
    if (!request.path.starts_with("/storage") || std::stoul(request.range) < 3000)
      return std::nullopt;
    return Reply{contract::http_reply(503, "text/plain", "")};
  });
  for (const int hours : {-24 * 365 * 60, 24 * 365 * 60}) {
    fs::remove_all(root_);
    EXPECT_EQ(code_of(), ErrorCode::kUnavailable);
    const auto date_all = [&] {
      for (const auto& entry : fs::recursive_directory_iterator(root_)) {
        if (!entry.is_symlink())
          fs::last_write_time(entry.path(),
                              fs::file_time_type::clock::now() + std::chrono::hours(hours));
      }
    };
    date_all();
    const auto fault = [&](const Request&) -> std::optional<Reply> { return std::nullopt; };
    hub_.forget_requests();
    hub_.set_fault(fault);
    expect_right();
    EXPECT_LT(hub_.n_bytes_served(), static_cast<std::int64_t>(weights_.size()) - 2000);
    date_all();
    hub_.forget_requests();
    expect_right();
    EXPECT_EQ(hub_.n_bytes_served(), 0);
    EXPECT_EQ(hub::Cache(root_).list().size(), 1U);
    hub_.set_fault([&](const Request& request) -> std::optional<Reply> {
      if (!request.path.starts_with("/storage") || std::stoul(request.range) < 3000)
        return std::nullopt;
      return Reply{contract::http_reply(503, "text/plain", "")};
    });
  }
}

}  // namespace
}  // namespace openllm::hub_test
