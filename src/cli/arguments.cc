#include "cli/arguments.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdlib>
#include <functional>
#include <sstream>

#include "base/error.h"
#include "cli/chat_settings.h"
#include "cli/command_names.h"
#include "cli/common_options.h"
#include "cli/exit_status.h"
#include "cli/options.h"
#include "cli/peer_names.h"
#include "cli/program.h"
#include "cli/terminal.h"
#include "cli/usage_error.h"
#include "cli/values.h"

namespace openllm::cli {
namespace {

/// Times that are given in whole seconds: at most a year.
constexpr fields::Range kWholeSeconds{.min = 1, .max = 31536000};

void add_chat_options(CLI::App* command, Arguments& a) {
  command->add_option("--system", a.system, "System message");
  command->add_flag("--raw", a.raw, "Continue the text as it is, without the chat template");
  command->add_flag("--json", a.json, "Print the final output as JSON");
  command->add_flag("!--no-history", a.history, "Do not keep a chat's lines for the next one");
  converted(
      command, "--receipt",
      [&a](const std::string& path) {
        if (path.empty()) base::fail(ErrorCode::kInvalidArgument, "expected a file, got \"\"");
        a.receipt = path;
        a.generate.receipt = true;
      },
      "File for the receipt, by which `openllm replay` makes the answer again; \"-\": standard "
      "output, after the answer")
      ->type_name("FILE");
  command->add_flag("--receipt-hash-only", a.generate.receipt_hash_only,
                    "The receipt has hashes of prompt and answer, but not their tokens");
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
  run->add_flag("-v,--verbose,--debug", a.verbose,
                "Say which backend runs the model and why; end with load time and tokens per "
                "second; all on standard error");
  add_request_fields(run, Asked::kLlm, a.generate);
  add_load_options(run, a.load);
}

/// What `start` and `build` have beside the model.
void add_serving_options(CLI::App* start, Arguments& a) {
  ServerOptions& s = a.server;
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
  start
      ->add_flag_function(
          "--cors,!--no-cors", [&a](std::int64_t count) { a.cors = count > 0; },
          "Any web page may use the server: --allow-origin '*'")
      ->take_last();
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
  number_with_default(start, "--timeout,--server-timeout", s.request_timeout_s,
                      "Most seconds of a request; 0: any", {.min = 0, .max = kWholeSeconds.max});
  number_with_default(start, "--backlog", s.backlog,
                      "Connections that may wait to be accepted; 0: the system's limit",
                      {.min = 0, .max = 1 << 24});
  number(
      start, "--max-wait", s.max_wait_s,
      with_default("Most seconds of waiting; requests that would wait longer are refused; 0: any",
                   base::cat(s.max_wait_s)),
      {.min = 0, .max = 1e6});
  add_load_options(start, a.load);
  add_config_fields(start, a.load.config);
}

void add_replay(CLI::App& app, Arguments& a) {
  CLI::App* replay = add_command(
      &app, "replay", "Make the answer of a receipt again, and say whether it is the same",
      "Ends with status 0 when it is the same, and 11 when it is not.\n"
      "Examples:\n"
      "  openllm run ./model.gguf \"Hello\" --receipt hello.json\n"
      "  openllm replay hello.json ./model.gguf\n"
      "  openllm replay hello.json                  a model of the store");
  replay->add_option("FILE", a.path, "The receipt; \"-\": standard input")->required();
  replay->add_option("MODEL", a.model,
                     "Name in the model store, folder, or .gguf file (default: the receipt's)");
  add_prompt_ids(replay, a);
  replay->add_flag("--json", a.json, "Print JSON");
  add_load_options(replay, a.load);
}

void add_start(CLI::App& app, Arguments& a) {
  CLI::App* start =
      add_command(&app, "start", "Start the OpenAI-compatible server",
                  "Examples:\n"
                  "  openllm start HuggingFaceTB/SmolLM2-135M-Instruct\n"
                  "  openllm start ./model.gguf --host 0.0.0.0 --port 8000 --api-key secret\n"
                  "  openllm start --model-tag native-me--tiny:1 --cors --temperature 0.2");
  add_model(start, a);
  add_serving_options(start, a);
}

void add_build(CLI::App& app, Arguments& a) {
  CLI::App* build = add_command(
      &app, "build", "Make a folder that serves a model wherever it lies",
      "Every option of `openllm start` may be given, and holds for the folder's server.\n"
      "Examples:\n"
      "  openllm build HuggingFaceTB/SmolLM2-135M-Instruct -o ./smollm --max-model-len 4096\n"
      "  ./smollm/serve --port 8000\n"
      "  docker build -f smollm/Containerfile -t smollm smollm");
  add_model(build, a);
  named(build, "-o,--output", a.path, "Folder to write")->type_name("DIR")->required();
  build->add_flag("--overwrite", a.overwrite, "Replace a folder that `openllm build` made");
  build->add_flag("--json", a.json, "Print JSON: state, path and tag");
  add_serving_options(build, a);
  // Keys do not go into folders: the variable is for the server, and the option is refused.
  build->get_option("--api-key")->envname("")->group("");
}

void add_doctor(CLI::App& app, Arguments& a) {
  CLI::App* doctor =
      add_command(&app, "doctor", "Say what would fail on this machine, and what mends it",
                  "Examples:\n"
                  "  openllm doctor\n"
                  "  openllm doctor HuggingFaceTB/SmolLM2-135M-Instruct --max-model-len 4096\n"
                  "  openllm doctor ./model.gguf --measure\n"
                  "The status is 0 when nothing would fail, else that of the first failure.");
  doctor->add_option("MODEL", a.model, "Name in the model store, folder, or .gguf file");
  doctor->add_flag("--json", a.json, "Print JSON");
  doctor->add_flag("--measure", a.measure, "Load the model and measure what is predicted");
  add_load_options(doctor, a.load);
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
  CLI::Option* authorities =
      named(query, "--ca-file", a.client.ca_file,
            "Certificates of the authorities that a https server is trusted by (PEM)");
  query->add_flag("!--insecure", a.client.verify, "Trust a https server whoever it is")
      ->excludes(authorities);
  add_chat_options(query, a);
  repeated(query, "--sampling-params", a.sampling_params,
           "A field of the request by its name (`openllm fields`); may be repeated")
      ->type_name("NAME=VALUE");
  query->add_flag("--stream,!--no-stream", a.stream, "Print the answer as it is made (default)");
  add_request_fields(query, Asked::kServer, a.generate);
}

void add_inspection(CLI::App& app, Arguments& a) {
  CLI::App* inspect = add_command(
      &app, "inspect", "Show what a model is: its tensors, the memory it takes, what can run it",
      "Examples:\n"
      "  openllm inspect ./model.gguf\n"
      "  openllm inspect HuggingFaceTB/SmolLM2-135M-Instruct --max-model-len 2048 --json");
  inspect->alias("info");
  add_model(inspect, a);
  inspect->add_flag("--json", a.json, "Print JSON");
  add_load_options(inspect, a.load);

  CLI::App* logits =
      add_command(&app, "logits", "Print the logits of every position as JSON",
                  "Examples:\n"
                  "  openllm logits ./model.gguf \"Once upon a time\"\n"
                  "  openllm logits ./model.gguf --prompt-ids 1,403,407 --device reference");
  add_model(logits, a);
  add_source(logits, "PROMPT", "The text; without it: standard input", a);
  add_prompt_ids(logits, a);
  logits->add_flag("--json", a.json, "Print JSON, which it does in any case");
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
  named(backends, "--backend", a.load.backend, "Ask for this one (default: $OPENLLM_BACKEND)");
  add_places(backends, a.load);
  add_vllm_options(backends, a.load);
}

/// -m, or --model-tag beside a prompt, in place of MODEL: then the word at MODEL's place is the
/// first of the prompt.
void sort_words(Arguments& a, bool takes_prompt) {
  const bool is_tagged = takes_prompt && !a.load.model_tag.empty();
  if (a.model_option.empty() && !is_tagged) return;
  if (!a.model.empty()) a.source.words.insert(a.source.words.begin(), a.model);
  a.model = a.model_option;
}

void check_origins(Arguments& a) {
  if (!a.cors) return;
  if (*a.cors) {
    a.server.allowed_origins.emplace_back("*");
  } else if (!a.server.allowed_origins.empty()) {
    base::fail(ErrorCode::kInvalidArgument, "--no-cors: stands beside --allow-origin ",
               a.server.allowed_origins.front(), " (expected one of them)");
  }
}

/// --sampling-params beside the option of the same field: nobody could tell which of them counts.
void check_sampling_params(const CLI::App& command, Arguments& a) {
  for (const std::string& text : a.sampling_params) {
    const std::string flag = apply_setting(a.generate, Asked::kServer, text);
    const CLI::Option* option = command.get_option_no_throw(flag);
    if (option == nullptr || option->count() == 0) continue;
    base::fail(ErrorCode::kInvalidArgument, "--sampling-params ", text, ": stands beside ", flag,
               " (expected one of them)");
  }
}

/// What CLI11 cannot check. Throws kInvalidArgument.
void check(const CLI::App& command, Arguments& a) {
  const bool takes_model = command.get_option_no_throw("MODEL") != nullptr &&
                           command.get_option_no_throw("--model") != nullptr;
  const bool takes_prompt = command.get_option_no_throw("--prompt") != nullptr;
  const bool takes_texts = !takes_prompt && command.get_option_no_throw("TEXT") != nullptr;
  check_origins(a);
  check_sampling_params(command, a);
  choose_default_adapter(a.load);
  if (takes_model) {
    sort_words(a, takes_prompt);
    const char* variable = std::getenv("OPENLLM_MODEL_ID");
    if (a.model.empty() && a.load.model_tag.empty() && variable != nullptr) a.model = variable;
    if (a.model.empty() && a.load.model_tag.empty()) {
      base::fail(ErrorCode::kInvalidArgument,
                 "MODEL is missing (expected a name in the model store, a folder or a .gguf file)");
    }
  }
  if (takes_texts) {
    a.texts.insert(a.texts.begin(), a.source.words.begin(), a.source.words.end());
  } else if (takes_prompt) {
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
  if (!words.empty()) use_our_command(words);
  const std::vector<std::string> known = known_names(app, false);
  if (words.empty() || std::find(known.begin(), known.end(), words[0]) != known.end())
    words.emplace_back("--help");
}

/// Options of every command may stand before it: `openllm --quiet run` is `openllm run --quiet`.
void put_command_first(std::vector<std::string>& words) {
  constexpr std::string_view kGlobal[] = {"-q", "--quiet", "--verbose", "--debug",
                                          "--do-not-track"};
  const auto command = std::find_if(words.begin(), words.end(), [&](const std::string& word) {
    return std::find(std::begin(kGlobal), std::end(kGlobal), word) == std::end(kGlobal);
  });
  if (command == words.end() || command->starts_with('-')) return;
  std::rotate(words.begin(), command, command + 1);
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
    if (a.command == "build")
      a.serving_options = given_options(command, *app.get_subcommand("start"));
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

void describe_program(CLI::App& app, Arguments& a) {
  app.description("Run open language models: one answer, a chat, or a server.");
  app.formatter(std::make_shared<HelpFormatter>());
  app.set_version_flag("-v,--version", std::string("openllm ") + version());
  app.require_subcommand(1);
  app.footer(
      "Examples:\n"
      "  openllm run HuggingFaceTB/SmolLM2-135M-Instruct \"What is the capital of France?\"\n"
      "  openllm start HuggingFaceTB/SmolLM2-135M-Instruct\n"
      "`openllm COMMAND --help` says more about each command.");
  add_run(app, a);
  add_start(app, a);
  add_build(app, a);
  add_query(app, a);
  add_replay(app, a);
  add_store_commands(app, a);
  add_embed_commands(app, a);
  add_inspection(app, a);
  add_doctor(app, a);
  add_tool_commands(app, a);
  add_global_options(app, a);
  let_the_last_win(app);
}

bool is_chat(const Arguments& arguments) {
  const bool may_chat = arguments.command == "run" || arguments.command == "query";
  return may_chat && !arguments.prompt_ids && arguments.source.is_empty() && stdin_is_terminal();
}

ParsedArguments parse_arguments(int argc, const char* const* argv) {
  ParsedArguments parsed;
  CLI::App app("", "openllm");
  describe_program(app, parsed.arguments);
  if (argc < 2) {
    note(app.help());
    parsed.exit_status = kExitUsage;
    return parsed;
  }
  std::vector<std::string> words(argv + 1, argv + argc);
  std::string command = "openllm";
  try {
    put_command_first(words);
    turn_help_into_an_option(app, words);
    use_our_command(words);
    if (&command_of(app, words) != &app) command += " " + words[0];
    parse(app, std::move(words), parsed);
  } catch (const Error& error) {
    report_usage(command, error.what());
    parsed.exit_status = exit_status(error.code());
  }
  return parsed;
}

}  // namespace openllm::cli
