#include <array>
#include <utility>

#include "model/weights/schemes/scheme.h"

namespace openllm::model {
namespace {

struct SchemeEntry {
  std::string_view quant_method;  ///< In `quantization_config` of config.json.
  std::unique_ptr<WeightScheme> (*make)(const Config& quantization_config);
};

constexpr std::array kSchemes = {
    SchemeEntry{"gptq", make_gptq_scheme},
    SchemeEntry{"awq", make_awq_scheme},
    SchemeEntry{"fp8", make_fp8_scheme},
    SchemeEntry{"fbgemm_fp8", make_fp8_scheme},
    SchemeEntry{"compressed-tensors", make_compressed_tensors_scheme},
    SchemeEntry{"bitsandbytes", make_bitsandbytes_scheme},
    SchemeEntry{"mxfp4", make_mxfp4_scheme},
    SchemeEntry{"hqq", make_hqq_scheme},
    SchemeEntry{"torchao", make_torchao_scheme},
};

std::unique_ptr<WeightScheme> make_scheme(const Config& config) {
  const std::string method = config.string_or("quant_method", "none");
  std::string known;
  for (const SchemeEntry& entry : kSchemes) {
    if (entry.quant_method == method) return entry.make(config);
    known += (known.empty() ? "" : ", ") + std::string(entry.quant_method);
  }
  config.unsupported("quant_method", "unknown weight scheme (expected one of ", known, "; got ",
                     method, ")");
}

/// Of the model, or of the language model in it.
std::optional<Config> quantization_config(const Config& config) {
  constexpr std::string_view kKey = "quantization_config";
  if (config.has(kKey)) return config.object(kKey);
  const std::optional<Config> text = config.object("text_config");
  return text ? text->object(kKey) : std::nullopt;
}

}  // namespace

std::vector<std::unique_ptr<WeightScheme>> make_schemes(const format::Checkpoint& checkpoint) {
  std::vector<std::unique_ptr<WeightScheme>> schemes;
  if (checkpoint.kind() == format::Checkpoint::Kind::kHuggingFace) {
    const Config config(checkpoint.config(), checkpoint.path() + "/config.json");
    if (const auto quantization = quantization_config(config)) {
      schemes.push_back(make_scheme(*quantization));
    }
  }
  schemes.push_back(make_dense_scheme());
  return schemes;
}

std::vector<WeightContent> list_contents(const format::Checkpoint& checkpoint) {
  const auto schemes = make_schemes(checkpoint);
  std::vector<WeightContent> contents;
  for (const format::NamedTensor& tensor : checkpoint.tensors()) {
    for (const auto& scheme : schemes) {
      std::optional<WeightContent> content = scheme->content_of(checkpoint, tensor);
      if (!content) continue;
      if (!content->type.empty()) contents.push_back(*std::move(content));
      break;
    }
  }
  return contents;
}

}  // namespace openllm::model
