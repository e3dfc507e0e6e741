// What hubs and networks do wrong, and what a download makes of it: the right model, or an error
// that says what to do; nothing half; and the next try completes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ctime>
#include <string>

#include "fetch_fixture.h"

namespace openllm::hub_test {
namespace {

using contract::http_reply;
using ::testing::HasSubstr;
using Reply = contract::FakeServer::Reply;
using Fault = std::function<std::optional<Reply>(const Request&)>;

bool is_of_weights(const Request& request) {
  return request.path.starts_with("/storage/model.safetensors");
}
bool is_listing(const Request& request) { return request.path.starts_with("/api/"); }

/// A fault of the answers for which `is_meant`.
Fault always(bool (*is_meant)(const Request&), std::string bytes) {
  return [=](const Request& request) -> std::optional<Reply> {
    return is_meant(request) ? std::optional(Reply{bytes}) : std::nullopt;
  };
}

std::string http_date(std::time_t time) {
  char text[64];
  std::tm parts{};
  std::strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", ::gmtime_r(&time, &parts));
  return text;
}

class Faults : public Fetch {
 protected:
  void expect_right(const Fault& fault) {
    hub_.set_fault(fault);
    EXPECT_EQ(content_of(fetch().path / "model.safetensors"), weights_);
  }
  /// Nothing of it can be seen, and the next try completes.
  void expect_failure(const Fault& fault, ErrorCode code, const std::string& sentence) {
    fs::remove_all(root_);
    hub_.set_fault(fault);
    message_ = "no error";
    EXPECT_EQ(code_of(), code) << message_;
    EXPECT_THAT(message_, HasSubstr(sentence));
    EXPECT_FALSE(shows_a_model());
    EXPECT_FALSE(fs::exists(root_ / "models--org--model/refs/main"));
    hub_.set_fault({});
    EXPECT_EQ(content_of(fetch().path / "model.safetensors"), weights_);
  }
};

TEST_F(Faults, BusyForever) {
  expect_failure(always(is_listing, http_reply(429, "text/plain", "")), ErrorCode::kBusy,
                 "too many requests; try again later");
  EXPECT_EQ(pauses_.size(), 5U);
  expect_failure(always(is_of_weights, http_reply(503, "text/plain", "")), ErrorCode::kUnavailable,
                 "answers 503 for model.safetensors");
}

TEST_F(Faults, RetryAfterIsHeededUpToAMinute) {
  const std::time_t now = std::time(nullptr);
  for (const auto& [field, least, most] :
       std::vector<std::tuple<std::string, int, int>>{{"3", 3000, 3000},
                                                      {"86400", 60'000, 60'000},
                                                      {http_date(now + 86400), 60'000, 60'000},
                                                      {http_date(now - 86400), 0, 0},
                                                      {"soon", 500, 500},
                                                      {"-5", 500, 500}}) {
    for (const auto is_meant : {is_listing, is_of_weights}) {
      fs::remove_all(root_);
      pauses_.clear();
      int n = 0;
      expect_right([&](const Request& request) -> std::optional<Reply> {
        if (!is_meant(request) || n++ > 0) return std::nullopt;
        return Reply{http_reply(503, "text/plain", "", "Retry-After: " + field + "\r\n")};
      });
      ASSERT_EQ(pauses_.size(), 1U) << field;
      EXPECT_GE(pauses_[0].count(), least) << field;
      EXPECT_LE(pauses_[0].count(), most) << field;
    }
  }
}

TEST_F(Faults, ServersWithoutRangesAreAskedAgainWhenTheySay) {
  int n = 0;
  expect_right([&](const Request& request) -> std::optional<Reply> {
    if (!is_of_weights(request)) return std::nullopt;
    if (request.range.empty() && n++ < 2)
      return Reply{http_reply(503, "text/plain", "", "Retry-After: 9\r\n")};
    return Reply{http_reply(200, "application/octet-stream", weights_)};
  });
  ASSERT_EQ(pauses_.size(), 2U);
  EXPECT_EQ(pauses_[0].count(), 9000);
}

TEST_F(Faults, SilenceEndsTheCallAndTheRestIsAskedFor) {
  asking_.timeout_s = 1;
  options_.download.n_connections = 1;
  int n = 0;
  expect_right([&](const Request& request) -> std::optional<Reply> {
    if (!is_of_weights(request) || n++ > 0) return std::nullopt;
    std::string bytes = hub_.usual_reply(request).bytes;
    return Reply{bytes.substr(0, bytes.size() - 500), true};
  });
  EXPECT_EQ(pauses_.size(), 1U);
}

TEST_F(Faults, SilenceForeverIsNamed) {
  asking_.timeout_s = 1;
  asking_.max_retries = 0;
  expect_failure(
      [](const Request& request) -> std::optional<Reply> {
        return is_listing(request) ? std::optional(Reply{"", true}) : std::nullopt;
      },
      ErrorCode::kDeadline, "no answer from");
}

TEST_F(Faults, OtherBytes) {
  const auto with = [&](const std::string& content) -> Fault {
    return [=](const Request& request) -> std::optional<Reply> {
      if (!is_of_weights(request)) return std::nullopt;
      const std::size_t begin = std::stoul(request.range);
      const std::size_t end = std::min(
          std::stoul(request.range.substr(request.range.find('-') + 1)) + 1, content.size());
      if (begin >= content.size()) return Reply{http_reply(416, "text/plain", "")};
      return Reply{http_reply(206, "application/octet-stream", content.substr(begin, end - begin),
                              "Content-Range: bytes " + std::to_string(begin) + "-" +
                                  std::to_string(end - 1) + "/" + std::to_string(content.size()) +
                                  "\r\n")};
    };
  };
  std::string other = weights_;
  other[4321] ^= 1;
  expect_failure(with(other), ErrorCode::kCorruptData, "other bytes than the hub lists");
  expect_failure(with(weights_ + "x"), ErrorCode::kCorruptData, "another size");
  expect_failure(with(weights_.substr(1)), ErrorCode::kCorruptData, "another size");
  expect_failure(always(is_of_weights, http_reply(416, "text/plain", "")), ErrorCode::kCorruptData,
                 "fewer bytes");
}

TEST_F(Faults, AnotherFileBehindTheRedirectionIsNotEvenFetched) {
  const auto with = [&](const char* name, const std::string& value) -> Fault {
    return [=, this](const Request& request) -> std::optional<Reply> {
      if (!request.path.starts_with("/org/") || !request.path.ends_with("/model.safetensors"))
        return std::nullopt;
      std::string bytes = hub_.usual_reply(request).bytes;
      const std::size_t at = bytes.find(name) + std::string(name).size();
      return Reply{bytes.replace(at, bytes.find("\r\n", at) - at, value)};
    };
  };
  expect_failure(with("X-Linked-Size: ", "7"), ErrorCode::kCorruptData, "another size");
  expect_failure(with("X-Linked-Etag: ", "\"" + std::string(64, 'a') + "\""),
                 ErrorCode::kCorruptData, "another file than the hub lists");
  for (const char* odd : {"", "\"\"", "W/\"x\"", "\"", "x"}) {
    fs::remove_all(root_);
    expect_right(with("X-Linked-Etag: ", odd));
    expect_right(with("X-Linked-Size: ", odd));
  }
}

TEST_F(Faults, TheWholeOfAnotherLength) {
  for (const std::string& content : {weights_ + "x", weights_.substr(1), std::string()}) {
    const std::string reply = http_reply(200, "application/octet-stream", content);
    expect_failure(always(is_of_weights, reply), ErrorCode::kCorruptData, "size");
    const std::size_t at = reply.find("Content-Length");
    std::string unsaid = reply;
    unsaid.erase(at, unsaid.find("\r\n", at) + 2 - at);
    expect_failure(always(is_of_weights, unsaid),
                   content.size() > weights_.size() ? ErrorCode::kCorruptData : ErrorCode::kIo,
                   content.size() > weights_.size() ? "more bytes" : "ended too early");
  }
}

TEST_F(Faults, AnotherRangeThanWasAskedFor) {
  const std::string size = std::to_string(weights_.size());
  expect_failure(
      always(is_of_weights, http_reply(206, "application/octet-stream", weights_.substr(5, 1000),
                                       "Content-Range: bytes 5-1004/" + size + "\r\n")),
      ErrorCode::kCorruptData, "another range");
  expect_failure(
      always(is_of_weights, http_reply(206, "application/octet-stream", weights_.substr(0, 1000))),
      ErrorCode::kCorruptData, "another range");
  for (const char* field :
       {"bytes -/", "bytes */7", "bytes 0-99999999999999999999/99999999999999999999",
        "items 0-9/10", "bytes"}) {
    expect_failure(
        always(is_of_weights, http_reply(206, "application/octet-stream", weights_.substr(0, 1000),
                                         "Content-Range: " + std::string(field) + "\r\n")),
        ErrorCode::kCorruptData, "another range");
  }
}

TEST_F(Faults, ARangeWithMoreThanWasAskedFor) {
  // From the right place on, but to the end of the file.
  const Fault fault = [&](const Request& request) -> std::optional<Reply> {
    if (!is_of_weights(request)) return std::nullopt;
    const std::size_t begin = std::stoul(request.range);
    return Reply{http_reply(206, "application/octet-stream", weights_.substr(begin),
                            "Content-Range: bytes " + std::to_string(begin) + "-" +
                                std::to_string(weights_.size() - 1) + "/" +
                                std::to_string(weights_.size()) + "\r\n")};
  };
  expect_right(fault);
  EXPECT_TRUE(pauses_.empty());
}

TEST_F(Faults, PagesWhereFilesShouldBe) {
  const std::string page = "<!DOCTYPE html><html>Log in to the network</html>";
  expect_failure(always(is_listing, http_reply(200, "text/html", page)), ErrorCode::kCorruptData,
                 "HTML");
  expect_failure(always(is_of_weights, http_reply(200, "text/html", page)), ErrorCode::kCorruptData,
                 "another size");
  expect_failure(
      always([](const Request& request) { return request.path.ends_with("/config.json"); },
             http_reply(200, "text/html", page)),
      ErrorCode::kCorruptData, "another size");
}

TEST_F(Faults, ListingsOfWrongTypes) {
  const std::string sha = R"("sha":")" + hub_.commit + "\"";
  for (const std::string& json : std::vector<std::string>{
           "[]", "1", "\"x\"", "null", "{", R"({"sha":1})", R"({"sha":"../../../x"})",
           "{" + sha + R"(,"siblings":"x"})", "{" + sha + R"(,"siblings":[1]})",
           "{" + sha + R"(,"siblings":[{"rfilename":"model.safetensors","lfs":[],"blobId":7}]})",
           "{" + sha + R"(,"siblings":[{"rfilename":"model.safetensors","blobId":")" +
               std::string(40, 'a') + R"(","size":4611686018427387904}]})",
           "{" + sha + R"(,"siblings":[{"rfilename":"a.safetensors","blobId":")" +
               std::string(40, 'a') +
               R"(","size":9223372036854775807},{"rfilename":"b.safetensors","blobId":")" +
               std::string(40, 'b') + R"(","size":9223372036854775807}]})"}) {
    SCOPED_TRACE(json);
    expect_failure(always(is_listing, http_reply(200, "application/json", json)),
                   ErrorCode::kCorruptData, "hub");
  }
  for (const std::string& json :
       std::vector<std::string>{"{" + sha + "}", "{" + sha + R"(,"siblings":[{}]})",
                                "{" + sha + R"(,"siblings":[{"rfilename":[],"size":"x"}]})"}) {
    SCOPED_TRACE(json);
    expect_failure(always(is_listing, http_reply(200, "application/json", json)),
                   ErrorCode::kNotFound, "has no weights that can be read here");
  }
}

