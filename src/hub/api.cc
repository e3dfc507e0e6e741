#include "hub/api.h"

#include <algorithm>

#include "base/error.h"
#include "base/json.h"
#include "format/recognise.h"
#include "net/url.h"

namespace openllm::hub {
namespace {

using base::Json;

bool is_digest(const std::string& text, std::size_t n) {
  return text.size() == n && text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

std::string text_of(const Json& json, const char* key) {
  const Json* member = json.find(key);
  const std::string* text = member == nullptr ? nullptr : member->if_string();
  return text == nullptr ? std::string() : *text;
}

/// Longer than any file, and short enough to be added up.
constexpr std::int64_t kLongestFile = std::int64_t{1} << 50U;
constexpr const char* kAdvice = "; is the endpoint (HF_ENDPOINT) one of a hub?";

std::int64_t size_of(const Json& json) {
  const Json* member = json.find("size");
  const std::int64_t* size = member == nullptr ? nullptr : member->if_int();
  if (size == nullptr || *size < 0) return -1;
  if (*size > kLongestFile)
    base::fail(ErrorCode::kCorruptData, "size: no file is as long (got ", *size, " bytes)");
  return *size;
}

/// Of one of the "siblings". One without a usable digest has none.
RemoteFile parse_file(const Json& json) {
  json.as_object("siblings");
  RemoteFile file;
  file.path = text_of(json, "rfilename");
  file.size = size_of(json);
  if (std::string sha1 = text_of(json, "blobId"); is_digest(sha1, 40)) file.sha1 = std::move(sha1);
  const Json* lfs = json.find("lfs");
  if (lfs == nullptr || !lfs->is_object()) return file;
  if (std::string sha256 = text_of(*lfs, "sha256"); is_digest(sha256, 64))
    file.sha256 = std::move(sha256);
  if (const std::int64_t size = size_of(*lfs); size >= 0) file.size = size;
  return file;
}

}  // namespace

RepoInfo parse_repo(const std::string& body, const std::string& repo) {
  constexpr const char* kWhere = "the hub's answer";
  RepoInfo info;
  try {
    const Json json = Json::parse(body, kWhere);
    json.as_object(kWhere);
    info.repo = text_of(json, "id");
    info.commit = text_of(json, "sha");
    const Json* siblings = json.find("siblings");
    if (siblings != nullptr) {
      for (const Json& sibling : siblings->as_array("siblings")) {
        RemoteFile file = parse_file(sibling);
        if (is_safe_path(file.path)) info.files.push_back(std::move(file));
      }
    }
  } catch (const Error& error) {
    const std::span<const std::byte> bytes(reinterpret_cast<const std::byte*>(body.data()),
                                           body.size());
    throw Error(ErrorCode::kCorruptData,
                base::cat("hub: ", error.what(), format::note_what_it_is(bytes), kAdvice));
  }
  if (!is_repo_name(info.repo)) info.repo = repo;
  if (!is_digest(info.commit, 40)) {
    base::fail(ErrorCode::kCorruptData, "hub: ", kWhere, " about ", repo, " has no commit",
               kAdvice);
  }
  return info;
}

RepoInfo ask_for_repo(const Asking& asking, const Reference& reference) {
  const std::string url =
      base::cat(asking.endpoint, "/api/models/", encoded(reference.repo, true), "/revision/",
                encoded(reference.revision_or_main()), "?blobs=true");
  const net::HttpAnswer answer = get(asking, {url});
  if (answer.status != 200) {
    const std::string revision = reference.revision.empty() ? "" : "@" + reference.revision;
    fail_of_status(asking, answer, base::cat(reference.repo, revision));
  }
  return parse_repo(answer.body, reference.repo);
}

std::string file_url(const Asking& asking, const std::string& repo, const std::string& commit,
                     const std::string& path) {
  return base::cat(asking.endpoint, "/", encoded(repo, true), "/resolve/", commit, "/",
                   encoded(path, true));
}

}  // namespace openllm::hub
