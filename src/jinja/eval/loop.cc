#include "jinja/eval/loop.h"

#include <algorithm>

#include "jinja/eval/interpreter.h"

namespace openllm::jinja {
namespace {

Value loop_cycle(Runtime& /*runtime*/, const Value& self, const Args& args) {
  return self.as<LoopObject>()->cycle(args);
}

Value loop_changed(Runtime& runtime, const Value& self, const Args& args) {
  return Value(self.as<LoopObject>()->changed(runtime, args));
}

}  // namespace

LoopObject::LoopObject(Interpreter& interpreter, std::unique_ptr<Iterator> items,
                       std::optional<std::size_t> length, int depth0)
    : interpreter_(interpreter), items_(std::move(items)), length_(length), depth0_(depth0) {}

bool LoopObject::peek() {
  if (!ahead_.empty()) return true;
  Value item;
  if (items_ == nullptr || !items_->next(item)) return false;
  ahead_.push_back(std::move(item));
  return true;
}

bool LoopObject::next(Value& out) {
  if (!peek()) return false;
  out = std::move(ahead_.back());
  ahead_.pop_back();
  ++index0_;
  before_ = std::move(current_);
  current_ = out;
  return true;
}

void LoopObject::finish() noexcept {
  items_ = nullptr;
  ahead_.clear();
  scope_ = nullptr;
  before_ = Value();
  current_ = Value();  // else loops over loops would form long chains
  last_changed_.reset();
}

std::size_t LoopObject::count(Runtime& runtime) {
  if (length_) return *length_;
  std::reverse(ahead_.begin(), ahead_.end());
  for (Value item; items_ != nullptr && items_->next(item);) {
    runtime.charge(2);
    ahead_.push_back(std::move(item));
  }
  std::reverse(ahead_.begin(), ahead_.end());
  items_ = nullptr;
  length_ = static_cast<std::size_t>(index0_ + 1) + ahead_.size();
  return *length_;
}

std::string LoopObject::repr(Runtime& runtime) {
  return base::cat("<LoopContext ", index0_ + 1, "/", count(runtime), ">");
}

std::optional<Value> LoopObject::attribute(Runtime& runtime, std::string_view name) {
  const auto number = [](std::int64_t value) { return std::optional<Value>(Value(value)); };
  if (name == "index0") return number(index0_);
  if (name == "index") return number(index0_ + 1);
  if (name == "first") return Value(index0_ == 0);
  if (name == "last") return Value(!peek());
  if (name == "length") return Value::integer(count(runtime));
  if (name == "revindex") return number(static_cast<std::int64_t>(count(runtime)) - index0_);
  if (name == "revindex0") return number(static_cast<std::int64_t>(count(runtime)) - index0_ - 1);
  if (name == "depth") return number(depth0_ + 1);
  if (name == "depth0") return number(depth0_);
  if (name == "previtem") {
    return index0_ == 0 ? Value::undefined("there is no previous item") : before_;
  }
  if (name == "nextitem") return peek() ? ahead_.back() : Value::undefined("there is no next item");
  if (name == "cycle" || name == "changed") {
    const Value self{ObjectPtr(shared_from_this())};
    // changed() remembers what it is given, which may lead back to this loop.
    if (!std::exchange(owned_, true)) runtime.own(self.object_ptr());
    return Value(std::make_shared<FunctionObject>(
        name == "cycle" ? "cycle" : "changed", name == "cycle" ? loop_cycle : loop_changed, self));
  }
  return std::nullopt;
}

Value LoopObject::call(Runtime& runtime, const Args& args) {
  const Bound a("loop", args, {"iterable"}, 1);
  if (statement_ == nullptr) {
    fail("The loop must have the 'recursive' marker to be called recursively.");
  }
  const Stmt& statement = *statement_;
  const ScopePtr scope = scope_;
  return runtime.make_text(interpreter_.run_recursive(statement, scope, a.at(0), depth0_ + 1));
}

Value LoopObject::cycle(const Args& args) const {
  if (args.positional.empty()) fail("no items for cycling given");
  return args.positional[static_cast<std::size_t>(std::max<std::int64_t>(index0_, 0)) %
                         args.positional.size()];
}

bool LoopObject::changed(Runtime& runtime, const Args& args) {
  const bool same =
      last_changed_ && last_changed_->size() == args.positional.size() &&
      std::equal(args.positional.begin(), args.positional.end(), last_changed_->begin(),
                 [&runtime](const Value& a, const Value& b) { return equal(runtime, a, b); });
  if (!same) last_changed_ = args.positional;
  return !same;
}

}  // namespace openllm::jinja
