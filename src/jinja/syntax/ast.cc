#include "jinja/syntax/ast.h"

namespace openllm::jinja {
namespace {

void take_children(Expr& node, std::vector<ExprPtr>& out) {
  const auto take = [&out](ExprPtr& child) {
    if (child != nullptr) out.push_back(std::move(child));
  };
  for (ExprPtr& child : node.children) take(child);
  for (ExprPtr& child : node.args.positional) take(child);
  for (auto& keyword : node.args.keywords) take(keyword.second);
  take(node.args.star);
  take(node.args.star_star);
}

}  // namespace

Expr::~Expr() {
  std::vector<ExprPtr> pending;
  take_children(*this, pending);
  while (!pending.empty()) {
    const ExprPtr node = std::move(pending.back());
    pending.pop_back();
    take_children(*node, pending);
  }
}

}  // namespace openllm::jinja
