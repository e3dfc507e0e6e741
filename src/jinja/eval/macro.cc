#include <algorithm>

#include "jinja/eval/interpreter.h"

namespace openllm::jinja {
namespace {

/// A macro, or the body of a call block under the name caller.
class MacroObject final : public Object {
 public:
  MacroObject(Interpreter& interpreter, const Stmt& statement, ScopePtr scope, bool is_caller)
      : interpreter_(interpreter),
        statement_(statement),
        scope_(std::move(scope)),
        is_caller_(is_caller) {}
  const char* type_name() const noexcept override { return "Macro"; }
  std::string repr(Runtime& /*runtime*/) override {
    return base::cat("<Macro ", repr_text(statement_.text), ">");
  }
  std::optional<Value> attribute(Runtime& runtime, std::string_view name) override {
    if (name == "name") return Value(statement_.text);
    if (name == "caller") return Value(statement_.uses_caller);
    if (name != "arguments") return std::nullopt;
    std::vector<Value> names;
    for (const Param& param : statement_.params) names.emplace_back(Value(param.text));
    return runtime.make_tuple(std::move(names));
  }
  bool callable() const noexcept override { return true; }
  Value call(Runtime& /*runtime*/, const Args& args) override {
    return interpreter_.call_macro(statement_, scope_, is_caller_, args);
  }

 private:
  Interpreter& interpreter_;
  const Stmt& statement_;
  ScopePtr scope_;
  bool is_caller_;
};

/// Takes the named argument out of `rest`; false if it is not there.
bool take(std::vector<std::pair<std::string, Value>>& rest, std::string_view name, Value& out) {
  const auto it = std::find_if(rest.begin(), rest.end(),
                               [name](const auto& keyword) { return keyword.first == name; });
  if (it == rest.end()) return false;
  out = it->second;
  rest.erase(it);
  return true;
}

}  // namespace

Value Interpreter::make_macro(const Stmt& statement, const ScopePtr& scope, bool is_caller) {
  charge(2);
  if (scope->capture()) own(scope);
  return Value(std::make_shared<MacroObject>(*this, statement, scope, is_caller));
}

Value Interpreter::call_macro(const Stmt& statement, const ScopePtr& scope, bool is_caller,
                              const Args& args) {
  const CallLevel level(*this);
  const ScopePtr inner = make_scope(statement, 0, scope);
  const std::size_t n = statement.params.size();
  auto rest = args.keywords;
  // All parameters are given their place first: a default may refer to any earlier one.
  std::vector<Value> given(n);
  std::vector<char> is_given(n, 0);
  for (std::size_t i = 0; i < n; ++i) {
    is_given[i] = i < args.positional.size() || take(rest, statement.params[i].text, given[i]);
    if (i < args.positional.size()) given[i] = args.positional[i];
  }
  if (statement.uses_caller && !is_caller) {
    Value caller = Value::undefined("No caller defined", "caller");
    take(rest, "caller", caller);
    inner->set(caller_name_, std::move(caller));
  }
  if (statement.uses_kwargs) {
    Dict kwargs;
    for (auto& [name, value] : rest) set_member(kwargs, make_text(name), value);
    inner->set(kwargs_name_, make_dict(std::move(kwargs)));
  } else if (!rest.empty()) {
    if (rest.front().first == "caller") {
      fail("macro '", statement.text, "' was invoked with a caller but does not use it");
    }
    fail("macro '", statement.text, "' takes no keyword argument '", shorten(rest.front().first),
         "'");
  }
  if (args.positional.size() > n && !statement.uses_varargs) {
    fail("macro '", statement.text, "' takes not more than ", n, " argument(s)");
  }
  if (statement.uses_varargs) {
    const std::size_t skip = std::min(n, args.positional.size());
    inner->set(varargs_name_,
               make_tuple({args.positional.begin() + static_cast<std::ptrdiff_t>(skip),
                           args.positional.end()}));
  }
  for (std::size_t i = 0; i < n; ++i) {
    const Param& param = statement.params[i];
    if (is_given[i] == 0) {
      given[i] = param.fallback != nullptr
                     ? evaluate(*param.fallback, inner)
                     : Value::undefined(base::cat("parameter '", param.text, "' was not provided"),
                                        param.text);
    }
    inner->set(param.name, given[i]);
  }
  std::string out;
  const int line = this->line();
  run_body(statement.bodies[0], inner, out);
  set_line(line);
  return make_text(std::move(out));
}

}  // namespace openllm::jinja
