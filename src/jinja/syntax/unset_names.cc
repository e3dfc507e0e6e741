#include "jinja/syntax/unset_names.h"

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

namespace openllm::jinja {
namespace {

/// Facts about the names of one body, or of one branch of an `if` within it.
struct Symbols {
  const Symbols* outer = nullptr;  ///< Of the body around it, or of what the branch began with.
  bool is_branch = false;
  std::unordered_map<NameId, bool> names{};  ///< Whether it is unset when the body begins.
  std::unordered_set<NameId> stores{};

  bool knows(NameId name) const {
    for (const Symbols* symbols = this; symbols != nullptr; symbols = symbols->outer) {
      if (symbols->names.count(name) != 0) return true;
    }
    return false;
  }
  /// `member` of this body has the name.
  template <typename Member>
  bool has(Member member, NameId name) const {
    const Symbols* symbols = this;
    while ((symbols->*member).count(name) == 0) {
      if (!symbols->is_branch) return false;
      symbols = symbols->outer;
    }
    return true;
  }
  void declare(NameId name) {
    stores.insert(name);
    names[name] = false;
  }
  void load(NameId name) {
    if (!knows(name)) names[name] = false;
  }
  void store(NameId name) {
    stores.insert(name);
    if (!has(&Symbols::names, name)) names[name] = !knows(name);
  }
  /// A name that one branch alone sets keeps its earlier value in the others.
  void merge(const std::vector<Symbols>& branches) {
    std::vector<NameId> maybe;
    for (const Symbols& branch : branches) {
      for (const NameId name : branch.stores) {
        if (!has(&Symbols::stores, name)) maybe.push_back(name);
      }
    }
    for (const Symbols& branch : branches) {
      for (const auto& [name, unset] : branch.names) names[name] = unset;
      stores.insert(branch.stores.begin(), branch.stores.end());
    }
    for (const NameId name : maybe) names[name] = false;
  }
};

/// Without recursion, as expressions may be deep.
void load_names(const Expr* root, Symbols& symbols) {
  std::vector<const Expr*> left{root};
  const auto add = [&left](const ExprPtr& expr) {
    if (expr != nullptr) left.push_back(expr.get());
  };
  while (!left.empty()) {
    const Expr* expr = left.back();
    left.pop_back();
    if (expr == nullptr) continue;
    if (expr->kind == ExprKind::kName) symbols.load(expr->name);
    for (const ExprPtr& child : expr->children) add(child);
    for (const ExprPtr& argument : expr->args.positional) add(argument);
    for (const auto& keyword : expr->args.keywords) add(keyword.second);
    add(expr->args.star);
    add(expr->args.star_star);
  }
}

void store_target(const Expr& target, Symbols& symbols, bool as_parameter) {
  if (target.kind == ExprKind::kNamespace) symbols.load(target.name);
  if (target.kind == ExprKind::kName)
    as_parameter ? symbols.declare(target.name) : symbols.store(target.name);
  for (const ExprPtr& child : target.children) store_target(*child, symbols, as_parameter);
}

void read_body(const Body& body, Symbols& symbols);

Symbols read_branch(const Body* body, const Symbols& symbols) {
  Symbols branch{&symbols, true};
  if (body != nullptr) read_body(*body, branch);
  return branch;
}

void read_if(const Stmt& statement, Symbols& symbols) {
  load_names(statement.exprs[0].get(), symbols);
  std::vector<Symbols> branches;
  branches.push_back(read_branch(&statement.bodies[0], symbols));
  Symbols others{&symbols, true};
  for (std::size_t i = 1; i < statement.exprs.size(); ++i) {
    load_names(statement.exprs[i].get(), others);
    others.merge({read_branch(&statement.bodies[i], others)});
  }
  branches.push_back(std::move(others));
  const bool has_else = statement.bodies.size() > statement.exprs.size();
  branches.push_back(read_branch(has_else ? &statement.bodies.back() : nullptr, symbols));
  symbols.merge(branches);
}

/// Effects of a statement on the names of the body that it stands in; not of its own bodies.
void read_statement(const Stmt& statement, Symbols& symbols) {
  switch (statement.kind) {
    case StmtKind::kIf:
      return read_if(statement, symbols);
    case StmtKind::kSet:
      load_names(statement.exprs[0].get(), symbols);
      return store_target(*statement.target, symbols, false);
    case StmtKind::kSetBlock:
      return store_target(*statement.target, symbols, false);
    case StmtKind::kMacro:
      return symbols.store(statement.name);
    case StmtKind::kWith:
      for (std::size_t i = 1; i < statement.exprs.size(); i += 2)
        load_names(statement.exprs[i].get(), symbols);
      return;
    case StmtKind::kFor:
      return load_names(statement.exprs[0].get(), symbols);
    default:
      for (const ExprPtr& expr : statement.exprs) load_names(expr.get(), symbols);
  }
}

void read_body(const Body& body, Symbols& symbols) {
  for (const auto& statement : body) read_statement(*statement, symbols);
}

void fill_bodies(Body& body, const Symbols& symbols);

/// `symbols` has the parameters of the body.
void fill_body(Body& body, Symbols symbols, std::vector<NameId>& unset) {
  read_body(body, symbols);
  for (const auto& [name, is_unset] : symbols.names) {
    if (is_unset) unset.push_back(name);
  }
  std::sort(unset.begin(), unset.end());
  fill_bodies(body, symbols);
}

void fill_statement(Stmt& statement, const Symbols& symbols) {
  if (statement.kind == StmtKind::kIf) {
    for (Body& body : statement.bodies) fill_bodies(body, symbols);
    return;
  }
  statement.unset.resize(statement.bodies.size());
  for (std::size_t i = 0; i < statement.bodies.size(); ++i) {
    Symbols inner{&symbols};
    const bool is_else = i > 0;
    if (statement.kind == StmtKind::kFor && !is_else) store_target(*statement.target, inner, true);
    for (const Param& param : statement.params) inner.declare(param.name);
    for (const Param& param : statement.params) load_names(param.fallback.get(), inner);
    if (statement.kind == StmtKind::kWith) {
      for (std::size_t e = 0; e < statement.exprs.size(); e += 2)
        store_target(*statement.exprs[e], inner, true);
    }
    fill_body(statement.bodies[i], std::move(inner), statement.unset[i]);
  }
}

void fill_bodies(Body& body, const Symbols& symbols) {
  for (const auto& statement : body) fill_statement(*statement, symbols);
}

}  // namespace

void find_unset_names(Ast& ast) { fill_body(ast.body, {}, ast.unset); }

}  // namespace openllm::jinja
