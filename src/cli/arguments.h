#pragma once

#include <openllm/openllm.h>

#include <optional>
#include <string>
#include <vector>

namespace openllm::cli {

/// Values of all options and arguments of the command line. Each command reads its part.
struct Arguments {
  std::string command{};                    ///< "run", "models add", ...
  std::string model{};                      ///< MODEL, or NAME of the store
  std::string path{};                       ///< models add
  std::string version{};                    ///< models add
  std::optional<std::string> text{};        ///< run, query, tokenize, logits; absent: not given
  std::optional<std::string> prompt_ids{};  ///< run, logits: "1,2,3"
  std::string system{};
  bool raw = false;
  bool json = false;
  bool markdown = false;  ///< fields
  bool bodies = false;    ///< fields
  bool verbose = false;
  bool stream = true;
  LoadOptions load{};
  GenerateOptions generate{};
  ServerOptions server{};
  ClientOptions client{};
};

/// Parses the command line. Help and version are printed to standard output and a usage error to
/// standard error; then `exit_status` is set and nothing else is.
struct ParsedArguments {
  Arguments arguments{};
  std::optional<int> exit_status{};
};
ParsedArguments parse_arguments(int argc, const char* const* argv);

}  // namespace openllm::cli
