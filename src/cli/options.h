#pragma once

#include <openllm/options.h>

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "base/json.h"
#include "cli/values.h"
#include "fields/field.h"

// Reading of options, and the groups of options that several commands share.
namespace openllm::cli {

/// The help with its default: "Port (default: 3000)".
std::string with_default(const std::string& help, const std::string& value);

/// A text that may be absent: an optional of one, or a text of GenerateOptions.
template <typename Target>
CLI::Option* optional(CLI::App* app, const std::string& name, Target& target,
                      const std::string& help) {
  return app->add_option_function<std::string>(
      name, [&target](const std::string& value) { target = value; }, help);
}

/// An option whose text is converted by `convert`; wrong values become usage errors.
template <typename Convert>
CLI::Option* converted(CLI::App* app, const std::string& name, Convert convert,
                       const std::string& help) {
  return app->add_option_function<std::string>(
      name,
      [convert, name](const std::string& text) {
        try {
          convert(text);
        } catch (const Error& error) {
          if (error.code() != ErrorCode::kInvalidArgument) throw;  // a file that is not there
          throw CLI::ValidationError(name, error.what());
        }
      },
      help);
}

/// A number, read strictly: CLI11 would take -1 and 2^64 for an unsigned one. `Target` is the
/// number, or an optional of it.
template <typename Target>
CLI::Option* number(CLI::App* app, const std::string& name, Target& target, const std::string& help,
                    const fields::Range& range = {}) {
  CLI::Option* option = converted(
      app, name, [&target, range](const std::string& text) { parse_into(text, target, range); },
      help);
  return option->type_name("NUMBER");
}

/// The same, with the present value told as the default.
template <typename Number>
CLI::Option* number_with_default(CLI::App* app, const std::string& name, Number& target,
                                 const std::string& help, const fields::Range& range = {}) {
  return number(app, name, target, with_default(help, std::to_string(target)), range);
}

/// A text that is not empty: an empty one comes from a variable that is not set.
CLI::Option* named(CLI::App* app, const std::string& name, std::string& target,
                   const std::string& help);

/// An option that may be repeated, each time with one text (CLI11 would split "[a,b]" and take
/// further words).
inline CLI::Option* repeated(CLI::App* app, const std::string& name,
                             std::vector<std::string>& target, const std::string& help) {
  return app->add_option(name, target, help)->expected(1)->take_all()->allow_extra_args(false);
}

// A command's own options come before these: an option that is added later joins their group.

/// Options of how a model is loaded.
void add_load_options(CLI::App* app, LoadOptions& load);

/// --place, which is one of them.
void add_places(CLI::App* app, LoadOptions& load);

/// Which LoRA adapters to mount.
void add_adapter_options(CLI::App* app, LoadOptions& load);
/// Requests that name no adapter have the only one, if there is one.
void choose_default_adapter(LoadOptions& load);
/// Those of the backend vllm, which are among them.
void add_vllm_options(CLI::App* app, LoadOptions& load);

/// --chat-template, which is one of them.
void add_chat_template(CLI::App* app, LoadOptions& load);

/// The options of a row as CLI11 spells them: "--temperature,--temp"; a '!' makes a flag that takes
/// back.
std::string flag_of(const fields::Field& field);

/// The first of them as a user writes it: "--temperature", "--show-special-tokens".
std::string shown_flag(const fields::Field& field);

/// JSON, or, where it is none, the text itself.
base::Json json_or_text(const std::string& text);

/// The option of one row of the table of fields; the row must be a field of requests.
void add_field(CLI::App* app, const fields::Field& field, GenerateOptions& generate);

/// Who is asked: selects the rows that get an option, and the defaults that help tells.
enum class Asked {
  kLlm,     ///< An LLM of this process.
  kServer,  ///< A running server: only what can be asked of one.
};
/// An option for each field of requests. Fields that are known from other engines and that cannot
/// be honoured are hidden options: they throw kUnsupported unless their value asks for nothing.
void add_request_fields(CLI::App* app, Asked asked, GenerateOptions& generate);
/// The same for the fields that a configuration has defaults for. Those that only requests have are
/// hidden options too, which say so.
void add_config_fields(CLI::App* app, LLMConfig& config);

}  // namespace openllm::cli
