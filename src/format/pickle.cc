#include "format/pickle.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <unordered_map>

#include "base/error.h"
#include "format/little_endian.h"
#include "format/tensor_list.h"

namespace openllm::format {

using Id = Pickle::Id;
using Kind = Pickle::Kind;
using Node = Pickle::Node;

namespace {

constexpr std::size_t kMaxNodes = std::size_t{1} << 25U;
constexpr std::uint64_t kNewestProtocol = 5;

}  // namespace

/// The machine of Python's pickle module (pickletools.py describes the operations), of which it has
/// those that build data.
class Unpickler {
 public:
  Unpickler(const std::string& path, std::span<const std::byte> file,
            std::span<const std::string_view> allowed)
      : path_(path), file_(file), allowed_(allowed) {}

  Pickle run() {
    while (!done_) {
      const std::size_t begin = at_;
      step(static_cast<char>(take(1)[0]), begin);
      if (out_.nodes_.size() > kMaxNodes) corrupt(begin, "more values than any model has");
    }
    out_.size_ = at_;
    return std::move(out_);
  }

 private:
  template <typename... Parts>
  [[noreturn]] void corrupt(std::size_t at, const Parts&... parts) const {
    base::fail_at(ErrorCode::kCorruptData, path_, "pickle: ", base::cat(parts...), " (at byte ", at,
                  ")");
  }

  std::span<const std::byte> take(std::uint64_t n) {
    if (file_.size() - at_ < n) corrupt(at_, "runs past the end; is the file cut short?");
    const std::span<const std::byte> bytes = file_.subspan(at_, n);
    at_ += n;
    return bytes;
  }
  std::uint64_t take_number(std::size_t n) { return load_le(take(n), 0, n); }
  std::string_view take_text(std::uint64_t n) {
    const std::span<const std::byte> bytes = take(n);
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }
  std::string_view take_line() {
    const std::string_view rest(reinterpret_cast<const char*>(file_.data()) + at_,
                                file_.size() - at_);
    const std::size_t end = rest.find('\n');
    if (end == std::string_view::npos) corrupt(at_, "a line without an end");
    at_ += end + 1;
    return rest.substr(0, end);
  }

  Id add(Node node) {
    out_.nodes_.push_back(std::move(node));
    return static_cast<Id>(out_.nodes_.size() - 1);
  }
  void push(Node node) { stack_.push_back(add(std::move(node))); }
  void push_int(std::int64_t value) { push({.kind = Kind::kInt, .number = value}); }
  Id pop() {
    const std::size_t floor = marks_.empty() ? 0 : marks_.back();
    if (stack_.size() <= floor) corrupt(at_ - 1, "takes a value off an empty stack");
    const Id id = stack_.back();
    stack_.pop_back();
    return id;
  }
  Node& top(Kind kind) {
    if (stack_.empty() || node(stack_.back()).kind != kind) {
      corrupt(at_ - 1, "adds to a value of another kind");
    }
    return node(stack_.back());
  }
  Node& node(Id id) noexcept { return out_.nodes_[id]; }

  /// What lies above the last mark.
  std::vector<Id> pop_to_mark() {
    if (marks_.empty()) corrupt(at_ - 1, "no mark");
    const auto begin = stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back());
    std::vector<Id> items(begin, stack_.end());
    stack_.erase(begin, stack_.end());
    marks_.pop_back();
    return items;
  }
  void push_tuple(std::size_t n) {
    std::vector<Id> items(n);
    for (std::size_t i = n; i-- > 0;) items[i] = pop();
    push({.kind = Kind::kTuple, .items = std::move(items)});
  }
  void extend(Kind kind, const std::vector<Id>& items) {
    std::vector<Id>& to = top(kind).items;
    to.insert(to.end(), items.begin(), items.end());
  }
  void set_items(std::vector<Id> pairs) {
    if (pairs.size() % 2 != 0) corrupt(at_ - 1, "a key without a value");
    // An ordered dictionary is a call that is filled afterwards.
    if (!stack_.empty() && node(stack_.back()).kind == Kind::kCall) {
      std::vector<Id>& items = node(stack_.back()).items;
      items.insert(items.end(), pairs.begin(), pairs.end());
      return;
    }
    extend(Kind::kDict, pairs);
  }

