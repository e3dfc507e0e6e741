#include <filesystem>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/json.h"
#include "cli/commands/commands.h"
#include "cli/progress_line.h"
#include "cli/terminal.h"

namespace openllm::cli {
namespace {

struct Verified {
  std::string name;
  std::vector<FileProblem> problems;
  bool is_known = true;  ///< There was something to compare it with.
};

std::string describe(const FileProblem& problem) {
  return problem.path.empty() ? problem.reason : base::cat(problem.path, " ", problem.reason);
}

base::Json to_json(const std::vector<Verified>& all) {
  base::Json list = base::Json::array();
  for (const Verified& one : all) {
    base::Json problems = base::Json::array();
    for (const FileProblem& problem : one.problems) {
      base::Json entry = base::Json::object();
      entry["file"] = problem.path.empty() ? base::Json() : base::Json(problem.path);
      entry["reason"] = problem.reason;
      problems.push_back(std::move(entry));
    }
    base::Json entry = base::Json::object();
    entry["name"] = one.name;
    entry["ok"] = one.is_known ? base::Json(one.problems.empty()) : base::Json();
    entry["problems"] = std::move(problems);
    list.push_back(std::move(entry));
  }
  return list;
}

/// A folder that has a list of its files, wherever it is; a model that is known by this name goes
/// before it.
bool is_folder(const std::string& model) {
  std::error_code ignored;
  if (!std::filesystem::is_directory(model, ignored)) return false;
  const bool is_clear = model.starts_with('.') || model.starts_with('/');
  return is_clear || !find_model(model);
}

/// The hub, unless the environment says nothing about where its cache is.
std::optional<Hub> find_hub() {
  try {
    return Hub();
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kNotFound) throw;
    return std::nullopt;
  }
}

/// A commit in the cache. Files are named as in the commit's folder.
Verified verify_commit(const Hub& hub, const std::string& model, const std::string& shown,
                       const ProgressCallback& progress) {
  Verified verified{shown, {}};
  for (const DamagedFile& damaged : hub.verify(model, progress)) {
    constexpr std::string_view kFolder = "/snapshots/";
    const std::size_t mark = damaged.path.rfind(kFolder);
    const std::size_t slash = mark == std::string::npos
                                  ? std::string::npos
                                  : damaged.path.find('/', mark + kFolder.size());
    const std::string file =
        slash == std::string::npos ? damaged.path : damaged.path.substr(slash + 1);
    verified.problems.push_back({file, damaged.reason});
  }
  return verified;
}

void verify_cache(const Hub& hub, const ProgressCallback& progress, std::vector<Verified>& all) {
  std::set<std::string> commits;
  for (const HubModel& model : hub.list()) {
    if (model.commit.empty()) {
      all.push_back({model.url, {}, false});
    } else {
      commits.insert(base::cat(model.id, "@", model.commit));
    }
  }
  // What lacks a file is not listed with the whole ones any more.
  for (const PartialModel& model : hub.partial()) {
    if (!model.commit.empty()) commits.insert(base::cat(model.id, "@", model.commit));
  }
  for (const std::string& commit : commits)
    all.push_back(verify_commit(hub, commit, commit, progress));
}

std::vector<Verified> verify_all(const ModelStore& store, const ProgressCallback& progress) {
  std::vector<Verified> all;
  for (const StoredModel& stored : store.list()) {
    const std::string name = base::cat(stored.name, ":", stored.version);
    all.push_back({name, store.verify(name, progress)});
  }
  for (const DamagedModel& damaged : store.damaged())
    all.push_back({base::cat(damaged.name, ":", damaged.version), {{"", damaged.reason}}});
  if (const auto hub = find_hub()) verify_cache(*hub, progress, all);
  return all;
}

Verified verify_named(const ModelStore& store, const std::string& model,
                      const ProgressCallback& progress) {
  const std::optional<StoredModel> found = find_model(model);
  if (found && found->origin == "store") return {model, store.verify(model, progress)};
  if (found && found->origin == "url") return {model, {}, false};
  if (const auto hub = find_hub()) {
    try {
      return verify_commit(*hub, model, model, progress);
    } catch (const Error& error) {
      const bool is_absent = error.code() == ErrorCode::kNotFound ||
                             (error.code() == ErrorCode::kInvalidArgument && !found);
      if (!is_absent) throw;
    }
  }
  return {model, store.verify(model, progress)};  // which says what could have been meant
}

std::vector<Verified> verify(const std::string& model, const ProgressCallback& progress) {
  std::error_code ignored;
  // Nothing of the store is needed, so that it works where there is none.
  if ((model.starts_with('.') || model.starts_with('/')) &&
      std::filesystem::is_directory(model, ignored))
    return {{model, verify_folder(model, progress)}};
  const ModelStore store;
  if (model.empty()) return verify_all(store, progress);
  if (is_folder(model)) return {{model, verify_folder(model, progress)}};
  return {verify_named(store, model, progress)};
}

}  // namespace

int verify_command(const Arguments& arguments) {
  std::vector<Verified> all;
  {
    const ProgressLine progress;  // gone before anything is printed
    all = verify(arguments.model, progress.callback());
  }
  std::string first;
  std::size_t n_problems = 0;
  for (const Verified& one : all) {
    if (!arguments.json && !one.is_known) {
      print(base::cat(one.name, ": nothing is known to compare it with\n"));
    } else if (!arguments.json && one.problems.empty()) {
      print(base::cat(one.name, ": ok\n"));
    }
    for (const FileProblem& problem : one.problems) {
      if (!arguments.json) print(base::cat(one.name, ": ", describe(problem), "\n"));
      if (n_problems++ == 0) first = base::cat(one.name, ": ", describe(problem));
    }
  }
  if (arguments.json) print(to_json(all).dump() + "\n");
  if (all.empty() && !arguments.json) note("There are no models on this machine.\n");
  if (n_problems == 0) return 0;
  const std::string more = n_problems > 1 ? base::cat(", and ", n_problems - 1, " more") : "";
  base::fail(ErrorCode::kCorruptData, first, more);
}

}  // namespace openllm::cli
