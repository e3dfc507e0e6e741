#include "net/url.h"

#include <gmock/gmock.h>

namespace openllm::net {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(Url, HasItsParts) {
  const auto url = parse_url("HTTPS://me:se%20cret@Example.org:8443/a/b%2Fc?q=1#part");
  ASSERT_TRUE(url);
  EXPECT_EQ(url->scheme, "https");
  EXPECT_EQ(url->user, "me");
  EXPECT_EQ(url->password, "se%20cret");
  EXPECT_EQ(url->host, "Example.org");
  EXPECT_EQ(url->port, "8443");
  EXPECT_EQ(url->path, "/a/b%2Fc");
  EXPECT_EQ(url->query, "q=1");
  EXPECT_EQ(url->origin(), "https://me:se%20cret@Example.org:8443");
  const auto bare = parse_url("http://[::1]");
  ASSERT_TRUE(bare);
  EXPECT_EQ(bare->origin(), "http://[::1]");
  EXPECT_EQ(bare->path, "/");
}

TEST(Url, WhatIsNoneIsNone) {
  for (const std::string_view text : {"", "x", "http://", "http:///v1", "://x", "https://?",
                                      "http://a:99999", "http://a b", "http://#x", "/relative"})
    EXPECT_FALSE(parse_url(text)) << text;
  EXPECT_FALSE(parse_url(std::string_view("http://a\0.evil.org", 18)));
  EXPECT_TRUE(parse_url("ftp://a"));
  EXPECT_TRUE(parse_url("strange://a/b"));
}

TEST(Url, LoopbackIsThisMachine) {
  for (const char* text : {"http://localhost:1", "http://127.3.4.5", "https://[::1]:8000/v1"})
    EXPECT_TRUE(parse_url(text)->is_loopback()) << text;
  for (const char* text : {"http://localhost.example", "http://10.0.0.1", "http://[::2]"})
    EXPECT_FALSE(parse_url(text)->is_loopback()) << text;
}

TEST(Url, IsShownWithoutItsPassword) {
  EXPECT_EQ(shown_url("http://user:secret@host:81/v1?q=1"), "http://host:81/v1?q=1");
  EXPECT_EQ(shown_url("http://user@host/v1"), "http://host/v1");
  EXPECT_EQ(shown_url("https://host/v1"), "https://host/v1");
  EXPECT_EQ(shown_url("/somewhere/else"), "/somewhere/else");
  for (const char* text :
       {"http://user:secret@host:99999/v1", "user:secret@host", "ftp://user:secret@host",
        "strange://user:secret@host", "http://user:secret@", "http://user:se cret@host"}) {
    EXPECT_THAT(shown_url(text), Not(HasSubstr("cret"))) << text;
  }
}

}  // namespace
}  // namespace openllm::net
