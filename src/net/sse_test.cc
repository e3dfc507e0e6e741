#include "net/sse.h"

#include <gmock/gmock.h>

#include <vector>

#include "openllm/error.h"

namespace openllm::net {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::vector<std::string> decode(std::string_view text, std::size_t piece = std::string_view::npos) {
  SseDecoder decoder;
  std::vector<std::string> events;
  for (std::size_t i = 0; i < text.size(); i += std::min(piece, text.size())) {
    decoder.feed(text.substr(i, piece), [&](std::string_view data) {
      events.emplace_back(data);
      return true;
    });
  }
  return events;
}

TEST(SseDecoder, EventsEndWithAnEmptyLine) {
  EXPECT_THAT(decode("data: a\n\ndata: b\n\n"), ElementsAre("a", "b"));
  EXPECT_THAT(decode("data: a\n"), IsEmpty());
}

TEST(SseDecoder, AllLineEnds) {
  EXPECT_THAT(decode("data: a\r\n\r\ndata: b\r\rdata: c\n\n"), ElementsAre("a", "b", "c"));
}

TEST(SseDecoder, SeveralDataLinesAreJoined) {
  EXPECT_THAT(decode("data: a\ndata: b\ndata\n\n"), ElementsAre("a\nb\n"));
}

TEST(SseDecoder, OneSpaceAfterTheColonIsDropped) {
  EXPECT_THAT(decode("data:a\n\ndata:  b\n\n"), ElementsAre("a", " b"));
}

TEST(SseDecoder, CommentsAndOtherFieldsAreIgnored) {
  EXPECT_THAT(decode(": ping\n\nevent: x\nid: 1\nretry: 5\ndata: a\ndatax: b\n\n"),
              ElementsAre("a"));
}

TEST(SseDecoder, AnEmptyDataLineIsAnEvent) {
  EXPECT_THAT(decode("data:\n\ndata\n\n"), ElementsAre("", ""));
}

TEST(SseDecoder, AByteOrderMarkMayComeFirst) {
  EXPECT_THAT(decode("\xEF\xBB\xBF"
                     "data: a\n\n"),
              ElementsAre("a"));
}

TEST(SseDecoder, PieceBordersDoNotMatter) {
  const std::string text =
      "\xEF\xBB\xBF: c\r\ndata: one\r\ndata: two\r\n\r\ndata: \xC3\xA9\r\r:x\n\ndata: end\n\n";
  const std::vector<std::string> whole = decode(text);
  EXPECT_THAT(whole, ElementsAre("one\ntwo", "\xC3\xA9", "end"));
  for (std::size_t piece = 1; piece < text.size(); ++piece)
    EXPECT_EQ(decode(text, piece), whole) << piece;
}

TEST(SseDecoder, CanBeStopped) {
  SseDecoder decoder;
  int count = 0;
  EXPECT_FALSE(decoder.feed("data: a\n\ndata: b\n\n", [&](std::string_view) {
    ++count;
    return false;
  }));
  EXPECT_EQ(count, 1);
}

TEST(SseDecoder, EndlessEventsFail) {
  SseDecoder decoder(100);
  const auto feed = [&] {
    return decoder.feed("data: 0123456789\n", [](std::string_view) { return true; });
  };
  EXPECT_THROW(
      {
        for (int i = 0; i < 20; ++i) feed();
      },
      Error);
}

}  // namespace
}  // namespace openllm::net
