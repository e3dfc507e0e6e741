#include "jinja/eval/interpreter.h"

#include <algorithm>

#include "base/utf8.h"
#include "jinja/filters/filters.h"
#include "jinja/methods/methods.h"
#include "jinja/values/namespace_object.h"

namespace openllm::jinja {
namespace {

Value from_json(Runtime& runtime, const base::Json& json, int depth) {
  runtime.check_depth(depth);
  if (const bool* flag = json.if_bool()) return Value(*flag);
  if (const std::int64_t* number = json.if_int()) return Value(*number);
  if (json.is_number()) return Value(json.as_double("context"));
  if (const std::string* text = json.if_string()) return Value(base::sanitize_utf8(*text));
  if (const base::JsonArray* array = json.if_array()) {
    Sequence out;
    out.items.reserve(array->size());
    for (const base::Json& item : *array) {
      out.items.push_back(from_json(runtime, item, depth + 1));
      out.depth = std::max(out.depth, out.items.back().depth() + 1);
    }
    return Value(std::make_shared<const Sequence>(std::move(out)));
  }
  if (const base::JsonObject* object = json.if_object()) {
    Dict out;
    for (const auto& [key, value] : *object) {
      out.set(Value(base::sanitize_utf8(key)), from_json(runtime, value, depth + 1));
    }
    return Value(std::make_shared<const Dict>(std::move(out)));
  }
  return {};
}

/// Iterates over the items that a loop's `if` lets through; tests each as the loop gets to it.
class FilteredItems final : public Iterator {
 public:
  FilteredItems(Interpreter& interpreter, std::unique_ptr<Iterator> items, const Stmt& loop,
                ScopePtr scope)
      : interpreter_(interpreter),
        items_(std::move(items)),
        loop_(loop),
        scope_(std::move(scope)) {}
  bool next(Value& out) override {
    while (items_->next(out)) {
      interpreter_.charge(1);
      const auto scope = std::make_shared<Scope>(scope_);
      interpreter_.assign(*loop_.target, out, scope);
      if (interpreter_.test(*loop_.exprs[1], scope)) return true;
    }
    return false;
  }

