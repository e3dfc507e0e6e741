#include "hub/modelscope_api.h"

#include <algorithm>
#include <cctype>

#include "base/error.h"
#include "base/json.h"
#include "format/recognise.h"
#include "net/url.h"

namespace openllm::hub {
namespace {

using base::Json;

constexpr const char* kWhere = "ModelScope's answer";
/// A list of more entries is cut off there, without a word.
constexpr std::size_t kMostEntries = 3000;
constexpr std::size_t kLongestShown = 300;
constexpr std::string_view kDigestOfNothing =
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

std::string text_of(const Json& json, const char* key) {
  const Json* member = json.find(key);
  const std::string* text = member == nullptr ? nullptr : member->if_string();
  return text == nullptr ? std::string() : *text;
}

std::int64_t number_of(const Json& json, const char* key, std::int64_t otherwise) {
  const Json* member = json.find(key);
  const std::int64_t* number = member == nullptr ? nullptr : member->if_int();
  return number == nullptr ? otherwise : *number;
}

/// In lower case; empty for what is none.
std::string sha256_of(const Json& json) {
  std::string digest = text_of(json, "Sha256");
  for (char& c : digest) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  if (digest.size() != 64 || digest.find_first_not_of("0123456789abcdef") != std::string::npos)
    digest.clear();
  return digest;
}

RemoteFile parse_file(const Json& json) {
  RemoteFile file;
  file.path = text_of(json, "Path");
  file.sha256 = sha256_of(json);
  // 0 is what it says of files whose size it does not know, too.
  const std::int64_t size = number_of(json, "Size", -1);
  const bool is_known = size > 0 || (size == 0 && file.sha256 == kDigestOfNothing);
  file.size = is_known ? size : -1;
  return file;
}

/// ModelScope tells of errors in answers with the status 200 too.
void check_success(const Json& json, const std::string& repo) {
  const Json* success = json.find("Success");
  const bool* is_good = success == nullptr ? nullptr : success->if_bool();
  if ((is_good == nullptr || *is_good) && number_of(json, "Code", 200) == 200) return;
  std::string said = text_of(json, "Message").substr(0, kLongestShown);
  const auto is_control = [](unsigned char c) { return std::iscntrl(c) != 0; };
  said.erase(std::remove_if(said.begin(), said.end(), is_control), said.end());
  base::fail_with(ErrorCode::kNotFound, {"model", ErrorReason::kModelNotFound},
                  "model: ModelScope does not give ", repo, " (it says: ", said, ")");
}

ModelScopeFiles parse(const Json& json) {
  ModelScopeFiles result;
  const Json* data = json.find("Data");
  if (data == nullptr) base::fail(ErrorCode::kCorruptData, kWhere, ": has no Data");
  const Json* files = data->is_object() ? data->find("Files") : data;
  if (files == nullptr) base::fail(ErrorCode::kCorruptData, kWhere, ": has no Files");
  for (const Json& entry : files->as_array("Files")) {
    ++result.n_entries;
    if (!entry.is_object() || text_of(entry, "Type") == "tree") continue;
    RemoteFile file = parse_file(entry);
    if (is_safe_path(file.path)) result.files.push_back(std::move(file));
  }
  return result;
}

ModelScopeFiles ask(const Asking& asking, const Reference& reference, bool is_recursive) {
  const std::string revision =
      reference.revision.empty() ? kModelScopeRevision : reference.revision;
  const net::HttpAnswer answer =
      get(asking, {base::cat(asking.endpoint, "/api/v1/models/", encoded(reference.repo, true),
                             "/repo/files?Revision=", encoded(revision),
                             "&Recursive=", is_recursive ? "True" : "False")});
  if (answer.status != 200) {
    const std::string at = reference.revision.empty() ? "" : "@" + reference.revision;
    fail_of_status(asking, answer, reference.repo + at);
  }
  return parse_modelscope_files(answer.body, reference.repo);
}

}  // namespace

ModelScopeFiles parse_modelscope_files(const std::string& body, const std::string& repo) {
  try {
    const Json json = Json::parse(body, kWhere);
    json.as_object(kWhere);
    check_success(json, repo);
    return parse(json);
  } catch (const Error& error) {
    if (error.code() == ErrorCode::kNotFound) throw;
    const std::span<const std::byte> bytes(reinterpret_cast<const std::byte*>(body.data()),
                                           body.size());
    throw Error(ErrorCode::kCorruptData,
                base::cat("hub: ", error.what(), format::note_what_it_is(bytes)));
  }
}

std::vector<RemoteFile> ask_modelscope(const Asking& asking, const Reference& reference) {
  ModelScopeFiles found = ask(asking, reference, true);
  if (found.n_entries >= kMostEntries) {
    // What a model needs lies at the top, and that list is short.
    for (RemoteFile& file : ask(asking, reference, false).files) {
      const bool is_known =
          std::any_of(found.files.begin(), found.files.end(),
                      [&](const RemoteFile& known) { return known.path == file.path; });
      if (!is_known) found.files.push_back(std::move(file));
    }
  }
  return std::move(found.files);
}

std::string modelscope_file_url(const Asking& asking, const std::string& repo,
                                const std::string& revision, const std::string& path) {
  return base::cat(asking.endpoint, "/api/v1/models/", encoded(repo, true),
                   "/repo?Revision=", encoded(revision), "&FilePath=", encoded(path));
}

}  // namespace openllm::hub
