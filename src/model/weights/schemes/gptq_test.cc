// GPTQ files whose configuration or tensors are not as they should be. What sound ones compute is
// in golden_test.cc.

#include <cstring>

#include "model/test_support.h"
#include "model/weights/contents.h"

namespace openllm::model::test {
namespace {

constexpr const char* kModule = "model.layers.1.mlp.down_proj";  // [64, 96], three groups

class GptqTest : public testing::Test {
 protected:
  /// A copy of a sound model, to spoil.
  MemoryCheckpoint copy() const {
    MemoryCheckpoint checkpoint(format::Checkpoint::Kind::kHuggingFace, file_->config());
    for (const format::NamedTensor& tensor : file_->tensors()) {
      checkpoint.add(tensor.name, tensor.view);
    }
    return checkpoint;
  }
  const tensor::TensorView& view(const std::string& suffix) const {
    return *file_->find(std::string(kModule) + suffix);
  }
  static std::unique_ptr<Model> load(const format::Checkpoint& checkpoint) {
    static const auto device = device::make_device("cpu", {.n_threads = 1});
    return Model::load(checkpoint, *device, {});
  }
  /// What loading says when one of the module's tensors is another one.
  std::string with_tensor(const std::string& suffix, const tensor::TensorView& view) const {
    MemoryCheckpoint checkpoint = copy();
    checkpoint.remove(kModule + suffix);
    checkpoint.add(kModule + suffix, view);
    const Error error = error_of([&] { load(checkpoint); });
    EXPECT_EQ(error.code(), ErrorCode::kCorruptData);
    return error.what();
  }
  /// What loading says when a member of quantization_config has that value.
  Error with_member(const std::string& key, const char* json) const {
    MemoryCheckpoint checkpoint = copy();
    checkpoint.mutable_config()["quantization_config"][key] = base::Json::parse(json, "test");
    return error_of([&] { load(checkpoint); });
  }

