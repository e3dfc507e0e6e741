// Files of torch.save against what safetensors has of the same tensors; hostile ones.

#include "format/pytorch.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <array>
#include <filesystem>

#include "base/mapped_file.h"
#include "format/hf_folder.h"
#include "format/pickle.h"
#include "format/safetensors.h"
#include "format/test_files.h"

namespace openllm::format {
namespace {

using testing::error_of;
using ::testing::HasSubstr;
using testing::TempFolder;

std::string read(const std::string& name) {
  return base::read_file(std::string(OPENLLM_TEST_DATA) + "/pytorch/" + name);
}

struct Opened {
  std::string bytes;
  TensorList list{};
  std::vector<std::vector<std::byte>> made{};
};

void parse(Opened& file) {
  parse_pytorch("test.bin", std::as_bytes(std::span<const char>(file.bytes)), file.list, file.made);
  file.list.sort_and_check("test.bin");
}

Error error_in(const std::string& bytes) {
  return error_of([&] {
    Opened file{bytes};
    parse(file);
  });
}

TEST(Pytorch, BothFormsHoldWhatWasSaved) {
  const std::string bytes = read("expected.safetensors");
  TensorList expected;
  parse_safetensors("expected", std::as_bytes(std::span<const char>(bytes)), expected);
  expected.sort_and_check("expected");
  for (const char* name : {"zip.bin", "legacy.bin", "nested.bin"}) {
    Opened file{read(name)};
    parse(file);
    ASSERT_EQ(file.list.readable.size(), expected.readable.size()) << name;
    for (std::size_t i = 0; i < expected.readable.size(); ++i) {
      const NamedTensor& want = expected.readable[i];
      const NamedTensor& got = file.list.readable[i];
      EXPECT_EQ(got.name, want.name) << name;
      EXPECT_EQ(got.view.dtype, want.view.dtype) << name << " " << want.name;
      EXPECT_EQ(got.view.shape, want.view.shape) << name << " " << want.name;
      EXPECT_TRUE(std::ranges::equal(got.view.bytes, want.view.bytes)) << name << " " << want.name;
    }
    EXPECT_TRUE(file.list.unreadable.empty()) << name;
    EXPECT_EQ(file.made.size(), 1U) << "the turned one";
  }
}

TEST(Pytorch, Float8) {
  Opened file{read("float8.bin")};
  parse(file);
  ASSERT_EQ(file.list.readable.size(), 1U);
  EXPECT_EQ(file.list.readable[0].view.dtype, tensor::DType::kF8_E4M3);
  EXPECT_EQ(file.list.readable[0].view.bytes[1], std::byte{0x38});
}

TEST(Pytorch, WhatIsNoTensorIsTold) {
  Opened file{read("number.bin")};
  parse(file);
  EXPECT_EQ(file.list.readable.size(), 1U);
  ASSERT_EQ(file.list.unreadable.size(), 1U);
  EXPECT_EQ(file.list.unreadable[0].name, "step");
  EXPECT_EQ(file.list.unreadable[0].reason, "it is no tensor");
}

TEST(Pytorch, NothingIsExecuted) {
  const Error error = error_in(read("hostile.bin"));
  EXPECT_EQ(error.code(), ErrorCode::kUnsupported);
  EXPECT_THAT(error.what(), HasSubstr("refers to posix.system, which no weights need"));
  const Error other = error_in(std::string("\x80\x02(S'x'\n.", 9));
  EXPECT_EQ(other.code(), ErrorCode::kUnsupported);
  EXPECT_THAT(other.what(), HasSubstr("an operation that weights do not need (83 at byte 3)"));
}

TEST(Pytorch, WhatIsNotOfTorchIsRefused) {
  EXPECT_THAT(error_in(read("compressed.bin")).what(),
              HasSubstr("entry archive/data.pkl: compressed"));
  EXPECT_THAT(error_in(std::string("\x80\x02K\x01.", 5)).what(),
              HasSubstr("a pickle that torch.save did not write"));
  EXPECT_THAT(error_in("").what(), HasSubstr("(it is empty)"));
  EXPECT_THAT(error_in("<!doctype html>").what(), HasSubstr("an HTML page"));
}

TEST(Pytorch, TruncationsAreErrors) {
  for (const char* name : {"zip.bin", "legacy.bin"}) {
    const std::string bytes = read(name);
    for (std::size_t n = 0; n < bytes.size(); n += 7) {
      const ErrorCode code = error_in(bytes.substr(0, n)).code();
      ASSERT_TRUE(code == ErrorCode::kCorruptData || code == ErrorCode::kUnsupported)
          << name << " " << n;
    }
  }
}

/// A byte turned over gives an error or tensors whose bytes are there.
TEST(Pytorch, NoFlippedByteLeadsAstray) {
  for (const char* name : {"zip.bin", "legacy.bin"}) {
    const std::string bytes = read(name);
    int n_errors = 0;
    for (std::size_t i = 0; i < bytes.size(); i += 5) {
      Opened file{bytes};
      file.bytes[i] = static_cast<char>(file.bytes[i] ^ 0x41);
      try {
        parse(file);
      } catch (const Error&) {
        ++n_errors;
        continue;
      }
      for (const NamedTensor& tensor : file.list.readable) {
        const auto n = static_cast<std::size_t>(tensor.view.shape.n_elems());
        ASSERT_EQ(tensor.view.bytes.size(), tensor::byte_size(tensor.view.dtype, n));
      }
    }
    EXPECT_GT(n_errors, 20) << name;
  }
}

TEST(Pytorch, FoldersHaveItWholeOrInParts) {
  const TempFolder folder;
  folder.write("config.json", "{}");
  folder.write("pytorch_model.bin", read("zip.bin"));
  EXPECT_NE(open_checkpoint(folder.path())->find("turned"), nullptr);
  std::filesystem::remove(folder.path() + "/pytorch_model.bin");
  folder.write("pytorch_model-00001-of-00002.bin", read("zip.bin"));
  folder.write("pytorch_model-00002-of-00002.bin", read("number.bin"));
  folder.write("pytorch_model.bin.index.json",
               R"({"weight_map": {"table": "pytorch_model-00001-of-00002.bin",)"
               R"("w": "pytorch_model-00002-of-00002.bin"}})");
  const auto sharded = open_checkpoint(folder.path());
  EXPECT_EQ(sharded->tensors().size(), 2U);
  EXPECT_NE(sharded->find("w"), nullptr);
  folder.write("pytorch_model.bin.index.json", R"({"weight_map": {"w": "a.safetensors"}})");
  EXPECT_THAT(error_of([&] { (void)open_checkpoint(folder.path()); }).what(),
              HasSubstr("expected NAME.bin, got a.safetensors"));
}

constexpr std::array<std::string_view, 1> kAllowed = {"torch Size"};

Pickle unpickle(const std::string& bytes) {
  return Pickle::read("test", std::as_bytes(std::span<const char>(bytes)), kAllowed);
}

TEST(Pickle, ReadsValues) {
  // {"a": (1, -2, 2.5), "b": [True, None], 70000: b"x"} by protocol 4
  const std::string bytes(
      "\x80\x04\x95\x00\x00\x00\x00\x00\x00\x00\x00}\x94(\x8c\x01"
      "a\x94K\x01J\xfe\xff\xff\xffG@\x04\x00\x00\x00\x00\x00\x00\x87\x94\x8c\x01"
      "b\x94]\x94(\x88N"
      "eJp\x11\x01\x00"
      "C\x01xu.tail",
      60);
  const Pickle pickle = unpickle(bytes);
  const Pickle::Node& a = *pickle.find(pickle.root(), "a");
  ASSERT_EQ(a.items.size(), 3U);
  EXPECT_EQ(pickle.item(a, 0).number, 1);
  EXPECT_EQ(pickle.item(a, 1).number, -2);
  EXPECT_EQ(pickle.item(a, 2).real, 2.5);
  const Pickle::Node& b = *pickle.find(pickle.root(), "b");
  EXPECT_EQ(pickle.item(b, 0).kind, Pickle::Kind::kBool);
  EXPECT_EQ(pickle.item(b, 1).kind, Pickle::Kind::kNone);
  EXPECT_EQ(pickle.root().items.size(), 6U);
  EXPECT_EQ(bytes.substr(pickle.size()), "tail");
}

TEST(Pickle, BrokenMachinesAreErrors) {
  for (const char* bytes : {".", "0.", "t.",
                            "K\x01"
                            "a.",
                            "h\x05.",
                            "}K\x01"
                            "s.",
                            "K\x01q", "c\n", "2.", "K\x01K\x02R.", "I12x\n."}) {
    EXPECT_EQ(error_of([&] { (void)unpickle(bytes); }).code(), ErrorCode::kCorruptData) << bytes;
  }
}

}  // namespace
}  // namespace openllm::format
