#pragma once

#include <string>
#include <string_view>
#include <unordered_set>

#include "jinja/syntax/ast.h"

namespace openllm::jinja {

/// What the text of a template refers to, whether a run comes by there or not.
struct NamesRead {
  std::unordered_set<std::string> variables{};
  /// Members of the list that was asked about, of its items, and of what was made of either.
  std::unordered_set<std::string> members{};
  /// Items of the list are shown or handed on as a whole, so that any member may matter.
  bool all_members = false;
};

/// `list` is a variable that holds a list of objects: "messages". Where it is unclear what a
/// template reads, it reads it.
NamesRead find_names_read(const Ast& ast, std::string_view list);

}  // namespace openllm::jinja
