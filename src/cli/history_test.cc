#include "cli/history.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

namespace openllm::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class HistoryTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::path(::testing::TempDir()) /
              ("history-" + std::to_string(::getpid()) + "-" +
               ::testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::remove_all(folder_);
    path_ = (folder_ / "store" / "history").string();  // the folders come into being too
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string content() const {
    std::ostringstream text;
    text << std::ifstream(path_).rdbuf();
    return text.str();
  }
  void write(const std::string& text) const {
    std::filesystem::create_directories(std::filesystem::path(path_).parent_path());
    std::ofstream(path_) << text;
  }
  ::mode_t mode() const {
    struct stat info {};
    return ::stat(path_.c_str(), &info) == 0 ? info.st_mode & 0777U : 0;
  }

  std::filesystem::path folder_;
  std::string path_;
};

TEST_F(HistoryTest, IsThereForTheNextChatAndForNobodyElse) {
  const ::mode_t mask = ::umask(0);
  History first(path_);
  EXPECT_THAT(first.entries(), IsEmpty());
  first.add("one");
  History second(path_);  // beside the first
  second.add("two");
  first.add("three");
  ::umask(mask);
  EXPECT_THAT(History(path_).entries(), ElementsAre("one", "two", "three"));
  EXPECT_EQ(mode(), 0600U);
  ::chmod(path_.c_str(), 0644);
  const History again(path_);
  EXPECT_EQ(mode(), 0600U);
}

TEST_F(HistoryTest, IsBounded) {
  std::string text;
  for (std::size_t i = 0; i < History::kMost + 5; ++i) text += "line " + std::to_string(i) + "\n";
  write(text);
  const History history(path_);
  ASSERT_EQ(history.entries().size(), History::kMost);
  EXPECT_EQ(history.entries().front(), "line 5");
  EXPECT_THAT(content().substr(0, 14), "line 5\nline 6\n");
  EXPECT_EQ(History(path_).entries(), history.entries());
}

TEST_F(HistoryTest, LeavesOutWhatIsTooLongOrEmpty) {
  History history(path_);
  history.add(std::string(History::kLongest + 1, 'x'));
  history.add("");
  EXPECT_EQ(content(), "") << "nor written";
  history.add(std::string(History::kLongest, 'y'));
  EXPECT_THAT(History(path_).entries(), ElementsAre(std::string(History::kLongest, 'y')));
  write("a\n\n" + std::string(History::kLongest + 1, 'x') + "\nb\ncut short");
  EXPECT_THAT(History(path_).entries(), ElementsAre("a", "b"));
}

TEST_F(HistoryTest, IsNotKeptWhereItCannotBe) {
  std::filesystem::create_directories(path_);  // a folder of that name
  ::testing::internal::CaptureStderr();
  History history(path_);
  history.add("one");
  const std::string told = ::testing::internal::GetCapturedStderr();
  EXPECT_THAT(told, HasSubstr(path_));
  EXPECT_EQ(std::count(told.begin(), told.end(), '\n'), 1) << told;
  EXPECT_THAT(history.entries(), IsEmpty());
}

TEST_F(HistoryTest, FollowsNoLink) {
  write("");
  const std::string link = path_ + "-link";
  std::filesystem::create_symlink(path_, link);
  ::testing::internal::CaptureStderr();
  History history(link);
  history.add("one");
  EXPECT_THAT(::testing::internal::GetCapturedStderr(), HasSubstr(link));
  EXPECT_EQ(content(), "");
}

TEST_F(HistoryTest, WithoutAPathNothingIsWritten) {
  History history("");
  history.add("one");
  EXPECT_THAT(history.entries(), IsEmpty());
}

}  // namespace
}  // namespace openllm::cli