 private:
  Interpreter& interpreter_;
  std::unique_ptr<Iterator> items_;
  const Stmt& loop_;
  ScopePtr scope_;
};

}  // namespace

Interpreter::Interpreter(const Ast& ast, const base::Json& context, const Limits& limits)
    : Runtime(limits), ast_(ast), root_(std::make_shared<Scope>(nullptr)) {
  const auto id = [&ast](const char* name) {
    return static_cast<NameId>(std::find(ast.names.begin(), ast.names.end(), name) -
                               ast.names.begin());
  };
  loop_name_ = id("loop");
  varargs_name_ = id("varargs");
  kwargs_name_ = id("kwargs");
  caller_name_ = id("caller");
  globals_.resize(ast.names.size());
  for (std::size_t i = 0; i < ast.names.size(); ++i) {
    const base::Json* given = context.find(ast.names[i]);
    globals_[i] = given != nullptr ? from_json(*this, *given, 1) : find_global(ast.names[i]);
  }
}

Interpreter::~Interpreter() {
  // Namespaces, loops and captured scopes may refer to each other in circles. All are alive here,
  // so emptying one never destroys another.
  for (const ObjectPtr& object : owned_) {
    if (auto* space = dynamic_cast<NamespaceObject*>(object.get())) space->clear();
    if (auto* scope = dynamic_cast<Scope*>(object.get())) scope->clear();
    if (auto* loop = dynamic_cast<LoopObject*>(object.get())) loop->finish();
  }
}

std::optional<Value> Interpreter::find_method(const Value& value, std::string_view name) {
  return jinja::find_method(*this, value, name);
}

std::string Interpreter::run() {
  std::string out;
  hide(ast_.unset, *root_);
  run_body(ast_.body, root_, out);
  return out;
}

/// Hides those variables of the context that the body sets before it reads them.
void Interpreter::hide(const std::vector<NameId>& unset, Scope& scope) {
  charge(unset.size());
  for (const NameId name : unset) {
    if (globals_[name]) scope.set(name, undefined_name(name));
  }
}

ScopePtr Interpreter::make_scope(const Stmt& statement, std::size_t index, const ScopePtr& parent) {
  auto scope = std::make_shared<Scope>(parent);
  hide(statement.unset[index], *scope);
  return scope;
}

void Interpreter::write(std::string& out, std::string_view text) {
  charge_bytes(text.size());
  if (out.size() + text.size() > limits().max_output_bytes) {
    fail_limit("the output is too long (expected at most ", limits().max_output_bytes, " bytes)");
  }
  out += text;
}

Interpreter::Flow Interpreter::run_body(const Body& body, const ScopePtr& scope, std::string& out) {
  const Level level(*this);
  for (const auto& statement : body) {
    set_line(statement->line);
    charge(1);
    const Flow flow = run_statement(*statement, scope, out);
    if (flow != Flow::kNext) return flow;
  }
  return Flow::kNext;
}

Interpreter::Flow Interpreter::run_statement(const Stmt& statement, const ScopePtr& scope,
                                             std::string& out) {
  switch (statement.kind) {
    case StmtKind::kText:
      write(out, statement.text);
      return Flow::kNext;
    case StmtKind::kPrint:
      run_print(statement, scope, out);
      return Flow::kNext;
    case StmtKind::kIf:
      return run_if(statement, scope, out);
    case StmtKind::kFor:
      return run_for(statement, scope, out);
    case StmtKind::kSet:
      return run_set(statement, scope);
    case StmtKind::kSetBlock:
      return run_set_block(statement, scope);
    case StmtKind::kMacro:
      return run_macro(statement, scope);
    case StmtKind::kCallBlock:
      return run_call_block(statement, scope, out);
    case StmtKind::kFilterBlock:
      return run_filter_block(statement, scope, out);
    case StmtKind::kWith:
      return run_with(statement, scope, out);
    case StmtKind::kScope:
      return run_body(statement.bodies[0], make_scope(statement, 0, scope), out);
    case StmtKind::kBreak:
      return Flow::kBreak;
    case StmtKind::kContinue:
      return Flow::kContinue;
    case StmtKind::kFail:
      fail(statement.text);
  }
  return Flow::kNext;
}

void Interpreter::run_print(const Stmt& statement, const ScopePtr& scope, std::string& out) {
  for (const ExprPtr& expr : statement.exprs) {
    const Value value = evaluate(*expr, scope);
    set_line(statement.line);
    if (value.is_text()) {
      write(out, value.text());
    } else {
      write(out, str(*this, value));
    }
  }
}

Interpreter::Flow Interpreter::run_if(const Stmt& statement, const ScopePtr& scope,
                                      std::string& out) {
  for (std::size_t i = 0; i < statement.exprs.size(); ++i) {
    if (test(*statement.exprs[i], scope)) return run_body(statement.bodies[i], scope, out);
  }
  if (statement.bodies.size() == statement.exprs.size()) return Flow::kNext;
  return run_body(statement.bodies.back(), scope, out);
}

Interpreter::Flow Interpreter::run_for(const Stmt& statement, const ScopePtr& scope,
                                       std::string& out) {
  return run_loop(statement, scope, evaluate(*statement.exprs[0], scope), 0, out);
}

Interpreter::Flow Interpreter::run_loop(const Stmt& statement, const ScopePtr& scope,
                                        const Value& items, int depth0, std::string& out) {
  struct Finish {
    LoopObject& loop;
    ~Finish() { loop.finish(); }
  };
  const bool filtered = statement.exprs[1] != nullptr;
  std::unique_ptr<Iterator> it = iterate(*this, items);
  if (filtered) it = std::make_unique<FilteredItems>(*this, std::move(it), statement, scope);
  const bool generator = items.as<GeneratorObject>() != nullptr;
  const auto size = filtered || generator ? std::nullopt : try_length(*this, items);
  const auto loop = std::make_shared<LoopObject>(*this, std::move(it), size, depth0);
  const Finish finish{*loop};
  if (statement.recursive) loop->make_recursive(statement, scope);
  // As in Jinja, `else` runs unless some iteration got to the end of the body.
  bool completed = false;
  for (Value item; loop->next(item);) {
    charge(2);
    const ScopePtr inner = make_scope(statement, 0, scope);
    inner->set(loop_name_, Value(ObjectPtr(loop)));
    assign(*statement.target, item, inner);
    const Flow flow = run_body(statement.bodies[0], inner, out);
    if (flow == Flow::kBreak) break;
    completed = completed || flow == Flow::kNext;
  }
  if (completed || statement.bodies.size() < 2) return Flow::kNext;
  return run_body(statement.bodies[1], make_scope(statement, 1, scope), out);
}

std::string Interpreter::run_recursive(const Stmt& statement, const ScopePtr& scope,
                                       const Value& items, int depth0) {
  const CallLevel level(*this);
  std::string out;
  run_loop(statement, scope, items, depth0, out);
  return out;
}

void Interpreter::assign(const Expr& target, const Value& value, const ScopePtr& scope) {
  if (target.kind == ExprKind::kName) {
    scope->set(target.name, value);
    return;
  }
  if (target.kind == ExprKind::kNamespace) {
    const Value space = lookup(target, scope);
    auto* object = space.as<NamespaceObject>();
    if (object == nullptr) fail("cannot assign attribute on non-namespace object");
    object->set(*this, target.text, value);
    return;
  }
  const Level level(*this);
  const std::size_t expected = target.children.size();
  const std::unique_ptr<Iterator> it = try_iterate(*this, value);
  if (it == nullptr) fail("cannot unpack non-iterable ", value.type_name(), " object");
  std::vector<Value> items;
  Value item;
  while (items.size() < expected && it->next(item)) items.push_back(item);
  if (items.size() < expected) {
    fail("not enough values to unpack (expected ", expected, ", got ", items.size(), ")");
  }
  if (it->next(item)) fail("too many values to unpack (expected ", expected, ")");
  charge(expected);
  for (std::size_t i = 0; i < expected; ++i) assign(*target.children[i], items[i], scope);
}

/// Jinja looks for the namespace before it evaluates the value.
void Interpreter::check_target(const Expr& target, const ScopePtr& scope) {
  if (target.kind == ExprKind::kNamespace) {
    const Value space = lookup(target, scope);
    if (space.as<NamespaceObject>() == nullptr) {
      fail("cannot assign attribute on non-namespace object");
    }
  }
  for (const ExprPtr& child : target.children) check_target(*child, scope);
}

Interpreter::Flow Interpreter::run_set(const Stmt& statement, const ScopePtr& scope) {
  check_target(*statement.target, scope);
  const Value value = evaluate(*statement.exprs[0], scope);
  set_line(statement.line);
  assign(*statement.target, value, scope);
  return Flow::kNext;
}

Interpreter::Flow Interpreter::run_set_block(const Stmt& statement, const ScopePtr& scope) {
  std::string text;
  const ScopePtr inner = make_scope(statement, 0, scope);
  const Flow flow = run_body(statement.bodies[0], inner, text);
  if (flow != Flow::kNext) return flow;
  Value value = make_text(std::move(text));
  if (statement.exprs[0] != nullptr) value = apply_filters(*statement.exprs[0], value, inner);
  check_target(*statement.target, scope);
  assign(*statement.target, value, scope);
  return Flow::kNext;
}

Interpreter::Flow Interpreter::run_macro(const Stmt& statement, const ScopePtr& scope) {
  scope->set(statement.name, make_macro(statement, scope, false));
  return Flow::kNext;
}

Interpreter::Flow Interpreter::run_call_block(const Stmt& statement, const ScopePtr& scope,
                                              std::string& out) {
  const Value caller = make_macro(statement, scope, true);
  write(out, str(*this, evaluate_call(*statement.exprs[0], scope, &caller)));
  return Flow::kNext;
}

Interpreter::Flow Interpreter::run_filter_block(const Stmt& statement, const ScopePtr& scope,
                                                std::string& out) {
  std::string text;
  const ScopePtr inner = make_scope(statement, 0, scope);
  const Flow flow = run_body(statement.bodies[0], inner, text);
  if (flow != Flow::kNext) return flow;
  const Value filtered = apply_filters(*statement.exprs[0], make_text(std::move(text)), inner);
  if (!filtered.is_text())
    fail("a filter block needs a text (expected str, got ", filtered.type_name(), ")");
  write(out, filtered.text());
  return Flow::kNext;
}

Interpreter::Flow Interpreter::run_with(const Stmt& statement, const ScopePtr& scope,
                                        std::string& out) {
  const ScopePtr inner = make_scope(statement, 0, scope);
  for (std::size_t i = 0; i + 1 < statement.exprs.size(); i += 2) {
    assign(*statement.exprs[i], evaluate(*statement.exprs[i + 1], scope), inner);
  }
  return run_body(statement.bodies[0], inner, out);
}

}  // namespace openllm::jinja
