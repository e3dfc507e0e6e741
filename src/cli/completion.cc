#include "cli/completion.h"

#include <string_view>

#include "base/error.h"

namespace openllm::cli {
namespace {

/// In single quotes, as one word of bash and zsh.
std::string in_quotes(std::string_view text) {
  std::string word = "'";
  for (const char c : text) word += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return word + "'";
}

/// For fish, which knows \' in single quotes.
std::string fish_quoted(std::string_view text) {
  std::string word = "'";
  for (const char c : text) {
    if (c == '\'' || c == '\\') word += '\\';
    word += c;
  }
  return word + "'";
}

std::string joined(const std::vector<std::string>& words, std::string_view between = " ") {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : std::string(between)) + word;
  return text;
}

/// What the scripts know a value by: "@file", "@model", "@text", or the words.
std::string spec_of(const TreeValue& value) {
  switch (value.kind) {
    case ValueKind::kNone:
      return "";
    case ValueKind::kText:
      return "@text";
    case ValueKind::kWords:
      return joined(value.values);
    case ValueKind::kFile:
      return "@file";
    case ValueKind::kModel:
      return "@model";
  }
  return "";
}

/// Cases of a shell function that sets `found` to the spec of the option $2 of the command $1.
std::string value_cases(const std::vector<TreeCommand>& commands) {
  std::string text;
  for (const TreeCommand& command : commands) {
    for (const TreeOption& option : command.options) {
      if (option.value.kind == ValueKind::kNone) continue;
      std::vector<std::string> patterns;
      for (const std::string& name : option.names)
        patterns.push_back(in_quotes(base::cat(command.path, "|", name)));
      text += base::cat("    ", joined(patterns, "|"), ") found=", in_quotes(spec_of(option.value)),
                        " ;;\n");
    }
  }
  return text;
}

/// Cases that set `found` to the spec of argument $2, counted from 0, of the command $1.
std::string argument_cases(const std::vector<TreeCommand>& commands) {
  std::string text;
  for (const TreeCommand& command : commands) {
    for (std::size_t i = 0; i < command.arguments.size(); ++i)
      text += base::cat("    ", in_quotes(base::cat(command.path, "|", i)),
                        ") found=", in_quotes(spec_of(command.arguments[i].value)), " ;;\n");
  }
  return text;
}

/// The pattern of all commands, as the command so far, a space, and the next word.
std::string command_pattern(const std::vector<TreeCommand>& commands) {
  std::vector<std::string> patterns;
  for (const TreeCommand& command : commands) {
    for (const std::string& name : command.commands)
      patterns.push_back(in_quotes(base::cat(command.path, " ", name)));
  }
  return joined(patterns, "|");
}

/// Functions that bash and zsh share.
std::string shared_functions(const std::vector<TreeCommand>& commands) {
  return base::cat(
      "_openllm_models() {\n"
      "  openllm models --names --quiet 2>/dev/null\n"
      "}\n"
      "# Sets `found` to what the option $2 of the command $1 takes.\n"
      "_openllm_value() {\n"
      "  found=''\n"
      "  case \"$1|$2\" in\n",
      value_cases(commands),
      "  esac\n"
      "}\n"
      "# Sets `found` to what argument $2 of the command $1 is.\n"
      "_openllm_argument() {\n"
      "  found=''\n"
      "  case \"$1|$2\" in\n",
      argument_cases(commands),
      "  esac\n"
      "}\n"
      "# Reads the words before the one at hand: sets `at` to the command and `n` to the number\n"
      "# of its arguments so far.\n"
      "_openllm_read() {\n"
      "  local word previous=''\n"
      "  at='' n=0\n"
      "  for word in \"$@\"; do\n"
      "    case \"$at $word\" in\n"
      "    ",
      command_pattern(commands),
      ") at=\"${at:+$at }$word\"; previous=''; continue ;;\n"
      "    esac\n"
      "    if [ \"$word\" = = ]; then previous='='; continue; fi\n"
      "    case \"$word\" in -?*) previous=$word; continue ;; esac\n"
      "    found=''\n"
      "    [ -z \"$previous\" ] || [ \"$previous\" = = ] || _openllm_value \"$at\" \"$previous\"\n"
      "    [ -n \"$found\" ] || [ \"$previous\" = = ] || n=$((n + 1))\n"
      "    previous=''\n"
      "  done\n"
      "}\n");
}

std::vector<std::string> option_names(const TreeCommand& command) {
  std::vector<std::string> names;
  for (const TreeOption& option : command.options)
    names.insert(names.end(), option.names.begin(), option.names.end());
  return names;
}

/// "name:help" of all names, for _describe of zsh.
std::string zsh_options(const TreeCommand& command) {
  std::string text;
  for (const TreeOption& option : command.options) {
    for (const std::string& name : option.names)
      text += base::cat(" ", in_quotes(base::cat(name, ":", option.help)));
  }
  return text;
}

const TreeCommand* find(const std::vector<TreeCommand>& commands, const std::string& path) {
  for (const TreeCommand& command : commands) {
    if (command.path == path) return &command;
  }
  return nullptr;
}

std::string zsh_commands(const std::vector<TreeCommand>& commands, const TreeCommand& command) {
  std::string text;
  for (const std::string& name : command.commands) {
    const TreeCommand* below =
        find(commands, command.path.empty() ? name : base::cat(command.path, " ", name));
    text += base::cat(" ", in_quotes(base::cat(name, ":", below == nullptr ? "" : below->help)));
  }
  return text;
}

/// One line for an option or a word of fish; `condition` says for which command.
std::string fish_line(const std::string& condition, const std::string& what) {
  return base::cat("complete -c openllm -n ", fish_quoted(condition), " ", what, "\n");
}

std::string fish_value(const TreeValue& value) {
  switch (value.kind) {
    case ValueKind::kNone:
      return "";
    case ValueKind::kText:
      return " -x";
    case ValueKind::kWords:
      return base::cat(" -x -a ", fish_quoted(joined(value.values)));
    case ValueKind::kFile:
      return " -r -F";
    case ValueKind::kModel:
      return " -r -F -a '(__openllm_models)'";
  }
  return "";
}

std::string fish_option(const TreeOption& option) {
  std::string text;
  for (const std::string& name : option.names) {
    const bool is_long = name.starts_with("--");
    text += base::cat(is_long ? " -l " : (name.size() == 2 ? " -s " : " -o "),
                      name.substr(is_long ? 2 : 1));
  }
  text.erase(0, 1);
  return base::cat(text, fish_value(option.value), " -d ", fish_quoted(option.help));
}

/// All of one command.
std::string fish_command(const std::vector<TreeCommand>& commands, const TreeCommand& command) {
  const std::string at = base::cat("__openllm_at ", fish_quoted(command.path));
  std::string text;
  for (const std::string& name : command.commands) {
    const TreeCommand* below =
        find(commands, command.path.empty() ? name : base::cat(command.path, " ", name));
    text += fish_line(at + " 0", base::cat("-f -a ", name, " -d ",
                                           fish_quoted(below == nullptr ? "" : below->help)));
  }
  for (std::size_t i = 0; i < command.arguments.size(); ++i) {
    const TreeValue& value = command.arguments[i].value;
    const std::string here = base::cat(at, " ", i);
    if (value.kind == ValueKind::kModel) text += fish_line(here, "-F -a '(__openllm_models)'");
    if (value.kind == ValueKind::kFile) text += fish_line(here, "-F");
    if (value.kind == ValueKind::kWords)
      text += fish_line(here, base::cat("-f -a ", fish_quoted(joined(value.values))));
  }
  for (const TreeOption& option : command.options) text += fish_line(at, fish_option(option));
  return text;
}

}  // namespace

