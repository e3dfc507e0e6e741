#include "cli/completion.h"
#include "base/error.h"
#include "cli/command_tree.h"
#include "cli/commands/commands.h"
#include "cli/manual.h"
#include "cli/terminal.h"

namespace openllm::cli {

int completion_command(const Arguments& arguments) {
  const std::vector<TreeCommand> commands = command_tree();
  if (arguments.shell == "bash") {
    print(bash_completion(commands));
  } else if (arguments.shell == "zsh") {
    print(zsh_completion(commands));
  } else if (arguments.shell == "fish") {
    print(fish_completion(commands));
  } else {
    base::fail(ErrorCode::kInvalidArgument, "completion: no script for ", arguments.shell,
               " (expected bash, zsh or fish)");
  }
  return 0;
}

int man_command(const Arguments& /*arguments*/) {
  print(manual_page(command_tree()));
  return 0;
}

}  // namespace openllm::cli
