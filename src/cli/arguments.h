#pragma once

#include <openllm/openllm.h>

#include <optional>
#include <string>
#include <vector>

namespace openllm::cli {

/// Everything the command line can say. Each command reads its part.
struct Arguments {
  std::string command{};     ///< "run", "models add", ...
  std::string model{};
  std::string path{};        ///< models add
  std::string version{};     ///< models add
  std::string text{};        ///< run, query, tokenize, logits
  bool has_text = false;
  std::string prompt_ids{};  ///< run, logits: "1,2,3"
  std::string system{};
  std::string endpoint{};
  std::string api_key{};
  bool raw = false;
  bool json = false;
  bool verbose = false;
  bool stream = true;
  LoadOptions load{};
  std::string kv_cache_size{};
  std::string chat_template_file{};
  GenerateOptions generate{};
  double timeout_s = 0.0;
  ServerOptions server{};
};

/// Parses the command line. Prints help or a usage error itself; then `exit_status` is set and nothing else is.
struct ParsedArguments {
  Arguments arguments{};
  std::optional<int> exit_status{};
};
ParsedArguments parse_arguments(int argc, char** argv);

/// "1,2,3" or "1 2 3" as ids. Throws kInvalidArgument.
std::vector<std::int32_t> parse_ids(const std::string& text);
/// "512MiB", "2GiB", "1000000". Throws kInvalidArgument.
std::int64_t parse_bytes(const std::string& text);
/// What has to be read or converted after parsing (template file, sizes). Throws.
void resolve(Arguments& arguments);

}  // namespace openllm::cli
