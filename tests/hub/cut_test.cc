// Answers that end too early, at any byte, from servers of all kinds.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <tuple>

#include "fetch_fixture.h"

namespace openllm::hub_test {
namespace {

using contract::http_reply;
using Reply = contract::FakeServer::Reply;

bool is_of_weights(const Request& request) {
  return request.path.starts_with("/storage/model.safetensors");
}

std::string without_length(std::string bytes) {
  const std::size_t at = bytes.find("Content-Length:");
  return bytes.erase(at, bytes.find("\r\n", at) + 2 - at);
}

/// How a server gives large files.
struct Kind {
  bool has_ranges = true;
  bool has_length = true;
  bool in_parts = true;  ///< Whether the file is asked for in several parts.
};

class Cut : public Fetch, public ::testing::WithParamInterface<std::tuple<bool, bool, bool>> {
 protected:
  Cut() {
    std::tie(kind_.has_ranges, kind_.has_length, kind_.in_parts) = GetParam();
    hub_.put("model.safetensors", content_, true);
    options_.download.part_size = kind_.in_parts ? 100 : 1 << 20;
    options_.download.n_connections = 2;
  }

  std::string reply_of(const Request& request) {
    std::string bytes = kind_.has_ranges ? hub_.usual_reply(request).bytes
                                         : http_reply(200, "application/octet-stream", content_);
    return kind_.has_length ? bytes : without_length(std::move(bytes));
  }

  /// Downloads anew from a server whose first answer with weights ends after `n` bytes. False: it
  /// has no more than that.
  bool cuts_at(std::size_t n) {
    fs::remove_all(root_);
    int n_cut = 0;
    bool is_past_the_end = false;
    hub_.set_fault([&](const Request& request) -> std::optional<Reply> {
      if (!is_of_weights(request)) return std::nullopt;
      std::string bytes = reply_of(request);
      if (n_cut++ == 0) {
        is_past_the_end = n >= bytes.size();
        bytes.resize(std::min(n, bytes.size()));
      }
      return Reply{bytes};
    });
    const hub::CachedModel model = fetch();
    EXPECT_EQ(content_of(model.path / "model.safetensors"), content_) << "cut at " << n;
    EXPECT_GE(n_cut, is_past_the_end ? 1 : 2) << "cut at " << n;
    return !is_past_the_end;
  }

  const std::string content_ = make_weights().substr(0, 350);
  Kind kind_;
};

TEST_P(Cut, AtAnyByteTheFileIsWholeInTheEnd) {
  std::size_t n = 0;
  while (cuts_at(n)) n += 5;
  EXPECT_GT(n, kind_.in_parts && kind_.has_ranges ? 100U : content_.size());
}

TEST_P(Cut, AgainAndAgainItIsWholeOrAnErrorAndNothingHalf) {
  // Nothing can be gone on with where there are no ranges: that gives up, and says so.
  hub_.set_fault([&](const Request& request) -> std::optional<Reply> {
    if (!is_of_weights(request)) return std::nullopt;
    const std::string bytes = reply_of(request);
    return Reply{bytes.substr(0, bytes.find("\r\n\r\n") + 4 + 30)};
  });
  if (kind_.has_ranges) {
    EXPECT_EQ(content_of(fetch().path / "model.safetensors"), content_);
    return;
  }
  EXPECT_EQ(code_of(), ErrorCode::kIo);
  EXPECT_FALSE(shows_a_model());
  EXPECT_LE(pauses_.size(), 6U);
  hub_.set_fault({});
  EXPECT_EQ(content_of(fetch().path / "model.safetensors"), content_);
}

INSTANTIATE_TEST_SUITE_P(Servers, Cut,
                         ::testing::Combine(::testing::Bool(), ::testing::Bool(),
                                            ::testing::Bool()));

TEST_F(Fetch, AListingThatIsCutAnywhereIsAskedForAgainOrNamed) {
  std::size_t n_whole = 0;
  for (std::size_t n = 0; n == 0 || n < n_whole; n += 23) {
    fs::remove_all(root_);
    int n_cut = 0;
    hub_.set_fault([&](const Request& request) -> std::optional<Reply> {
      if (!request.path.starts_with("/api/") || n_cut++ > 0) return std::nullopt;
      const std::string bytes = hub_.usual_reply(request).bytes;
      n_whole = bytes.size();
      return Reply{bytes.substr(0, n)};
    });
    EXPECT_EQ(content_of(fetch().path / "model.safetensors"), weights_) << "cut at " << n;
    EXPECT_EQ(n_cut, 2) << "cut at " << n;
  }
}

TEST_F(Fetch, ALargeFileThatIsCutAllTheTimeComesByteByByteOnce) {
  std::string content;
  while (content.size() < 3'000'000) content += weights_ + std::to_string(content.size());
  hub_.put("model.safetensors", content, true);
  options_.download.part_size = 1'000'000;
  std::size_t n_sent = 0;
  hub_.set_fault([&](const Request& request) -> std::optional<Reply> {
    if (!is_of_weights(request)) return std::nullopt;
    std::string bytes = hub_.usual_reply(request).bytes;
    const std::size_t head = bytes.find("\r\n\r\n") + 4;
    const std::size_t most = 77'777;
    if (bytes.size() > head + most) bytes.resize(head + most);
    n_sent += bytes.size() - head;
    return Reply{bytes};
  });
  EXPECT_EQ(content_of(fetch().path / "model.safetensors"), content);
  EXPECT_EQ(n_sent, content.size());
}

}  // namespace
}  // namespace openllm::hub_test
