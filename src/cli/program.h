#pragma once

#include <CLI/CLI.hpp>

#include "cli/arguments.h"

namespace openllm::cli {

/// Describes all commands and options; parsing then fills `arguments`, which must outlive `app`.
/// Help, completion scripts and the man page are made from this.
void describe_program(CLI::App& app, Arguments& arguments);

}  // namespace openllm::cli
