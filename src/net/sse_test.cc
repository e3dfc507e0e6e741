#include "net/sse.h"

#include <gmock/gmock.h>

#include <random>
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
    decoder.feed(text.substr(i, piece), [&](const SseEvent& event) {
      events.emplace_back(event.data);
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

TEST(SseDecoder, EventsHaveTheirOwnNames) {
  SseDecoder decoder;
  std::vector<std::string> names;
  decoder.feed(
      "data: a\n\nevent: error\ndata: b\n\nevent: lost\n\ndata: c\n\nevent\nevent:x\ndata\n\n",
      [&](const SseEvent& event) {
        names.emplace_back(event.name);
        return true;
      });
  EXPECT_THAT(names, ElementsAre("message", "error", "message", "x"));
}

/// Borders at random places.
std::vector<std::string> decode_at_random(const std::string& text, std::mt19937& random) {
  SseDecoder decoder;
  std::vector<std::string> events;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t size = std::uniform_int_distribution<std::size_t>(1, 40)(random);
    decoder.feed(std::string_view(text).substr(at, size), [&](const SseEvent& event) {
      events.emplace_back(event.data);
      return true;
    });
    at += size;
  }
  return events;
}

TEST(NotInherited, N35FramesAreSplitAndGluedAnywhere) {
  std::mt19937 random(35);
  const std::vector<std::string> ends{"\n", "\r\n", "\r"};
  for (int round = 0; round < 300; ++round) {
    std::string text;
    std::vector<std::string> expected;
    const std::string end = ends[static_cast<std::size_t>(round) % ends.size()];
    for (int i = 0; i < 20; ++i) {
      expected.push_back("{\"text\":\"" + std::string(random() % 30, 'x') + " \xC3\xA9: data: \"}");
      if (random() % 4 == 0) text.append(": comment").append(end);
      if (random() % 4 == 0) text.append("id: 7").append(end).append("retry: 10").append(end);
      text.append("data: ").append(expected.back()).append(end).append(end);
    }
    ASSERT_EQ(decode_at_random(text, random), expected) << "round " << round;
  }
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
  EXPECT_FALSE(decoder.feed("data: a\n\ndata: b\n\n", [&](const SseEvent&) {
    ++count;
    return false;
  }));
  EXPECT_EQ(count, 1);
}

TEST(SseDecoder, EndlessEventsFail) {
  SseDecoder decoder(100);
  const auto feed = [&] {
    return decoder.feed("data: 0123456789\n", [](const SseEvent&) { return true; });
  };
  EXPECT_THROW(
      {
        for (int i = 0; i < 20; ++i) feed();
      },
      Error);
}

TEST(SseDecoder, OnlyTheFirstLineMayHaveAByteOrderMark) {
  EXPECT_THAT(decode("data: a\n\xEF\xBB\xBF"
                     "data: b\n\n"),
              ElementsAre("a"));
}

}  // namespace
}  // namespace openllm::net