std::string bash_completion(const std::vector<TreeCommand>& commands) {
  std::string words;
  for (const TreeCommand& command : commands) {
    words += base::cat("    ", in_quotes(command.path),
                       ") options=", in_quotes(joined(option_names(command))),
                       " commands=", in_quotes(joined(command.commands)), " ;;\n");
  }
  return base::cat(
      "# Completion for bash, made by `openllm completion bash`.\n", shared_functions(commands),
      "_openllm() {\n"
      "  local cur=${COMP_WORDS[COMP_CWORD]} before=$((COMP_CWORD - 1))\n"
      "  local at n found options commands option=''\n"
      "  COMPREPLY=()\n"
      "  if [ \"$cur\" = = ]; then cur=''; before=$COMP_CWORD; fi\n"
      "  # \"--device=cpu\" is three words here.\n"
      "  if [ \"${COMP_WORDS[before]}\" = = ]; then before=$((before - 1)); fi\n"
      "  if [ \"$before\" -ge 1 ]; then option=${COMP_WORDS[before]}; fi\n"
      "  _openllm_read \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"\n"
      "  case \"$at\" in\n",
      words,
      "  esac\n"
      "  found=''\n"
      "  case \"$option\" in -?*) _openllm_value \"$at\" \"$option\" ;; esac\n"
      "  if [ -z \"$found\" ]; then\n"
      "    case \"$cur\" in\n"
      "    -*) COMPREPLY=($(compgen -W \"$options\" -- \"$cur\")); return ;;\n"
      "    esac\n"
      "    if [ -n \"$commands\" ] && [ \"$n\" -eq 0 ]; then\n"
      "      COMPREPLY=($(compgen -W \"$commands\" -- \"$cur\"))\n"
      "      return\n"
      "    fi\n"
      "    _openllm_argument \"$at\" \"$n\"\n"
      "  fi\n"
      "  case \"$found\" in\n"
      "  ''|@text) ;;\n"
      "  @file) compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -f -- \"$cur\")) ;;\n"
      "  @model)\n"
      "    COMPREPLY=($(compgen -W \"$(_openllm_models)\" -- \"$cur\"))\n"
      "    if [ ${#COMPREPLY[@]} -eq 0 ]; then\n"
      "      compopt -o filenames 2>/dev/null\n"
      "      COMPREPLY=($(compgen -f -- \"$cur\"))\n"
      "    fi ;;\n"
      "  *) COMPREPLY=($(compgen -W \"$found\" -- \"$cur\")) ;;\n"
      "  esac\n"
      "}\n"
      "complete -F _openllm openllm\n");
}

