#include "hub/other_places.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <initializer_list>

#include "base/error.h"
#include "store/names.h"

namespace openllm::hub {
namespace {

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

/// `$NAME`, else `path` below the home folder; empty when that is not known.
std::string folder(const char* name, const std::string& path) {
  if (const std::string value = variable(name); !value.empty()) return store::expand_home(value);
  const std::string home = variable("HOME");
  return home.empty() ? std::string() : home + path;
}

bool is_true(std::string text) {
  for (char& c : text) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return text == "1" || text == "ON" || text == "YES" || text == "TRUE";
}

std::string hub_of_environment() {
  if (const std::string name = variable("OPENLLM_HUB"); !name.empty())
    return checked_hub(name, "OPENLLM_HUB");
  return is_true(variable("VLLM_USE_MODELSCOPE")) ? "modelscope" : "huggingface";
}

std::string endpoint_of_modelscope() {
  std::string endpoint = first_of({"MODELSCOPE_ENDPOINT", "MODELSCOPE_DOMAIN"});
  if (endpoint.empty()) endpoint = "https://modelscope.cn";
  if (endpoint.find("://") == std::string::npos) endpoint.insert(0, "https://");
  return endpoint;
}

/// A token goes into a field of a head, and into a cookie.
std::string token_of_modelscope() {
  std::string token = variable("MODELSCOPE_API_TOKEN");
  const auto is_good = [](unsigned char c) { return c > 0x20 && c < 0x7f && c != ';' && c != ','; };
  if (!std::all_of(token.begin(), token.end(), is_good)) {
    base::fail_at(ErrorCode::kInvalidArgument, "MODELSCOPE_API_TOKEN",
                  "has characters that no token has (its value is not shown)");
  }
  return token;
}

std::string folders_of_ollama() {
  if (const std::string value = variable("OLLAMA_MODELS"); !value.empty())
    return store::expand_home(value);
  const std::string home = variable("HOME");
  const std::string own = home.empty() ? std::string() : home + "/.ollama/models:";
  return own + "/usr/share/ollama/.ollama/models";
}

}  // namespace

std::string checked_hub(const std::string& name, const char* where) {
  if (name == "huggingface" || name == "hf") return "huggingface";
  if (name == "modelscope") return name;
  base::fail_at(ErrorCode::kInvalidArgument, where,
                "unknown (expected huggingface or modelscope, got ", name.substr(0, 100), ")");
}

OtherPlaces read_other_places() {
  OtherPlaces places;
  places.hub = hub_of_environment();
  places.modelscope_cache = folder("MODELSCOPE_CACHE", "/.cache/modelscope");
  places.modelscope_endpoint = endpoint_of_modelscope();
  places.modelscope_token = token_of_modelscope();
  places.ollama = folders_of_ollama();
  places.llama_cpp = store::expand_home(variable("LLAMA_CACHE"));
  if (places.llama_cpp.empty()) {
    const std::string cache = folder("XDG_CACHE_HOME", "/.cache");
    if (!cache.empty()) places.llama_cpp = cache + "/llama.cpp";
  }
  places.ca_file =
      store::expand_home(first_of({"REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"}));
  return places;
}

}  // namespace openllm::hub