  std::unique_ptr<format::Checkpoint> file_ =
      format::open_checkpoint(data_path("llama-gptq-act-order"));
};

TEST_F(GptqTest, CountsWeightsNotWords) {
  const auto model = load(copy());
  const auto dense = format::open_checkpoint(data_path("llama-gptq-8bit-act-order"));
  // The same sizes, but for the biases of Q, K, V and O.
  EXPECT_EQ(model->n_parameters(), load(*dense)->n_parameters() + 2 * (64 + 32 + 32 + 64));
}

// Users are told of matrices, not of the tensors that hold them.
TEST_F(GptqTest, ContentsAreMatrices) {
  std::int64_t n_parameters = 0;
  int n_quantised = 0;
  for (const WeightContent& content : list_contents(*file_)) {
    n_parameters += content.shape.n_elems();
    EXPECT_TRUE(content.type == "GPTQ-4" || content.type == "F16") << content.type;
    if (content.type == "GPTQ-4") ++n_quantised;
  }
  EXPECT_EQ(n_quantised, 2 * 7);
  EXPECT_EQ(n_parameters, load(copy())->n_parameters());
  MemoryCheckpoint unknown = copy();
  unknown.mutable_config()["quantization_config"]["quant_method"] = "quip";
  EXPECT_EQ(error_of([&] { list_contents(unknown); }).code(), ErrorCode::kUnsupported);
}

TEST_F(GptqTest, ModulesWithoutCodesArePlain) {
  MemoryCheckpoint checkpoint = copy();
  for (const char* suffix : {".qweight", ".qzeros", ".scales", ".g_idx"}) {
    checkpoint.remove(std::string(kModule) + suffix);
  }
  checkpoint.add(std::string(kModule) + ".weight", {64, 96});
  EXPECT_NO_THROW(load(checkpoint));
}

TEST_F(GptqTest, MissingTensorsAreNamed) {
  for (const auto& [suffix, shape] :
       {std::pair{".qzeros", "[3, 8]"}, {".scales", "[3, 64]"}, {".qweight", "[64, 96]"}}) {
    MemoryCheckpoint checkpoint = copy();
    checkpoint.remove(std::string(kModule) + suffix);
    const std::string name = suffix == std::string(".qweight") ? ".weight" : suffix;
    EXPECT_EQ(std::string(error_of([&] { load(checkpoint); }).what()),
              "memory: tensor " + (kModule + name) + ": missing (expected shape " + shape + ")");
  }
}

TEST_F(GptqTest, WrongShapesAndTypesAreNamed) {
  const std::string start = std::string("memory: tensor ") + kModule;
  for (const auto& [suffix, shape, expected] :
       {std::tuple{".qweight", tensor::Shape{12, 65}, "[12, 64], got [12, 65])"},
        {".qzeros", tensor::Shape{3, 64}, "[3, 8], got [3, 64])"},
        {".scales", tensor::Shape{2, 64}, "[3, 64], got [2, 64])"},
        {".g_idx", tensor::Shape{96, 1}, "[96], got [96, 1])"}}) {
    tensor::TensorView other = view(suffix);
    other.shape = shape;
    EXPECT_EQ(with_tensor(suffix, other), start + suffix + ": wrong shape (expected " + expected);
  }
  for (const auto& [suffix, type, expected] :
       {std::tuple{".qweight", tensor::DType::kF32, "I32, got F32)"},
        {".qzeros", tensor::DType::kF32, "I32, got F32)"},
        {".scales", tensor::DType::kI16, "F16, BF16 or F32, got I16)"},
        {".g_idx", tensor::DType::kF32, "I32, got F32)"}}) {
    tensor::TensorView other = view(suffix);
    other.dtype = type;
    EXPECT_EQ(with_tensor(suffix, other), start + suffix + ": wrong type (expected " + expected);
  }
}

/// Writers leave zeros where they recorded no groups.
TEST_F(GptqTest, GroupsThatWereNotRecordedFollowEachOther) {
  MemoryCheckpoint none = copy();
  none.remove(std::string(kModule) + ".g_idx");
  MemoryCheckpoint zeros = copy();
  zeros.remove(std::string(kModule) + ".g_idx");
  const std::vector<std::int32_t> groups(96, 0);
  zeros.add(std::string(kModule) + ".g_idx",
            {tensor::DType::kI32, {96}, std::as_bytes(std::span(groups))});
  const std::vector<std::int32_t> ids = {1, 5, 9};
  const std::vector<float> expected = Runner(none, "reference").step({{0, ids}});
  EXPECT_EQ(Runner(zeros, "reference").step({{0, ids}}), expected);
  EXPECT_NE(Runner(copy(), "reference").step({{0, ids}}), expected);
}

TEST_F(GptqTest, GroupsOutOfRangeAreNamed) {
  for (const std::int32_t bad : {3, -1, 1 << 30}) {
    std::vector<std::int32_t> groups(96);
    std::memcpy(groups.data(), view(".g_idx").bytes.data(), 96 * sizeof(std::int32_t));
    groups[17] = bad;
    tensor::TensorView other = view(".g_idx");
    other.bytes = std::as_bytes(std::span<const std::int32_t>(groups));
    EXPECT_EQ(with_tensor(".g_idx", other),
              std::string("memory: tensor ") + kModule +
                  ".g_idx: element 17: no such group (expected 0 to 2, got " + std::to_string(bad) +
                  ")");
  }
}

TEST_F(GptqTest, ScalesThatAreNotFiniteAreNamed) {
  std::vector<std::uint16_t> scales(3 * 64, 0x7E00);
  tensor::TensorView other = view(".scales");
  other.bytes = std::as_bytes(std::span<const std::uint16_t>(scales));
  EXPECT_THAT(with_tensor(".scales", other),
              testing::StartsWith(std::string("memory: tensor ") + kModule +
                                  ".scales: element 0: not finite"));
}

TEST_F(GptqTest, BiasThatIsNotZeroIsNotIgnored) {
  MemoryCheckpoint checkpoint = copy();
  checkpoint.add(std::string(kModule) + ".bias", {64});
  EXPECT_THAT(error_of([&] { load(checkpoint); }).what(),
              testing::HasSubstr(std::string(kModule) +
                                 ".bias: not part of this architecture and configuration"));
}

TEST_F(GptqTest, SizesThatDoNotFillWordsAreRefused) {
  MemoryCheckpoint checkpoint = copy();
  checkpoint.mutable_config()["intermediate_size"] = 97;
  EXPECT_THAT(error_of([&] { load(checkpoint); }).what(),
              testing::HasSubstr("a matrix that does not fill words of 4-bit codes (expected "
                                 "multiples of 8, got [97, 64])"));
}

struct Refusal {
  const char* key;
  const char* value;
  ErrorCode code;
  const char* message;
};

TEST_F(GptqTest, SettingsAreRefusedByName) {
  for (const Refusal& test : {
           Refusal{"quant_method", "\"quip\"", ErrorCode::kUnsupported,
                   "quant_method: unknown weight scheme (expected one of gptq, awq, fp8, "
                   "fbgemm_fp8, compressed-tensors, bitsandbytes, mxfp4, hqq, torchao; got quip)"},
           {"quant_method", "null", ErrorCode::kUnsupported, "quant_method: unknown weight scheme"},
           {"quant_method", "4", ErrorCode::kCorruptData, "quant_method: wrong type"},
           {"bits", "5", ErrorCode::kUnsupported,
            "bits: codes of that size are not supported (expected 2, 3, 4 or 8, got 5)"},
           {"bits", "null", ErrorCode::kCorruptData, "bits: missing"},
           {"bits", "0", ErrorCode::kCorruptData, "bits: bad value"},
           {"bits", "4.5", ErrorCode::kCorruptData, "bits: bad value"},
           {"group_size", "null", ErrorCode::kCorruptData, "group_size: missing"},
           {"group_size", "0", ErrorCode::kCorruptData, "group_size: bad value"},
           {"group_size", "-2", ErrorCode::kCorruptData, "group_size: bad value"},
           {"group_size", "1e300", ErrorCode::kCorruptData, "group_size: bad value"},
           {"checkpoint_format", "\"marlin\"", ErrorCode::kUnsupported,
            "checkpoint_format: unknown order of codes (expected gptq or gptq_v2, got marlin)"},
           {"is_marlin_format", "true", ErrorCode::kUnsupported, "is_marlin_format: "},
           {"pack_dtype", "\"int8\"", ErrorCode::kUnsupported, "pack_dtype: "},
           {"dynamic", "{\"+:.*down.*\": {\"bits\": 5}}", ErrorCode::kUnsupported,
            "dynamic: +:.*down.*: bits: codes of that size"},
           {"dynamic", "{\".*down.*\": {\"adapter\": {\"rank\": 8}}}", ErrorCode::kUnsupported,
            "dynamic: .*down.*: adapter: a setting of single modules that is not known"},
           {"dynamic", "{\"+:a\": {\"pack_dtype\": \"int8\"}}", ErrorCode::kUnsupported,
            "dynamic: +:a: pack_dtype: "},
       }) {
    const Error error = with_member(test.key, test.value);
    EXPECT_EQ(error.code(), test.code) << error.what();
    EXPECT_THAT(error.what(),
                testing::StartsWith(std::string("memory/config.json: quantization_config: ") +
                                    test.message));
  }
}

// Modules that are left out are those without codes.
TEST_F(GptqTest, ExcludedModulesAreTaken) {
  MemoryCheckpoint checkpoint = copy();
  checkpoint.mutable_config()["quantization_config"]["dynamic"] =
      base::Json::parse("{\"-:.*lm_head.*\": {}}", "test");
  EXPECT_NO_THROW(load(checkpoint));
}

// Which of the sizes a module has is told by its tensors; one that has none of them is named.
TEST_F(GptqTest, ModulesHaveTheSizesThatTheirTensorsTell) {
  MemoryCheckpoint checkpoint = copy();
  base::Json& config = checkpoint.mutable_config()["quantization_config"];
  config["bits"] = 8;
  config["group_size"] = 128;
  EXPECT_THAT(error_of([&] { load(checkpoint); }).what(), testing::HasSubstr("wrong shape"));
  config["dynamic"] = base::Json::parse(
      R"({"+:.*mlp.*": {"bits": 4, "group_size": 32}, "-:.*lm_head": {}})", "test");
  EXPECT_NO_THROW(load(checkpoint));
}

TEST_F(GptqTest, GroupsOfAnotherSizeAreTold) {
  MemoryCheckpoint checkpoint = copy();
  checkpoint.mutable_config()["quantization_config"]["group_size"] = 64;
  EXPECT_THAT(error_of([&] { load(checkpoint); }).what(),
              testing::HasSubstr(".scales: wrong shape (expected [1, 64], got [2, 64])"));
}

}  // namespace
}  // namespace openllm::model::test
