// Weight schemes whose tensors and factors lie in several ways: the values that a device gets are,
// bit by bit, those that the scheme's own package makes of the file
// (tools/make_quantised_models.py), and files that are not as they should be are refused by name.

#include <bit>
#include <cmath>
#include <cstdio>
#include <cstring>

#include "device/weight.h"
#include "model/test_support.h"
#include "model/weights/contents.h"
#include "model/weights/schemes/scheme.h"

namespace openllm::model::test {
namespace {

/// E2M1 has a negative zero (code 8), which packages keep and our blocks do not.
void sign_zeros(tensor::DType type, const std::vector<std::byte>& blocks, float* values,
                std::size_t n) {
  const bool is_mxfp4 = type == tensor::DType::kMXFP4;
  if (!is_mxfp4 && type != tensor::DType::kE2M1By16) return;
  const auto block_bytes = static_cast<std::size_t>(tensor::info(type).block_bytes);
  for (std::size_t i = 0; i < n; ++i) {
    const std::byte* codes = blocks.data() + i / 32 * block_bytes + (is_mxfp4 ? 1 : 8);
    const auto pair = std::to_integer<unsigned>(codes[i % 16]);
    const unsigned code = i % 32 < 16 ? pair & 15U : pair >> 4U;
    if (code == 8) values[i] = -0.0F;
  }
}

/// The rows of a part as F32.
std::vector<float> values_of(const device::WeightPart& part) {
  const auto n_in = static_cast<std::size_t>(part.view.shape[1]);
  const tensor::DTypeInfo& type = tensor::info(part.view.dtype);
  std::vector<std::byte> blocks(tensor::byte_size(part.view.dtype, n_in));
  std::vector<float> values(static_cast<std::size_t>(part.view.shape[0]) * n_in);
  for (std::int64_t row = 0; row < part.view.shape[0]; ++row) {
    part.rows->read_row(row, blocks.data());
    float* of_row = values.data() + static_cast<std::size_t>(row) * n_in;
    type.to_f32(blocks.data(), of_row, n_in);
    sign_zeros(part.view.dtype, blocks, of_row, n_in);
  }
  return values;
}

std::string fnv1a(const std::vector<float>& values) {
  std::uint64_t hash = 0xCBF29CE484222325U;
  for (const float value : values) {
    hash = (hash ^ std::bit_cast<std::uint32_t>(value)) * 0x100000001B3U;
  }
  char text[17];
  std::snprintf(text, sizeof(text), "%016llx", static_cast<unsigned long long>(hash));
  return text;
}

const ModuleLayout kNoLayout{.modules = {}};

device::WeightPart take(const std::vector<std::unique_ptr<WeightScheme>>& schemes,
                        TensorIndex& index, const std::string& name, std::int64_t n_out,
                        std::int64_t n_in, const base::Json* n_experts) {
  if (n_experts != nullptr) {
    const std::size_t mark = name.rfind('@');
    const At at{.expert = std::stoi(name.substr(mark + 1)),
                .n_experts = static_cast<int>(n_experts->as_int("of"))};
    return schemes.front()->take_expert(index, name.substr(0, mark), n_out, n_in, at).value();
  }
  EXPECT_TRUE(schemes.front()->has(index, name)) << name;
  return schemes.front()->take(index, name, n_out, n_in, false);
}

struct Stored {
  const char* model;
  tensor::DType type;  ///< Of the blocks that devices get.
};

class StoredWeights : public testing::TestWithParam<Stored> {};

TEST_P(StoredWeights, AreThoseOfTheSchemesOwnPackage) {
  const std::string folder = data_path(GetParam().model);
  const auto checkpoint = format::open_checkpoint(folder);
  const auto schemes = make_schemes(*checkpoint);
  TensorIndex index(*checkpoint, kNoLayout);
  const base::Json modules =
      base::Json::parse(base::read_file(folder + "/weights.json"), "weights.json");
  ASSERT_GE(modules.if_object()->size(), 7U);
  for (const auto& [name, expected] : *modules.if_object()) {
    const base::JsonArray& shape = *expected.find("shape")->if_array();
    const device::WeightPart part = take(schemes, index, name, shape[0].as_int("rows"),
                                         shape[1].as_int("columns"), expected.find("of"));
    ASSERT_NE(part.rows, nullptr) << name;
    EXPECT_EQ(part.view.dtype, GetParam().type) << name;
    EXPECT_EQ(fnv1a(values_of(part)), expected.find("hash")->as_string("hash")) << name;
  }
}

INSTANTIATE_TEST_SUITE_P(Models, StoredWeights,
                         testing::Values(Stored{"llama-fp8-block", tensor::DType::kE4M3By32},
                                         Stored{"llama-fp8-ue8m0", tensor::DType::kF32},
                                         Stored{"llama-fp8-tensor", tensor::DType::kE4M3By32},
                                         Stored{"llama-fp8-e5m2", tensor::DType::kE5M2By32},
                                         Stored{"llama-ct-w8a8", tensor::DType::kCodes8By32},
                                         Stored{"llama-ct-w8-asym", tensor::DType::kF32},
                                         Stored{"llama-ct-w4a16", tensor::DType::kCodes4By32},
                                         Stored{"llama-ct-w4-asym", tensor::DType::kCodes4By32},
                                         Stored{"llama-ct-w8-packed", tensor::DType::kCodes8By32},
                                         Stored{"llama-ct-fp8", tensor::DType::kE4M3By32},
                                         Stored{"llama-ct-fp8-block", tensor::DType::kE4M3By32},
                                         Stored{"llama-ct-nvfp4", tensor::DType::kE2M1By16},
                                         Stored{"llama-ct-mxfp4", tensor::DType::kMXFP4},
                                         Stored{"llama-awq", tensor::DType::kCodes4By32},
                                         Stored{"llama-awq-gemv", tensor::DType::kCodes4By32},
                                         Stored{"llama-bnb-nf4", tensor::DType::kNF4By32},
                                         Stored{"llama-bnb-fp4", tensor::DType::kFP4By32},
                                         Stored{"llama-hqq", tensor::DType::kAffine4By32},
                                         Stored{"llama-hqq-columns", tensor::DType::kF32},
                                         Stored{"gpt_oss-mxfp4", tensor::DType::kMXFP4},
                                         Stored{"llama-torchao-intx", tensor::DType::kCodes8By32},
                                         Stored{"llama-torchao-fp8", tensor::DType::kE4M3By32},
                                         Stored{"qwen3-moe-fp8", tensor::DType::kF32},
                                         Stored{"qwen3-moe-fp8-halves", tensor::DType::kE4M3By32},
                                         Stored{"qwen3-moe-ct-fp8", tensor::DType::kE4M3By32}),
                         [](const auto& test) {
                           std::string name = test.param.model;
                           for (char& c : name)
                             c = std::isalnum(static_cast<unsigned char>(c)) != 0 ? c : '_';
                           return name;
                         });

MemoryCheckpoint copy(const format::Checkpoint& file) {
  MemoryCheckpoint checkpoint(format::Checkpoint::Kind::kHuggingFace, file.config());
  for (const format::NamedTensor& tensor : file.tensors()) checkpoint.add(tensor.name, tensor.view);
  return checkpoint;
}

void load(const format::Checkpoint& checkpoint) {
  static const auto device = device::make_device("cpu", {.n_threads = 1});
  (void)Model::load(checkpoint, *device, {});
}

// Of every scheme each tensor of a module: left out, of another type, of another shape.
TEST(Schemes, TensorsThatAreMissingOrDifferAreNamed) {
  const std::string module = "model.layers.0.mlp.down_proj";
  for (const char* name : {"llama-fp8-block", "llama-ct-w8-asym", "llama-ct-w4-asym",
                           "llama-ct-nvfp4", "llama-awq", "llama-awq-gemv", "llama-bnb-nf4",
                           "llama-hqq", "llama-torchao-intx", "llama-torchao-int4"}) {
    const auto file = format::open_checkpoint(data_path(name));
    for (const format::NamedTensor& tensor : file->tensors()) {
      if (!tensor.name.starts_with(module)) continue;
      const std::string_view part = std::string_view(tensor.name).substr(module.size());
      const bool is_matrix = part == ".W_q" || part == ".scale" || part == ".zero";
      if (name == std::string_view("llama-hqq") && !is_matrix) continue;  // notes beside it
      tensor::TensorView typed = tensor.view;
      typed.dtype = tensor::DType::kI16;
      tensor::TensorView shaped = tensor.view;
      shaped.shape = {7, 3};
      for (const tensor::TensorView* other : {&typed, &shaped}) {
        MemoryCheckpoint checkpoint = copy(*file);
        checkpoint.remove(tensor.name);
        checkpoint.add(tensor.name, *other);
        const Error error = error_of([&] { load(checkpoint); });
        // The codes of torchao tell which kind a module is of: there may be others.
        const bool tells_kind = tensor.name.ends_with("_weight_qdata");
        if (!tells_kind || error.code() != ErrorCode::kUnsupported) {
          EXPECT_EQ(error.code(), ErrorCode::kCorruptData) << error.what();
        }
        EXPECT_THAT(error.what(), testing::HasSubstr("tensor " + module)) << tensor.name;
      }
      MemoryCheckpoint checkpoint = copy(*file);
      checkpoint.remove(tensor.name);
      if (tensor.name.ends_with("zero_point")) continue;  // symmetric codes have none
      const Error error = error_of([&] { load(checkpoint); });
      EXPECT_EQ(error.code(), ErrorCode::kCorruptData) << error.what();
      EXPECT_THAT(error.what(), testing::HasSubstr(module)) << tensor.name;
    }
  }
}

TEST(Schemes, FactorsThatAreNotFiniteAreNamed) {
  const auto file = format::open_checkpoint(data_path("llama-fp8-tensor"));
  MemoryCheckpoint checkpoint = copy(*file);
  const std::string name = "model.layers.0.mlp.up_proj.weight_scale";
  checkpoint.remove(name);
  const float bad = INFINITY;
  checkpoint.add(name, {tensor::DType::kF32, {1}, std::as_bytes(std::span(&bad, 1))});
  EXPECT_THAT(
      error_of([&] { load(checkpoint); }).what(),
      testing::HasSubstr("tensor model.layers.0.mlp.up_proj.weight: element 0: not finite"));
}

TEST(Schemes, StackedExpertsWhoseRowsAreInputsAreRefusedInF8) {
  const auto file = format::open_checkpoint(data_path("llama4"));
  const std::string name = "model.layers.1.feed_forward.experts.down_proj";
  const tensor::Shape shape = file->find(name)->shape;
  const std::vector<std::byte> codes(static_cast<std::size_t>(shape.n_elems()), std::byte{0x38});
  MemoryCheckpoint checkpoint = copy(*file);
  checkpoint.remove(name);
  checkpoint.add(name, {tensor::DType::kF8_E4M3, shape, codes});
  checkpoint.mutable_config()["quantization_config"]["quant_method"] = "fp8";
  const Error error = error_of([&] { load(checkpoint); });
  EXPECT_EQ(error.code(), ErrorCode::kUnsupported) << error.what();
  EXPECT_THAT(error.what(), testing::HasSubstr("tensor " + name + ": stacked experts of F8 as"));
}

TEST(Schemes, FactorsOfStackedExpertsAreChecked) {
  const auto file = format::open_checkpoint(data_path("qwen3-moe-fp8"));
  const std::string name = "model.layers.0.mlp.experts.down_proj_scale_inv";
  tensor::TensorView shaped = *file->find(name);
  shaped.shape = {3, 4};
  MemoryCheckpoint checkpoint = copy(*file);
  checkpoint.remove(name);
  EXPECT_THAT(error_of([&] { load(checkpoint); }).what(),
              testing::HasSubstr("experts.down_proj_scale: missing"));
  checkpoint.add(name, shaped);
  EXPECT_THAT(error_of([&] { load(checkpoint); }).what(),
              testing::HasSubstr(name + ": wrong shape (expected [3, 1, 4], got [3, 4])"));
}

struct Refusal {
  const char* model;
  const char* key;
  const char* value;
  ErrorCode code;
  const char* message;
};

TEST(Schemes, SettingsAreRefusedByName) {
  for (const Refusal& test : {
           Refusal{"llama-awq", "bits", "8", ErrorCode::kUnsupported,
                   "bits: codes of that size are not supported (expected 4, got 8)"},
           {"llama-awq", "version", "\"marlin\"", ErrorCode::kUnsupported,
            "version: unknown order of codes (expected gemm or gemv, got marlin)"},
           {"llama-awq", "group_size", "0", ErrorCode::kCorruptData, "group_size: bad value"},
           {"llama-fp8-block", "weight_block_size", "[128]", ErrorCode::kCorruptData,
            "weight_block_size: bad value (expected two numbers, got 1)"},
           {"llama-fp8-block", "weight_block_size", "[0, 128]", ErrorCode::kCorruptData,
            "weight_block_size: bad value"},
           {"llama-ct-w8a8", "format", "\"marlin-24\"", ErrorCode::kUnsupported,
            "format: unknown (expected one of "},
           {"llama-ct-w8a8", "config_groups", "{}", ErrorCode::kCorruptData,
            "config_groups: missing"},
           {"llama-ct-w8a8", "transform_config", "{\"a\": 1}", ErrorCode::kUnsupported,
            "transform_config: "},
           {"llama-bnb-nf4", "bnb_4bit_quant_storage", "\"bfloat16\"", ErrorCode::kUnsupported,
            "bnb_4bit_quant_storage: "},
       }) {
    const auto file = format::open_checkpoint(data_path(test.model));
    MemoryCheckpoint checkpoint = copy(*file);
    checkpoint.mutable_config()["quantization_config"][test.key] =
        base::Json::parse(test.value, "test");
    const Error error = error_of([&] { load(checkpoint); });
    EXPECT_EQ(error.code(), test.code) << error.what();
    EXPECT_THAT(error.what(),
                testing::StartsWith(std::string("memory/config.json: quantization_config: ") +
                                    test.message));
  }
}

// Users are told of matrices, not of the tensors that hold them.
TEST(Schemes, ContentsAreMatrices) {
  for (const char* name : {"llama-fp8-block", "llama-ct-w8a8", "llama-ct-w4-asym", "llama-ct-nvfp4",
                           "llama-awq", "llama-awq-gemv", "llama-bnb-nf4", "llama-bnb-int8"}) {
    const auto file = format::open_checkpoint(data_path(name));
    std::int64_t n_parameters = 0;
    for (const WeightContent& content : list_contents(*file)) {
      n_parameters += content.shape.n_elems();
    }
    const auto device = device::make_device("cpu", {.n_threads = 1, .sizes_only = true});
    EXPECT_EQ(n_parameters, Model::load(*file, *device, {})->n_parameters()) << name;
  }
}

}  // namespace
}  // namespace openllm::model::test
