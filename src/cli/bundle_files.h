#pragma once

#include <openllm/bundle.h>

#include <cstdint>
#include <string>
#include <vector>

#include "cli/given_options.h"

// The files of a folder that `openllm build` makes, besides the model's.
namespace openllm::cli {

struct BundleSettings {
  std::string folder{};  ///< Where it will lie; absolute.
  std::string id{};      ///< The model's public name.
  std::string tag{};
  std::string model{};  ///< Within the folder: "model" or "model/NAME.gguf".
  std::vector<GivenOption> options{};
  /// Of `options`, the value of this one is a file in the folder; empty: of none.
  std::string file_option{};
  std::string config{};  ///< The environment's defaults of requests as a JSON object; or empty.
  std::uint16_t port = 3000;
};

/// A POSIX shell script that starts the server from the folder it lies in.
std::string serve_script(const BundleSettings& settings);
/// Asks the server whether it is ready; for health checks. "health [PORT]".
std::string health_script(const BundleSettings& settings);
std::string containerfile(const BundleSettings& settings);
std::string systemd_unit(const BundleSettings& settings);
std::string bundle_readme(const BundleSettings& settings);

/// This program and the libraries that it has loaded, but for the C library's, as files of a
/// bundle: "bin/openllm", "lib/...".
std::vector<BundleFile> program_files();

}  // namespace openllm::cli
