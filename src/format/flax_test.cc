// Files of Flax against what safetensors has of the same arrays; hostile ones.

#include "format/flax.h"

#include <gmock/gmock.h>

#include "base/mapped_file.h"
#include "format/hf_folder.h"
#include "format/safetensors.h"
#include "format/test_files.h"

namespace openllm::format {
namespace {

using testing::error_of;
using ::testing::HasSubstr;
using testing::TempFolder;

std::string read(const std::string& name) {
  return base::read_file(std::string(OPENLLM_TEST_DATA) + "/foreign/" + name);
}

std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span<const char>(text));
}

struct Opened {
  std::string bytes;
  TensorList list{};
  std::vector<std::vector<std::byte>> made{};

  void parse() {
    parse_flax("test.msgpack", bytes_of(bytes), list, made);
    list.sort_and_check("test.msgpack");
  }
  const tensor::TensorView* find(const std::string& name) const {
    for (const NamedTensor& tensor : list.readable) {
      if (tensor.name == name) return &tensor.view;
    }
    return nullptr;
  }
};

std::string error_in(const std::string& bytes) {
  return error_of([&] {
           Opened file{bytes};
           file.parse();
         })
      .what();
}

/// A map of one pair, and of an array: three parts, of which the last is bytes.
std::string map_of(const std::string& key, const std::string& value) {
  return "\x81" + std::string(1, static_cast<char>(0xA0 + key.size())) + key + value;
}
std::string array_of(const std::string& dims, const std::string& type, const std::string& data) {
  const std::string inner = "\x93" + dims + static_cast<char>(0xA0 + type.size()) + type + "\xC4" +
                            static_cast<char>(data.size()) + data;
  return "\xC7" + std::string(1, static_cast<char>(inner.size())) + "\x01" + inner;
}

TEST(Flax, HoldsWhatWasSaved) {
  const std::string bytes = read("expected.safetensors");
  TensorList expected;
  parse_safetensors("expected", bytes_of(bytes), expected);
  for (const char* name : {"types.msgpack", "chunked.msgpack"}) {
    Opened file{read(name)};
    file.parse();
    EXPECT_EQ(file.list.readable.size(), expected.readable.size() + 1) << name;
    EXPECT_TRUE(file.list.unreadable.empty()) << name;
    ASSERT_NE(file.find("table.weight"), nullptr) << name;
    EXPECT_EQ(file.find("table.weight")->dtype, tensor::DType::kBF16) << name;
    for (const NamedTensor& want : expected.readable) {
      const tensor::TensorView* got = file.find(want.name);
      ASSERT_NE(got, nullptr) << name << " " << want.name;
      EXPECT_EQ(got->dtype, want.view.dtype) << name << " " << want.name;
      EXPECT_EQ(got->shape, want.view.shape) << name << " " << want.name;
      EXPECT_TRUE(std::ranges::equal(got->bytes, want.view.bytes)) << name << " " << want.name;
    }
  }
}

TEST(Flax, EveryCutIsAnError) {
  for (const char* name : {"types.msgpack", "chunked.msgpack"}) {
    const std::string whole = read(name);
    for (std::size_t n = 0; n < whole.size(); ++n) {
      EXPECT_FALSE(error_in(whole.substr(0, n)).empty()) << name << " of " << n << " bytes";
    }
    EXPECT_THAT(error_in(whole + '\0'), HasSubstr("behind the parameters"));
  }
}

TEST(Flax, BadSizesAreNamed) {
  const std::string four(4, '\0');
  EXPECT_THAT(error_in(map_of("a", array_of("\x91\x02", "float32", four))),
              HasSubstr("tensor a: wrong size (expected 8 bytes, got 4)"));
  const std::string huge = "\xCF" + std::string(8, '\x7F');
  EXPECT_THAT(error_in(map_of("a", array_of("\x92" + huge + huge, "float32", ""))),
              HasSubstr("number of elements overflows"));
  EXPECT_THAT(error_in(map_of("a", array_of("\x91\xFF", "float32", four))),
              HasSubstr("a size was expected"));
  EXPECT_THAT(error_in("\xDF\xFF\xFF\xFF\xFF"), HasSubstr("more elements than the file can hold"));
}

TEST(Flax, KernelsWithoutElementsAreNoWork) {
  const std::string huge = "\xCF\x3F" + std::string(7, '\xFF');
  Opened file{map_of("kernel", array_of("\x92" + std::string(1, '\0') + huge, "float32", ""))};
  file.parse();
  EXPECT_EQ(file.list.readable.size(), 1U);
}

TEST(Flax, DeepNestingIsAnError) {
  std::string text = "\xC0";
  for (int i = 0; i < 100; ++i) text = map_of("a", text);
  EXPECT_THAT(error_in(text), HasSubstr("nested too deeply"));
  std::string lists = "\xC0";
  for (int i = 0; i < 100; ++i) lists = "\x91" + lists;
  EXPECT_THAT(error_in(map_of("a", lists)), HasSubstr("nested too deeply"));
}

TEST(Flax, WhatIsNoArrayIsListed) {
  Opened file{map_of("step", "\x05")};
  file.parse();
  ASSERT_EQ(file.list.unreadable.size(), 1U);
  EXPECT_EQ(file.list.unreadable[0].name, "step");
  Opened other{map_of("z", array_of("\x91\x01", "complex64", std::string(8, '\0')))};
  other.parse();
  ASSERT_EQ(other.list.unreadable.size(), 1U);
  EXPECT_EQ(other.list.unreadable[0].reason, "type complex64 is not supported");
}

TEST(Flax, OtherFilesAreToldForWhatTheyAre) {
  EXPECT_THAT(error_in("GGUF is this"), HasSubstr("it is a GGUF file"));
  EXPECT_THAT(error_in("\x05"), HasSubstr("expected a map"));
}

TEST(Flax, AnIndexListsFilesByNamesOfFlax) {
  const TempFolder folder;
  folder.write("config.json", "{}");
  folder.write("flax_model-00001-of-00002.msgpack",
               map_of("a", map_of("kernel", array_of("\x92\x01\x02", "uint8", "xy"))));
  folder.write("flax_model-00002-of-00002.msgpack",
               map_of("b", map_of("scale", array_of("\x91\x01", "uint8", "z"))));
  folder.write("flax_model.msgpack.index.json",
               R"({"weight_map": {"a/kernel": "flax_model-00001-of-00002.msgpack",)"
               R"( "b/scale": "flax_model-00002-of-00002.msgpack"}})");
  const HfFolder model(folder.path(), HfFolder::names_in(folder.path()));
  ASSERT_EQ(model.tensors().size(), 2U);
  EXPECT_EQ(model.tensors()[0].name, "a.weight");
  EXPECT_EQ(model.tensors()[0].view.shape, (tensor::Shape{2, 1}));
  EXPECT_EQ(model.tensors()[1].name, "b.weight");
}

}  // namespace
}  // namespace openllm::format