TEST_F(Faults, RedirectionsToNowhere) {
  for (const std::string& field :
       {std::string(), std::string("Location: \r\n"),
        std::string("Location: ftp://127.0.0.1/x\r\n"),
        std::string("Location: file:///etc/passwd\r\n"), std::string("Location: x\r\n")}) {
    SCOPED_TRACE(field);
    expect_failure(always(is_of_weights, http_reply(302, "text/plain", "", field)),
                   ErrorCode::kCorruptData, "points to no usable address");
  }
  expect_failure(
      [](const Request& request) -> std::optional<Reply> {
        if (!is_of_weights(request)) return std::nullopt;
        const bool is_odd = request.path.ends_with("&");
        return Reply{
            http_reply(307, "text/plain", "",
                       "Location: /model.safetensors?" + std::string(is_odd ? "" : "&") + "\r\n")};
      },
      ErrorCode::kCorruptData, "redirected more than 10 times");
}

TEST_F(Faults, TagsOfFilesDoNotMatter) {
  // Digests are the listing's; what a server says of its files may be weak, missing or another's.
  for (const char* field : {"ETag: W/\"0123\"\r\n", "", "ETag: \"\"\r\n", "ETag: ../../x\r\n"}) {
    fs::remove_all(root_);
    expect_right([&](const Request& request) -> std::optional<Reply> {
      if (is_listing(request)) return std::nullopt;
      std::string bytes = hub_.usual_reply(request).bytes;
      if (const std::size_t at = bytes.find("ETag: "); at != std::string::npos)
        bytes.replace(at, bytes.find("\r\n", at) + 2 - at, field);
      return Reply{bytes};
    });
  }
}

