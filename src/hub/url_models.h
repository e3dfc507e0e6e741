#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "hub/download.h"

namespace openllm::hub {

/// A GGUF file that came from an address outside of hubs: `<folder>/<digest of the
/// address>/<name>`, with the address in a file beside it.
struct UrlModel {
  std::string url{};  ///< Without user name and password.
  std::filesystem::path path{};
  std::int64_t bytes = 0;
  std::int64_t changed_ns = 0;

  std::string id() const { return path.stem().string(); }
};

/// What is in the folder of such downloads.
class UrlModels {
 public:
  explicit UrlModels(std::filesystem::path folder) : folder_(std::move(folder)) {}

  std::optional<UrlModel> find(const std::string& url) const;
  std::vector<UrlModel> list() const;
  /// Fetches it unless it is there. Throws as `download`; kCorruptData when what came is no GGUF
  /// file.
  UrlModel fetch(const Asking& asking, const std::string& url,
                 const DownloadOptions& options) const;
  /// False when it is not there.
  bool remove(const std::string& url) const;

 private:
  std::filesystem::path place_of(const std::string& url) const;

  std::filesystem::path folder_;
};

}  // namespace openllm::hub
