#include "hub/family_names.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <filesystem>

#include "base/error.h"
#include "base/json.h"
#include "base/json_setting.h"
#include "base/mapped_file.h"
#include "hub/reference.h"
#include "openllm/hub.h"
#include "openllm/store.h"

namespace openllm {
namespace {

constexpr std::size_t kLongestFile = 1 << 20U;

struct Family {
  std::string_view name;
  std::string_view model;
};

// Source: the default models of OpenLLM 0.4. Names are compared without "-" and "_".
constexpr Family kFamilies[] = {
    {"baichuan", "baichuan-inc/baichuan-7b"},
    {"chatglm", "thudm/chatglm-6b"},
    {"dollyv2", "databricks/dolly-v2-3b"},
    {"falcon", "tiiuae/falcon-7b"},
    {"flant5", "google/flan-t5-large"},
    {"gptneox", "eleutherai/gpt-neox-20b"},
    {"llama", "NousResearch/llama-2-7b-hf"},
    {"mistral", "mistralai/Mistral-7B-Instruct-v0.1"},
    {"mixtral", "mistralai/Mixtral-8x7B-Instruct-v0.1"},
    {"mpt", "mosaicml/mpt-7b-instruct"},
    {"opt", "facebook/opt-1.3b"},
    {"phi", "microsoft/phi-1_5"},
    {"qwen", "qwen/Qwen-7B-Chat"},
    {"stablelm", "stabilityai/stablelm-tuned-alpha-3b"},
    {"starcoder", "bigcode/starcoder"},
    {"yi", "01-ai/Yi-6B"},
};

std::string plain(std::string_view name) {
  std::string result;
  for (const char c : name) {
    if (c != '-' && c != '_')
      result += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  return result;
}

/// What the user's own list says.
std::optional<std::string> own_choice(const std::string& wanted) {
  std::string path;
  try {
    path = ModelStore().root() + "/families.json";
  } catch (const Error&) {
    return std::nullopt;  // nothing says where
  }
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) return std::nullopt;
  try {
    const base::Json json = base::parse_setting(base::read_file(path, kLongestFile, path), path);
    for (const auto& [name, model] : json.as_object(path)) {
      if (plain(name) == wanted) return model.as_string(base::cat(path, ": ", name));
    }
  } catch (const Error& error) {
    throw Error(ErrorCode::kCorruptData, error.what(), path);
  }
  return std::nullopt;
}

}  // namespace

std::vector<std::string> hub::family_names() {
  std::vector<std::string> names;
  for (const Family& family : kFamilies) names.emplace_back(family.name);
  return names;
}

std::optional<std::string> model_of_family(const std::string& name) {
  const std::string wanted = plain(name);
  if (wanted.empty() || name.find('/') != std::string::npos) return std::nullopt;
  if (auto own = own_choice(wanted)) return own;
  const auto found = std::find_if(std::begin(kFamilies), std::end(kFamilies),
                                  [&](const Family& family) { return family.name == wanted; });
  return found == std::end(kFamilies) ? std::nullopt : std::optional<std::string>(found->model);
}

}  // namespace openllm
