// Commands that print something about models, or about this program: get-prompt, completion, man,
// tokenize, detokenize, template.

#include "cli/common_options.h"
#include "cli/options.h"

namespace openllm::cli {
namespace {

void add_get_prompt(CLI::App& app, Arguments& a) {
  CLI::App* prompt = add_command(
      &app, "get-prompt", "Show the prompt that the chat template makes of a message, as JSON",
      "Examples:\n"
      "  openllm get-prompt me/tiny \"Hello\" --system-message \"Be brief.\"\n"
      "  openllm get-prompt me/tiny \"Hello\" --add-generation-prompt --opt enable_thinking=false");
  add_model(prompt, a);
  add_source(prompt, "PROMPT", "The user's message; without it: standard input", a);
  optional(prompt, "--system-message,--system", a.system, "System message");
  add_chat_template(prompt, a.load);
  prompt->add_flag("--add-generation-prompt,!--no-add-generation-prompt", a.begins_answer,
                   "End with the beginning of the assistant's turn");
  repeated(prompt, "--opt", a.variables,
           "Variable of the template; the value is JSON, else a text; may be repeated")
      ->type_name("NAME=VALUE");
  prompt->add_flag("--json", a.json, "Print JSON (as always)");
}

void add_tokenize(CLI::App& app, Arguments& a) {
  CLI::App* tokenize = add_command(&app, "tokenize", "Show the tokens of a text",
                                   "Examples:\n"
                                   "  openllm tokenize ./model.gguf \"Hello world\"\n"
                                   "  openllm tokenize ./tokenizer.json \"Hello world\" --json");
  add_model(tokenize, a);
  add_source(tokenize, "TEXT", "The text; without it: standard input", a);
  tokenize->add_flag("--json", a.json,
                     "Print JSON: ids, tokens, and offsets in code points of the text");
  add_field(tokenize, *fields::find("add_special_tokens"), a.generate);

  CLI::App* detokenize =
      add_command(&app, "detokenize", "Show the text of token ids",
                  "Examples:\n"
                  "  openllm detokenize ./model.gguf \"1 9707 1879\"\n"
                  "  openllm detokenize ./tokenizer.json \"[9707, 1879]\" --json");
  add_model(detokenize, a);
  add_source(detokenize, "IDS", "The ids, with spaces or commas; without them: standard input", a);
  detokenize->add_flag("--json", a.json, "Print JSON");
  add_field(detokenize, *fields::find("skip_special_tokens"), a.generate);
}

void add_template(CLI::App& app, Arguments& a) {
  CLI::App* text =
      add_command(&app, "template", "Print what a template makes of variables, and nothing else",
                  "Examples:\n"
                  "  openllm template chat_template.jinja --data variables.json\n"
                  "  openllm template ./model-folder --data - < variables.json");
  add_model(text, a);
  text->add_option("--data", a.data, "JSON object with the variables; \"-\": standard input")
      ->required()
      ->type_name("FILE");
}

void add_completion(CLI::App& app, Arguments& a) {
  CLI::App* completion = add_command(
      &app, "completion", "Print a script that completes this program's words in a shell",
      "Examples:\n"
      "  source <(openllm completion bash)                    in ~/.bashrc\n"
      "  openllm completion zsh > ~/.zfunc/_openllm           a folder of $fpath\n"
      "  openllm completion fish > ~/.config/fish/completions/openllm.fish");
  completion->add_option("SHELL", a.shell, "The shell")->required()->type_name("bash|zsh|fish");
}

void add_compare(CLI::App& app, Arguments& a) {
  CLI::App* compare = add_command(
      &app, "compare",
      "Compare what backends, devices or forms of a model make of the same prompts",
      "Examples:\n"
      "  openllm compare ./model-folder --backends native,pt,vllm\n"
      "  openllm compare ./model-folder --backends native,native:kv-dtype=int8,native:reference\n"
      "  openllm compare ./model-folder --backends native,native:model=./model-q4.gguf\n"
      "  openllm compare ./model-folder --backends pt,vllm:url=http://gpu1:8000 --file "
      "prompts.txt\n"
      "The first that runs is what the others are compared with. The status is 0 when all were\n"
      "compared, else that of the first which was not.");
  CompareArguments& c = a.compare;
  add_model(compare, a);
  named(compare, "--backends", c.backends,
        "What to compare, at least two with commas between them: BACKEND[:SETTING]..., settings "
        "being a device, dtype=, quantize=, kv-dtype=, fast-activations, url= or model=")
      ->type_name("LIST")
      ->required();
  repeated(compare, "-p,--prompt", c.prompts,
           "A prompt, continued as it is; may be repeated (default: a few of several kinds)");
  repeated(compare, "-f,--file", c.files, "File with a prompt on each line; may be repeated")
      ->type_name("FILE");
  converted(
      compare, "--prompt-ids",
      [&c](const std::string& text) { c.prompt_ids.push_back(parse_ids(text)); },
      "A prompt as token ids: 1,2,3 (needs no tokenizer); may be repeated")
      ->type_name("IDS")
      ->take_all();
  number_with_default(compare, "--max-new-tokens,--max-tokens", c.options.max_new_tokens,
                      "Tokens of each greedy answer", {.min = 0});
  number_with_default(compare, "--top", c.options.top,
                      "Tokens to ask for at each position where a backend gives no logits",
                      {.min = 1, .max = 128});
  compare->add_flag("--json", a.json, "Print JSON");
  add_load_options(compare, a.load);
  // Each target has its own.
  for (const char* option :
       {"--backend", "--device", "--kv-dtype", "--fast-activations", "--pt-device", "--dtype"})
    compare->remove_option(compare->get_option(option));
}

}  // namespace

void add_tool_commands(CLI::App& app, Arguments& a) {
  add_compare(app, a);
  add_get_prompt(app, a);
  add_tokenize(app, a);
  add_template(app, a);
  add_completion(app, a);
  add_command(&app, "man", "Print the manual page", "Example:\n  openllm man > openllm.1")
      ->group("");
}

}  // namespace openllm::cli
