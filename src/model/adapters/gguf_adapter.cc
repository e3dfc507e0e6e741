// LoRA adapters as llama.cpp's convert_lora_to_gguf.py writes them. Source: llama.cpp's
// src/llama-adapter.cpp and llama-graph.cpp (build_lora_mm, build_inp_embd).

#include <map>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "format/tensor_list.h"
#include "model/adapters/adapter_source.h"
#include "model/config/config.h"

namespace openllm::model {
namespace {

using format::NamedTensor;
using format::printable;

constexpr std::string_view kA = ".lora_a";
constexpr std::string_view kB = ".lora_b";
constexpr std::string_view kWeight = ".weight";
constexpr std::string_view kNorm = "_norm.weight";
constexpr std::string_view kTable = "token_embd";
constexpr double kMaxScale = 1e9;

struct Pair {
  const NamedTensor* a = nullptr;
  const NamedTensor* b = nullptr;
  const NamedTensor* norm = nullptr;  ///< Instead of a norm's weight.
};

void require_lora(const Config& config) {
  const std::string type = config.string_or("general.type", "");
  if (type != "adapter")
    config.unsupported("general.type", "no adapter (expected adapter, got ", printable(type), ")");
  const std::string kind = config.string_or("adapter.type", "");
  if (kind != "lora") {
    config.unsupported("adapter.type", "unknown kind of adapter (expected lora, got ",
                       printable(kind), ")");
  }
  if (config.has("adapter.alora.invocation_tokens")) {
    config.unsupported("adapter.alora.invocation_tokens",
                       "an adapter that begins to act at these tokens is not supported");
  }
}

std::map<std::string, Pair> pairs_of(const format::Checkpoint& checkpoint) {
  std::map<std::string, Pair> pairs;
  for (const NamedTensor& tensor : checkpoint.tensors()) {
    const std::string_view name = tensor.name;
    const bool is_a = name.ends_with(kA);
    if (name.ends_with(kNorm)) {
      pairs[std::string(name.substr(0, name.size() - kWeight.size()))].norm = &tensor;
      continue;
    }
    const std::string_view weight = name.substr(0, name.size() - std::min(name.size(), kA.size()));
    if ((!is_a && !name.ends_with(kB)) || !weight.ends_with(kWeight)) {
      base::fail(
          ErrorCode::kUnsupported, checkpoint.path(), ": tensor ", printable(tensor.name),
          ": not supported (expected MODULE.weight.lora_a or lora_b, or MODULE_norm.weight)");
    }
    Pair& pair = pairs[std::string(weight.substr(0, weight.size() - kWeight.size()))];
    (is_a ? pair.a : pair.b) = &tensor;
  }
  return pairs;
}

/// Slice `i` of a tensor of one more dimension.
NamedTensor slice(const NamedTensor& tensor, std::int64_t i) {
  const tensor::Shape& shape = tensor.view.shape;
  const std::size_t size = tensor.view.bytes.size() / static_cast<std::size_t>(shape[0]);
  return {tensor.name,
          {tensor.view.dtype, tensor::Shape{shape[1], shape[2]},
           tensor.view.bytes.subspan(static_cast<std::size_t>(i) * size, size)}};
}

class GgufReader {
 public:
  explicit GgufReader(const format::Checkpoint& checkpoint)
      : checkpoint_(checkpoint), config_(checkpoint.config(), checkpoint.path()) {
    require_lora(config_);
    alpha_ = config_.not_negative_or("adapter.lora.alpha", 0.0);
  }

  AdapterSource read() const {
    if (!checkpoint_.unreadable().empty()) {
      const format::UnreadableTensor& tensor = checkpoint_.unreadable()[0];
      base::fail(ErrorCode::kUnsupported, checkpoint_.path(), ": tensor ", printable(tensor.name),
                 ": ", tensor.reason);
    }
    AdapterSource source{checkpoint_.path(), checkpoint_.kind(), {}, {}};
    for (const auto& [name, pair] : pairs_of(checkpoint_)) {
      if (pair.norm != nullptr) {
        AdapterModule& module = source.modules.emplace_back();
        module.module = name;
        module.weight = *pair.norm;
      }
      if (pair.norm != nullptr && pair.a == nullptr && pair.b == nullptr) continue;
      if (pair.a == nullptr || pair.b == nullptr) {
        corrupt(pair.a != nullptr ? *pair.a : *pair.b,
                "alone (expected lora_a and lora_b of a module)");
      }
      add(name, *pair.a, *pair.b, source);
    }
    if (source.modules.empty())
      base::fail(ErrorCode::kCorruptData, checkpoint_.path(), ": an adapter without tensors");
    return source;
  }

 private:
  [[noreturn]] void corrupt(const NamedTensor& tensor, std::string_view why) const {
    base::fail(ErrorCode::kCorruptData, checkpoint_.path(), ": tensor ", printable(tensor.name),
               ": ", why);
  }

  void add(const std::string& name, const NamedTensor& a, const NamedTensor& b,
           AdapterSource& source) const {
    const int n_dims = a.view.shape.n_dims();
    if (n_dims != b.view.shape.n_dims() || n_dims < 2 || n_dims > 3)
      corrupt(a, "wrong shape (expected two dimensions, or three for experts, as lora_b has)");
    const std::int64_t n_experts = n_dims == 3 ? a.view.shape[0] : 1;
    if (n_dims == 3 && (b.view.shape[0] != n_experts || n_experts == 0))
      corrupt(b, "wrong shape (expected as many experts as lora_a has)");
    for (std::int64_t e = 0; e < n_experts; ++e) {
      AdapterModule module;
      module.module = name;
      module.is_table = module.by_token = name == kTable;
      module.a = n_dims == 3 ? slice(a, e) : a;
      module.b = n_dims == 3 ? slice(b, e) : b;
      if (n_dims == 3) module.expert = static_cast<int>(e);
      const std::int64_t rank = module.b->view.shape[1];
      if (rank < 1 || module.a->view.shape[module.by_token ? 1 : 0] != rank)
        corrupt(b, "wrong shape (expected the rank that lora_a has)");
      const double scale = alpha_ > 0.0 ? alpha_ / static_cast<double>(rank) : 1.0;
      if (scale > kMaxScale)
        config_.corrupt("adapter.lora.alpha", "bad value (expected a scale of at most ", kMaxScale,
                        ", got ", scale, ")");
      module.scale = static_cast<float>(scale);
      source.modules.push_back(std::move(module));
    }
  }

  const format::Checkpoint& checkpoint_;
  const Config config_;
  double alpha_ = 0.0;
};

}  // namespace

AdapterSource read_gguf_adapter(const format::Checkpoint& checkpoint) {
  return GgufReader(checkpoint).read();
}

}  // namespace openllm::model
