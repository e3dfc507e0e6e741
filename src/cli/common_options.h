#pragma once

#include <CLI/CLI.hpp>
#include <string_view>

#include "cli/arguments.h"

// Commands, and the arguments that several of them share.
namespace openllm::cli {

/// Ends the help of an argument that CLI11 does not know to be required: -m may stand in for it.
constexpr std::string_view kRequired = " (required)";

CLI::App* add_command(CLI::App* parent, const char* name, const char* help, const char* examples);

/// MODEL and -m.
void add_model(CLI::App* command, Arguments& a);

/// Where the prompt comes from; `name` is that of the argument.
void add_source(CLI::App* command, const char* name, const char* help, Arguments& a);

void add_prompt_ids(CLI::App* command, Arguments& a);

/// The options that every command has, for the command and those below it. After all others.
void add_global_options(CLI::App& command, Arguments& a);

// The commands of the files store_arguments.cc, tool_arguments.cc and embed_arguments.cc.
void add_store_commands(CLI::App& app, Arguments& a);
void add_tool_commands(CLI::App& app, Arguments& a);
void add_embed_commands(CLI::App& app, Arguments& a);

}  // namespace openllm::cli
