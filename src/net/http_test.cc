#include "net/http.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace openllm::net {
namespace {

ErrorCode failure(const std::string& url) {
  try {
    (void)http_call({.url = url, .timeout_s = 5});
  } catch (const Error& error) {
    return error.code();
  }
  ADD_FAILURE() << "no error: " << url;
  return ErrorCode::kInternal;
}

TEST(Http, NothingButHttpIsFetched) {
  for (const char* url : {"file:///etc/hostname", "ftp://127.0.0.1:1/", "gopher://127.0.0.1:1/"})
    EXPECT_EQ(failure(url), ErrorCode::kIo) << url;
}

TEST(Http, WhatIsNoAddressIsTheCallersFault) {
  EXPECT_EQ(failure("http://"), ErrorCode::kInvalidArgument);
  EXPECT_EQ(failure("http://127.0.0.1:99999/"), ErrorCode::kInvalidArgument);
}

TEST(Http, WhereNobodyListensNothingIsReached) {
  EXPECT_EQ(failure("http://127.0.0.1:1/"), ErrorCode::kUnavailable);
}

TEST(Http, ACallThatIsStoppedOrLateBeforeItBeginsEnds) {
  std::stop_source stop;
  stop.request_stop();
  const HttpAnswer stopped =
      http_call({.url = "http://127.0.0.1:1/", .stop_token = stop.get_token()});
  EXPECT_TRUE(stopped.was_ended);
  EXPECT_FALSE(stopped.is_late);
}

}  // namespace
}  // namespace openllm::net