TEST_F(Faults, WhoMayNotSeeItIsToldWhatToDo) {
  const auto with = [](int status, const std::string& fields) {
    return http_reply(status, "text/plain", "", fields);
  };
  expect_failure(always(is_listing, with(401, "X-Error-Code: GatedRepo\r\n")), ErrorCode::kNotFound,
                 "accept its licence on its page");
  expect_failure(always(is_listing, with(403, "X-Error-Code: GatedRepo\r\n")), ErrorCode::kNotFound,
                 "accept its licence on its page");
  expect_failure(always(is_listing, with(401, "X-Error-Code: RepoNotFound\r\n")),
                 ErrorCode::kNotFound, "HF_TOKEN");
  expect_failure(always(is_listing, with(401, "")), ErrorCode::kNotFound, "HF_TOKEN");
  expect_failure(always(is_listing, with(400, "")), ErrorCode::kIo, "answers 400");
  const auto is_file = [](const Request& request) { return request.path.starts_with("/org/"); };
  expect_failure(always(is_file, with(403, "X-Error-Code: GatedRepo\r\n")), ErrorCode::kNotFound,
                 "accept its licence on its page");
  expect_failure(always(is_file, with(404, "X-Error-Code: EntryNotFound\r\n")),
                 ErrorCode::kNotFound, "the repository does not have");
  expect_failure(always(is_file, with(404, "X-Error-Code: RevisionNotFound\r\n")),
                 ErrorCode::kNotFound, "revision");
  expect_failure(always(is_of_weights, with(403, "")), ErrorCode::kNotFound, "model.safetensors");
}

