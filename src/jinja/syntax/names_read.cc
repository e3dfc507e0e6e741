#include "jinja/syntax/names_read.h"

#include <algorithm>
#include <array>
#include <utility>

namespace openllm::jinja {
namespace {

template <std::size_t kSize>
bool contains(const std::array<std::string_view, kSize>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

/// Filters whose result has everything that an object has.
constexpr std::array<std::string_view, 10> kShowingFilters{
    "tojson", "items", "dictsort", "string", "pprint", "join", "xmlattr", "e", "escape", "format"};
/// Filters whose result has nothing of the members.
constexpr std::array<std::string_view, 3> kCountingFilters{"length", "count", "wordcount"};

const std::string* text_of(const Expr* expr) {
  const bool is_text =
      expr != nullptr && expr->kind == ExprKind::kConst && expr->constant.is_text();
  return is_text ? &expr->constant.text() : nullptr;
}

class Finder {
 public:
  Finder(const Ast& ast, std::string_view list) : ast_(ast) { carriers_.insert(std::string(list)); }

  NamesRead run() {
    // A name may carry items of the list because of a statement further down (a loop's body runs
    // again), so the rounds go on until they find no more.
    std::size_t n_before = 0;
    do {
      n_before = carriers_.size() + carrying_members_.size();
      visit(ast_.body);
    } while (carriers_.size() + carrying_members_.size() != n_before);
    if (has_dynamic_item_) read_.members.insert(texts_.begin(), texts_.end());
    return std::move(read_);
  }

 private:
  const std::string& name_of(NameId id) const { return ast_.names[id]; }

  void visit(const Body& body) {
    for (const auto& statement : body) visit(*statement);
  }

  void visit(const Stmt& statement) {
    const bool is_with = statement.kind == StmtKind::kWith;
    for (std::size_t i = 0; i < statement.exprs.size(); ++i) {
      const bool is_target = is_with && i % 2 == 0;
      if (!is_target) visit_expression(statement.exprs[i].get());
    }
    for (const Param& param : statement.params) {
      visit_expression(param.fallback.get());
      macro_params_.insert(name_of(param.name));
      if (carries(param.fallback.get())) carriers_.insert(name_of(param.name));
    }
    switch (statement.kind) {
      case StmtKind::kPrint:
        if (carries(statement.exprs[0].get())) read_.all_members = true;
        break;
      case StmtKind::kFor:
      case StmtKind::kSet:
        if (carries(statement.exprs[0].get())) carry(*statement.target);
        break;
      case StmtKind::kWith:
        for (std::size_t i = 1; i < statement.exprs.size(); i += 2) {
          if (carries(statement.exprs[i].get())) carry(*statement.exprs[i - 1]);
        }
        break;
      default:
        break;
    }
    for (const Body& body : statement.bodies) visit(body);
  }

  void carry(const Expr& target) {
    if (target.kind == ExprKind::kName) carriers_.insert(name_of(target.name));
    if (target.kind == ExprKind::kNamespace) carrying_members_.insert(target.text);
    for (const ExprPtr& child : target.children) carry(*child);
  }

  /// Expressions may be deep, so nothing here recurses over them.
  void visit_expression(const Expr* root) {
    std::vector<const Expr*> left{root};
    while (!left.empty()) {
      const Expr* expr = left.back();
      left.pop_back();
      if (expr == nullptr) continue;
      visit_node(*expr);
      for (const ExprPtr& child : expr->children) left.push_back(child.get());
      for_each_argument(*expr, [&](const Expr* argument) { left.push_back(argument); });
    }
  }

  template <typename Use>
  static void for_each_argument(const Expr& expr, const Use& use) {
    for (const ExprPtr& argument : expr.args.positional) use(argument.get());
    for (const auto& keyword : expr.args.keywords) use(keyword.second.get());
    if (expr.args.star != nullptr) use(expr.args.star.get());
    if (expr.args.star_star != nullptr) use(expr.args.star_star.get());
  }

  void visit_node(const Expr& expr) {
    switch (expr.kind) {
      case ExprKind::kConst:
        if (const std::string* text = text_of(&expr)) texts_.insert(*text);
        break;
      case ExprKind::kName:
        read_.variables.insert(name_of(expr.name));
        break;
      case ExprKind::kAttribute:
        if (carries(expr.children[0].get())) read_.members.insert(expr.text);
        break;
      case ExprKind::kItem:
        visit_item(expr);
        break;
      case ExprKind::kFilter:
        visit_filter(expr);
        break;
      case ExprKind::kTest:
      case ExprKind::kCompare:
        visit_question(expr);
        break;
      case ExprKind::kConcat:
        if (any_carries(expr)) read_.all_members = true;
        break;
      case ExprKind::kCall:
        visit_call(expr);
        break;
      default:
        break;
    }
  }

  void visit_item(const Expr& expr) {
    if (!carries(expr.children[0].get())) return;
    const Expr* index = expr.children[1].get();
    if (const std::string* text = text_of(index)) read_.members.insert(*text);
    if (index != nullptr && index->kind == ExprKind::kName) has_dynamic_item_ = true;
  }

  void visit_filter(const Expr& expr) {
    if (!carries(expr.children[0].get())) return;
    bool has_text = false;
    for_each_argument(expr, [&](const Expr* argument) {
      if (const std::string* text = text_of(argument)) {
        read_.members.insert(text->substr(0, text->find('.')));
        has_text = true;
      }
    });
    const bool maps_all = expr.text == "map" && !has_text;
    if (maps_all || contains(kShowingFilters, expr.text)) read_.all_members = true;
  }

  /// `'name' in message`, `message is has('name')`.
  void visit_question(const Expr& expr) {
    if (!any_carries(expr)) return;
    for (const ExprPtr& child : expr.children) {
      if (const std::string* text = text_of(child.get())) read_.members.insert(*text);
    }
    for_each_argument(expr, [&](const Expr* argument) {
      if (const std::string* text = text_of(argument)) read_.members.insert(*text);
    });
  }

  void visit_call(const Expr& expr) {
    const Expr& callee = *expr.children[0];
    if (callee.kind == ExprKind::kAttribute && carries(callee.children[0].get())) {
      bool has_text = false;
      for_each_argument(expr, [&](const Expr* argument) {
        if (const std::string* text = text_of(argument)) {
          read_.members.insert(*text);
          has_text = true;
        }
      });
      if (callee.text != "get" || !has_text) read_.all_members = true;
    }
    bool hands_on = false;
    for_each_argument(expr, [&](const Expr* argument) { hands_on |= carries(argument); });
    if (!hands_on) return;
    if (callee.kind == ExprKind::kName && name_of(callee.name) == "namespace") {
      for (const auto& [name, value] : expr.args.keywords) {
        if (carries(value.get())) carrying_members_.insert(name);
      }
    } else if (callee.kind == ExprKind::kName && name_of(callee.name) != "dict") {
      carriers_.insert(macro_params_.begin(), macro_params_.end());
    } else {
      read_.all_members = true;
    }
  }

  bool any_carries(const Expr& expr) const {
    return std::any_of(expr.children.begin(), expr.children.end(),
                       [&](const ExprPtr& child) { return carries(child.get()); });
  }

  /// Whether the value may be the list, an item of it, or hold either.
  bool carries(const Expr* root) const {
    std::vector<const Expr*> left{root};
    while (!left.empty()) {
      const Expr* expr = left.back();
      left.pop_back();
      if (expr == nullptr) continue;
      switch (expr->kind) {
        case ExprKind::kName:
          if (carriers_.count(name_of(expr->name)) != 0) return true;
          break;
        case ExprKind::kAttribute:
          if (carrying_members_.count(expr->text) != 0) return true;
          break;
        case ExprKind::kItem:
          if (text_of(expr->children[1].get()) == nullptr) left.push_back(expr->children[0].get());
          break;
        case ExprKind::kSlice:
          left.push_back(expr->children[0].get());
          break;
        case ExprKind::kFilter:
          if (!contains(kCountingFilters, expr->text) && !is_map_of_member(*expr))
            left.push_back(expr->children[0].get());
          break;
        case ExprKind::kTuple:
        case ExprKind::kList:
        case ExprKind::kDict:
        case ExprKind::kChain:
        case ExprKind::kAnd:
        case ExprKind::kOr:
        case ExprKind::kCondition:
          for (const ExprPtr& child : expr->children) left.push_back(child.get());
          break;
        default:
          break;
      }
    }
    return false;
  }

  /// `messages | map(attribute='role')`: texts, no items.
  static bool is_map_of_member(const Expr& expr) {
    return expr.text == "map" &&
           std::any_of(expr.args.keywords.begin(), expr.args.keywords.end(),
                       [](const auto& keyword) { return keyword.first == "attribute"; });
  }

  const Ast& ast_;
  NamesRead read_{};
  std::unordered_set<std::string> carriers_{};  ///< Variables that may hold items.
  /// Of namespaces, and of loops.
  std::unordered_set<std::string> carrying_members_{"previtem", "nextitem"};
  std::unordered_set<std::string> macro_params_{};
  std::unordered_set<std::string> texts_{};
  bool has_dynamic_item_ = false;  ///< message[key]
};

}  // namespace

NamesRead find_names_read(const Ast& ast, std::string_view list) { return Finder(ast, list).run(); }

}  // namespace openllm::jinja
