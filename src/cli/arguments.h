#pragma once

#include <openllm/openllm.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cli/given_options.h"
#include "cli/prompt_source.h"

namespace openllm::cli {

/// What `compare` has beside the model and how it is loaded.
struct CompareArguments {
  std::string backends{};
  std::vector<std::string> prompts{};
  std::vector<std::vector<std::int32_t>> prompt_ids{};
  std::vector<std::string> files{};  ///< With a prompt on each line; "-" is standard input.
  CompareOptions options{};
};

/// Values of all options and arguments of the command line. Each command reads its part.
struct Arguments {
  std::string command{};  ///< "run", "models add", ...
  std::string model{};    ///< MODEL, or NAME of the store
  /// -m MODEL, until the words are sorted: then MODEL, if it stands there, begins the prompt.
  std::string model_option{};
  std::string path{};                                     ///< models add, replay, build
  std::string receipt{};                                  ///< run, query: file for the receipt
  std::string version{};                                  ///< models add
  PromptSource source{};                                  ///< run, query, tokenize, logits
  std::optional<std::vector<std::int32_t>> prompt_ids{};  ///< run, logits
  std::string system{};
  bool raw = false;
  bool json = false;
  bool markdown = false;  ///< fields
  bool bodies = false;    ///< fields
  bool quiet = false;     ///< All commands.
  bool verbose = false;
  std::optional<bool> cors{};                  ///< start
  std::vector<std::string> sampling_params{};  ///< query: "top_p=0.9"
  ImportOptions import{};                      ///< import
  bool yes = false;                            ///< prune
  bool dry_run = false;                        ///< prune
  bool packed = false;                         ///< prune
  bool hub = false;                            ///< models remove
  bool all = false;                            ///< models
  bool names = false;                          ///< models
  std::string sort = "name";                   ///< models: "name", "size", "used" or "origin"
  std::vector<std::string> variables{};        ///< get-prompt: "name=value"
  bool begins_answer = false;                  ///< get-prompt: the prompt ends so.
  std::string data{};                          ///< template: file of the variables
  std::string shell{};                         ///< completion
  bool overwrite = false;                      ///< build
  bool measure = false;                        ///< doctor
  CompareArguments compare{};
  std::vector<GivenOption> serving_options{};  ///< build: those of `start` that were given
  std::vector<std::string> texts{};            ///< embed; score, rerank: query, then documents
  std::vector<std::string> text_files{};       ///< The same, one on each line.
  EmbedOptions embed{};                        ///< embed, score, rerank
  int top_n = 0;                               ///< rerank
  bool stream = true;
  bool history = true;  ///< Chats: keep the lines for the next one.
  LoadOptions load{};
  GenerateOptions generate{};
  ServerOptions server{};
  ClientOptions client{};
};

/// Whether the command is a chat on the terminal.
bool is_chat(const Arguments& arguments);

/// Parses the command line. Help and version are printed to standard output and a usage error to
/// standard error; then `exit_status` is set and nothing else is.
struct ParsedArguments {
  Arguments arguments{};
  std::optional<int> exit_status{};
};
ParsedArguments parse_arguments(int argc, const char* const* argv);

}  // namespace openllm::cli
