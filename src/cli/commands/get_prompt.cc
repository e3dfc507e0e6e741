#include "base/error.h"
#include "base/json.h"
#include "cli/answer.h"
#include "cli/commands/commands.h"
#include "cli/options.h"
#include "cli/prompt_source.h"
#include "cli/terminal.h"

namespace openllm::cli {
namespace {

/// "name=value", each, as the variables of a template.
std::string variables_of(const std::vector<std::string>& settings) {
  base::Json variables = base::Json::object();
  for (const std::string& setting : settings) {
    const std::size_t equals = setting.find('=');
    if (equals == 0 || equals == std::string::npos) {
      base::fail(ErrorCode::kInvalidArgument, "--opt: expected NAME=VALUE, got \"", setting, "\"");
    }
    variables[setting.substr(0, equals)] = json_or_text(setting.substr(equals + 1));
  }
  return settings.empty() ? "" : variables.dump();
}

}  // namespace

int get_prompt_command(const Arguments& arguments) {
  GenerateOptions options = arguments.generate;
  options.add_generation_prompt = arguments.begins_answer;
  options.chat_template_json = variables_of(arguments.variables);
  const LLM llm(arguments.model, arguments.load);
  std::vector<Message> messages = with_system(arguments.system);
  const std::string text = gather_prompt(arguments.source, "get-prompt").value_or("");
  messages.push_back({.role = "user", .content = text});
  base::Json json = base::Json::object();
  json["prompt"] = llm.apply_chat_template(messages, options);
  print(json.dump() + "\n");
  return 0;
}

}  // namespace openllm::cli
