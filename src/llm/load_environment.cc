#include "llm/load_environment.h"

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <limits>
#include <utility>

#include "backend/check_options.h"
#include "base/error.h"
#include "base/json.h"
#include "base/json_setting.h"
#include "fields/values.h"

namespace openllm::llm {
namespace {

/// Empty: unset.
std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string() : std::string(value);
}

/// The value as JSON; texts that are none stay texts, and the readers below say what they expect.
base::Json json_of(const std::string& text, const char* name) {
  return base::parse_setting_or_text(text, name);
}

bool read_flag(const std::string& text, const char* name) {
  if (text == "1") return true;
  if (text == "0") return false;
  return fields::read_boolean(json_of(text, name), name);
}

/// {"path or name": "name", ...}
std::vector<AdapterOptions> read_adapters(const std::string& text, const char* name) {
  const base::Json json = json_of(text, name);
  if (!json.is_object()) fields::fail_type(name, "object", json);
  std::vector<AdapterOptions> adapters;
  for (const auto& [id, value] : *json.if_object())
    adapters.push_back({id, fields::read_text(value, base::cat(name, ".", id))});
  return adapters;
}

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> parts;
  std::size_t begin = 0;
  while (begin <= text.size()) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    if (end > begin) parts.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

/// Takes variables over into options that are unset.
class Filler {
 public:
  explicit Filler(EffectiveOptions& effective) : effective_(effective) {}

  /// `take` gets the variable's value and its name.
  template <typename Take>
  void fill(const char* option, bool is_given, const char* name, Take take) {
    const std::string text = is_given ? std::string() : variable(name);
    if (text.empty()) return;
    take(text, name);
    effective_.variables[option] = name;
  }
  void fill(const char* option, std::string& target, const char* name) {
    fill(option, !target.empty(), name, [&](const std::string& text, auto) { target = text; });
  }

 private:
  EffectiveOptions& effective_;
};

/// A variable with two spellings.
void fill_serialisation(Filler& filler, LoadOptions& options) {
  constexpr const char* kName = "OPENLLM_SERIALISATION";
  constexpr const char* kOtherName = "OPENLLM_SERIALIZATION";
  const std::string value = variable(kName);
  const std::string other = variable(kOtherName);
  if (options.serialisation.empty() && !value.empty() && !other.empty() && value != other) {
    base::fail_at(ErrorCode::kInvalidArgument, kOtherName, "is not what ", kName, " says (got ",
                  other, " and ", value, ")");
  }
  filler.fill("serialisation", options.serialisation, kName);
  filler.fill("serialisation", options.serialisation, kOtherName);
}

void fill_numbers(Filler& filler, LoadOptions& options) {
  filler.fill("max_model_len", options.max_model_len != 0, "OPENLLM_MAX_MODEL_LEN",
              [&](const std::string& text, const char* name) {
                options.max_model_len = static_cast<int>(fields::read_integer(
                    json_of(text, name), name, 1, std::numeric_limits<int>::max()));
              });
}

/// Who names a backend, or servers of one, wants no other places.
void fill_places(Filler& filler, LoadOptions& options) {
  const bool is_named = !options.places.empty() || !options.backend.empty() ||
                        !options.vllm.urls.empty() || !options.vllm.executable.empty();
  filler.fill("places", is_named, "OPENLLM_PLACES", [&](const std::string& text, auto name) {
    options.places = split(text);
    if (!variable("OPENLLM_BACKEND").empty()) {
      base::fail_at(ErrorCode::kInvalidArgument, name,
                    "stands beside OPENLLM_BACKEND (expected one of the two)");
    }
  });
}

/// Variables that say nothing to other backends.
void fill_vllm(Filler& filler, LoadOptions& options) {
  // Who names servers that run wants none started, whatever the environment says, and vice versa.
  const bool is_named =
      !options.vllm.urls.empty() || !options.vllm.executable.empty() || !options.places.empty();
  filler.fill("vllm.executable", is_named, "OPENLLM_VLLM",
              [&](const std::string& text, auto) { options.vllm.executable = text; });
  filler.fill("vllm.urls", is_named, "OPENLLM_VLLM_URL",
              [&](const std::string& text, auto) { options.vllm.urls = split(text); });
  filler.fill("vllm.api_key", options.vllm.api_key, "OPENLLM_VLLM_API_KEY");
  const bool has_share = options.gpu_memory_utilization.has_value() || !options.places.empty();
  filler.fill("gpu_memory_utilization", has_share, "OPENLLM_GPU_MEMORY_UTILIZATION",
              [&](const std::string& text, const char* name) {
                options.gpu_memory_utilization = static_cast<float>(fields::read_number(
                    json_of(text, name), name, {.min = 0, .max = 1, .is_above_min = true}));
              });
}

}  // namespace

Error EffectiveOptions::blame(const Error& error) const {
  const auto found = variables.find(error.where());
  if (found == variables.end()) return error;
  return {error.code(), base::cat(found->second, ": ", error.what()), found->second, error.reason(),
          error.retry_after()};
}

EffectiveOptions with_environment(const std::string& model, const LoadOptions& given) {
  EffectiveOptions effective{.model = model, .options = given};
  LoadOptions& options = effective.options;
  Filler filler(effective);
  filler.fill("model", !model.empty() || !options.model_tag.empty(), "OPENLLM_MODEL_ID",
              [&](const std::string& text, auto) { effective.model = text; });
  filler.fill("device", options.device, "OPENLLM_DEVICE");
  filler.fill("dtype", options.dtype, "OPENLLM_DTYPE");
  filler.fill("quantize", options.quantize, "OPENLLM_QUANTIZE");
  // Who wants nothing guessed wants no draft model.
  filler.fill("draft_model", !options.draft_model.empty() || options.max_draft_tokens == 0,
              "OPENLLM_DRAFT_MODEL",
              [&](const std::string& text, auto) { options.draft_model = text; });
  fill_serialisation(filler, options);
  const bool has_version = !options.model_version.empty() || !options.revision.empty() ||
                           !options.model_tag.empty() ||
                           effective.model.find(':') != std::string::npos;
  filler.fill("model_version", has_version, "OPENLLM_MODEL_VERSION",
              [&](const std::string& text, auto) { options.model_version = text; });
  filler.fill("trust_remote_code", options.trust_remote_code.has_value(),
              "OPENLLM_TRUST_REMOTE_CODE", [&](const std::string& text, const char* name) {
                options.trust_remote_code = read_flag(text, name);
              });
  filler.fill("adapters", !options.adapters.empty(), "OPENLLM_ADAPTER_MAP",
              [&](const std::string& text, const char* name) {
                options.adapters = read_adapters(text, name);
                if (options.default_adapter.empty() && options.adapters.size() == 1)
                  options.default_adapter = options.adapters.front().name;
              });
  fill_numbers(filler, options);
  // The backend's own variable is read where it is chosen, and OPENLLM_PYTHON where it is needed:
  // it says nothing of models that need no Python.
  fill_places(filler, options);
  const bool has_places = !options.places.empty();
  const std::string backend =
      options.backend.empty() && !has_places ? variable("OPENLLM_BACKEND") : options.backend;
  if (backend.empty() || backend == "vllm") fill_vllm(filler, options);
  LoadOptions chosen = options;
  chosen.backend = backend;
  try {
    backend::refuse_options_of_others(chosen);
  } catch (const Error& error) {
    throw effective.blame(error);
  }
  return effective;
}

}  // namespace openllm::llm
