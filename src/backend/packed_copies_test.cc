// A model whose weights come from a packed copy is the model that packed them, to the bit, and a
// copy is never taken for files that it was not made of.

#include "backend/packed_copies.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "device/device.h"
#include "format/checkpoint.h"
#include "model/model.h"

namespace openllm::backend {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

struct Loaded {
  std::unique_ptr<format::Checkpoint> checkpoint;
  std::unique_ptr<PackedCopies> packed;
  std::unique_ptr<device::Device> device;
  std::unique_ptr<model::Model> model;
};

class PackedCopiesTest : public testing::Test {
 protected:
  PackedCopiesTest() {
    std::string pattern = (fs::temp_directory_path() / "openllm-packed-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
    for (const auto& entry :
         fs::directory_iterator(std::string(OPENLLM_TEST_DATA) + "/models/llama"))
      fs::copy_file(entry.path(), folder_ / entry.path().filename());
    settings_.folder = (folder_ / "packed").string();
    settings_.least_bytes = 0;
    settings_.free_share = 0;
    settings_.settled_ns = 0;
  }
  ~PackedCopiesTest() override {
    fs::permissions(folder_, fs::perms::owner_all);
    fs::remove_all(folder_);
  }

  Loaded load(const LoadOptions& options = {}) {
    Loaded loaded;
    loaded.checkpoint = format::open_checkpoint(folder_.string());
    loaded.packed = std::make_unique<PackedCopies>(*loaded.checkpoint, options, settings_);
    loaded.device = device::make_device("cpu", {.n_threads = 2});
    device::use_packed_weights(*loaded.device, *loaded.packed);
    loaded.model = model::Model::load(*loaded.checkpoint, *loaded.device, {});
    return loaded;
  }
  /// Loads, and waits for the copy. What became of it.
  std::string load_and_write(const LoadOptions& options = {}) {
    const Loaded loaded = load(options);
    loaded.packed->start_writing([] { return false; });  // only who waits has it go on
    loaded.packed->finish([] { return false; });
    return loaded.packed->state();
  }
  std::string state_of_load() { return load().packed->state(); }
  std::vector<packed::Entry> copies() const { return packed::list_copies(settings_.folder); }
  fs::path weights() const { return folder_ / "model.safetensors"; }

  fs::path folder_;
  packed::Settings settings_;
};

TEST_F(PackedCopiesTest, TheSecondLoadTakesEveryWeightFromTheCopy) {
  EXPECT_THAT(state_of_load(), HasSubstr("no packed copy yet"));
  EXPECT_THAT(load_and_write(), HasSubstr("wrote the packed copy"));
  ASSERT_EQ(copies().size(), 1U);
  EXPECT_TRUE(copies()[0].is_current);
  const Loaded first = load();
  EXPECT_THAT(first.packed->state(), HasSubstr("packed copy "));
  EXPECT_GT(first.packed->n_found(), 0U);
  EXPECT_EQ(first.packed->n_packed(), 0U);
}

TEST_F(PackedCopiesTest, AnEditedFileNeverMeetsAnOldCopy) {
  ASSERT_THAT(load_and_write(), HasSubstr("wrote"));
  const auto time = fs::last_write_time(weights());
  {
    std::fstream file(weights(), std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(-1, std::ios::end);
    file.put('\0');
  }
  fs::last_write_time(weights(), time);  // as some programs do
  const Loaded edited = load();
  EXPECT_EQ(edited.packed->n_found(), 0U);
  EXPECT_THAT(edited.packed->state(), HasSubstr("no packed copy yet"));
  ASSERT_THAT(load_and_write(), HasSubstr("wrote"));
  EXPECT_EQ(copies().size(), 1U);  // the old one is of no use
}

TEST_F(PackedCopiesTest, ADamagedCopyIsPassedOverAndReplaced) {
  ASSERT_THAT(load_and_write(), HasSubstr("wrote"));
  const std::string path = copies()[0].path;
  fs::resize_file(path, fs::file_size(path) - 1);
  const Loaded loaded = load();
  EXPECT_EQ(loaded.packed->n_found(), 0U);
  EXPECT_THAT(loaded.packed->state(), HasSubstr("was not taken"));
  EXPECT_THAT(loaded.packed->state(), HasSubstr("its size is wrong"));
  ASSERT_THAT(load_and_write(), HasSubstr("wrote"));
  EXPECT_GT(load().packed->n_found(), 0U);
}

TEST_F(PackedCopiesTest, OptionsThatChangeWeightsHaveTheirOwn) {
  ASSERT_THAT(load_and_write(), HasSubstr("wrote"));
  LoadOptions options;
  options.dtype = "bf16";
  EXPECT_EQ(load(options).packed->n_found(), 0U);
}

TEST_F(PackedCopiesTest, WhatCannotBeWrittenIsSaidAndLoadingGoesOn) {
  settings_.limit_bytes = 1;
  EXPECT_THAT(load_and_write(), HasSubstr("larger than all may be"));
  settings_.limit_bytes = std::uint64_t{1} << 30U;
  settings_.free_share = 1.0;
  EXPECT_THAT(load_and_write(), HasSubstr("of the disk to stay free"));
  settings_.free_share = 0;
  settings_.folder = weights().string() + "/below-a-file";
  EXPECT_THAT(load_and_write(), HasSubstr("no packed copy: "));
  settings_.folder = (folder_ / "packed").string();
  settings_.least_bytes = std::uint64_t{1} << 40U;
  EXPECT_THAT(load_and_write(), HasSubstr("packing takes no time"));
  settings_.least_bytes = 0;
  settings_.settled_ns = std::int64_t{1} << 60U;
  EXPECT_THAT(load_and_write(), HasSubstr("changed a moment ago"));
  settings_.folder.clear();
  EXPECT_THAT(load_and_write(), HasSubstr("are off"));
  EXPECT_TRUE(packed::list_copies((folder_ / "packed").string()).empty());
}

TEST_F(PackedCopiesTest, WritingThatIsStoppedLeavesNothing) {
  const Loaded loaded = load();
  loaded.packed->start_writing([] { return false; });
  EXPECT_TRUE(loaded.packed->is_writing());
  loaded.packed->stop();
  EXPECT_TRUE(copies().empty());
}

}  // namespace
}  // namespace openllm::backend
