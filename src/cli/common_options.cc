#include "cli/common_options.h"

#include <functional>

#include "base/error.h"
#include "cli/options.h"
#include "cli/values.h"

namespace openllm::cli {

CLI::App* add_command(CLI::App* parent, const char* name, const char* help, const char* examples) {
  CLI::App* command = parent->add_subcommand(name, help);
  command->footer(examples);
  return command;
}

void add_model(CLI::App* command, Arguments& a) {
  command->add_option("MODEL", a.model,
                      base::cat("Name in the model store, folder, or .gguf file", kRequired));
  named(command, "-m,--model", a.model_option, "The model, in place of MODEL");
}

void add_source(CLI::App* command, const char* name, const char* help, Arguments& a) {
  const auto add_word = [&a](const std::string& word) { a.source.words.push_back(word); };
  command->add_option_function<std::string>(name, add_word, help);
  command->add_option_function<std::string>("INPUT", add_word,
                                            base::cat("\"-\": standard input, after ", name));
  optional(command, "-p,--prompt", a.source.prompt, base::cat("The same as ", name));
  repeated(command, "-f,--file", a.source.files,
           base::cat("File whose text stands before ", name, "; may be repeated"))
      ->type_name("FILE");
}

void add_prompt_ids(CLI::App* command, Arguments& a) {
  converted(
      command, "--prompt-ids", [&a](const std::string& text) { a.prompt_ids = parse_ids(text); },
      "Token ids instead of a text: 1,2,3 (needs no tokenizer)")
      ->type_name("IDS");
}

void add_global_options(CLI::App& command, Arguments& a) {
  command.option_defaults()->group("General");
  command.add_flag("-q,--quiet", a.quiet, "Nothing on standard error but errors");
  if (command.get_option_no_throw("--verbose") == nullptr) {
    command.add_flag("--verbose,--debug", a.verbose,
                     "More on standard error: what was chosen and why, and all of an error");
  }
  for (CLI::App* below :
       command.get_subcommands(std::function<bool(CLI::App*)>([](auto*) { return true; })))
    add_global_options(*below, a);
}

}  // namespace openllm::cli
