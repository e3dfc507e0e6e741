#include "jinja/syntax/sought_texts.h"

#include <algorithm>

namespace openllm::jinja {
namespace {

void add_constant(const ExprPtr& expr, std::vector<std::string>& out) {
  if (expr != nullptr && expr->kind == ExprKind::kConst && expr->constant.is_text())
    out.push_back(expr->constant.text());
  // One of several: `content.startswith(('<think>', '<reason>'))`.
  if (expr != nullptr && (expr->kind == ExprKind::kTuple || expr->kind == ExprKind::kList)) {
    for (const ExprPtr& item : expr->children) add_constant(item, out);
  }
}

bool searches(const Expr& expr) {
  switch (expr.kind) {
    case ExprKind::kFilter:
    case ExprKind::kTest:
      return true;
    case ExprKind::kCall:  // of a method; a macro prints its arguments
      return expr.children[0]->kind == ExprKind::kAttribute;
    default:
      return false;
  }
}

/// Without recursion, as expressions may be deep.
void read_expr(const Expr* root, std::vector<std::string>& out) {
  std::vector<const Expr*> left{root};
  const auto add = [&left](const ExprPtr& expr) {
    if (expr != nullptr) left.push_back(expr.get());
  };
  while (!left.empty()) {
    const Expr* expr = left.back();
    left.pop_back();
    if (expr == nullptr) continue;
    if (expr->kind == ExprKind::kCompare) {
      for (const ExprPtr& child : expr->children) add_constant(child, out);
    } else if (searches(*expr)) {
      for (const ExprPtr& argument : expr->args.positional) add_constant(argument, out);
      for (const auto& keyword : expr->args.keywords) add_constant(keyword.second, out);
    }
    for (const ExprPtr& child : expr->children) add(child);
    for (const ExprPtr& argument : expr->args.positional) add(argument);
    for (const auto& keyword : expr->args.keywords) add(keyword.second);
    add(expr->args.star);
    add(expr->args.star_star);
  }
}

}  // namespace

std::vector<std::string> find_sought_texts(const Ast& ast) {
  std::vector<std::string> texts;
  std::vector<const Body*> left{&ast.body};
  while (!left.empty()) {
    const Body* body = left.back();
    left.pop_back();
    for (const auto& statement : *body) {
      for (const ExprPtr& expr : statement->exprs) read_expr(expr.get(), texts);
      for (const Param& param : statement->params) read_expr(param.fallback.get(), texts);
      for (const Body& inner : statement->bodies) left.push_back(&inner);
    }
  }
  std::sort(texts.begin(), texts.end());
  texts.erase(std::unique(texts.begin(), texts.end()), texts.end());
  return texts;
}

}  // namespace openllm::jinja