  void memoize(std::uint64_t key) {
    if (stack_.empty()) corrupt(at_ - 1, "remembers a value of an empty stack");
    memo_[key] = stack_.back();
  }
  void recall(std::uint64_t key) {
    const auto found = memo_.find(key);
    if (found == memo_.end()) corrupt(at_ - 1, "a value that was not remembered");
    stack_.push_back(found->second);
  }

  void push_global(std::string_view module, std::string_view name) {
    const std::string whole = base::cat(module, " ", name);
    if (std::find(allowed_.begin(), allowed_.end(), whole) == allowed_.end()) {
      base::fail_at(ErrorCode::kUnsupported, path_, "pickle: refers to ",
                    printable(base::cat(module, ".", name)),
                    ", which no weights need; nothing of a pickle is executed");
    }
    const Id text = add({.kind = Kind::kText, .text = name});
    push({.kind = Kind::kGlobal, .text = module, .items = {text}});
  }
  void push_global_of_stack() {
    const Id name = pop();
    const Id module = pop();
    if (node(name).kind != Kind::kText || node(module).kind != Kind::kText) {
      corrupt(at_ - 1, "a global without a name");
    }
    push_global(node(module).text, node(name).text);
  }
  void call() {
    const Id arguments = pop();
    const Id called = pop();
    if (node(arguments).kind != Kind::kTuple || node(called).kind != Kind::kGlobal) {
      corrupt(at_ - 1, "calls what is no global");
    }
    push({.kind = Kind::kCall, .items = {called, arguments}});
  }

  void push_long(std::uint64_t n) {
    const std::string_view bytes = take_text(n);
    if (n > 8) return push({.kind = Kind::kInt, .text = bytes});
    std::uint64_t value = load_le(std::as_bytes(std::span(bytes)), 0, n);
    if (n > 0 && n < 8 && (static_cast<unsigned char>(bytes.back()) & 0x80U) != 0) {
      value |= ~std::uint64_t{0} << (8 * n);
    }
    push_int(static_cast<std::int64_t>(value));
  }
  void push_int_line() {
    const std::string_view line = take_line();
    if (line == "00" || line == "01") {
      return push({.kind = Kind::kBool, .number = line == "01" ? 1 : 0});
    }
    std::string_view digits = line;
    if (digits.ends_with('L')) digits.remove_suffix(1);
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (error != std::errc() || end != digits.data() + digits.size()) {
      corrupt(at_, "no integer: ", printable(line));
    }
    push_int(value);
  }
  void push_float() {
    std::uint64_t bits = 0;
    for (const std::byte byte : take(8)) bits = bits << 8U | std::to_integer<std::uint64_t>(byte);
    push({.kind = Kind::kFloat, .real = std::bit_cast<double>(bits)});
  }

  void step(char operation, std::size_t begin) {
    if (!step_value(operation) && !step_text(operation) && !step_container(operation) &&
        !step_machine(operation, begin)) {
      base::fail_at(ErrorCode::kUnsupported, path_,
                    "pickle: an operation that weights do not need (",
                    static_cast<int>(static_cast<unsigned char>(operation)), " at byte ", begin,
                    "); nothing of a pickle is executed");
    }
  }

  bool step_value(char operation) {
    switch (operation) {
      case 'N':
        push({});
        return true;
      case '\x88':
      case '\x89':
        push({.kind = Kind::kBool, .number = operation == '\x88' ? 1 : 0});
        return true;
      case 'J':
        push_int(static_cast<std::int32_t>(take_number(4)));
        return true;
      case 'K':
        push_int(static_cast<std::int64_t>(take_number(1)));
        return true;
      case 'M':
        push_int(static_cast<std::int64_t>(take_number(2)));
        return true;
      case 'I':
      case 'L':
        push_int_line();
        return true;
      case '\x8a':
        push_long(take_number(1));
        return true;
      case 'G':
        push_float();
        return true;
      default:
        return false;
    }
  }

  bool step_text(char operation) {
    const auto text = [&](std::size_t n_bytes, Kind kind) {
      push({.kind = kind, .text = take_text(take_number(n_bytes))});
      return true;
    };
    switch (operation) {
      case 'X':
        return text(4, Kind::kText);
      case '\x8c':
        return text(1, Kind::kText);
      case '\x8d':
        return text(8, Kind::kText);
      case 'T':  // texts of Python 2
        return text(4, Kind::kText);
      case 'U':
        return text(1, Kind::kText);
      case 'B':
        return text(4, Kind::kBytes);
      case 'C':
        return text(1, Kind::kBytes);
      case '\x8e':
        return text(8, Kind::kBytes);
      default:
        return false;
    }
  }

