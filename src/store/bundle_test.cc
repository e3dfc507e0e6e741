#include "openllm/bundle.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <string>

#include "base/json.h"
#include "base/mapped_file.h"
#include "format/test_files.h"
#include "openllm/store.h"

namespace openllm {
namespace {

namespace fs = std::filesystem;
using base::Json;
using format::testing::error_of;
using format::testing::TempFolder;
using testing::HasSubstr;
using testing::IsEmpty;

class BundleTest : public testing::Test {
 protected:
  BundleTest() : target_(work_.path() + "/made") {
    model_.write("config.json", "{}");
    model_.write("model.safetensors", std::string(std::size_t{3} << 20U, 'w'));
    contents_.model = model_.path();
    contents_.description = R"({"tag":"native-x:local"})";
    contents_.files = {{.path = "serve", .text = "#!/bin/sh\n", .executable = true},
                       {.path = "bin/program", .from = model_.path() + "/config.json"}};
  }

  void write(bool overwrite = false) const { write_bundle(target_, contents_, overwrite); }
  std::string path(const char* name) const { return target_ + "/" + name; }
  std::vector<std::string> faulty() const {
    std::vector<std::string> paths;
    for (const FileProblem& problem : verify_folder(target_)) paths.push_back(problem.path);
    return paths;
  }

  TempFolder model_{};
  TempFolder work_{};
  std::string target_;
  BundleContents contents_{};
};

TEST_F(BundleTest, HasTheModelTheFilesAndTheirList) {
  write();
  EXPECT_EQ(base::read_file(path("model/config.json")), "{}");
  EXPECT_EQ(base::read_file(path("bin/program")), "{}");
  struct stat serve {};
  ASSERT_EQ(::stat(path("serve").c_str(), &serve), 0);
  EXPECT_NE(serve.st_mode & S_IXUSR, 0U);
  const Json list = Json::parse(base::read_file(path("openllm.json")), "openllm.json");
  EXPECT_EQ(*list.find("tag"), Json("native-x:local"));
  EXPECT_EQ(list.find("files")->if_array()->size(), 4U);
  EXPECT_THAT(faulty(), IsEmpty());
  // Nothing is left beside it.
  EXPECT_EQ(std::distance(fs::directory_iterator(work_.path()), fs::directory_iterator()), 1);
}

TEST_F(BundleTest, LargeFilesAreLinksAndSmallOnesCopies) {
  write();
  EXPECT_EQ(fs::hard_link_count(path("model/model.safetensors")), 2U);
  EXPECT_EQ(fs::hard_link_count(path("model/config.json")), 1U);
}

TEST_F(BundleTest, NothingIsReplacedUnasked) {
  write();
  const Error exists = error_of([&] { write(); });
  EXPECT_EQ(exists.code(), ErrorCode::kInvalidArgument);
  EXPECT_THAT(exists.what(), HasSubstr("--overwrite"));
  contents_.description = R"({"tag":"native-x:second"})";
  write(true);
  EXPECT_THAT(base::read_file(path("openllm.json")), HasSubstr("second"));
  EXPECT_THAT(faulty(), IsEmpty());
}

TEST_F(BundleTest, WhatIsNoBundleIsNeverReplaced) {
  fs::create_directory(target_);
  work_.write("made/letter.txt", "dear");
  EXPECT_THAT(error_of([&] { write(true); }).what(), HasSubstr("has files"));
  EXPECT_EQ(base::read_file(path("letter.txt")), "dear");
  fs::remove(path("letter.txt"));
  write();  // an empty folder may be there
  EXPECT_THAT(faulty(), IsEmpty());
}

TEST_F(BundleTest, AFailureLeavesNothing) {
  contents_.files.push_back({.path = "bin/lost", .from = work_.path() + "/nowhere"});
  EXPECT_EQ(error_of([&] { write(); }).code(), ErrorCode::kIo);
  EXPECT_TRUE(fs::is_empty(work_.path()));
}

TEST_F(BundleTest, FilesLieWithinItAndTakeNobodysPlace) {
  const std::string serve = contents_.files.front().path;
  for (const std::string& bad :
       {std::string("../beside"), std::string("bin/../../beside"), work_.path() + "/beside",
        std::string(), std::string("bin/"), std::string("openllm.json"),
        std::string("model/config.json"), "./" + serve}) {
    BundleContents contents = contents_;
    contents.files.push_back({.path = bad, .text = "x"});
    const Error error = error_of([&] { write_bundle(target_, contents); });
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument) << bad << ": " << error.what();
    EXPECT_EQ(error.where(), "files") << bad;
    EXPECT_TRUE(fs::is_empty(work_.path())) << bad;
  }
}

TEST_F(BundleTest, WhatAKilledBuildLeftGoesWithTheNext) {
  const std::string left = work_.path() + "/.made.building/tmp/1-2-3";
  fs::create_directories(left + "/model");
  work_.write(".made.building/tmp/1-2-3/lock", "");
  write();
  EXPECT_FALSE(fs::exists(left));
  EXPECT_THAT(faulty(), IsEmpty());
}

TEST_F(BundleTest, EveryDifferenceIsFound) {
  write();
  fs::remove(path("serve"));
  work_.write("made/bin/program", "[]");
  work_.write("made/model/config.json", "{ }");
  work_.write("made/model/chat_template.jinja", "x");
  EXPECT_THAT(faulty(), testing::ElementsAre("bin/program", "model/config.json", "serve",
                                             "model/chat_template.jinja"));
}

TEST_F(BundleTest, AListThatWasChangedDoesNotLeadOut) {
  write();
  for (const char* bad : {R"({"files":[{"path":"../x","bytes":1,"sha256":""}]})",
                          R"({"files":[{"path":"/etc/passwd","bytes":1,"sha256":""}]})",
                          R"({"files":[{"path":"serve"}]})", R"({"files":{}})", "{}", "{", "[1]"}) {
    work_.write("made/openllm.json", bad);
    EXPECT_EQ(error_of([&] { (void)verify_folder(target_); }).code(), ErrorCode::kCorruptData)
        << bad;
  }
  EXPECT_EQ(error_of([&] { (void)verify_folder(model_.path()); }).code(), ErrorCode::kNotFound);
}

}  // namespace
}  // namespace openllm
