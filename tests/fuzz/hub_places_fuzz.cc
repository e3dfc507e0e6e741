// Any bytes as what other hubs and programs say of models: ModelScope's list of files, a search's
// answer, manifests of Ollama and llama.cpp, names. An openllm::Error, or names that lead nowhere
// else.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "hub/llama_cpp.h"
#include "hub/modelscope_api.h"
#include "hub/ollama.h"
#include "hub/suggest.h"
#include "openllm/error.h"

namespace hub = openllm::hub;

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

bool is_digest(const std::string& text) {
  return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

void parse_modelscope(const std::string& text) {
  const hub::ModelScopeFiles files = hub::parse_modelscope_files(text, "a/b");
  require(files.files.size() <= files.n_entries);
  for (const hub::RemoteFile& file : files.files) {
    require(hub::is_safe_path(file.path) && file.size >= -1);
    require(file.sha256.empty() || is_digest(file.sha256));
  }
}

void parse_search(const std::string& text) {
  const std::vector<std::string> names = hub::parse_search(text);
  require(std::all_of(names.begin(), names.end(), hub::is_repo_name));
  require(hub::near_names(text.substr(0, 100), names).size() <= 3);
}

void parse_ollama(const std::string& text) {
  require(is_digest(hub::parse_ollama_manifest(text, "manifest").sha256));
}

void parse_ollama_name(const std::string& text) {
  const hub::OllamaName name = hub::parse_ollama_name(text);
  for (const auto& part : name.path()) require(part != ".." && part != "." && part != "/");
  require(name.path().is_relative());
  const std::string shown = name.text();
  require(hub::parse_ollama_name(shown.substr(shown.find("://") + 3)).path() == name.path());
}

void parse_llama_cpp(const std::string& text) {
  require(hub::is_safe_path(hub::parse_llama_cpp_manifest(text, "manifest")));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  for (const auto parse :
       {parse_modelscope, parse_search, parse_ollama, parse_ollama_name, parse_llama_cpp}) {
    try {
      parse(text);
    } catch (const openllm::Error&) {
      continue;
    }
  }
  return 0;
}
