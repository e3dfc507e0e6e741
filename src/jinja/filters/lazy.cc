#include "jinja/filters/lazy.h"

#include "jinja/values/iterables.h"

namespace openllm::jinja {
namespace {

int depth_of(const Value& self, const Args& args) {
  int depth = self.depth();
  for (const Value& value : args.positional) depth = std::max(depth, value.depth());
  for (const auto& keyword : args.keywords) depth = std::max(depth, keyword.second.depth());
  return depth;
}

class LazyIterator final : public Iterator {
 public:
  LazyIterator(Runtime& runtime, Builtin function, const Value& self, const Args& args)
      : runtime_(runtime), function_(function), self_(self), args_(args) {}
  bool next(Value& out) override {
    if (function_ != nullptr) {
      const Builtin function = std::exchange(function_, nullptr);
      items_ = iterate(runtime_, function(runtime_, self_, args_));
    }
    return items_ != nullptr && items_->next(out);
  }

 private:
  Runtime& runtime_;
  Builtin function_;
  Value self_;
  Args args_;
  std::unique_ptr<Iterator> items_;
};

}  // namespace

Value make_lazy(Runtime& runtime, Builtin function, const Value& self, const Args& args) {
  return make_generator(runtime, std::make_unique<LazyIterator>(runtime, function, self, args),
                        depth_of(self, args));
}

}  // namespace openllm::jinja