std::string zsh_completion(const std::vector<TreeCommand>& commands) {
  std::string words;
  for (const TreeCommand& command : commands) {
    words += base::cat("    ", in_quotes(command.path), ") options=(", zsh_options(command),
                       " ) commands=(", zsh_commands(commands, command), " ) ;;\n");
  }
  return base::cat(
      "#compdef openllm\n"
      "# Completion for zsh, made by `openllm completion zsh`.\n",
      shared_functions(commands),
      "_openllm() {\n"
      "  local at n found option=${words[CURRENT-1]} cur=${words[CURRENT]}\n"
      "  local -a options commands\n"
      "  if [[ $cur == --*=* ]]; then option=${cur%%=*}; compset -P '*='; fi\n"
      "  _openllm_read \"${(@)words[2,CURRENT-1]}\"\n"
      "  case \"$at\" in\n",
      words,
      "  esac\n"
      "  found=''\n"
      "  [[ $option == -?* ]] && _openllm_value \"$at\" \"$option\"\n"
      "  if [[ -z $found ]]; then\n"
      "    if [[ $cur == -* ]]; then _describe -o option options; return; fi\n"
      "    if (( ${#commands} && n == 0 )); then _describe command commands; return; fi\n"
      "    _openllm_argument \"$at\" \"$n\"\n"
      "  fi\n"
      "  case \"$found\" in\n"
      "  ''|@text) ;;\n"
      "  @file) _files ;;\n"
      "  @model) compadd -- ${(f)\"$(_openllm_models)\"}; _files ;;\n"
      "  *) compadd -- ${=found} ;;\n"
      "  esac\n"
      "}\n"
      "if [ \"$funcstack[1]\" = _openllm ]; then _openllm \"$@\"; else compdef _openllm openllm; "
      "fi\n");
}

std::string fish_completion(const std::vector<TreeCommand>& commands) {
  std::string paths;
  std::string valued;
  std::string lines;
  for (const TreeCommand& command : commands) {
    if (!command.path.empty()) paths += " " + fish_quoted(command.path);
    for (const TreeOption& option : command.options) {
      if (option.value.kind == ValueKind::kNone) continue;
      for (const std::string& name : option.names)
        valued += " " + fish_quoted(base::cat(command.path, "|", name));
    }
    lines += fish_command(commands, command);
  }
  return base::cat(
      "# Completion for fish, made by `openllm completion fish`.\n"
      "function __openllm_models\n"
      "  openllm models --names --quiet 2>/dev/null\n"
      "end\n"
      "# Whether the words so far are those of the command $argv[1], with $argv[2] arguments.\n"
      "function __openllm_at\n"
      "  set -l path ''\n"
      "  set -l n 0\n"
      "  set -l previous ''\n"
      "  for word in (commandline -opc)[2..-1]\n"
      "    set -l longer (string trim \"$path $word\")\n"
      "    if contains -- $longer",
      paths,
      "\n"
      "      set path $longer\n"
      "    else if string match -q -- '-*' $word\n"
      "      set previous $word\n"
      "      continue\n"
      "    else if not contains -- \"$path|$previous\"",
      valued,
      "\n"
      "      set n (math $n + 1)\n"
      "    end\n"
      "    set previous ''\n"
      "  end\n"
      "  test \"$path\" = \"$argv[1]\"; and begin; test (count $argv) -lt 2; or test $n -eq "
      "$argv[2]; "
      "end\n"
      "end\n"
      "complete -c openllm -f\n",
      lines);
}

}  // namespace openllm::cli
