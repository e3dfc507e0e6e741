#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "jinja/values/builtin.h"
#include "jinja/values/operators.h"
#include "jinja/values/value.h"

/// The parsed template. One struct serves all kinds of expressions, one all kinds of statements;
/// the lists of kinds say which fields each uses.
namespace openllm::jinja {

struct Expr;
struct Stmt;
using ExprPtr = std::unique_ptr<Expr>;
using Body = std::vector<std::unique_ptr<Stmt>>;
using NameId = std::size_t;  ///< Index of Ast::names.

struct CallArgs {
  std::vector<ExprPtr> positional;
  std::vector<std::pair<std::string, ExprPtr>> keywords;
  ExprPtr star;       ///< *args
  ExprPtr star_star;  ///< **kwargs
};

enum class ExprKind {
  kConst,      // constant
  kName,       // name
  kNamespace,  // name.text, as a target
  kTuple,      // children
  kList,       // children
  kDict,       // children: key, value, key, value, ...
  kAttribute,  // children[0].text
  kItem,       // children[0][children[1]]
  kSlice,      // children[0][1:2:3], null where not given
  kCall,       // children[0](args)
  kFilter,     // children[0]|text(args); children[0] is null in a filter block
  kTest,       // children[0] is text(args)
  kNot,        // children[0]
  kNegate,     // children[0]
  kPlus,       // children[0]
  kChain,      // children[0] ops[0] children[1] ops[1] ..., from the left
  kConcat,     // children with ~ between
  kAnd,        // children
  kOr,         // children
  kCompare,    // children with ops between, as Python chains them
  kCondition,  // children: value, test, otherwise (may be null)
};

struct Expr {
  Expr() = default;
  Expr(const Expr&) = delete;
  Expr& operator=(const Expr&) = delete;
  ~Expr();  ///< Without recursion: chains of filters and attributes make deep trees.

  ExprKind kind = ExprKind::kConst;
  int line = 1;
  NameId name = 0;
  std::string text;
  Value constant;
  std::vector<ExprPtr> children;
  std::vector<Op> ops;
  CallArgs args;
  Builtin function = nullptr;  ///< Of a filter or test; null when its name is unknown.
};

enum class StmtKind {
  kText,         // text
  kPrint,        // exprs
  kIf,           // exprs: one per branch; bodies: one per branch, then perhaps the else
  kFor,          // target, exprs[0], exprs[1]: filter or null; bodies[0], bodies[1]: else
  kSet,          // target, exprs[0]
  kSetBlock,     // target, exprs[0]: filter chain or null; bodies[0]
  kMacro,        // name, params; bodies[0]
  kCallBlock,    // exprs[0]: the call; params; bodies[0]
  kFilterBlock,  // exprs[0]: filter chain; bodies[0]
  kWith,         // targets and values in exprs, alternating; bodies[0]
  kScope,        // bodies[0]
  kBreak,
  kContinue,
  kFail,  // text: why the statement cannot run
};

struct Param {
  NameId name = 0;
  std::string text;
  ExprPtr fallback;
};

struct Stmt {
  StmtKind kind = StmtKind::kText;
  int line = 1;
  std::string text;
  NameId name = 0;
  ExprPtr target;
  std::vector<ExprPtr> exprs;
  std::vector<Body> bodies;
  std::vector<std::vector<NameId>> unset;  ///< By body; see unset_names.h. Not of an `if`.
  std::vector<Param> params;
  bool recursive = false;
  bool uses_varargs = false;  // a macro accepts more arguments if its body mentions them
  bool uses_kwargs = false;
  bool uses_caller = false;
};

struct Ast {
  Body body;
  std::vector<std::string> names;  ///< Every variable name of the template.
  std::vector<NameId> unset;       ///< Of `body`.
};

/// Throws TemplateError after setting `line`.
Ast parse_template(std::string_view source, int& line);

}  // namespace openllm::jinja
