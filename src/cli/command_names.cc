#include "cli/command_names.h"

#include <openllm/store.h>

#include <algorithm>
#include <iterator>

#include "base/error.h"

namespace openllm::cli {
namespace {

struct AbsentCommand {
  std::string_view name;
  std::string_view instead;
};

constexpr AbsentCommand kAbsent[] = {
    {"list-models", "`openllm models` lists the models on this machine"},
    {"list-bentos", "there are no bentos; `openllm models` lists the models on this machine"},
    {"dive-bentos",
     "there are no bentos; `openllm inspect MODEL` shows what a model is, and where it lies"},
    {"get-containerfile",
     "there are no bentos; one process serves a model: `openllm start MODEL --host 0.0.0.0`"},
    {"playground", "`openllm run MODEL` is a chat; examples/ has programs to begin with"},
    {"instruct", "`openllm query PROMPT` asks a server; its /v1/chat/completions takes tools"},
    {"start-grpc", "servers speak HTTP: `openllm start MODEL`, and `openllm query` asks it"},
    {"build-base-container",
     "any image with this program serves: its command is `openllm start MODEL --host 0.0.0.0`"},
};

constexpr CommandAlias kAliases[] = {
    {"start-http", "start"}, {"pull", "import"}, {"download", "import"}, {"rm", "models remove"}};

}  // namespace

std::span<const CommandAlias> command_aliases() noexcept { return kAliases; }

void use_our_command(std::vector<std::string>& words) {
  if (words.empty()) return;
  for (const AbsentCommand& absent : kAbsent) {
    if (words[0] == absent.name) {
      base::fail(ErrorCode::kInvalidArgument, absent.name,
                 " is not a command here: ", absent.instead);
    }
  }
  for (const CommandAlias& alias : command_aliases()) {
    if (words[0] != alias.name) continue;
    const std::size_t space = alias.ours.find(' ');
    words[0] = alias.ours.substr(0, space);
    if (space != std::string_view::npos)
      words.insert(words.begin() + 1, std::string(alias.ours.substr(space + 1)));
    return;
  }
}

}  // namespace openllm::cli
