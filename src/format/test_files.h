#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "openllm/error.h"

// Files for the tests of this folder.
namespace openllm::format::testing {

/// A fresh folder that goes away with the object.
class TempFolder {
 public:
  TempFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "openllm-format-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) std::abort();
    path_ = name;
  }
  ~TempFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;

  const std::string& path() const { return path_; }
  std::string write(const std::string& name, std::string_view content) const {
    const std::string path = path_ + "/" + name;
    std::ofstream(path, std::ios::binary) << content;
    return path;
  }

 private:
  std::string path_;
};

/// Little-endian bytes of a number.
template <typename T>
std::string le(T value) {
  static_assert(std::is_arithmetic_v<T>);
  std::string bytes(sizeof(T), '\0');
  std::memcpy(bytes.data(), &value, sizeof(T));
  return bytes;
}

inline std::string gguf_string(std::string_view text) {
  return le(std::uint64_t{text.size()}) + std::string(text);
}

/// Puts a GGUF file together; every field can be set to something wrong.
struct GgufBuilder {
  std::uint32_t version = 3;
  std::size_t alignment = 32;
  std::vector<std::string> metadata;
  std::vector<std::string> infos;
  std::string data;
  std::optional<std::uint64_t> n_metadata;
  std::optional<std::uint64_t> n_tensors;

  GgufBuilder& key(std::string_view name, std::uint32_t type, const std::string& value) {
    metadata.push_back(gguf_string(name) + le(type) + value);
    return *this;
  }
  GgufBuilder& text(std::string_view name, std::string_view value) {
    return key(name, 8, gguf_string(value));
  }
  GgufBuilder& array(std::string_view name, std::uint32_t type, std::uint64_t n,
                     const std::string& elements) {
    return key(name, 9, le(type) + le(n) + elements);
  }
  /// Dimensions as in the file: innermost first.
  GgufBuilder& info(std::string_view name, const std::vector<std::uint64_t>& dims,
                    std::uint32_t type, std::uint64_t offset) {
    std::string bytes = gguf_string(name) + le(static_cast<std::uint32_t>(dims.size()));
    for (const std::uint64_t dim : dims) bytes += le(dim);
    infos.push_back(bytes + le(type) + le(offset));
    return *this;
  }
  /// A tensor at the end of the data so far.
  GgufBuilder& tensor(std::string_view name, const std::vector<std::uint64_t>& dims,
                      std::uint32_t type, std::string_view bytes) {
    data.resize((data.size() + alignment - 1) / alignment * alignment);
    info(name, dims, type, data.size());
    data += bytes;
    return *this;
  }
  std::string build() const {
    std::string file = "GGUF" + le(version) + le(n_tensors.value_or(infos.size())) +
                       le(n_metadata.value_or(metadata.size()));
    for (const std::string& entry : metadata) file += entry;
    for (const std::string& entry : infos) file += entry;
    if (data.empty()) return file;
    file.resize((file.size() + alignment - 1) / alignment * alignment);
    return file + data;
  }
};

/// A safetensors file of a JSON header and data.
inline std::string safetensors(std::string_view header, std::string_view data) {
  return le(std::uint64_t{header.size()}) + std::string(header) + std::string(data);
}

/// Runs `action` and returns the openllm::Error it throws.
template <typename Action>
Error error_of(Action action) {
  try {
    action();
  } catch (const Error& error) {
    return error;
  }
  ADD_FAILURE() << "nothing was thrown";
  return Error(ErrorCode::kInternal, "nothing was thrown");
}

}  // namespace openllm::format::testing
