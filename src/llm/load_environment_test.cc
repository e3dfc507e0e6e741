// Options of loading: what the environment sets, and what is refused by name.

#include "llm/load_environment.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <string>
#include <tuple>
#include <vector>

#include "base/error.h"
#include "llm/test_environment.h"
#include "openllm/deprecated.h"
#include "openllm/llm.h"

namespace openllm::llm {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

const std::string kModel = std::string(OPENLLM_TEST_DATA) + "/stories260K/hf";
const std::string kQuantised = std::string(OPENLLM_TEST_DATA) + "/models/llama-gguf/q8_0";

Error error_of(const std::string& model, const LoadOptions& options) {
  try {
    LLM llm(model, options);
    llm.load();
  } catch (const Error& error) {
    return error;
  }
  ADD_FAILURE() << "no error";
  return {ErrorCode::kInternal, "no error"};
}

TEST(LoadEnvironment, SetsWhatIsUnset) {
  Environment environment;
  environment.set("OPENLLM_DEVICE", "reference");
  environment.set("OPENLLM_DTYPE", "f16");
  environment.set("OPENLLM_SERIALISATION", "safetensors");
  environment.set("OPENLLM_MODEL_VERSION", "v7");
  environment.set("OPENLLM_MAX_MODEL_LEN", "77");
  environment.set("OPENLLM_TRUST_REMOTE_CODE", "0");
  const LoadOptions options = with_environment("m", {}).options;
  EXPECT_EQ(options.device, "reference");
  EXPECT_EQ(options.dtype, "f16");
  EXPECT_EQ(options.serialisation, "safetensors");
  EXPECT_EQ(options.model_version, "v7");
  EXPECT_EQ(options.max_model_len, 77);
  EXPECT_EQ(options.trust_remote_code, false);
  const LLM llm(kModel);
  EXPECT_EQ(llm.device(), "reference");
  EXPECT_EQ(llm.info().max_context, 77);
  EXPECT_EQ(llm.revision(), "v7");
}

TEST(LoadEnvironment, NamesAModelWhereNobodyDoes) {
  Environment environment;
  environment.set("OPENLLM_MODEL_ID", kModel.c_str());
  EXPECT_EQ(LLM("").info().path, LLM(kModel).info().path);
  environment.set("OPENLLM_MODEL_ID", "/nonexistent");
  EXPECT_EQ(with_environment(kModel, {}).model, kModel);
  EXPECT_EQ(with_environment("", {.model_tag = "t"}).model, "") << "a tag names one";
  EXPECT_THROW(LLM(""), Error);
  environment.set("OPENLLM_SERIALIZATION", "safetensors");
  EXPECT_EQ(with_environment("m", {}).options.serialisation, "safetensors");
  environment.set("OPENLLM_SERIALISATION", "gguf");
  EXPECT_THROW(with_environment("m", {}), Error) << "which of them?";
  EXPECT_EQ(with_environment("m", {.serialisation = "auto"}).options.serialisation, "auto");
}

TEST(NotInherited, N1TheEnvironmentDoesNotBeatAnArgument) {
  Environment environment;
  environment.set("OPENLLM_DEVICE", "no such device");
  environment.set("OPENLLM_DTYPE", "no such type");
  environment.set("OPENLLM_SERIALISATION", "gguf");
  environment.set("OPENLLM_MODEL_VERSION", "v7");
  environment.set("OPENLLM_MAX_MODEL_LEN", "77");
  environment.set("OPENLLM_TRUST_REMOTE_CODE", "1");
  environment.set("OPENLLM_BACKEND", "vllm");
  environment.set("OPENLLM_SAMPLING_TOP_K", "3");
  const LLM llm(kModel, {.model_version = "v1",
                         .backend = "native",
                         .device = "reference",
                         .max_model_len = 50,
                         .config = {.top_k = 4},
                         .serialisation = "auto",
                         .trust_remote_code = false,
                         .dtype = "auto"});
  EXPECT_EQ(llm.device(), "reference");
  EXPECT_EQ(llm.info().max_context, 50);
  EXPECT_EQ(llm.revision(), "v1");
  EXPECT_EQ(llm.config().top_k, 4);
  EXPECT_EQ(with_environment("a/b:v3", {}).options.model_version, "") << "the name has one";
  EXPECT_EQ(with_environment("a/b", {.revision = "v4"}).options.model_version, "");
}

TEST(NotInherited, N2VariablesWithoutOurPrefixAreNotRead) {
  Environment environment;
  for (const char* name : {"BACKEND", "DTYPE", "QUANTIZE", "TRUST_REMOTE_CODE", "MAX_MODEL_LEN",
                           "TORCH_DTYPE", "DEVICE", "CONFIG", "OPENLLM_TOP_K"})
    environment.set(name, "7");
  const LLM llm(kModel);
  EXPECT_EQ(llm.config().top_k, 12);
  EXPECT_NO_THROW(llm.load());
  EXPECT_EQ(llm.info().max_context, 512);
}

TEST(NotInherited, N36NothingTrustsRemoteCodeByItself) {
  EXPECT_FALSE(with_environment("m", {}).options.trust_remote_code.value_or(false));
  Environment environment;
  environment.set("OPENLLM_TRUST_REMOTE_CODE", "true");
  environment.set("OPENLLM_PYTHON", "/no/such/python");  // it would run that code
  const Error error = error_of(kModel, {});
  EXPECT_EQ(error.code(), ErrorCode::kUnsupported);
  EXPECT_THAT(error.what(), HasSubstr("trust_remote_code"));
}

TEST(LoadEnvironment, ASingleAdapterIsItsOwnDefault) {
  Environment environment;
  environment.set("OPENLLM_ADAPTER_MAP", R"({"a/b": "style"})");
  EXPECT_EQ(with_environment("m", {}).options.default_adapter, "style");
  EXPECT_EQ(with_environment("m", {.default_adapter = "none"}).options.default_adapter, "none");
  LoadOptions given;
  given.adapters = {{"c/d", "facts"}};
  EXPECT_EQ(with_environment("m", given).options.default_adapter, "");
  environment.set("OPENLLM_ADAPTER_MAP", R"({"a/b": "style", "c/d": "facts"})");
  EXPECT_EQ(with_environment("m", {}).options.default_adapter, "");
}

TEST(LoadEnvironment, BadValuesNameTheVariable) {
  for (const auto& [name, value, code] :
       {std::tuple{"OPENLLM_DEVICE", "gpu9", ErrorCode::kInvalidArgument},
        std::tuple{"OPENLLM_DTYPE", "int8", ErrorCode::kInvalidArgument},
        std::tuple{"OPENLLM_SERIALISATION", "onnx", ErrorCode::kInvalidArgument},
        std::tuple{"OPENLLM_MODEL_VERSION", "a b", ErrorCode::kInvalidArgument},
        std::tuple{"OPENLLM_MAX_MODEL_LEN", "many", ErrorCode::kInvalidArgument},
        std::tuple{"OPENLLM_MAX_MODEL_LEN", "-1", ErrorCode::kInvalidArgument},
        std::tuple{"OPENLLM_MAX_MODEL_LEN", "99999", ErrorCode::kInvalidArgument},
        std::tuple{"OPENLLM_TRUST_REMOTE_CODE", "maybe", ErrorCode::kInvalidArgument},
        std::tuple{"OPENLLM_GPU_MEMORY_UTILIZATION", "2", ErrorCode::kInvalidArgument},
        std::tuple{"OPENLLM_ADAPTER_MAP", "[1]", ErrorCode::kInvalidArgument},
        std::tuple{"OPENLLM_ADAPTER_MAP", R"({"a/b": 3})", ErrorCode::kInvalidArgument},
        std::tuple{"OPENLLM_QUANTIZE", "gptq", ErrorCode::kUnsupported}}) {
    Environment environment;
    environment.set(name, value);
    const Error error = error_of(kModel, {});
    EXPECT_EQ(error.code(), code) << name << "=" << value << ": " << error.what();
    EXPECT_THAT(error.what(), StartsWith(name)) << value;
    environment.set(name, "");
    EXPECT_NO_THROW(LLM{kModel}) << name << ", empty";
  }
}

TEST(LoadOptions, WhatNoBackendHereHasIsRefusedByName) {
  const auto with = [](const std::function<void(openllm::LoadOptions&)>& change) {
    openllm::LoadOptions options;
    change(options);
    const Error error = error_of(kModel, options);
    EXPECT_EQ(error.code(), ErrorCode::kUnsupported) << error.what();
    EXPECT_EQ(error.reason(), ErrorReason::kUnsupportedField) << error.what();
    return std::string(error.where());
  };
  using Options = openllm::LoadOptions;
  EXPECT_EQ(with([](Options& o) { o.quantize = "gptq"; }), "quantize");
  const auto with_native = [&](const std::function<void(openllm::LoadOptions&)>& change) {
    return with([&](Options& o) {
      o.backend = "native";
      change(o);
    });
  };
  EXPECT_EQ(with_native([](Options& o) { o.gpu_memory_utilization = 0.5F; }),
            "gpu_memory_utilization");
  EXPECT_EQ(with_native([](Options& o) { o.tensor_parallel = 2; }), "tensor_parallel");
  EXPECT_EQ(with_native([](Options& o) { o.tokenizer = "t"; }), "tokenizer");
  EXPECT_EQ(with_native([](Options& o) { o.vllm.urls = {"http://a"}; }), "vllm.urls");
  EXPECT_EQ(with_native([](Options& o) { o.vllm.executable = "v"; }), "vllm.executable");
  EXPECT_EQ(with_native([](Options& o) { o.vllm.args = {"v"}; }), "vllm.args");
  EXPECT_EQ(with_native([](Options& o) { o.vllm.api_key = "k"; }), "vllm.api_key");
  EXPECT_EQ(with_native([](Options& o) { o.vllm.startup_timeout = std::chrono::seconds(1); }),
            "vllm.startup_timeout");
  EXPECT_EQ(with([](Options& o) { o.pt.python = "p"; }), "pt.python");
  EXPECT_EQ(with([](Options& o) { o.pt.device = "cpu"; }), "pt.device");
  EXPECT_EQ(with([](Options& o) { o.pt.startup_timeout = std::chrono::seconds(1); }),
            "pt.startup_timeout");
  EXPECT_THAT(error_of(kModel, {.quantize = "gptq"}).what(), HasSubstr("GGUF"));
  EXPECT_EQ(error_of(kModel, {.backend = "vllm", .gpu_memory_utilization = 0.5F}).code(),
            ErrorCode::kUnavailable)
      << "there is none here";
}

TEST(LoadEnvironment, AVariableSaysNothingBesideTheOtherWayToVllm) {
  Environment environment;
  environment.set("OPENLLM_VLLM", "/bin/vllm");
  openllm::LoadOptions options;
  options.backend = "vllm";
  EXPECT_EQ(with_environment(kModel, options).options.vllm.executable, "/bin/vllm");
  options.vllm.urls = {"http://127.0.0.1:1"};
  EXPECT_EQ(with_environment(kModel, options).options.vllm.executable, "");
}

TEST(LoadEnvironment, ThePythonOfPtMattersToNoOtherBackend) {
  Environment environment;
  environment.set("OPENLLM_PYTHON", "/no/such/python");
  EXPECT_NO_THROW(LLM{kModel});
  EXPECT_NO_THROW(LLM(kModel, {.backend = "native"}));
  const Error error = error_of(kModel, {.backend = "pt"});
  EXPECT_EQ(error.code(), ErrorCode::kUnavailable);
  EXPECT_THAT(error.what(), HasSubstr("OPENLLM_PYTHON"));
}

TEST(LoadOptions, NothingIsFetched) {
  EXPECT_NO_THROW(LLM(kModel, {.offline = true, .ensure_available = false}));
  for (const bool ensure_available : {true, false}) {
    const Error error = error_of("nobody/nothing", {.ensure_available = ensure_available});
    EXPECT_EQ(error.code(), ErrorCode::kNotFound);
    EXPECT_EQ(error.reason(), ErrorReason::kModelNotFound);
  }
}

TEST(LoadOptions, RevisionIsAnotherNameOfTheVersion) {
  EXPECT_EQ(LLM(kModel, {.revision = "v2"}).revision(), "v2");
  EXPECT_EQ(LLM(kModel, {.model_version = "v2", .revision = "v2"}).revision(), "v2");
  const Error error = error_of(kModel, {.model_version = "v1", .revision = "v2"});
  EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(error.where(), "revision");
}

TEST(LoadOptions, WeightsThatAreNotQuantisedAreRounded) {
  const auto logits = [](const std::string& dtype) {
    return LLM(kModel, {.n_threads = 1, .dtype = dtype}).logits({1, 403, 407});
  };
  const std::vector<float> as_they_are = logits("auto");
  EXPECT_EQ(logits("f32"), as_they_are) << "the file's own type";
  EXPECT_EQ(logits("float32"), as_they_are);
  const std::vector<float> half = logits("half");
  EXPECT_EQ(logits("f16"), half);
  EXPECT_NE(half, as_they_are);
  const std::vector<float> brain = logits("bfloat16");
  EXPECT_NE(brain, as_they_are);
  float worst = 0.0F;
  for (std::size_t i = 0; i < brain.size(); ++i)
    worst = std::max(worst, std::abs(brain[i] - as_they_are[i]));
  EXPECT_LT(worst, 1.0F);
  EXPECT_EQ(error_of(kModel, {.dtype = "int8"}).where(), "dtype");
}

TEST(LoadOptions, QuantisedWeightsStayAsTheyAre) {
  EXPECT_NO_THROW(LLM(kQuantised, {.dtype = "auto"}));
  const Error error = error_of(kQuantised, {.dtype = "bf16"});
  EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(error.where(), "dtype");
  EXPECT_THAT(error.what(), HasSubstr("quantised"));
}

}  // namespace
}  // namespace openllm::llm
