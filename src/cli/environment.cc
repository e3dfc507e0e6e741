#include "cli/environment.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>

#include "base/error.h"
#include "base/nearest.h"

namespace openllm::cli {
namespace {

constexpr std::string_view kPrefix = "OPENLLM_";
constexpr std::array kKnown{
    Variable{"OPENLLM_HOME",
             "Folder of the model store; else $XDG_CACHE_HOME/openllm, else "
             "~/.cache/openllm."},
    Variable{"OPENLLM_PACKED_COPIES",
             "What packed copies of weights may take on the disk (20G; default: 32G), or off."},
    Variable{"OPENLLM_BACKEND", "Engine where --backend names none."},
    Variable{"OPENLLM_DEVICE", "Device where --device names none."},
    Variable{"OPENLLM_DTYPE", "Type of weights that are not quantised, where --dtype says none."},
    Variable{"OPENLLM_QUANTIZE", "Refused by name: models are quantised before."},
    Variable{"OPENLLM_SERIALISATION", "Form of the weights where --serialisation says none."},
    Variable{"OPENLLM_SERIALIZATION", "The same."},
    Variable{"OPENLLM_MODEL_ID", "The model where none is named."},
    Variable{"OPENLLM_MODEL_VERSION",
             "Version where neither the name nor --model-version has one."},
    Variable{"OPENLLM_MAX_MODEL_LEN", "Longest sequence where --max-model-len says none."},
    Variable{"OPENLLM_TRUST_REMOTE_CODE",
             "Whether the backend pt runs code that comes with models."},
    Variable{"OPENLLM_ADAPTER_MAP",
             "LoRA adapters to mount, as JSON: {\"folder\": \"name\"}; a single one is its own "
             "default."},
    Variable{"OPENLLM_GPU_MEMORY_UTILIZATION", "Where --gpu-memory-utilization says none."},
    Variable{"OPENLLM_PLACES", "Places where --place names none, with commas between them."},
    Variable{"OPENLLM_VLLM", "Program where --vllm-executable names none."},
    Variable{"OPENLLM_VLLM_URL", "Servers where --vllm-url names none, with commas between them."},
    Variable{"OPENLLM_VLLM_API_KEY", "Key of these servers."},
    Variable{"OPENLLM_PYTHON", "Interpreter of the backend pt (python3)."},
    Variable{"OPENLLM_CONFIG", "Defaults of requests, as a JSON object."},
    Variable{"OPENLLM_GENERATION_*", "Default of one field of requests."},
    Variable{"OPENLLM_SAMPLING_*", "The same."},
    Variable{"OPENLLM_API_KEY", "Key that clients of `openllm start` must send."},
    Variable{"OPENLLM_ENDPOINT", "Server that `openllm query` asks."},
    Variable{"OPENLLM_AUTH_TOKEN", "Key that `openllm query` sends."},
    Variable{"OPENLLM_HUB", "Where models come from: huggingface or modelscope."},
    Variable{"HF_HUB_CACHE",
             "Cache in which `openllm import` looks for models of the Hub; else "
             "$HF_HOME/hub, else ~/.cache/huggingface/hub."},
};
/// Read by scripts/test alone.
constexpr std::string_view kOfTests = "OPENLLM_BASE_REF";

/// The library checks the names of fields itself.
bool is_known(std::string_view name) {
  return name == kOfTests || std::any_of(kKnown.begin(), kKnown.end(), [&](const Variable& known) {
           return known.name.ends_with('*')
                      ? name.starts_with(known.name.substr(0, known.name.size() - 1))
                      : name == known.name;
         });
}

}  // namespace

std::span<const Variable> known_variables() noexcept { return kKnown; }

std::vector<std::string> unknown_variables(const char* const* environment) {
  std::vector<std::string> sentences;
  std::vector<std::string> known;
  for (const Variable& variable : kKnown) known.emplace_back(variable.name);
  for (; environment != nullptr && *environment != nullptr; ++environment) {
    const std::string_view entry(*environment);
    const std::string_view name = entry.substr(0, entry.find('='));
    if (!name.starts_with(kPrefix) || is_known(name)) continue;
    const std::optional<std::string> meant = base::nearest(name, known);
    sentences.push_back(base::cat("nothing reads the variable ", name.substr(0, 100),
                                  meant ? base::cat("; did you mean ", *meant, "?") : ""));
  }
  return sentences;
}

}  // namespace openllm::cli
