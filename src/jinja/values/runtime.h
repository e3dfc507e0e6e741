#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "jinja/limits.h"
#include "jinja/values/object.h"
#include "jinja/values/template_error.h"

namespace openllm::jinja {

/// One rendering: its budget, and the makers of values that keep to it. Every container and every
/// text a template makes is paid for here, so memory and time are bounded together.
class Runtime {
 public:
  explicit Runtime(const Limits& limits) : limits_(limits), left_(limits.max_operations) {}
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;
  virtual ~Runtime() = default;

  /// The bound method `name` of a text, list, tuple, dict or number. Left to a derived class, as
  /// methods stand above the values.
  virtual std::optional<Value> find_method(const Value& value, std::string_view name) = 0;

  void charge(std::size_t operations) {
    if (operations > left_) out_of_operations();
    left_ -= operations;
  }
  void charge_bytes(std::size_t bytes) { charge(1 + bytes / kBytesPerOperation); }
  /// Fails when a text of that size may not exist.
  void check_text(std::size_t bytes);
  /// The same for a text in the making, whose bytes are paid for as they come.
  void check_growth(const std::string& text) {
    if (text.size() > limits_.max_output_bytes) check_text(text.size());
  }

  Value make_text(std::string text);
  Value make_text(std::string text, bool markup);
  Value make_list(std::vector<Value> items) {
    return make_sequence(std::move(items), false, false);
  }
  Value make_tuple(std::vector<Value> items) {
    return make_sequence(std::move(items), true, false);
  }
  Value make_group(Value key, Value list);
  Value make_dict(Dict dict);
  void set_member(Dict& dict, Value key, Value value);
  /// Registers an object that others can be stored into; it is emptied when the rendering ends,
  /// which breaks cycles.
  void own(ObjectPtr object);
  void check_depth(int depth) const;

  const Limits& limits() const noexcept { return limits_; }
  int line() const noexcept { return line_; }
  void set_line(int line) noexcept { line_ = line; }

  /// Counts one level of our own recursion.
  class Level {
   public:
    explicit Level(Runtime& runtime) : runtime_(runtime) {
      if (++runtime_.levels_ > runtime_.limits_.max_depth * kLevelsPerDepth) {
        --runtime_.levels_;  // the destructor does not run
        runtime_.too_deep();
      }
    }
    Level(const Level&) = delete;
    Level& operator=(const Level&) = delete;
    ~Level() { --runtime_.levels_; }

   private:
    Runtime& runtime_;
  };

  /// Counts one call of a macro or a recursive loop.
  class CallLevel {
   public:
    explicit CallLevel(Runtime& runtime) : runtime_(runtime) {
      if (++runtime_.calls_ > runtime_.limits_.max_depth) {
        --runtime_.calls_;
        runtime_.too_deep();
      }
    }
    CallLevel(const CallLevel&) = delete;
    CallLevel& operator=(const CallLevel&) = delete;
    ~CallLevel() { --runtime_.calls_; }

   private:
    Runtime& runtime_;
  };

 protected:
  std::vector<ObjectPtr> owned_;

 private:
  static constexpr std::size_t kBytesPerOperation = 8;
  static constexpr int kLevelsPerDepth = 10;
  Value make_sequence(std::vector<Value> items, bool is_tuple, bool is_group);
  [[noreturn]] void out_of_operations() const;
  [[noreturn]] void too_deep() const;

  Limits limits_;
  std::size_t left_;
  int line_ = 1;
  int levels_ = 0;
  int calls_ = 0;
};

}  // namespace openllm::jinja
