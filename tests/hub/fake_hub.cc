#include "fake_hub.h"

#include <algorithm>

#include "store/sha256.h"

namespace openllm::hub_test {

using Reply = contract::FakeServer::Reply;
using contract::http_reply;

namespace {

Request parse(const std::string& text) {
  Request request;
  request.head = text.substr(0, text.find("\r\n\r\n"));
  const std::size_t begin = text.find(' ') + 1;
  request.path = text.substr(begin, text.find(' ', begin) - begin);
  const std::string field = "Range: bytes=";
  if (const std::size_t at = text.find(field); at != std::string::npos)
    request.range = text.substr(at + field.size(), text.find('\r', at) - at - field.size());
  request.has_token = text.find("Authorization: Bearer secret") != std::string::npos;
  return request;
}

Reply not_found(const char* code) {
  return {http_reply(404, "application/json", R"({"error":"not here"})",
                     "X-Error-Code: " + std::string(code) + "\r\n")};
}

}  // namespace

std::string sha256_of_text(const std::string& text) {
  store::Sha256 digest;
  digest.update(text);
  return digest.hex();
}

std::string git_sha1_of_text(const std::string& text) {
  store::Digest digest(store::Digest::Kind::kSha1);
  digest.update("blob " + std::to_string(text.size()) + '\0' + text);
  return digest.hex();
}

FakeHub::FakeHub()
    : storage_([this](const std::string& text) { return answer(text, true); }),
      server_([this](const std::string& text) { return answer(text, false); }) {}

void FakeHub::put(const std::string& path, const std::string& content, bool is_large) {
  const std::scoped_lock lock(mutex_);
  files_[path] = {content, is_large};
}

void FakeHub::put_at(const std::string& other_commit, const std::string& path,
                     const std::string& content, bool is_large) {
  const std::scoped_lock lock(mutex_);
  files_of_others_[other_commit][path] = {content, is_large};
}

std::string FakeHub::commit_of(const std::string& revision) const {
  if (const auto branch = branches.find(revision); branch != branches.end()) return branch->second;
  if (revision == "main" || revision == commit || revision == "refs%2Fpr%2F1") return commit;
  return files_of_others_.count(revision) > 0 ? revision : std::string();
}

const std::map<std::string, FakeHub::File>& FakeHub::files_of(const std::string& of_commit) const {
  const auto found = files_of_others_.find(of_commit);
  return found == files_of_others_.end() ? files_ : found->second;
}

void FakeHub::set_fault(std::function<std::optional<Reply>(const Request&)> fault) {
  const std::scoped_lock lock(mutex_);
  fault_ = std::move(fault);
}

std::vector<Request> FakeHub::requests() const {
  const std::scoped_lock lock(mutex_);
  return requests_;
}

int FakeHub::n_requests(const std::string& part) const {
  const std::scoped_lock lock(mutex_);
  return static_cast<int>(std::count_if(requests_.begin(), requests_.end(), [&](const Request& r) {
    return r.path.find(part) != std::string::npos;
  }));
}

std::int64_t FakeHub::n_bytes_served() const {
  const std::scoped_lock lock(mutex_);
  return n_bytes_served_;
}

void FakeHub::forget_requests() {
  const std::scoped_lock lock(mutex_);
  requests_.clear();
  n_bytes_served_ = 0;
}

Reply FakeHub::describe(const std::string& of_commit) const {
  std::string siblings;
  for (const auto& [path, file] : files_of(of_commit)) {
    const std::string size = std::to_string(file.content.size());
    siblings += (siblings.empty() ? "" : ",") + std::string(R"({"rfilename":")") + path +
                R"(","size":)" + size + R"(,"blobId":")" + git_sha1_of_text(file.content) + "\"";
    if (file.is_large) {
      siblings += R"(,"lfs":{"sha256":")" + sha256_of_text(file.content) + R"(","size":)" + size +
                  R"(,"pointerSize":130})";
    }
    siblings += "}";
  }
  const std::string name = renamed.empty() ? "org/model" : renamed;
  return {http_reply(
      200, "application/json",
      R"({"id":")" + name + R"(","sha":")" + of_commit + R"(","siblings":[)" + siblings + "]}")};
}

Reply FakeHub::serve(const std::string& content, const std::string& range,
                     const std::string& headers) {
  if (range.empty()) {
    n_bytes_served_ += static_cast<std::int64_t>(content.size());
    return {http_reply(200, "application/octet-stream", content, headers)};
  }
  const std::size_t begin = std::stoul(range);
  const std::size_t end =
      std::min(std::stoul(range.substr(range.find('-') + 1)) + 1, content.size());
  if (begin >= content.size()) return {http_reply(416, "text/plain", "")};
  const std::string part = content.substr(begin, end - begin);
  n_bytes_served_ += static_cast<std::int64_t>(part.size());
  return {http_reply(206, "application/octet-stream", part,
                     "Content-Range: bytes " + std::to_string(begin) + "-" +
                         std::to_string(end - 1) + "/" + std::to_string(content.size()) + "\r\n" +
                         headers)};
}

Reply FakeHub::answer(const std::string& text, bool is_storage) {
  const std::scoped_lock lock(mutex_);
  Request request = parse(text);
  if (is_storage) request.path = "/storage" + request.path;
  requests_.push_back(request);
  if (fault_) {
    if (std::optional<Reply> reply = fault_(request)) return *reply;
  }
  return usual_reply(request);
}

Reply FakeHub::usual_reply(const Request& request) {
  const std::string path = request.path.substr(0, request.path.find('?'));
  if (!path.starts_with("/api/models/")) return resolve(path, request);
  if (!path.starts_with("/api/models/org/model/revision/")) return not_found("RepoNotFound");
  const std::string found = commit_of(path.substr(path.rfind('/') + 1));
  return found.empty() ? not_found("RevisionNotFound") : describe(found);
}

Reply FakeHub::resolve(const std::string& path, const Request& request) {
  const bool is_storage = path.starts_with("/storage/");
  // "/storage/FILE?COMMIT" or "/org/model/resolve/COMMIT/FILE"
  const std::string prefix = is_storage ? "/storage/" : "/org/model/resolve/";
  if (!path.starts_with(prefix)) return not_found("EntryNotFound");
  std::string name = path.substr(prefix.size());
  std::string revision = request.path.substr(std::min(path.size() + 1, request.path.size()));
  if (!is_storage) {
    revision = name.substr(0, name.find('/'));
    name.erase(0, revision.size() + 1);
  }
  const std::string of_commit = commit_of(revision);
  if (of_commit.empty()) return not_found("RevisionNotFound");
  const auto& files = files_of(of_commit);
  const auto found = files.find(name);
  if (found == files.end()) return not_found("EntryNotFound");
  const std::string etag = found->second.is_large ? sha256_of_text(found->second.content)
                                                  : git_sha1_of_text(found->second.content);
  if (found->second.is_large && !is_storage) {
    return {http_reply(
        302, "text/plain", "moved",
        "Location: " + storage_.address() + "/" + name + "?" + of_commit +
            "\r\nX-Xet-Hash: " + std::string(64, 'a') + "\r\nX-Linked-Etag: \"" + etag +
            "\"\r\nX-Linked-Size: " + std::to_string(found->second.content.size()) + "\r\n")};
  }
  return serve(found->second.content, request.range, "ETag: \"" + etag + "\"\r\n");
}

}  // namespace openllm::hub_test
