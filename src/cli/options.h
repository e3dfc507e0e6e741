#pragma once

#include <openllm/options.h>

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "cli/values.h"
#include "fields/field.h"

// Reading of options, and the groups of options that several commands share.
namespace openllm::cli {

/// A text that may be absent: an optional of one, or a text of GenerateOptions.
template <typename Target>
CLI::Option* optional(CLI::App* app, const std::string& name, Target& target,
                      const std::string& help) {
  return app->add_option_function<std::string>(
      name, [&target](const std::string& value) { target = value; }, help);
}

/// An option whose text is converted by `convert`; its errors become usage errors.
template <typename Convert>
CLI::Option* converted(CLI::App* app, const std::string& name, Convert convert,
                       const std::string& help) {
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
CLI::Option* number(CLI::App* app, const std::string& name, Target& target,
                    const std::string& help) {
  CLI::Option* option = converted(
      app, name, [&target](const std::string& text) { parse_into(text, target); }, help);
  return option->type_name("NUMBER");
}

/// The same, with the present value shown as the default.
template <typename Number>
CLI::Option* number_with_default(CLI::App* app, const std::string& name, Number& target,
                                 const std::string& help) {
  return number(app, name, target, help)->default_str(std::to_string(target));
}

/// An option that may be repeated, each time with one text (CLI11 would split "[a,b]" and take
/// further words).
inline CLI::Option* repeated(CLI::App* app, const std::string& name,
                             std::vector<std::string>& target, const std::string& help) {
  return app->add_option(name, target, help)->expected(1)->take_all()->allow_extra_args(false);
}

// A command's own options come before these: an option that is added later joins their group.

/// Options of how a model is loaded.
void add_load_options(CLI::App* app, LoadOptions& load);

/// The options of a row as CLI11 spells them: "-t,--temperature"; a '!' makes a flag that takes
/// back.
std::string flag_of(const fields::Field& field);

/// The option of one row of the table of fields; the row must be a field of requests.
void add_field(CLI::App* app, const fields::Field& field, GenerateOptions& generate);

/// Selects the rows that get an option.
enum class Asked {
  kLlm,     ///< All that an LLM of this process can be asked for.
  kServer,  ///< Those that a server can be asked for.
};
/// An option for each field of requests. Fields that are known from other engines and that cannot
/// be honoured are hidden options: they throw kUnsupported unless their value asks for nothing.
void add_request_fields(CLI::App* app, Asked asked, GenerateOptions& generate);
/// The same for the fields that a configuration has defaults for.
void add_config_fields(CLI::App* app, LLMConfig& config);

}  // namespace openllm::cli
