#include "format/hf_folder.h"

#include <gtest/gtest.h>

#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "format/safetensors.h"
#include "format/test_files.h"

namespace openllm::format {
namespace {

using testing::error_of;
using testing::le;
using testing::safetensors;
using testing::TempFolder;

constexpr const char* kHeader =
    R"({"__metadata__":{"format":"pt"},"b":{"dtype":"BF16","shape":[2,3],"data_offsets":[8,20]},)"
    R"("a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})";

std::string small_file() {
  return safetensors(kHeader, std::string(8, 'a') + std::string(12, 'b'));
}

std::uint64_t sum_of(const std::vector<NamedTensor>& tensors) {
  std::uint64_t sum = 0;
  for (const NamedTensor& tensor : tensors) {
    for (const std::byte value : tensor.view.bytes) sum += std::to_integer<std::uint64_t>(value);
    const auto n_elems = static_cast<std::size_t>(tensor.view.shape.n_elems());
    if (tensor.view.bytes.size() != tensor::byte_size(tensor.view.dtype, n_elems)) {
      ADD_FAILURE() << "bytes do not fit the shape";
    }
  }
  return sum;
}

std::uint64_t touch_everything(const std::string& folder) {
  return sum_of(HfFolder(folder).tensors());
}

/// The same for a file in memory: a heap block of the exact size, for the address sanitizer.
std::uint64_t touch_bytes(const std::string& file) {
  const std::vector<char> exact(file.begin(), file.end());
  TensorList list;
  parse_safetensors("m.safetensors", std::as_bytes(std::span(exact)), list);
  list.sort_and_check("m.safetensors");
  return sum_of(list.readable);
}

TEST(HfFolder, ReadsARealModel) {
  const auto model = open_checkpoint(OPENLLM_TEST_DATA "/stories260K/hf");
  EXPECT_EQ(model->kind(), Checkpoint::Kind::kHuggingFace);
  EXPECT_EQ(model->tensors().size(), 47U);
  const tensor::TensorView* k = model->find("model.layers.4.self_attn.k_proj.weight");
  ASSERT_NE(k, nullptr);
  EXPECT_EQ(k->shape, (tensor::Shape{32, 64}));
  EXPECT_EQ(model->config().find("num_hidden_layers")->as_int("test"), 5);
  model->drop_pages(*k);
  EXPECT_EQ(model->find("lm_head.weight"), nullptr);
}

TEST(HfFolder, ReadsTypesAndScalars) {
  const TempFolder folder;
  folder.write("config.json", "{}");
  folder.write("model.safetensors",
               safetensors(R"({"s":{"dtype":"I64","shape":[],"data_offsets":[0,8]},)"
                           R"("m":{"dtype":"BOOL","shape":[1,1,2,2],"data_offsets":[8,12]},)"
                           R"("z":{"dtype":"F16","shape":[0,3],"data_offsets":[12,12]},)"
                           R"("f4":{"dtype":"F4","shape":[8],"data_offsets":[12,16]},)"
                           R"("new":{"dtype":"F2","shape":[4],"data_offsets":[16,17]},)"
                           R"("deep":{"dtype":"U8","shape":[1,1,1,1,1],"data_offsets":[17,18]}})",
                           std::string(18, 'x')));
  const HfFolder model(folder.path());
  EXPECT_EQ(model.tensors().size(), 3U);
  EXPECT_EQ(model.find("s")->shape.n_dims(), 0);
  EXPECT_EQ(model.find("m")->dtype, tensor::DType::kBool);
  EXPECT_EQ(model.find("z")->bytes.size(), 0U);
  EXPECT_EQ(model.unreadable().size(), 3U);
  const Error error = error_of([&] { (void)model.find("f4"); });
  EXPECT_EQ(error.code(), ErrorCode::kUnsupported);
  EXPECT_NE(std::string(error.what()).find("tensor f4: dtype F4 is not supported"),
            std::string::npos);
  EXPECT_EQ(error_of([&] { (void)model.find("new"); }).code(), ErrorCode::kUnsupported);
  EXPECT_EQ(error_of([&] { (void)model.find("deep"); }).code(), ErrorCode::kUnsupported);
}

TEST(Safetensors, EveryTruncationIsAnError) {
  const std::string file = small_file();
  EXPECT_EQ(touch_bytes(file), 8U * 'a' + 12U * 'b');
  for (std::size_t n = 0; n < file.size(); ++n) {
    EXPECT_EQ(error_of([&] { touch_bytes(file.substr(0, n)); }).code(), ErrorCode::kCorruptData)
        << n;
  }
}

TEST(Safetensors, NothingBehindTheEndIsRead) {
  const std::string file = small_file();
  const auto bytes = std::as_bytes(std::span(file));
  for (std::size_t n = 0; n < bytes.size(); ++n) {
    TensorList tensors;
    const Error error =
        error_of([&] { parse_safetensors("m.safetensors", bytes.first(n), tensors); });
    EXPECT_EQ(error.code(), ErrorCode::kCorruptData) << n;
  }
}

