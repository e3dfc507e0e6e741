#include "jinja/eval/interpreter.h"
#include "jinja/methods/arithmetic.h"

namespace openllm::jinja {

bool Interpreter::test(const Expr& expr, const ScopePtr& scope) {
  return truth(*this, evaluate(expr, scope));
}

Value Interpreter::evaluate(const Expr& expr, const ScopePtr& scope) {
  charge(1);
  if (expr.kind == ExprKind::kConst) return expr.constant;
  const Level level(*this);
  set_line(expr.line);
  switch (expr.kind) {
    case ExprKind::kCall:
      return evaluate_call(expr, scope, nullptr);
    case ExprKind::kFilter:
    case ExprKind::kTest:
      return evaluate_builtin(expr, scope);
    case ExprKind::kChain:
      return evaluate_chain(expr, scope);
    case ExprKind::kConcat:
      return evaluate_concat(expr, scope);
    case ExprKind::kAnd:
    case ExprKind::kOr:
      return evaluate_logic(expr, scope);
    case ExprKind::kCompare:
      return evaluate_compare(expr, scope);
    case ExprKind::kCondition:
      return evaluate_condition(expr, scope);
    case ExprKind::kTuple:
    case ExprKind::kList:
      return evaluate_items(expr, scope);
    case ExprKind::kDict:
      return evaluate_dict(expr, scope);
    case ExprKind::kSlice:
      return evaluate_slice(expr, scope);
    default:
      return evaluate_simple(expr, scope);
  }
}

Value Interpreter::evaluate_simple(const Expr& expr, const ScopePtr& scope) {
  if (expr.kind == ExprKind::kName || expr.kind == ExprKind::kNamespace) return lookup(expr, scope);
  const Value first = evaluate(*expr.children[0], scope);
  if (expr.kind == ExprKind::kItem) {
    const Value index = evaluate(*expr.children[1], scope);
    set_line(expr.line);
    return get_item(*this, first, index);
  }
  set_line(expr.line);
  switch (expr.kind) {
    case ExprKind::kAttribute:
      return get_attribute(*this, first, expr.text);
    case ExprKind::kNot:
      return Value(!truth(*this, first));
    case ExprKind::kNegate:
      return negate(first);
    default:
      return plus(first);
  }
}

Value Interpreter::lookup(const Expr& expr, const ScopePtr& scope) {
  if (const Value* found = scope->find(expr.name)) return *found;
  if (globals_[expr.name]) return *globals_[expr.name];
  return undefined_name(expr.name);
}

Value Interpreter::undefined_name(NameId id) const {
  const std::string& name = ast_.names[id];
  return Value::undefined(base::cat("'", shorten(name), "' is undefined"), name);
}

Value Interpreter::evaluate_items(const Expr& expr, const ScopePtr& scope) {
  std::vector<Value> items;
  items.reserve(expr.children.size());
  for (const ExprPtr& child : expr.children) items.push_back(evaluate(*child, scope));
  return expr.kind == ExprKind::kTuple ? make_tuple(std::move(items)) : make_list(std::move(items));
}

Value Interpreter::evaluate_dict(const Expr& expr, const ScopePtr& scope) {
  Dict dict;
  for (std::size_t i = 0; i + 1 < expr.children.size(); i += 2) {
    Value key = evaluate(*expr.children[i], scope);
    set_member(dict, std::move(key), evaluate(*expr.children[i + 1], scope));
  }
  return make_dict(std::move(dict));
}

Value Interpreter::evaluate_slice(const Expr& expr, const ScopePtr& scope) {
  const Value object = evaluate(*expr.children[0], scope);
  Value bounds[3];
  for (std::size_t i = 0; i < 3; ++i) {
    if (expr.children[i + 1] != nullptr) bounds[i] = evaluate(*expr.children[i + 1], scope);
  }
  set_line(expr.line);
  return slice(*this, object, bounds[0], bounds[1], bounds[2]);
}

Value Interpreter::evaluate_call(const Expr& expr, const ScopePtr& scope, const Value* caller) {
  const Value callee = evaluate(*expr.children[0], scope);
  Args args = evaluate_args(expr.args, scope);
  if (caller != nullptr) args.keywords.emplace_back("caller", *caller);
  set_line(expr.line);
  return call(*this, callee, args);
}

Args Interpreter::evaluate_args(const CallArgs& args, const ScopePtr& scope) {
  Args out;
  out.positional.reserve(args.positional.size());
  for (const ExprPtr& expr : args.positional) out.positional.push_back(evaluate(*expr, scope));
  for (const auto& [name, expr] : args.keywords) {
    out.keywords.emplace_back(name, evaluate(*expr, scope));
  }
  if (args.star != nullptr) {
    for (Value& value : collect(*this, evaluate(*args.star, scope))) {
      out.positional.push_back(std::move(value));
    }
  }
  if (args.star_star != nullptr) {
    const Value mapping = evaluate(*args.star_star, scope);
    if (!mapping.is_dict()) fail("argument after ** must be a mapping, not ", mapping.type_name());
    constexpr std::size_t kMaxKeywords = 1000;  // matching them is quadratic
    if (mapping.dict().size() > kMaxKeywords) fail_limit("too many keyword arguments");
    for (const auto& [key, value] : mapping.dict().members()) {
      if (!key.is_text()) fail("keywords must be strings");
      for (const auto& keyword : out.keywords) {
        if (keyword.first == key.text()) {
          fail("got multiple values for keyword argument '", shorten(key.text()), "'");
        }
      }
      charge(1 + out.keywords.size() / 8);
      out.keywords.emplace_back(key.text(), value);
    }
  }
  return out;
}

Value Interpreter::evaluate_chain(const Expr& expr, const ScopePtr& scope) {
  Value left = evaluate(*expr.children[0], scope);
  for (std::size_t i = 0; i < expr.ops.size(); ++i) {
    const Value right = evaluate(*expr.children[i + 1], scope);
    set_line(expr.line);
    left = arithmetic(*this, expr.ops[i], left, right);
  }
  return left;
}

Value Interpreter::evaluate_concat(const Expr& expr, const ScopePtr& scope) {
  std::string out;
  for (const ExprPtr& child : expr.children) {
    const Value value = evaluate(*child, scope);
    const StrView part(*this, value);
    write(out, part.view());
  }
  return Value(std::move(out));
}

Value Interpreter::evaluate_logic(const Expr& expr, const ScopePtr& scope) {
  const bool stop_at = expr.kind == ExprKind::kOr;
  Value value;
  for (const ExprPtr& child : expr.children) {
    value = evaluate(*child, scope);
    if (truth(*this, value) == stop_at) break;
  }
  return value;
}

Value Interpreter::evaluate_compare(const Expr& expr, const ScopePtr& scope) {
  Value left = evaluate(*expr.children[0], scope);
  for (std::size_t i = 0; i < expr.ops.size(); ++i) {
    Value right = evaluate(*expr.children[i + 1], scope);
    set_line(expr.line);
    if (!compare(*this, expr.ops[i], left, right)) return Value(false);
    left = std::move(right);
  }
  return Value(true);
}

Value Interpreter::evaluate_condition(const Expr& expr, const ScopePtr& scope) {
  if (test(*expr.children[1], scope)) return evaluate(*expr.children[0], scope);
  if (expr.children[2] != nullptr) return evaluate(*expr.children[2], scope);
  return Value::undefined(base::cat("the inline if-expression on line ", expr.line,
                                    " evaluated to false and no else section was defined."));
}

Value Interpreter::evaluate_builtin(const Expr& expr, const ScopePtr& scope) {
  const Value self = evaluate(*expr.children[0], scope);
  const Args args = evaluate_args(expr.args, scope);
  set_line(expr.line);
  if (expr.function == nullptr) {
    fail(expr.kind == ExprKind::kFilter ? "No filter named '" : "No test named '",
         shorten(expr.text), "' found.");
  }
  return expr.function(*this, self, args);
}

Value Interpreter::apply_filters(const Expr& expr, const Value& input, const ScopePtr& scope) {
  const Level level(*this);
  const Value self =
      expr.children[0] != nullptr ? apply_filters(*expr.children[0], input, scope) : input;
  const Args args = evaluate_args(expr.args, scope);
  set_line(expr.line);
  if (expr.function == nullptr) fail("No filter named '", shorten(expr.text), "' found.");
  return expr.function(*this, self, args);
}

}  // namespace openllm::jinja