  bool step_container(char operation) {
    switch (operation) {
      case ')':
        push_tuple(0);
        return true;
      case '\x85':
        push_tuple(1);
        return true;
      case '\x86':
        push_tuple(2);
        return true;
      case '\x87':
        push_tuple(3);
        return true;
      case 't':
        push({.kind = Kind::kTuple, .items = pop_to_mark()});
        return true;
      case ']':
        push({.kind = Kind::kList});
        return true;
      case 'l':
        push({.kind = Kind::kList, .items = pop_to_mark()});
        return true;
      case '}':
        push({.kind = Kind::kDict});
        return true;
      case 'd': {
        std::vector<Id> pairs = pop_to_mark();
        push({.kind = Kind::kDict});
        set_items(std::move(pairs));
        return true;
      }
      case '\x8f':
        push({.kind = Kind::kSet});
        return true;
      case 'a': {
        const Id item = pop();
        extend(Kind::kList, {item});
        return true;
      }
      case 'e':
        extend(Kind::kList, pop_to_mark());
        return true;
      case 's': {
        const Id value = pop();
        const Id key = pop();
        set_items({key, value});
        return true;
      }
      case 'u':
        set_items(pop_to_mark());
        return true;
      case '\x90':
        extend(Kind::kSet, pop_to_mark());
        return true;
      default:
        return false;
    }
  }

  bool step_machine(char operation, std::size_t begin) {
    switch (operation) {
      case '\x80':
        if (const std::uint64_t protocol = take_number(1); protocol > kNewestProtocol) {
          corrupt(begin, "unknown protocol ", protocol);
        }
        return true;
      case '\x95':  // a frame only says how much follows
        take_number(8);
        return true;
      case '(':
        marks_.push_back(stack_.size());
        return true;
      case '0':
        pop();
        return true;
      case '1':
        pop_to_mark();
        return true;
      case '2':
        if (stack_.empty()) corrupt(begin, "copies a value of an empty stack");
        stack_.push_back(stack_.back());
        return true;
      case 'q':
        memoize(take_number(1));
        return true;
      case 'r':
        memoize(take_number(4));
        return true;
      case '\x94':
        memoize(memo_.size());
        return true;
      case 'h':
        recall(take_number(1));
        return true;
      case 'j':
        recall(take_number(4));
        return true;
      case 'c': {
        const std::string_view module = take_line();
        push_global(module, take_line());
        return true;
      }
      case '\x93':
        push_global_of_stack();
        return true;
      case 'R':
        call();
        return true;
      case 'b':  // state that is given to a value: of dictionaries, notes of a module's version
        pop();
        return true;
      case 'Q': {
        const Id name = pop();
        push({.kind = Kind::kPersistent, .items = {name}});
        return true;
      }
      case '.':
        out_.root_ = pop();
        done_ = true;
        return true;
      default:
        return false;
    }
  }

  const std::string& path_;
  std::span<const std::byte> file_;
  std::span<const std::string_view> allowed_;
  Pickle out_{};
  std::size_t at_ = 0;
  bool done_ = false;
  std::vector<Id> stack_{};
  std::vector<std::size_t> marks_{};
  std::unordered_map<std::uint64_t, Id> memo_{};
};

Pickle Pickle::read(const std::string& path, std::span<const std::byte> file,
                    std::span<const std::string_view> allowed) {
  return Unpickler(path, file, allowed).run();
}

const Node* Pickle::find(const Node& dict, std::string_view key) const noexcept {
  for (std::size_t i = 0; i + 1 < dict.items.size(); i += 2) {
    const Node& name = item(dict, i);
    if (name.kind == Kind::kText && name.text == key) return &item(dict, i + 1);
  }
  return nullptr;
}

bool Pickle::is_global(const Node& node, std::string_view module,
                       std::string_view name) const noexcept {
  return node.kind == Kind::kGlobal && node.text == module && item(node, 0).text == name;
}

}  // namespace openllm::format
