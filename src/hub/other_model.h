#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace openllm::hub {

/// A model that another program keeps on this machine, used where it lies.
struct OtherModel {
  std::string id{};        ///< As somebody writes it: "owner/name", "ollama://llama3.2:1b".
  std::string revision{};  ///< What it is the revision of; empty: not known.
  std::string variant{};   ///< Of a GGUF file, in capitals.
  std::filesystem::path path{};
  std::string format{};  ///< "safetensors", "gguf", "pytorch", "flax" or "tensorflow".
  std::string sha256{};  ///< Of its only file, as its owner says; empty: not known.
  std::int64_t bytes = 0;
  std::int64_t changed_ns = 0;  ///< Since 1970.
};

/// Names of what lies in a folder, sorted; none when it cannot be read.
std::vector<std::string> entries_of(const std::filesystem::path& folder);

/// Adds size and time of a file; false when it is none, or cannot be read.
bool measure_file(const std::filesystem::path& path, OtherModel& model);

}  // namespace openllm::hub
