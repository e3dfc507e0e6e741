#pragma once

#include "jinja/syntax/ast.h"

namespace openllm::jinja {

/// Fills `unset` of the template and of its statements. Jinja2 decides by the text of a body
/// whether a name belongs to it: one that the body sets before it reads it is undefined in all
/// inner bodies until then, whatever the context says.
void find_unset_names(Ast& ast);

}  // namespace openllm::jinja
