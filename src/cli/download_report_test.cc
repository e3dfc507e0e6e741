#include "cli/download_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/table.h"
#include "cli/terminal.h"

namespace openllm::cli {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

constexpr std::int64_t kMB = 1'000'000;
const TransferRate::Time kStart{};

PullProgress progress(std::string file, std::int64_t n_bytes, std::int64_t n_total) {
  return {.file = std::move(file), .n_bytes = n_bytes, .n_bytes_total = n_total};
}

TEST(TransferRate, IsThatOfTheLastSeconds) {
  TransferRate rate;
  EXPECT_FALSE(rate.bytes_per_s());
  rate.add(0, kStart);
  rate.add(10 * kMB, kStart + milliseconds(50));
  EXPECT_FALSE(rate.bytes_per_s()) << "too short to tell";
  rate.add(20 * kMB, kStart + milliseconds(1000));
  EXPECT_NEAR(rate.bytes_per_s().value(), 20e6, 1.0);
  for (int second = 2; second <= 20; ++second)
    rate.add((20 + second) * kMB, kStart + milliseconds(1000 * second));
  EXPECT_NEAR(rate.bytes_per_s().value(), 1e6, 1.0) << "what was long ago is forgotten";
}

TEST(TransferRate, TheTimeLeftIsRoundedUpOrUnknown) {
  const PullProgress now = progress("a", 10, 100);
  EXPECT_EQ(seconds_left(now, 45.0), 2);
  EXPECT_EQ(seconds_left(now, 40.0), 3);
  EXPECT_FALSE(seconds_left(now, std::nullopt));
  EXPECT_FALSE(seconds_left(now, 0.0));
  EXPECT_EQ(seconds_left(progress("a", 100, 100), std::nullopt), 0);
}

TEST(DrawDownload, SaysWhatCameAndHowLongItTakes) {
  const PullProgress now = progress("model.safetensors", 1200 * kMB, 4000 * kMB);
  EXPECT_EQ(draw_download(now, 35e6, 100),
            "model.safetensors  30 %  1.2 GB of 4.0 GB  35.0 MB/s  1 min 20 s left");
  EXPECT_EQ(draw_download(now, std::nullopt, 100), "model.safetensors  30 %  1.2 GB of 4.0 GB");
  EXPECT_THAT(draw_download(now, 1e5, 100), HasSubstr("7 h 46 min left"));
}

TEST(DrawDownload, FitsAnyTerminal) {
  const PullProgress now = progress("sub/\u00e4\u00e4\u00e4-00001-of-00002.safetensors", 1, 2);
  for (int width = 0; width < 90; ++width) {
    const std::string line = draw_download(now, 1e6, width);
    EXPECT_LE(columns_of(line), static_cast<std::size_t>(width)) << line;
  }
  EXPECT_THAT(draw_download(now, std::nullopt, 50), StartsWith("..."));
  EXPECT_THAT(draw_download(now, std::nullopt, 50), HasSubstr("-00002.safetensors"));
}

TEST(DrawDownload, NamesOfFilesGiveTheTerminalNoOrders) {
  EXPECT_THAT(draw_download(progress("a\033[2Jb", 1, 2), std::nullopt, 80), Not(HasSubstr("\033")));
}

TEST(DownloadJson, HasNullForWhatIsNotKnown) {
  EXPECT_EQ(download_json(progress("a.bin", 5, 10), std::nullopt),
            R"({"state":"downloading","file":"a.bin","bytes":5,"total":10,"bytes_per_s":null,)"
            "\"seconds_left\":null}\n");
  EXPECT_THAT(download_json(progress("a.bin", 5, 10), 2.0),
              HasSubstr(R"("bytes_per_s":2,"seconds_left":3})"));
}

TEST(Table, ColumnsBeginBelowEachOther) {
  EXPECT_EQ(table({{"NAME", "SIZE"}, {"a-long-name", "1"}, {"\u00e4", ""}}),
            "NAME         SIZE\na-long-name  1\n\u00e4\n");
}

}  // namespace
}  // namespace openllm::cli
