#include "format/gguf.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>

#include "format/test_files.h"

namespace openllm::format {
namespace {

using testing::error_of;
using testing::gguf_string;
using testing::GgufBuilder;
using testing::le;
using testing::TempFolder;

std::string floats(std::size_t n, float first = 1.0F) {
  std::string bytes;
  for (std::size_t i = 0; i < n; ++i) bytes += le(first + static_cast<float>(i));
  return bytes;
}

TEST(Gguf, ReadsARealModel) {
  const Gguf model(OPENLLM_TEST_DATA "/stories260K/stories260K.gguf");
  EXPECT_EQ(model.kind(), Checkpoint::Kind::kGguf);
  ASSERT_EQ(model.tensors().size(), 47U);
  EXPECT_TRUE(model.unreadable().empty());
  const tensor::TensorView* k = model.find("blk.4.attn_k.weight");
  ASSERT_NE(k, nullptr);
  EXPECT_EQ(k->shape, (tensor::Shape{32, 64}));  // outermost first
  EXPECT_EQ(k->dtype, tensor::DType::kF32);
  EXPECT_EQ(k->bytes.size(), 32U * 64U * 4U);
  EXPECT_EQ(model.find("blk.5.attn_k.weight"), nullptr);
  EXPECT_EQ(model.config().find("llama.block_count")->as_int("test"), 5);
  EXPECT_EQ(model.config().find("general.architecture")->as_string("test"), "llama");
  EXPECT_EQ(model.config().find("tokenizer.ggml.tokens"), nullptr);  // long arrays stay in the file
  const auto tokens = model.metadata().string_array("tokenizer.ggml.tokens");
  ASSERT_TRUE(tokens);
  EXPECT_EQ(tokens->size(), 512U);
  EXPECT_EQ((*tokens)[3], "<0x00>");
  EXPECT_EQ(model.metadata().float_array("tokenizer.ggml.scores")->size(), 512U);
  EXPECT_EQ(model.metadata().int_array("tokenizer.ggml.token_type")->at(1), 3);
  for (std::size_t i = 1; i < model.tensors().size(); ++i) {
    EXPECT_LT(model.tensors()[i - 1].name, model.tensors()[i].name);
  }
  for (const NamedTensor& tensor : model.tensors()) model.drop_pages(tensor.view);
  EXPECT_EQ(k->bytes.size(), 32U * 64U * 4U);
}

GgufBuilder every_type() {
  GgufBuilder b;
  b.key("u8", 0, le(std::uint8_t{200})).key("i8", 1, le(std::int8_t{-100}));
  b.key("u16", 2, le(std::uint16_t{60000})).key("i16", 3, le(std::int16_t{-30000}));
  b.key("u32", 4, le(std::uint32_t{4000000000U})).key("i32", 5, le(std::int32_t{-2000000000}));
  b.key("f32", 6, le(0.5F)).key("bool", 7, le(std::uint8_t{1})).text("string", "text");
  b.key("u64", 10, le(std::uint64_t{1} << 62U)).key("big", 10, le(~std::uint64_t{0}));
  b.key("i64", 11, le(std::int64_t{-1} * (std::int64_t{1} << 40))).key("f64", 12, le(0.1));
  b.array("ints", 3, 2, le(std::int16_t{-1}) + le(std::int16_t{7}));
  b.array("bools", 7, 2, std::string("\1\0", 2));
  b.array("strings", 8, 2, gguf_string("a") + gguf_string(""));
  b.array("floats", 6, 2, le(1.0F) + le(-2.5F)).array("empty", 4, 0, "");
  b.array("nested", 9, 2,
          le(std::uint32_t{0}) + le(std::uint64_t{2}) + "\x01\x02" + le(std::uint32_t{8}) +
              le(std::uint64_t{1}) + gguf_string("z"));
  return b;
}

TEST(Gguf, ReadsEveryMetadataType) {
  const TempFolder folder;
  for (const std::uint32_t version : {2U, 3U}) {
    GgufBuilder b = every_type();
    b.version = version;
    const Gguf model(folder.write("m.gguf", b.build()));
    EXPECT_EQ(model.config().dump(),
              R"({"u8":200,"i8":-100,"u16":60000,"i16":-30000,"u32":4000000000,"i32":-2000000000,)"
              R"("f32":0.5,"bool":true,"string":"text","u64":4611686018427387904,)"
              R"("big":18446744073709551616.0,"i64":-1099511627776,"f64":0.1,"ints":[-1,7],)"
              R"("bools":[true,false],"strings":["a",""],"floats":[1.0,-2.5],"empty":[],)"
              R"("nested":[[1,2],["z"]]})");
    EXPECT_EQ(*model.metadata().int_array("ints"), (std::vector<std::int64_t>{-1, 7}));
    EXPECT_EQ(*model.metadata().int_array("bools"), (std::vector<std::int64_t>{1, 0}));
    EXPECT_EQ(*model.metadata().string_array("strings"), (std::vector<std::string_view>{"a", ""}));
    EXPECT_EQ(*model.metadata().float_array("floats"), (std::vector<float>{1.0F, -2.5F}));
    EXPECT_FALSE(model.metadata().int_array("absent"));
  }
}

TEST(Gguf, RefusesAnArrayOfAnotherType) {
  const TempFolder folder;
  const Gguf model(folder.write("m.gguf", every_type().build()));
  EXPECT_EQ(error_of([&] { (void)model.metadata().string_array("ints"); }).code(),
            ErrorCode::kCorruptData);
  EXPECT_EQ(error_of([&] { (void)model.metadata().int_array("floats"); }).code(),
            ErrorCode::kCorruptData);
  EXPECT_EQ(error_of([&] { (void)model.metadata().float_array("strings"); }).code(),
            ErrorCode::kCorruptData);
  const Error error = error_of([&] { (void)model.metadata().float_array("u8"); });
  EXPECT_NE(std::string(error.what()).find("key u8: wrong type (expected an array, got u8)"),
            std::string::npos)
      << error.what();
}

TEST(Gguf, LongArraysAreLeftOutOfTheConfig) {
  const TempFolder folder;
  GgufBuilder b;
  b.array("short", 4, 256, std::string(256 * 4, '\1'))
      .array("long", 4, 257, std::string(257 * 4, '\1'));
  const Gguf model(folder.write("m.gguf", b.build()));
  EXPECT_NE(model.config().find("short"), nullptr);
  EXPECT_EQ(model.config().find("long"), nullptr);
  EXPECT_EQ(model.metadata().int_array("long")->size(), 257U);
}

TEST(Gguf, ShapesAlignmentAndQuantisedSizes) {
  const TempFolder folder;
  GgufBuilder b;
  b.alignment = 64;
  b.key("general.alignment", 4, le(std::uint32_t{64}));
  b.tensor("scalar", {}, 0, floats(1)).tensor("vector", {3}, 0, floats(3));
  b.tensor("q8", {64, 3}, 8, std::string(2 * 3 * 34, 'q')).tensor("empty", {0, 4}, 0, "");
  b.tensor("four", {2, 3, 1, 2}, 1, std::string(24, 'h'));
  const Gguf model(folder.write("m.gguf", b.build()));
  EXPECT_EQ(model.find("scalar")->shape.n_dims(), 0);
  EXPECT_EQ(model.find("vector")->bytes.size(), 12U);
  EXPECT_EQ(std::memcmp(model.find("vector")->bytes.data(), floats(3).data(), 12), 0);
  EXPECT_EQ(model.find("q8")->shape, (tensor::Shape{3, 64}));
  EXPECT_EQ(model.find("q8")->bytes.size(), 204U);
  EXPECT_EQ(model.find("empty")->bytes.size(), 0U);
  EXPECT_EQ(model.find("four")->shape, (tensor::Shape{2, 1, 3, 2}));
}

TEST(Gguf, AnUnknownTypeMattersOnlyWhenAskedFor) {
  const TempFolder folder;
  GgufBuilder b;
  b.tensor("good", {3}, 0, floats(3)).tensor("iq", {256}, 41, std::string(66, 'x'));
  b.tensor("future", {256}, 77, std::string(66, 'x')).tensor("deep", {1, 1, 1, 1, 1}, 0, floats(1));
  const Gguf model(folder.write("m.gguf", b.build()));
  EXPECT_EQ(model.tensors().size(), 1U);
  EXPECT_EQ(model.unreadable().size(), 3U);
  const Error known = error_of([&] { (void)model.find("iq"); });
  EXPECT_EQ(known.code(), ErrorCode::kUnsupported);
  EXPECT_NE(std::string(known.what()).find("tensor iq: type Q1_0 (41) is not supported"),
            std::string::npos);
  EXPECT_NE(std::string(error_of([&] { (void)model.find("future"); }).what()).find("type 77"),
            std::string::npos);
  EXPECT_NE(std::string(error_of([&] { (void)model.find("deep"); }).what()).find("rank 5"),
            std::string::npos);
}

TEST(Gguf, OpensManyTensors) {
  const TempFolder folder;
  GgufBuilder b;
  constexpr std::size_t kMany = 20000;
  for (std::size_t i = 0; i < kMany; ++i) {
    b.key("k" + std::to_string(i), 4, le(static_cast<std::uint32_t>(i)));
    b.info("t" + std::to_string(i), {8}, 0, 32 * i);
  }
  b.data = std::string(32 * kMany, '\0');
  const Gguf model(folder.write("m.gguf", b.build()));
  EXPECT_EQ(model.tensors().size(), kMany);
  EXPECT_EQ(model.config().find("k19999")->as_int("test"), 19999);
}

// --- split models ---

GgufBuilder shard(int index, int count, int total) {
  GgufBuilder b;
  if (index == 0) b.text("general.architecture", "llama");
  b.key("split.no", 2, le(static_cast<std::uint16_t>(index)));
  b.key("split.count", 2, le(static_cast<std::uint16_t>(count)));
  b.key("split.tensors.count", 5, le(std::int32_t{total}));
  b.tensor("t" + std::to_string(index), {2}, 0, floats(2, static_cast<float>(10 * index)));
  return b;
}

TEST(GgufSplit, OpensFromAnyFile) {
  const TempFolder folder;
  for (int i = 0; i < 3; ++i) {
    folder.write("m-0000" + std::to_string(i + 1) + "-of-00003.gguf", shard(i, 3, 3).build());
  }
  for (int i = 1; i <= 3; ++i) {
    const Gguf model(folder.path() + "/m-0000" + std::to_string(i) + "-of-00003.gguf");
    EXPECT_EQ(model.tensors().size(), 3U);
    EXPECT_EQ(model.config().find("general.architecture")->as_string("test"), "llama");
    float value = 0;
    std::memcpy(&value, model.find("t2")->bytes.data(), 4);
    EXPECT_EQ(value, 20.0F);
    model.drop_pages(*model.find("t2"));
  }
  EXPECT_EQ(open_checkpoint(folder.path())->tensors().size(), 3U);
}

/// A later file of a split whose first one says `alignment`, in that alignment or in the default.
std::string later_shard(std::size_t alignment) {
  GgufBuilder b;
  b.alignment = alignment;
  b.key("split.no", 2, le(std::uint16_t{1})).key("split.count", 2, le(std::uint16_t{2}));
  b.tensor("a", {3}, 0, floats(3, 20.0F)).tensor("b", {5}, 0, floats(5, 30.0F));
  b.data.resize((b.data.size() + alignment - 1) / alignment * alignment);
  return b.build();
}

// Writers differ: only the first file has general.alignment.
TEST(GgufSplit, LaterFilesMayHaveTheFirstOnesAlignmentOrTheDefault) {
  for (const std::uint32_t first : {8U, 16U, 64U, 128U, 4096U}) {
    for (const std::size_t later : {std::size_t{32}, std::size_t{first}}) {
      const TempFolder folder;
      GgufBuilder b = shard(0, 2, 3);
      b.key("general.alignment", 4, le(first));
      b.alignment = first;
      folder.write("m-00001-of-00002.gguf", b.build());
      folder.write("m-00002-of-00002.gguf", later_shard(later));
      for (const char* name : {"/m-00001-of-00002.gguf", "/m-00002-of-00002.gguf"}) {
        const Gguf model(folder.path() + name);
        float value = 0;
        std::memcpy(&value, model.find("a")->bytes.data(), 4);
        EXPECT_EQ(value, 20.0F) << first << " " << later;
        std::memcpy(&value, model.find("b")->bytes.data(), 4);
        EXPECT_EQ(value, 30.0F) << first << " " << later;
      }
    }
  }
}

TEST(GgufSplit, NamesWhatIsWrong) {
  const TempFolder folder;
  const auto open = [&](const char* name) {
    return error_of([&] { const Gguf model(folder.path() + "/" + name); });
  };
  folder.write("a-00001-of-00002.gguf", shard(0, 2, 2).build());
  EXPECT_EQ(open("a-00001-of-00002.gguf").code(), ErrorCode::kNotFound);  // the second is missing
  EXPECT_NE(std::string(open("a-00001-of-00002.gguf").what()).find("a-00002-of-00002.gguf"),
            std::string::npos);
  folder.write("a-00002-of-00002.gguf", shard(0, 2, 2).build());  // the first one again
  EXPECT_EQ(open("a-00001-of-00002.gguf").code(), ErrorCode::kCorruptData);
  folder.write("b.gguf", shard(0, 2, 2).build());  // renamed
  EXPECT_EQ(open("b.gguf").code(), ErrorCode::kInvalidArgument);
  folder.write("c-00001-of-00002.gguf", shard(0, 2, 3).build());
  folder.write("c-00002-of-00002.gguf", shard(1, 2, 3).build());
  EXPECT_NE(std::string(open("c-00001-of-00002.gguf").what()).find("split.tensors.count"),
            std::string::npos);
  folder.write("d-00001-of-00002.gguf", shard(0, 2, 2).build());
  GgufBuilder twice = shard(1, 2, 2);
  twice.infos.clear();
  twice.info("t0", {2}, 0, 0);
  folder.write("d-00002-of-00002.gguf", twice.build());
  EXPECT_NE(std::string(open("d-00001-of-00002.gguf").what()).find("tensor t0: occurs twice"),
            std::string::npos);
}

}  // namespace
}  // namespace openllm::format
