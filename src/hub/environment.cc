#include "hub/environment.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <initializer_list>

#include "base/error.h"
#include "base/mapped_file.h"
#include "store/hub_cache.h"
#include "store/names.h"

namespace openllm::hub {
namespace {

constexpr std::size_t kLongestToken = 4096;

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string() : std::string(value);
}

std::string first_of(std::initializer_list<const char*> names) {
  for (const char* name : names) {
    if (std::string value = variable(name); !value.empty()) return value;
  }
  return {};
}

std::string trimmed(std::string text) {
  const auto is_space = [](unsigned char c) { return std::isspace(c) != 0; };
  text.erase(text.begin(), std::find_if_not(text.begin(), text.end(), is_space));
  text.erase(std::find_if_not(text.rbegin(), text.rend(), is_space).base(), text.end());
  return text;
}

std::string read_token(const std::string& home) {
  std::string token = trimmed(first_of({"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"}));
  const char* where = "HF_TOKEN";
  if (token.empty()) {
    std::string path = store::expand_home(variable("HF_TOKEN_PATH"));
    if (path.empty() && !home.empty()) path = home + "/token";
    where = "the file of the hub's token";
    try {
      if (!path.empty()) token = trimmed(base::read_file(path, kLongestToken, where));
    } catch (const Error&) {
      return {};  // there is none
    }
  }
  const auto is_visible = [](unsigned char c) { return c > 0x20 && c < 0x7f; };
  if (!std::all_of(token.begin(), token.end(), is_visible)) {
    base::fail_at(ErrorCode::kInvalidArgument, where,
                  "has characters that no token has (its value is not shown)");
  }
  return token;
}

bool is_true(std::string text) {
  for (char& c : text) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return text == "1" || text == "ON" || text == "YES" || text == "TRUE";
}

}  // namespace

Environment read_environment() {
  Environment environment;
  environment.cache = store::hub_cache().string();
  environment.endpoint = variable("HF_ENDPOINT");
  while (environment.endpoint.ends_with('/')) environment.endpoint.pop_back();
  if (environment.endpoint.empty()) environment.endpoint = "https://huggingface.co";
  environment.token = read_token(store::hub_home().string());
  environment.is_offline = is_true(first_of({"HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"}));
  return environment;
}

}  // namespace openllm::hub
