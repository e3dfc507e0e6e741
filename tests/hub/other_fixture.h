#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <string>

#include "openllm/hub.h"

namespace openllm::hub_test {

/// A folder with a cache of each program, and a Hub that sees those alone.
class Places : public ::testing::Test {
 protected:
  Places();
  ~Places() override;

  Hub hub() const { return Hub(options_); }
  /// A file below the folder, and the folders it needs.
  std::filesystem::path write(const std::filesystem::path& path, const std::string& text) const;
  /// config.json and safetensors; no reader of tensors sees them.
  void write_model(const std::filesystem::path& folder) const;
  /// A blob and a manifest, as Ollama writes them; `more` are further layers, ",{...}".
  void write_ollama(const std::string& name, const std::string& content,
                    const std::string& more = {}) const;
  /// The code and, in `message_`, the text of the error that a call ends with.
  ErrorCode code_of(const std::function<void()>& call);

  std::filesystem::path root_{};
  HubOptions options_{};
  std::string message_{};
};

std::string sha256_text(const std::string& text);

}  // namespace openllm::hub_test
