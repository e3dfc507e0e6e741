#include "server/ignored_names.h"

#include <gmock/gmock.h>

#include "openllm/server.h"

namespace openllm::server {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

TEST(IgnoredNames, AreToldToTheClientEachTimeAndToTheOwnerOnce) {
  std::vector<std::string> lines;
  ServerOptions options;
  options.log = [&](const std::string& line) { lines.push_back(line); };
  IgnoredNames names;
  for (int i = 0; i < 2; ++i) {
    Exchange exchange({}, [] {});
    names.tell({"foo", "stream_options.bar"}, options, exchange);
    EXPECT_EQ(exchange.common_headers().find("openllm-ignored-fields"), "foo, stream_options.bar");
  }
  EXPECT_THAT(lines,
              ElementsAre(HasSubstr("nothing: foo"), HasSubstr("nothing: stream_options.bar")));
  Exchange exchange({}, [] {});
  names.tell({}, options, exchange);
  EXPECT_FALSE(exchange.common_headers().contains("openllm-ignored-fields"));
}

TEST(IgnoredNames, TheLogIsBounded) {
  std::vector<std::string> lines;
  ServerOptions options;
  options.log = [&](const std::string& line) { lines.push_back(line); };
  IgnoredNames names;
  Exchange exchange({}, [] {});
  for (int i = 0; i < 1000; ++i) names.tell({"name" + std::to_string(i)}, options, exchange);
  EXPECT_THAT(lines, SizeIs(200));
  EXPECT_THAT(lines.back(), HasSubstr("no further ones"));
}

TEST(IgnoredNames, StrictServersRefuseThem) {
  ServerOptions options;
  options.strict = true;
  IgnoredNames names;
  Exchange exchange({}, [] {});
  try {
    names.tell({"foo", "bar"}, options, exchange);
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    EXPECT_EQ(error.reason(), ErrorReason::kUnknownField);
    EXPECT_EQ(error.where(), "foo");
  }
  EXPECT_NO_THROW(names.tell({}, options, exchange));
}

TEST(IgnoredNames, CannotBreakAHeader) {
  EXPECT_EQ(header_of({"a\r\nSet-Cookie: x", "b,c", "\xC3\xA9"}), "a??Set-Cookie:?x, b?c, ??");
  EXPECT_LT(header_of(fields::UnknownNames(100, std::string(60, 'x'))).size(), 1010U);
  EXPECT_THAT(header_of(fields::UnknownNames(100, std::string(60, 'x'))),
              testing::EndsWith(", ..."));
}

}  // namespace
}  // namespace openllm::server
