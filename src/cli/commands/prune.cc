#include <cstdio>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/json.h"
#include "cli/commands/check_model.h"
#include "cli/commands/commands.h"
#include "cli/terminal.h"

namespace openllm::cli {
namespace {

std::string describe(const Leftover& leftover) {
  return base::cat(leftover.path, " (", leftover.reason, "; ", readable_size(leftover.bytes), ")");
}

/// A line of standard input that begins with y. The end of it is no.
bool agrees(const Leftover& leftover) {
  note(base::cat("Delete ", describe(leftover), "? [y/N] "));
  std::string line;
  for (int c = std::getchar(); c != EOF && c != '\n'; c = std::getchar())
    line += static_cast<char>(c);
  return line.starts_with('y') || line.starts_with('Y');
}

base::Json to_json(const Leftover& leftover) {
  base::Json entry = base::Json::object();
  entry["path"] = leftover.path;
  entry["reason"] = leftover.reason;
  entry["bytes"] = leftover.bytes;
  return entry;
}

/// What no model needs, and who deletes it.
struct Item {
  Leftover leftover;
  std::function<bool(const Leftover&)> remove;
};

/// Packed copies that no load will take; `all`: every one, since the next load can make it again.
void add_packed_copies(bool all, std::vector<Item>& items) {
  for (PackedCopy& copy : packed_copies()) {
    if (copy.unusable.empty() && !all) continue;
    std::string reason = copy.unusable.empty() ? base::cat("packed copy of ", copy.source)
                                               : base::cat("packed copy: ", copy.unusable);
    items.push_back({{copy.path, std::move(reason), copy.bytes},
                     [copy](const Leftover& /*one*/) { return remove_packed_copy(copy); }});
  }
}

std::vector<Item> find_items(const Arguments& arguments) {
  std::vector<Item> items;
  add_packed_copies(arguments.packed, items);
  const ModelStore store;
  for (Leftover& leftover : store.leftovers()) {
    items.push_back(
        {std::move(leftover), [store](const Leftover& one) { return store.remove_leftover(one); }});
  }
  try {
    const Hub hub;
    for (Leftover& leftover : hub.leftovers()) {
      items.push_back(
          {std::move(leftover), [hub](const Leftover& one) { return hub.remove_leftover(one); }});
    }
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kNotFound) throw;  // nothing says where the cache is
  }
  return items;
}

}  // namespace

int prune_command(const Arguments& arguments) {
  const std::vector<Item> items = find_items(arguments);
  const bool deletes = !arguments.dry_run;
  if (!items.empty() && deletes && !arguments.yes && !stdin_is_terminal()) {
    base::fail(ErrorCode::kInvalidArgument, "prune: there is nobody to ask about ", items.size(),
               " of them, the first ", describe(items.front().leftover),
               " (-y deletes without asking, --dry-run shows all)");
  }
  base::Json list = base::Json::array();
  std::int64_t n_bytes = 0;
  for (const Item& item : items) {
    if (deletes && !arguments.yes && !agrees(item.leftover)) continue;
    // Else somebody else did, or works with it again.
    if (deletes && !item.remove(item.leftover)) continue;
    list.push_back(to_json(item.leftover));
    n_bytes += item.leftover.bytes;
    if (!arguments.json) print(base::cat(describe(item.leftover), "\n"));
  }
  if (arguments.json) {
    print(list.dump() + "\n");
  } else if (items.empty()) {
    note("There is nothing to delete.\n");
  } else {
    note(base::cat(readable_size(n_bytes), deletes ? " deleted.\n" : " would be deleted.\n"));
  }
  return 0;
}

}  // namespace openllm::cli
