#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

// Errors of the command line itself: one line each, with the command whose help explains it.
namespace openllm::cli {

/// The innermost command of the command line, and its full name.
const CLI::App& innermost(const CLI::App& app, std::string& name);
/// The names of the options, or of the commands, that `app` knows.
std::vector<std::string> known_names(const CLI::App& app, bool options);
/// Prints an error in one line on standard error; `command` is the full name of the command.
void report_usage(const std::string& command, std::string what);
/// The same for an error that CLI11 found. Returns the exit status.
int usage_error(const CLI::App& app, const CLI::ParseError& error);

}  // namespace openllm::cli
