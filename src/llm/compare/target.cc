// How a target of a comparison is written.

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "openllm/compare.h"

namespace openllm {
namespace {

[[noreturn]] void fail_setting(const std::string& spelling, std::string_view what,
                               std::string_view expected, std::string_view got) {
  base::fail_at(ErrorCode::kInvalidArgument, spelling, what, " (expected ", expected, ", got ",
                got.empty() ? "\"\"" : got, ")");
}

bool is_number(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

/// Settings after which everything is the value.
bool takes_the_rest(std::string_view setting) {
  return setting.starts_with("url=") || setting.starts_with("model=");
}

/// The settings; "cuda:1" stays one.
std::vector<std::string> split(std::string_view text) {
  std::vector<std::string> parts;
  while (true) {
    const std::size_t end = takes_the_rest(text) ? std::string_view::npos : text.find(':');
    const std::string_view part = text.substr(0, end);
    if (is_number(part) && !parts.empty()) {
      parts.back() += ":" + std::string(part);
    } else {
      parts.emplace_back(part);
    }
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

/// The options that one backend alone has; the first of them that is given, null when none is.
const char* given_of_vllm(const LoadOptions& load) {
  const VllmOptions& vllm = load.vllm;
  if (!vllm.urls.empty()) return "vllm.urls";
  if (!vllm.executable.empty()) return "vllm.executable";
  if (!vllm.args.empty()) return "vllm.args";
  if (!vllm.api_key.empty()) return "vllm.api_key";
  if (vllm.startup_timeout) return "vllm.startup_timeout";
  if (load.tensor_parallel != 1) return "tensor_parallel";
  if (load.gpu_memory_utilization) return "gpu_memory_utilization";
  return load.tokenizer.empty() ? nullptr : "tokenizer";
}

const char* given_of_pt(const LoadOptions& load) {
  if (!load.pt.python.empty()) return "pt.python";
  if (!load.pt.device.empty()) return "pt.device";
  return load.pt.startup_timeout ? "pt.startup_timeout" : nullptr;
}

const char* given_of_native(const LoadOptions& load) {
  if (!load.device.empty()) return "device";
  if (load.fast_activations) return "fast_activations";
  if (!load.draft_model.empty()) return "draft_model";
  return load.kv_dtype == LoadOptions{}.kv_dtype ? nullptr : "kv_dtype";
}

/// Options of backends that this one is not: they were given for others of the comparison.
void drop_others_options(LoadOptions& load) {
  if (load.backend != "vllm") {
    load.vllm = {};
    load.tensor_parallel = 1;
    load.gpu_memory_utilization.reset();
    load.tokenizer.clear();
  }
  if (load.backend != "pt") load.pt = {};
  if (load.backend == "pt") load.quantize.clear();
  if (load.backend != "native") {
    load.device.clear();
    load.fast_activations = false;
    load.draft_model.clear();
    load.kv_dtype = LoadOptions{}.kv_dtype;
  }
  if (load.backend == "vllm") load.n_threads = 0;
}

/// Throws for an option that none of the targets has.
void check_given(const std::vector<CompareTarget>& targets, const LoadOptions& base) {
  const auto require = [&](const char* option, const char* backend) {
    const auto has_it = [&](const CompareTarget& target) { return target.load.backend == backend; };
    if (option == nullptr || std::any_of(targets.begin(), targets.end(), has_it)) return;
    base::fail_at(ErrorCode::kInvalidArgument, option, "is of the backend ", backend,
                  ", which is not among those that are compared");
  };
  require(given_of_vllm(base), "vllm");
  require(given_of_pt(base), "pt");
  require(given_of_native(base), "native");
}

void set_device(CompareTarget& target, const std::string& spelling, const std::string& device) {
  if (target.load.backend == "native") {
    target.load.device = device;
  } else if (target.load.backend == "pt") {
    target.load.pt.device = device;
  } else {
    fail_setting(spelling, "has no devices to choose from", "native or pt, or url=http://HOST:PORT",
                 device);
  }
}

void require_backend(const CompareTarget& target, const std::string& spelling, const char* backend,
                     std::string_view setting) {
  if (target.load.backend != backend)
    fail_setting(spelling, base::cat(setting, " is of the backend ", backend), backend,
                 target.load.backend);
}

void set(CompareTarget& target, const std::string& spelling, const std::string& setting) {
  if (setting == "fast-activations") {
    require_backend(target, spelling, "native", setting);
    target.load.fast_activations = true;
    return;
  }
  const std::size_t equals = setting.find('=');
  const bool has_value = equals != std::string::npos;
  const std::string name = has_value ? setting.substr(0, equals) : "device";
  std::string value = has_value ? setting.substr(equals + 1) : setting;
  if (value.empty()) fail_setting(spelling, "a setting is empty", "NAME=VALUE or a device", value);
  if (name == "device") {
    set_device(target, spelling, value);
  } else if (name == "dtype") {
    target.load.dtype = std::move(value);
  } else if (name == "quantize") {
    if (target.load.backend == "pt")
      fail_setting(spelling, "quantize is not of the backend pt", "native or vllm", value);
    target.load.quantize = std::move(value);
  } else if (name == "kv-dtype") {
    require_backend(target, spelling, "native", name);
    target.load.kv_dtype = std::move(value);
  } else if (name == "url") {
    require_backend(target, spelling, "vllm", name);
    target.load.vllm.urls = {std::move(value)};
    target.load.vllm.executable.clear();
  } else if (name == "model") {
    target.model = std::move(value);
  } else {
    fail_setting(spelling, "unknown setting",
                 "device, dtype, quantize, kv-dtype, fast-activations, url or model", name);
  }
}

CompareTarget parse_target(const std::string& spelling, const LoadOptions& base) {
  CompareTarget target{.name = spelling, .load = base};
  const std::vector<std::string> parts = split(spelling);
  if (parts.front().empty())
    fail_setting("backends", "one is not named", "BACKEND[:SETTING]...", spelling);
  target.load.backend = parts.front();
  drop_others_options(target.load);
  std::for_each(parts.begin() + 1, parts.end(),
                [&](const std::string& setting) { set(target, spelling, setting); });
  return target;
}

}  // namespace

std::vector<CompareTarget> parse_compare_targets(const std::string& list, const LoadOptions& base) {
  std::vector<CompareTarget> targets;
  std::size_t begin = 0;
  while (begin <= list.size()) {
    const std::size_t end = std::min(list.find(',', begin), list.size());
    targets.push_back(parse_target(list.substr(begin, end - begin), base));
    begin = end + 1;
  }
  check_given(targets, base);
  return targets;
}

}  // namespace openllm
