#include "base/mapped_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>

#include "openllm/error.h"

namespace openllm::base {
namespace {

class MappedFileTest : public testing::Test {
 protected:
  MappedFileTest() {
    std::string name = (std::filesystem::temp_directory_path() / "openllm-base-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) std::abort();
    folder_ = name;
  }
  ~MappedFileTest() override {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  std::string write(const std::string& content) const {
    std::ofstream(folder_ + "/f", std::ios::binary) << content;
    return folder_ + "/f";
  }
  template <typename Action>
  static ErrorCode code_of(Action action) {
    try {
      action();
    } catch (const Error& error) {
      return error.code();
    }
    return ErrorCode::kInternal;
  }

  std::string folder_;
};

std::string text_of(const MappedFile& file) {
  return {reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()};
}

TEST_F(MappedFileTest, DoesNotWaitAtAPipe) {
  const std::string pipe = folder_ + "/pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_EQ(code_of([&] { const MappedFile file(pipe); }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code_of([&] { read_file(pipe); }), ErrorCode::kInvalidArgument);
}

TEST_F(MappedFileTest, MapsMovesAndDrops) {
  const std::string content(20000, 'x');
  MappedFile file(write(content));
  EXPECT_EQ(text_of(file), content);
  const auto* address = file.bytes().data();
  MappedFile moved(std::move(file));
  EXPECT_EQ(moved.bytes().data(), address);
  MappedFile other(write(content));
  other = std::move(moved);
  EXPECT_EQ(other.bytes().data(), address);
  for (const std::size_t begin :
       {std::size_t{0}, std::size_t{1}, std::size_t{5000}, content.size()}) {
    other.drop_pages(other.bytes().subspan(begin));
  }
  other.drop_pages({});
  EXPECT_EQ(text_of(other), content);  // still readable
}

TEST_F(MappedFileTest, AnEmptyFileIsAnEmptySpan) {
  const MappedFile file(write(""));
  EXPECT_TRUE(file.bytes().empty());
  EXPECT_EQ(read_file(file.path()), "");
}

TEST_F(MappedFileTest, SaysWhatIsWrong) {
  const std::string path = write("12345");
  EXPECT_EQ(code_of([&] { const MappedFile file(folder_ + "/none"); }), ErrorCode::kNotFound);
  EXPECT_EQ(code_of([&] { const MappedFile file(path + "/none"); }), ErrorCode::kNotFound);
  EXPECT_EQ(code_of([&] { const MappedFile file(folder_); }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code_of([&] { (void)read_file(folder_); }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code_of([&] { (void)read_file(path, 4); }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(read_file(path, 5), "12345");
}

TEST_F(MappedFileTest, ReadingIsNoUseUntilItIsSaidToBe) {
  const std::string path = write("text");
  const timespec old[2] = {{1000, 0}, {1000, 0}};
  ASSERT_EQ(::utimensat(AT_FDCWD, path.c_str(), static_cast<const timespec*>(old), 0), 0);
  const auto used = [&] {
    struct stat info {};
    EXPECT_EQ(::stat(path.c_str(), &info), 0);
    return info.st_atim.tv_sec;
  };
  EXPECT_EQ(read_file(path), "text");
  EXPECT_EQ(MappedFile(path).bytes().size(), 4U);
  EXPECT_EQ(used(), 1000);
  note_use(path);
  EXPECT_GT(used(), 1000);
  note_use(path + "-missing");  // does nothing
}

}  // namespace
}  // namespace openllm::base