TEST_F(Faults, NotInherited_N6TheContentOfARevisionIsItsOwn) {
  const std::string v1(40, '1');
  hub_.branches["v1"] = v1;
  hub_.put_at(v1, "config.json", R"({"v":1})");
  hub_.put_at(v1, "model.safetensors", "first weights", true);
  for (const bool main_is_first : {true, false}) {
    fs::remove_all(root_);
    if (main_is_first) (void)fetch();
    const hub::CachedModel model = fetch("org/model@v1");
    EXPECT_EQ(model.snapshot.commit, v1);
    EXPECT_EQ(content_of(model.path / "model.safetensors"), "first weights");
    EXPECT_EQ(content_of(model.path / "config.json"), R"({"v":1})");
    EXPECT_FALSE(fs::exists(model.path / "tokenizer.json"));
    EXPECT_EQ(content_of(fetch().path / "model.safetensors"), weights_);
  }
}

TEST_F(Faults, ACommitThatMovesMeanwhileIsFetchedAsItWasListed) {
  const std::string next(40, 'd');
  hub_.put_at(next, "config.json", "[]");
  hub_.put_at(next, "model.safetensors", "next weights", true);
  hub_.set_fault([&](const Request& request) -> std::optional<Reply> {
    if (!is_listing(request)) hub_.branches["main"] = next;
    return std::nullopt;
  });
  const hub::CachedModel model = fetch();
  EXPECT_EQ(model.snapshot.commit, hub_.commit);
  EXPECT_EQ(content_of(model.path / "config.json"), "{}");
  EXPECT_EQ(content_of(model.path / "model.safetensors"), weights_);
  // A commit that the hub has no more.
  hub_.branches.clear();
  expect_failure(
      [&](const Request& request) -> std::optional<Reply> {
        if (is_listing(request)) return std::nullopt;
        return Reply{http_reply(404, "text/plain", "", "X-Error-Code: RevisionNotFound\r\n")};
      },
      ErrorCode::kNotFound, "config.json of org/model does not have that revision");
}

