#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

// What help, completion scripts and the man page are made of, out of the description of the command
// line. What is hidden there is not in it.
namespace openllm::cli {

/// What a value is, for those who complete it.
enum class ValueKind {
  kNone,   ///< A switch has none.
  kText,   ///< Anything.
  kWords,  ///< One of `values`.
  kFile,   ///< A file or a folder.
  kModel,  ///< A name in the store, a folder or a file.
};

struct TreeValue {
  ValueKind kind = ValueKind::kNone;
  std::string name{};                 ///< As help shows it: "NUMBER", "cpu|reference".
  std::vector<std::string> values{};  ///< Of kWords.
};

struct TreeOption {
  std::vector<std::string> names{};  ///< "-p", "--port"; short ones first.
  std::string help{};
  std::string group{};
  TreeValue value{};
};

struct TreeArgument {
  std::string name{};
  std::string help{};
  bool is_required = false;
  TreeValue value{};
};

struct TreeCommand {
  std::string path{};  ///< "models add"; empty: the program itself.
  std::string help{};
  std::string footer{};  ///< Examples.
  std::vector<TreeOption> options{};
  std::vector<TreeArgument> arguments{};
  std::vector<std::string> commands{};  ///< Names of those right below.
};

/// The program and all of its commands, each before those below it.
std::vector<TreeCommand> command_tree(const CLI::App& app);
/// The same of this program.
std::vector<TreeCommand> command_tree();

}  // namespace openllm::cli