// Found by fuzzing: a NUL must not end the header early.
TEST(Safetensors, NulInTheHeader) {
  const std::string header("{}\0:\"}", 7);
  EXPECT_EQ(error_of([&] { touch_bytes(safetensors(header, "")); }).code(),
            ErrorCode::kCorruptData);
}

TEST(Safetensors, NoBitFlipCrashes) {
  const std::string file = small_file();
  for (std::size_t bit = 0; bit < 8 * file.size(); ++bit) {
    std::string damaged = file;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << (bit % 8)));
    try {
      touch_bytes(damaged);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kCorruptData) << error.what();
    }
  }
}

struct Case {
  const char* header;
  std::size_t n_bytes;
  const char* says;
};

TEST(Safetensors, RefusesHostileHeaders) {
  const std::vector<Case> cases = {
      {"", 0, "invalid JSON"},
      {"[]", 0, "not a JSON object"},
      {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}} x)", 8, "invalid JSON"},
      {R"({"a":3})", 0, "tensor a: not described"},
      {R"({"a":{"shape":[2],"data_offsets":[0,8]}})", 8, "tensor a: dtype is missing"},
      {R"({"a":{"dtype":3,"shape":[2],"data_offsets":[0,8]}})", 8, "tensor a: dtype"},
      {R"({"a":{"dtype":"F32","data_offsets":[0,8]}})", 8, "tensor a: shape is missing"},
      {R"({"a":{"dtype":"F32","shape":[2]}})", 8, "tensor a: data_offsets is missing"},
      {R"({"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}})", 8,
       "shape has an element that is no size"},
      {R"({"a":{"dtype":"F32","shape":[2.5],"data_offsets":[0,8]}})", 8, "no size"},
      {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8,9]}})", 9,
       "data_offsets is no range"},
      {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}})", 8, "data_offsets is no range"},
      {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,12]}})", 8, "past the end"},
      {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,18446744073709551615]}})", 8,
       "no size"},
      {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,9223372036854775807]}})", 8,
       "past the end"},
      {R"({"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}})", 8, "expected 12 bytes, got 8"},
      {R"({"a":{"dtype":"F4","shape":[3],"data_offsets":[0,2]}})", 2, "size does not match"},
      {R"({"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,8]}})", 8,
       "overflows"},
      {R"({"a":{"dtype":"F32","shape":[0,4294967296,4294967296],"data_offsets":[0,0]}})", 0,
       "overflows"},
      {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}})",
       12, "tensor b: overlaps tensor a"},
      {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}})", 12, "gap before its data"},
      {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 9, "1 bytes at byte"},
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
       8, "occurs twice"},
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"\u0061":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
       4, "occurs twice"},
      {R"({"a":[[[[[[[[[[1]]]]]]]]]]})", 0, "too deep"},
  };
  const TempFolder folder;
  folder.write("config.json", "{}");
  for (const Case& one : cases) {
    folder.write("model.safetensors", safetensors(one.header, std::string(one.n_bytes, 'x')));
    const Error error = error_of([&] { touch_everything(folder.path()); });
    EXPECT_EQ(error.code(), ErrorCode::kCorruptData) << one.header << ": " << error.what();
    EXPECT_NE(std::string(error.what()).find(one.says), std::string::npos)
        << one.header << ": " << error.what();
    EXPECT_TRUE(std::string(error.what()).starts_with(folder.path() + "/model.safetensors"))
        << error.what();
  }
}

TEST(HfFolder, NamesMayHoldAnything) {
  const TempFolder folder;
  folder.write("config.json", "{}");
  folder.write("model.safetensors",
               safetensors(R"({"a\"b:{":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
                           R"("c\\":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})",
                           "xy"));
  const HfFolder model(folder.path());
  EXPECT_NE(model.find("a\"b:{"), nullptr);
  EXPECT_NE(model.find("c\\"), nullptr);
}

TEST(Safetensors, HugeHeaderLength) {
  const TempFolder folder;
  folder.write("config.json", "{}");
  for (const std::uint64_t length :
       {~std::uint64_t{0}, std::uint64_t{100'000'001}, std::uint64_t{3}}) {
    folder.write("model.safetensors", le(length) + "{}");
    const Error error = error_of([&] { touch_everything(folder.path()); });
    EXPECT_NE(std::string(error.what()).find("bad header length at byte 0"), std::string::npos)
        << error.what();
  }
}

// --- sharded ---

std::string one_tensor_file(const std::string& name, char fill) {
  return safetensors(R"({")" + name + R"(":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}})",
                     std::string(2, fill));
}

