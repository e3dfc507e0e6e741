#pragma once

#include <openllm/options.h>

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "cli/values.h"

// How options are read, and the groups of them that several commands have.
namespace openllm::cli {

/// A text that may be absent: an optional of one, or a text of GenerateOptions.
template <typename Target>
CLI::Option* optional(CLI::App* app, const char* name, Target& target, const char* help) {
  return app->add_option_function<std::string>(
      name, [&target](const std::string& value) { target = value; }, help);
}

/// An option whose text is converted by `convert`; its errors become usage errors.
template <typename Convert>
CLI::Option* converted(CLI::App* app, const char* name, Convert convert, const char* help) {
  return app->add_option_function<std::string>(
      name,
      [convert, name](const std::string& text) {
        try {
          convert(text);
        } catch (const Error& error) {
          throw CLI::ValidationError(name, error.what());
        }
      },
      help);
}

/// A number, read strictly: CLI11 would take -1 and 2^64 for an unsigned one. `Target` is the
/// number, or an optional of it.
template <typename Target>
CLI::Option* number(CLI::App* app, const char* name, Target& target, const char* help) {
  CLI::Option* option = converted(
      app, name, [&target](const std::string& text) { parse_into(text, target); }, help);
  return option->type_name("NUMBER");
}

/// The same with the value it has now shown as the default.
template <typename Number>
CLI::Option* number_with_default(CLI::App* app, const char* name, Number& target,
                                 const char* help) {
  return number(app, name, target, help)->default_str(std::to_string(target));
}

/// An option that may be repeated, each time with one text (CLI11 would split "[a,b]" and take
/// further words).
inline CLI::Option* repeated(CLI::App* app, const char* name, std::vector<std::string>& target,
                             const char* help) {
  return app->add_option(name, target, help)->expected(1)->take_all()->allow_extra_args(false);
}

// A command's own options come before these: what is added to `app` later stays in their group.

/// How a model is loaded.
void add_load_options(CLI::App* app, LoadOptions& load);
/// What both an LLM and a server can be asked for.
void add_sampling_options(CLI::App* app, GenerateOptions& generate);
/// What only an LLM of this process can be asked for.
void add_local_options(CLI::App* app, GenerateOptions& generate);

}  // namespace openllm::cli
