// Any bytes as the files that sentence-transformers writes beside a model: an openllm::Error or
// something usable.

#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include "llm/sentence_settings.h"
#include "openllm/error.h"

namespace {

namespace fs = std::filesystem;

const fs::path& folder() {
  static const fs::path kFolder =
      fs::temp_directory_path() / ("openllm-embed-fuzz-" + std::to_string(::getpid()));
  fs::create_directories(kFolder / "1_Pooling");
  return kFolder;
}

/// Texts of the files, with zeros between them.
void read_files(std::string_view data) {
  for (const char* name : {"modules.json", "1_Pooling/config.json", "1_Pooling/model.safetensors",
                           "config_sentence_transformers.json", "sentence_bert_config.json"}) {
    const std::size_t end = std::min(data.find('\0'), data.size());
    std::ofstream(folder() / name, std::ios::binary) << data.substr(0, end);
    data.remove_prefix(std::min(end + 1, data.size()));
  }
  openllm::format::ModelSource source;
  source.path = folder().string();
  source.config = openllm::base::Json::object();
  const auto settings = openllm::llm::read_sentence_settings(source);
  if (settings.max_tokens < 0) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    read_files({reinterpret_cast<const char*>(data), size});
  } catch (const openllm::Error&) {
    return 0;
  }
  return 0;
}