TEST(HfFolderSharded, JoinsTheFiles) {
  const TempFolder folder;
  folder.write("config.json", R"({"model_type":"x"})");
  folder.write("model-00001-of-00002.safetensors", one_tensor_file("b", 'b'));
  folder.write("model-00002-of-00002.safetensors", one_tensor_file("a", 'a'));
  folder.write(
      "model.safetensors.index.json",
      R"({"metadata":{"total_size":4},"weight_map":{"b":"model-00001-of-00002.safetensors",)"
      R"("a":"model-00002-of-00002.safetensors"}})");
  const auto model = open_checkpoint(folder.path());
  ASSERT_EQ(model->tensors().size(), 2U);
  EXPECT_EQ(model->tensors()[0].name, "a");
  EXPECT_EQ(static_cast<char>(model->find("b")->bytes[0]), 'b');
  for (const NamedTensor& tensor : model->tensors()) model->drop_pages(tensor.view);
}

TEST(HfFolderSharded, TheIndexDecides) {
  const TempFolder folder;
  folder.write("config.json", "{}");
  folder.write("x.safetensors",
               safetensors(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
                           R"("b":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})",
                           "xx"));
  folder.write("y.safetensors", one_tensor_file("b", 'y'));
  folder.write("model.safetensors.index.json",
               R"({"weight_map":{"a":"x.safetensors","b":"y.safetensors"}})");
  const HfFolder model(folder.path());
  EXPECT_EQ(model.tensors().size(), 2U);
  EXPECT_EQ(static_cast<char>(model.find("b")->bytes[0]), 'y');
}

TEST(HfFolderSharded, OneFileWinsOverAnIndex) {
  const TempFolder folder;
  folder.write("config.json", "{}");
  folder.write("model.safetensors", one_tensor_file("whole", 'w'));
  folder.write("part.safetensors", one_tensor_file("part", 'p'));
  folder.write("model.safetensors.index.json", R"({"weight_map":{"part":"part.safetensors"}})");
  const HfFolder model(folder.path());
  ASSERT_EQ(model.tensors().size(), 1U);
  EXPECT_EQ(model.tensors()[0].name, "whole");
}

TEST(HfFolderSharded, RefusesABadIndex) {
  const TempFolder folder;
  folder.write("config.json", "{}");
  folder.write("x.safetensors", one_tensor_file("a", 'x'));
  const auto code_for = [&](const std::string& index, const char* says) {
    folder.write("model.safetensors.index.json", index);
    const Error error = error_of([&] { touch_everything(folder.path()); });
    EXPECT_NE(std::string(error.what()).find(says), std::string::npos) << error.what();
    return error.code();
  };
  for (const char* name : {"../x.safetensors", "/etc/x.safetensors", "sub/x.safetensors", "..", "",
                           "x.bin", "a\\\\x.safetensors", "a\\u0000/x.safetensors"}) {
    EXPECT_EQ(code_for(std::string(R"({"weight_map":{"a":")") + name + "\"}}", "bad file name"),
              ErrorCode::kCorruptData);
  }
  EXPECT_EQ(code_for("{", "invalid JSON"), ErrorCode::kCorruptData);
  EXPECT_EQ(code_for("[]", "expected object"), ErrorCode::kCorruptData);
  EXPECT_EQ(code_for("{}", "weight_map: missing"), ErrorCode::kCorruptData);
  EXPECT_EQ(code_for(R"({"weight_map":{}})", "empty"), ErrorCode::kCorruptData);
  EXPECT_EQ(code_for(R"({"weight_map":{"a":1}})", "wrong type"), ErrorCode::kCorruptData);
  EXPECT_EQ(
      code_for(R"({"weight_map":{"a":"x.safetensors","b":"x.safetensors"}})", "tensor b: missing"),
      ErrorCode::kCorruptData);
  EXPECT_EQ(code_for(R"({"weight_map":{"a":"y.safetensors"}})", "y.safetensors"),
            ErrorCode::kNotFound);
}

TEST(HfFolder, RefusesABadConfig) {
  const TempFolder folder;
  folder.write("model.safetensors", small_file());
  for (const char* text : {"", "[]", "nul", "{\"a\":}"}) {
    folder.write("config.json", text);
    const Error error = error_of([&] { touch_everything(folder.path()); });
    EXPECT_EQ(error.code(), ErrorCode::kCorruptData);
    EXPECT_TRUE(std::string(error.what()).starts_with(folder.path() + "/config.json"))
        << error.what();
  }
}

TEST(HfFolder, AdaptersHaveOtherNames) {
  TempFolder folder;
  EXPECT_EQ(error_of([&] { open_adapter(folder.path()); }).code(), ErrorCode::kNotFound);
  folder.write("adapter_config.json", "{}");
  const Error missing = error_of([&] { open_adapter(folder.path()); });
  EXPECT_EQ(missing.code(), ErrorCode::kNotFound);
  EXPECT_NE(std::string(missing.what()).find("adapter_model.safetensors"), std::string::npos);
  folder.write("adapter_model.safetensors", small_file().substr(0, 40));
  EXPECT_EQ(error_of([&] { open_adapter(folder.path()); }).code(), ErrorCode::kCorruptData);
  folder.write("adapter_model.safetensors", small_file());
  EXPECT_EQ(open_adapter(folder.path())->tensors().size(), 2U);
}

}  // namespace
}  // namespace openllm::format
