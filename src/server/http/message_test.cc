// Heads, targets and fields of messages as texts.

#include "server/http/message.h"

#include <gmock/gmock.h>

#include <string>

namespace openllm::server {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

TEST(Headers, AreFoundInAnyCaseTheFirstOne) {
  Headers headers;
  headers.add("X-Name", "a");
  headers.add("x-name", "b");
  EXPECT_EQ(headers.find("X-NAME"), "a");
  EXPECT_TRUE(headers.contains("x-Name"));
  EXPECT_EQ(headers.find("X-Nam"), "");
  EXPECT_FALSE(headers.contains("X-Names"));
}

TEST(PercentDecode, TakesTwoDigitsEach) {
  EXPECT_EQ(percent_decode("a%4Ab%2f%C3%a9"), "aJb/\xC3\xA9");
  EXPECT_EQ(percent_decode("%00").value(), std::string(1, '\0'));
  EXPECT_EQ(percent_decode("%fF%Ff").value(), "\xFF\xFF");
  for (const char* bad : {"%", "%4", "a%", "%4g", "%g4", "%%41", "%@1", "%:1"})
    EXPECT_EQ(percent_decode(bad), std::nullopt) << bad;
  // The text may go on in memory.
  EXPECT_EQ(percent_decode(std::string_view("%41").substr(0, 2)), std::nullopt);
}

TEST(MediaType, IsTheTypeAlone) {
  EXPECT_EQ(media_type("Application/JSON; charset=utf-8"), "application/json");
  EXPECT_EQ(media_type("text/plain \t;x"), "text/plain");
  EXPECT_EQ(media_type(""), "");
}

TEST(HttpDate, IsInTheFormOfHttp) {
  EXPECT_EQ(http_date(784111777), "Sun, 06 Nov 1994 08:49:37 GMT");
  EXPECT_EQ(http_date(0), "Thu, 01 Jan 1970 00:00:00 GMT");
  EXPECT_EQ(http_date(1735689599), "Tue, 31 Dec 2024 23:59:59 GMT");
}

TEST(MakeHead, SaysWhetherTheConnectionStays) {
  HttpRequest request;
  const auto head = [&](bool keep_alive) { return make_head({}, 5, request, keep_alive); };
  EXPECT_THAT(head(true), Not(HasSubstr("Connection:"))) << "it does unless something is said";
  EXPECT_THAT(head(false), HasSubstr("\r\nConnection: close\r\n"));
  request.is_http10 = true;
  EXPECT_THAT(head(true), HasSubstr("\r\nConnection: keep-alive\r\n"));
  EXPECT_THAT(head(false), HasSubstr("\r\nConnection: close\r\n"));
}

TEST(MakeHead, SaysHowTheBodyEnds) {
  HttpRequest request;
  HttpResponse response;
  EXPECT_THAT(make_head(response, 5, request, true), HasSubstr("\r\nContent-Length: 5\r\n"));
  EXPECT_THAT(make_head(response, 5, request, true), Not(HasSubstr("Transfer-Encoding")));
  const std::string chunked = make_head(response, std::nullopt, request, true);
  EXPECT_THAT(chunked, HasSubstr("\r\nTransfer-Encoding: chunked\r\n"));
  EXPECT_THAT(chunked, Not(HasSubstr("Content-Length")));
  request.is_http10 = true;  // ends with the connection
  const std::string old = make_head(response, std::nullopt, request, false);
  EXPECT_THAT(old, Not(HasSubstr("Transfer-Encoding")));
  EXPECT_THAT(old, Not(HasSubstr("Content-Length")));
  response.status = 204;
  EXPECT_THAT(make_head(response, 0, request, true), Not(HasSubstr("Content-Length")));
}

TEST(MakeHead, HasStatusAndFields) {
  HttpResponse response;
  response.status = 429;
  response.content_type = "a/b";
  response.headers.add("X-A", "b\r\nX-C: d");
  const std::string head = make_head(response, 0, {}, true);
  EXPECT_THAT(head, StartsWith("HTTP/1.1 429 Too Many Requests\r\nDate: "));
  EXPECT_THAT(head, HasSubstr("\r\nContent-Type: a/b\r\n"));
  EXPECT_THAT(head, HasSubstr("\r\nX-A: b  X-C: d\r\n")) << "no field of its own";
  EXPECT_THAT(head, EndsWith("\r\n\r\n"));
}

TEST(ReasonPhrase, OfEveryStatusThatIsSent) {
  for (const int status : {200, 201, 202, 204, 400, 401, 403, 404, 405, 408, 409, 410,
                           413, 414, 415, 417, 422, 429, 431, 500, 501, 503, 504, 505})
    EXPECT_NE(reason_phrase(status), "Unknown") << status;
  EXPECT_EQ(reason_phrase(404), "Not Found");
  EXPECT_EQ(reason_phrase(201), "Created") << "an endpoint of a Service may set it";
  EXPECT_EQ(reason_phrase(599), "Unknown");
}

}  // namespace
}  // namespace openllm::server
