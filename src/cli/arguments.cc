#include "cli/arguments.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <sstream>

#include "base/error.h"
#include "base/nearest.h"
#include "cli/exit_status.h"
#include "cli/options.h"
#include "cli/terminal.h"
#include "cli/values.h"

namespace openllm::cli {
namespace {

constexpr const char* kModelHelp = "Name in the model store, folder, or .gguf file";

CLI::App* add_command(CLI::App* parent, const char* name, const char* help, const char* examples) {
  CLI::App* command = parent->add_subcommand(name, help);
  command->footer(examples);
  return command;
}

void add_run(CLI::App& app, Arguments& a) {
  CLI::App* run = add_command(
      &app, "run", "Answer a prompt, or chat",
      "Examples:\n"
      "  openllm run HuggingFaceTB/SmolLM2-135M-Instruct \"What is the capital of France?\"\n"
      "  openllm run HuggingFaceTB/SmolLM2-135M-Instruct              a chat\n"
      "  openllm run ./model.gguf --raw \"Once upon a time\" --temperature 0\n"
      "  echo \"Say hello\" | openllm run ./model-folder --json\n"
      "  openllm run ./model-folder --prompt-ids 1,2,3 --json --logprobs 5");
  run->add_option("MODEL", a.model, kModelHelp)->required();
  optional(run, "PROMPT", a.text, "Without it: standard input, or a chat on a terminal");
  optional(run, "--prompt-ids", a.prompt_ids,
           "Token ids instead of a text: 1,2,3 (needs no tokenizer)")
      ->type_name("IDS");
  run->add_option("--system", a.system, "System message");
  run->add_flag("--raw", a.raw, "Continue the text as it is, without the chat template");
  run->add_flag("--json", a.json, "Print the final output as JSON");
  run->add_flag("-v,--verbose", a.verbose,
                "End with load time and tokens per second, on standard error");
  add_request_fields(run, Asked::kLlm, a.generate);
  add_load_options(run, a.load);
}

void add_start(CLI::App& app, Arguments& a) {
  CLI::App* start =
      add_command(&app, "start", "Start the OpenAI-compatible server",
                  "Examples:\n"
                  "  openllm start HuggingFaceTB/SmolLM2-135M-Instruct\n"
                  "  openllm start ./model.gguf --host 0.0.0.0 --port 8000 --api-key secret");
  ServerOptions& s = a.server;
  start->add_option("MODEL", a.model, kModelHelp)->required();
  start->add_option("--host", s.host, "Address to listen on")->capture_default_str();
  number_with_default(start, "-p,--port", s.port, "Port; 0: any free one");
  repeated(start, "--api-key", s.api_keys, "Key that clients must send; may be repeated")
      ->envname("OPENLLM_API_KEY");
  repeated(start, "--alias", s.model_aliases,
           "Further name that requests may use; \"*\": any; may be repeated");
  repeated(start, "--allow-origin", s.allowed_origins,
           "Web page that may use the server: scheme://host[:port], or \"*\"; may be repeated")
      ->type_name("ORIGIN");
  converted(
      start, "--max-body-bytes",
      [&s](const std::string& text) {
        s.max_body_bytes = static_cast<std::size_t>(parse_bytes(text));
      },
      "Largest request (default: 16MiB)")
      ->type_name("BYTES");
  number_with_default(start, "--max-connections", s.max_connections, "Most open connections");
  number_with_default(start, "--header-timeout", s.header_timeout_s,
                      "Seconds a client has to send a request");
  number_with_default(start, "--idle-timeout", s.idle_timeout_s,
                      "Seconds a connection may wait for its next request");
  number_with_default(start, "--shutdown-timeout", s.shutdown_timeout_s,
                      "Seconds running answers get at the end");
  number(start, "--max-wait", s.max_wait_s,
         "Longest wait in seconds; requests that would wait longer are refused (429); 0: any")
      ->default_str(base::cat(s.max_wait_s));
  add_load_options(start, a.load);
  add_config_fields(start, a.load.config);
}

void add_query(CLI::App& app, Arguments& a) {
  CLI::App* query =
      add_command(&app, "query", "Ask a running server",
                  "Examples:\n"
                  "  openllm query \"What is the capital of France?\" --temperature 0\n"
                  "  OPENLLM_ENDPOINT=http://10.0.0.5:3000 openllm query --json \"Hello\"");
  optional(query, "PROMPT", a.text, "The question; without it: standard input");
  query->add_option("--endpoint", a.client.address, "Server (default: http://127.0.0.1:3000)")
      ->envname("OPENLLM_ENDPOINT");
  query->add_option("--api-key", a.client.api_key, "Key of the server")
      ->envname("OPENLLM_AUTH_TOKEN");
  number_with_default(query, "--silence-timeout", a.client.timeout_s,
                      "Longest silence of the server in seconds");
  query->add_option("--system", a.system, "System message");
  query->add_flag("--raw", a.raw, "Continue the text, without the chat template");
  query->add_flag("--stream,!--no-stream", a.stream, "Print the answer as it is made (default)");
  query->add_flag("--json", a.json, "Print the final output as JSON");
  add_request_fields(query, Asked::kServer, a.generate);
}

void add_models(CLI::App& app, Arguments& a) {
  CLI::App* models = add_command(
      &app, "models", "List the model store; add and remove models",
      "Examples:\n"
      "  openllm models\n"
      "  openllm models add me/tiny ./tiny.gguf\n"
      "  openllm models remove me/tiny\n"
      "The store is $OPENLLM_HOME, else $XDG_CACHE_HOME/openllm, else ~/.cache/openllm.");
  models->add_flag("--json", a.json, "Print JSON");
  models->require_subcommand(0, 1);
  CLI::App* list = add_command(models, "list", "List the model store (as without a command)",
                               "Example:\n  openllm models list --json");
  list->add_flag("--json", a.json, "Print JSON");
  CLI::App* add = add_command(models, "add", "Copy a folder or a .gguf file into the store",
                              "Example:\n  openllm models add me/tiny ./tiny.gguf");
  add->add_option("NAME", a.model, "NAME or OWNER/NAME")->required();
  add->add_option("PATH", a.path, "Folder or .gguf file")->required();
  add->add_option("--as-version", a.version, "Version (default: from the content)");
  add->add_flag("--json", a.json, "Print JSON");
  CLI::App* remove = add_command(models, "remove", "Delete a model from the store",
                                 "Example:\n  openllm models remove me/tiny");
  remove->add_option("NAME", a.model, "NAME, or NAME:VERSION for one version")->required();
}

void add_inspection(CLI::App& app, Arguments& a) {
  CLI::App* info =
      add_command(&app, "info", "Show what a model is", "Example:\n  openllm info ./model.gguf");
  info->add_option("MODEL", a.model, kModelHelp)->required();
  info->add_flag("--json", a.json, "Print JSON");

  CLI::App* tokenize = add_command(&app, "tokenize", "Show the tokens of a text",
                                   "Example:\n  openllm tokenize ./model.gguf \"Hello world\"");
  tokenize->add_option("MODEL", a.model, kModelHelp)->required();
  optional(tokenize, "TEXT", a.text, "The text; without it: standard input");
  tokenize->add_flag("--json", a.json, "Print JSON");
  add_field(tokenize, *fields::find("add_special_tokens"), a.generate);

  CLI::App* logits = add_command(
      &app, "logits", "Print the logits of every position as JSON",
      "Example:\n  openllm logits ./model.gguf --prompt-ids 1,403,407 --device reference");
  logits->add_option("MODEL", a.model, kModelHelp)->required();
  CLI::Option* ids =
      optional(logits, "--prompt-ids", a.prompt_ids, "Token ids: 1,2,3")->type_name("IDS");
  optional(logits, "--prompt", a.text, "A text instead")->excludes(ids);
  add_load_options(logits, a.load);

  CLI::App* list =
      add_command(&app, "fields", "List the fields that requests and configurations have",
                  "Examples:\n  openllm fields\n  openllm fields --json");
  auto* json = list->add_flag("--json", a.json, "Print JSON");
  list->add_flag("--markdown", a.markdown, "Print the page docs/fields.md")->excludes(json);

  CLI::App* backends =
      add_command(&app, "backends", "Show which backends and devices exist, and why (not)",
                  "Examples:\n"
                  "  openllm backends\n"
                  "  openllm backends ./model-folder    which of them can run this model");
  backends->add_option("MODEL", a.model, kModelHelp);
  backends->add_flag("--json", a.json, "Print JSON");
}

/// The innermost command of the command line, and its full name.
const CLI::App& innermost(const CLI::App& app, std::string& name) {
  name = "openllm";
  const CLI::App* at = &app;
  while (!at->get_subcommands().empty()) {
    at = at->get_subcommands().front();
    name += " " + at->get_name();
  }
  return *at;
}

/// The names of the options, or of the commands, that `app` knows.
std::vector<std::string> known_names(const CLI::App& app, bool options) {
  std::vector<std::string> names;
  if (options) {
    for (const CLI::Option* option : app.get_options()) {
      for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
      for (const std::string& name : option->get_fnames()) names.push_back("--" + name);
    }
  } else {
    for (const CLI::App* command :
         app.get_subcommands(std::function<bool(const CLI::App*)>([](auto*) { return true; }))) {
      names.push_back(command->get_name());
    }
  }
  return names;
}

/// The error for an unexpected word: the word, and the nearest known one.
std::string describe_extra(const CLI::App& app, const std::string& word) {
  const bool is_option = word.size() > 1 && word[0] == '-';
  const std::string given = word.substr(0, is_option ? word.find('=') : std::string::npos);
  const std::vector<std::string> known = known_names(app, is_option);
  const std::optional<std::string> meant = base::nearest(given, known);
  const std::string hint = meant ? "; did you mean " + *meant + "?" : "";
  if (is_option) return base::cat("unknown option ", given, hint);
  if (!known.empty()) return base::cat("unknown command ", given, hint);
  return base::cat("one argument too many: ", word,
                   " (a text of several words is one argument when it is quoted)");
}

/// The same for all unexpected words. After "--", none is an option.
std::string describe_extras(const CLI::App& app, const std::vector<std::string>& words) {
  if (words.front() != "--" || words.size() == 1) return describe_extra(app, words.front());
  return base::cat("one argument too many: ", words[1], " (options stand before --)");
}

/// Prints the error in one line, with the command whose help explains it.
int usage_error(const CLI::App& app, const CLI::ParseError& error) {
  std::string command;
  const CLI::App& at = innermost(app, command);
  const std::vector<std::string> extras = at.remaining();
  std::string what = extras.empty() ? error.what() : describe_extras(at, extras);
  if (extras.empty() && dynamic_cast<const CLI::RequiredError*>(&error) != nullptr && &at == &app) {
    what = "a command is missing";
  }
  for (char& c : what) {
    if (static_cast<unsigned char>(c) < 0x20) c = ' ';
  }
  note(base::cat("openllm: error: ", what, " (see `", command, " --help`)\n"));
  return kExitUsage;
}

/// Hides the value that a flag sets, which CLI11 shows: "--no-stream{false}".
class HelpFormatter : public CLI::Formatter {
 public:
  std::string make_option_name(const CLI::Option* option, bool is_positional) const override {
    std::string name = CLI::Formatter::make_option_name(option, is_positional);
    constexpr std::string_view kValue = "{false}";
    for (std::size_t at = name.find(kValue); at != std::string::npos; at = name.find(kValue)) {
      name.erase(at, kValue.size());
    }
    return name;
  }
};

/// Makes the last of several equal options count, as scripts that append options expect.
void let_the_last_win(CLI::App& app) {
  for (CLI::Option* option : app.get_options()) {
    if (!option->get_positional() &&
        option->get_multi_option_policy() == CLI::MultiOptionPolicy::Throw) {
      option->take_last();
    }
  }
  for (CLI::App* command :
       app.get_subcommands(std::function<bool(CLI::App*)>([](auto*) { return true; }))) {
    let_the_last_win(*command);
  }
}

}  // namespace

ParsedArguments parse_arguments(int argc, const char* const* argv) {
  ParsedArguments parsed;
  Arguments& a = parsed.arguments;
  CLI::App app("Run open language models: one answer, a chat, or a server.", "openllm");
  app.formatter(std::make_shared<HelpFormatter>());
  app.set_version_flag("--version", std::string("openllm ") + version());
  app.require_subcommand(1);
  app.footer(
      "Examples:\n"
      "  openllm run HuggingFaceTB/SmolLM2-135M-Instruct \"What is the capital of France?\"\n"
      "  openllm start HuggingFaceTB/SmolLM2-135M-Instruct\n"
      "`openllm COMMAND --help` says more about each command.");
  add_run(app, a);
  add_start(app, a);
  add_query(app, a);
  add_models(app, a);
  add_inspection(app, a);
  let_the_last_win(app);
  if (argc < 2) {
    note(app.help());
    parsed.exit_status = kExitUsage;
    return parsed;
  }
  std::vector<std::string> words(argv + 1, argv + argc);
  if (words[0] == "help") {  // `help run` is `run --help`
    words.erase(words.begin());
    const std::vector<std::string> known = known_names(app, false);
    if (words.empty() || std::find(known.begin(), known.end(), words[0]) != known.end())
      words.emplace_back("--help");
  }
  std::reverse(words.begin(), words.end());  // as CLI11 wants them
  try {
    app.parse(std::move(words));
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() != 0) {
      parsed.exit_status = usage_error(app, error);
      return parsed;
    }
    std::ostringstream help;
    parsed.exit_status = app.exit(error, help, help);
    print(help.str());
    return parsed;
  }
  innermost(app, a.command);
  a.command.erase(0, std::string_view("openllm ").size());
  return parsed;
}

}  // namespace openllm::cli
