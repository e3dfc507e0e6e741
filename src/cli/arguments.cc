#include "cli/arguments.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <functional>
#include <sstream>

#include "base/error.h"
#include "cli/exit_status.h"
#include "cli/options.h"
#include "cli/peer_names.h"
#include "cli/terminal.h"
#include "cli/usage_error.h"
#include "cli/values.h"

namespace openllm::cli {
namespace {

/// Times that are given in whole seconds: at most a year.
constexpr fields::Range kWholeSeconds{.min = 1, .max = 31536000};

/// Ends the help of an argument that CLI11 does not know to be required: -m may stand in for it.
constexpr std::string_view kRequired = " (required)";

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

/// Where the prompt comes from; `name` is that of the argument.
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

void add_chat_options(CLI::App* command, Arguments& a) {
  command->add_option("--system", a.system, "System message");
  command->add_flag("--raw", a.raw, "Continue the text as it is, without the chat template");
  command->add_flag("--json", a.json, "Print the final output as JSON");
  command->add_flag("!--no-history", a.history, "Do not keep a chat's lines for the next one");
}

void add_run(CLI::App& app, Arguments& a) {
  CLI::App* run = add_command(
      &app, "run", "Answer a prompt, or chat",
      "Without PROMPT, -f, --prompt-ids and standard input, a terminal gets a chat.\n"
      "Examples:\n"
      "  openllm run HuggingFaceTB/SmolLM2-135M-Instruct \"What is the capital of France?\"\n"
      "  openllm run HuggingFaceTB/SmolLM2-135M-Instruct              a chat\n"
      "  openllm run ./model.gguf --raw \"Once upon a time\" --temperature 0\n"
      "  openllm run ./model-folder \"What does this do?\" < main.c    the text, then the "
      "question\n"
      "  openllm run ./model-folder \"Correct this:\" - < letter.txt   the text where - stands\n"
      "  openllm run ./model-folder --prompt-ids 1,2,3 --json --logprobs 5");
  add_model(run, a);
  add_source(run, "PROMPT",
             "The question; standard input that is no terminal stands before it, or where - does",
             a);
  add_prompt_ids(run, a);
  add_chat_options(run, a);
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
  add_model(start, a);
  named(start, "--host", s.host, with_default("Address to listen on", s.host));
  number_with_default(start, "-p,--port", s.port, "Port; 0: any free one");
  repeated(start, "--api-key", s.api_keys,
           "Key that clients must send; may be repeated (default: none, anybody may ask)")
      ->envname("OPENLLM_API_KEY");
  start->add_flag("--strict", s.strict,
                  "Refuse members of requests that nobody knows, instead of ignoring them");
  repeated(start, "--alias", s.model_aliases,
           "Further name that requests may use; \"*\": any; may be repeated");
  repeated(start, "--allow-origin", s.allowed_origins,
           "Web page that may use the server: scheme://host[:port], or \"*\"; may be repeated")
      ->type_name("ORIGIN");
  start->add_flag("--allow-priority", s.allow_priority,
                  "Let clients run before others by a priority below 0");
  converted(
      start, "--max-body-bytes",
      [&s](const std::string& text) {
        s.max_body_bytes = static_cast<std::size_t>(parse_bytes(text, 1));
      },
      "Largest request (default: 16MiB)")
      ->type_name("BYTES");
  converted(
      start, "--max-connections",
      [&s](const std::string& text) {
        int most = 0;
        parse_into(text, most, {.min = 1});
        s.max_connections = static_cast<std::size_t>(most);
      },
      with_default("Most open connections", std::to_string(s.max_connections)))
      ->type_name("NUMBER");
  number_with_default(start, "--header-timeout", s.header_timeout_s,
                      "Seconds a client has to send a request", kWholeSeconds);
  number_with_default(start, "--idle-timeout", s.idle_timeout_s,
                      "Seconds a connection may wait for its next request", kWholeSeconds);
  number_with_default(start, "--shutdown-timeout", s.shutdown_timeout_s,
                      "Seconds running answers get at the end",
                      {.min = 0, .max = kWholeSeconds.max});
  number(
      start, "--max-wait", s.max_wait_s,
      with_default("Most seconds of waiting; requests that would wait longer are refused; 0: any",
                   base::cat(s.max_wait_s)),
      {.min = 0, .max = 1e6});
  add_load_options(start, a.load);
  add_config_fields(start, a.load.config);
}

void add_query(CLI::App& app, Arguments& a) {
  CLI::App* query =
      add_command(&app, "query", "Ask a running server, or chat with it",
                  "Without PROMPT, -f and standard input, a terminal gets a chat.\n"
                  "Examples:\n"
                  "  openllm query \"What is the capital of France?\" --temperature 0\n"
                  "  openllm query                                               a chat\n"
                  "  OPENLLM_ENDPOINT=http://10.0.0.5:3000 openllm query --json \"Hello\"");
  add_source(query, "PROMPT",
             "The question; standard input that is no terminal stands before it, or where - does",
             a);
  named(query, "--endpoint", a.client.address, "Server (default: http://127.0.0.1:3000)")
      ->envname("OPENLLM_ENDPOINT");
  query->add_option("--api-key", a.client.api_key, "Key of the server (default: none)")
      ->envname("OPENLLM_AUTH_TOKEN");
  named(query, "-m,--model", a.client.model, "Model to ask (default: the server's first)");
  number_with_default(query, "--silence-timeout", a.client.timeout_s,
                      "Longest silence of the server in seconds", kWholeSeconds);
  add_chat_options(query, a);
  query->add_flag("--stream,!--no-stream", a.stream, "Print the answer as it is made (default)");
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
  add_model(info, a);
  info->add_flag("--json", a.json, "Print JSON");

  CLI::App* tokenize = add_command(&app, "tokenize", "Show the tokens of a text",
                                   "Example:\n  openllm tokenize ./model.gguf \"Hello world\"");
  add_model(tokenize, a);
  add_source(tokenize, "TEXT", "The text; without it: standard input", a);
  tokenize->add_flag("--json", a.json, "Print JSON");
  add_field(tokenize, *fields::find("add_special_tokens"), a.generate);

  CLI::App* logits =
      add_command(&app, "logits", "Print the logits of every position as JSON",
                  "Examples:\n"
                  "  openllm logits ./model.gguf \"Once upon a time\"\n"
                  "  openllm logits ./model.gguf --prompt-ids 1,403,407 --device reference");
  add_model(logits, a);
  add_source(logits, "PROMPT", "The text; without it: standard input", a);
  add_prompt_ids(logits, a);
  add_load_options(logits, a.load);

  CLI::App* list =
      add_command(&app, "fields", "List the fields that requests and configurations have",
                  "Examples:\n  openllm fields\n  openllm fields --json");
  auto* json = list->add_flag("--json", a.json, "Print JSON");
  auto* page = list->add_flag("--markdown", a.markdown, "Print the page docs/fields.md");
  page->excludes(json);
  list->add_flag("--bodies", a.bodies, "Print what HTTP bodies may have, as in docs/serving.md")
      ->excludes(json)
      ->excludes(page);

  CLI::App* backends =
      add_command(&app, "backends", "Show which backends and devices exist, and why (not)",
                  "Examples:\n"
                  "  openllm backends\n"
                  "  openllm backends ./model-folder    which of them can run this model");
  backends->add_option("MODEL", a.model, "Name in the model store, folder, or .gguf file");
  backends->add_flag("--json", a.json, "Print JSON");
}

/// -m in place of MODEL: then the word at MODEL's place is the first of the prompt.
void sort_words(Arguments& a) {
  if (a.model_option.empty()) return;
  if (!a.model.empty()) a.source.words.insert(a.source.words.begin(), a.model);
  a.model = a.model_option;
}

/// What CLI11 cannot check. Throws kInvalidArgument.
void check(const CLI::App& command, Arguments& a) {
  const bool takes_model = command.get_option_no_throw("MODEL") != nullptr &&
                           command.get_option_no_throw("--model") != nullptr;
  const bool takes_prompt = command.get_option_no_throw("--prompt") != nullptr;
  if (takes_model) {
    sort_words(a);
    if (a.model.empty()) {
      base::fail(ErrorCode::kInvalidArgument,
                 "MODEL is missing (expected a name in the model store, a folder or a .gguf file)");
    }
  }
  if (takes_prompt) {
    check_source(a.source, a.command);
  } else if (!a.source.words.empty()) {
    base::fail(ErrorCode::kInvalidArgument, "one argument too many: ", a.source.words.front(),
               " (the model is given by --model)");
  }
}

/// Hides the value that a flag sets, which CLI11 shows: "--no-stream{false}"; and how often an
/// argument may stand: "PROMPT(0x)".
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
  std::string make_option_usage(const CLI::Option* option) const override {
    const std::string name = make_option_name(option, true);
    const bool is_required =
        option->get_required() || option->get_description().ends_with(kRequired);
    return is_required ? name : "[" + name + "]";
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

/// `help run` is `run --help`.
void turn_help_into_an_option(const CLI::App& app, std::vector<std::string>& words) {
  if (words[0] != "help") return;
  words.erase(words.begin());
  const std::vector<std::string> known = known_names(app, false);
  if (words.empty() || std::find(known.begin(), known.end(), words[0]) != known.end())
    words.emplace_back("--help");
}

/// The command whose options the words have; `app` itself when they name none.
const CLI::App& command_of(const CLI::App& app, const std::vector<std::string>& words) {
  const std::vector<const CLI::App*> found = app.get_subcommands(
      std::function<bool(const CLI::App*)>([&](auto* at) { return at->get_name() == words[0]; }));
  return found.empty() ? app : *found.front();
}

void parse(CLI::App& app, std::vector<std::string> words, ParsedArguments& parsed) {
  Arguments& a = parsed.arguments;
  try {
    words = with_our_names(command_of(app, words), words);
    std::reverse(words.begin(), words.end());  // as CLI11 wants them
    app.parse(std::move(words));
    const CLI::App& command = innermost(app, a.command);
    a.command.erase(0, std::string_view("openllm ").size());
    check(command, a);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() != 0) {
      parsed.exit_status = usage_error(app, error);
      return;
    }
    std::ostringstream help;
    parsed.exit_status = app.exit(error, help, help);
    print(help.str());
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
  turn_help_into_an_option(app, words);
  const CLI::App& command = command_of(app, words);
  try {
    parse(app, std::move(words), parsed);
  } catch (const Error& error) {
    report_usage(command.get_name() == "openllm" ? "openllm" : "openllm " + command.get_name(),
                 error.what());
    parsed.exit_status = exit_status(error.code());
  }
  return parsed;
}

}  // namespace openllm::cli