TEST_F(Faults, ABrokenNewCommitDoesNotHideTheOneThatIsHere) {
  (void)fetch();
  const std::string next(40, 'd');
  hub_.branches["main"] = next;
  hub_.put_at(next, "model.safetensors", "weights without a configuration", true);
  EXPECT_EQ(code_of(), ErrorCode::kCorruptData);
  const auto found = hub::Cache(root_).find(hub::parse_reference("org/model").value());
  ASSERT_TRUE(found);
  EXPECT_EQ(found->snapshot.commit, hub_.commit);
}

TEST_F(Faults, NamesThatLeadElsewhereOrAreOddHarmNothing) {
  const std::string digest = git_sha1_of_text("{}");
  std::string siblings;
  for (const std::string& name :
       {std::string("../chat_template.jinja"), std::string("/chat_template.jinja"),
        std::string("a/../../b.model"), std::string("..\\\\x.model"), std::string("x\\u0000.model"),
        std::string("./x.model"), std::string("a//x.model"), std::string("..model/../x.model"),
        std::string(5000, 'x') + ".model", std::string("?x.model")}) {
    siblings += R"({"rfilename":")" + name + R"(","size":2,"blobId":")" + digest + R"("},)";
  }
  hub_.put("con.model", "{}");
  hub_.put("-rf.model", "{}");
  hub_.put("name with spaces & \u00e4.model", "{}");
  expect_right([&](const Request& request) -> std::optional<Reply> {
    if (!is_listing(request)) return std::nullopt;
    std::string body = hub_.usual_reply(request).bytes;
    body.erase(0, body.find("\r\n\r\n") + 4);
    const std::string mark = R"("siblings":[)";
    body.insert(body.find(mark) + mark.size(), siblings);
    return Reply{http_reply(200, "application/json", body)};
  });
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(snapshot()))
    names.push_back(entry.path().filename().string());
  EXPECT_THAT(names, ::testing::UnorderedElementsAre(
                         "-rf.model", "con.model", "config.json", "model.safetensors",
                         "name with spaces & \u00e4.model", "tokenizer.json"));
  EXPECT_FALSE(fs::exists(snapshot().parent_path() / "chat_template.jinja"));
}

TEST_F(Faults, ANameThatTheFileSystemCannotHaveIsNamed) {
  hub_.put(std::string(300, 'x') + ".model", "{}");
  EXPECT_EQ(code_of(), ErrorCode::kIo);
  EXPECT_THAT(message_, HasSubstr("File name too long"));
  EXPECT_FALSE(shows_a_model());
}

}  // namespace
}  // namespace openllm::hub_test
