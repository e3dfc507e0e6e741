#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "../contract/fake_server.h"

namespace openllm::hub_test {

/// A request as the server sees it.
struct Request {
  std::string path{};  ///< With its query.
  std::string head{};
  std::string range{};  ///< "0-99"; empty without one.
  bool has_token = false;
};

/// A hub with one repository, "org/model". Files are served as hubs do: large ones from another
/// address, by a redirection, in ranges.
class FakeHub {
 public:
  FakeHub();

  std::string address() const { return server_.address(); }
  /// Adds a file to the commit. `is_large`: in large-file storage.
  void put(const std::string& path, const std::string& content, bool is_large = false);
  /// The same to another commit, which has nothing but what is added to it so.
  void put_at(const std::string& other_commit, const std::string& path, const std::string& content,
              bool is_large = false);
  /// Every request goes here first; what it gives is the answer.
  void set_fault(std::function<std::optional<contract::FakeServer::Reply>(const Request&)> fault);
  /// In a fault: what would be answered without it.
  contract::FakeServer::Reply usual_reply(const Request& request);

  std::vector<Request> requests() const;
  /// Of those whose path has this in it.
  int n_requests(const std::string& part) const;
  std::int64_t n_bytes_served() const;
  void forget_requests();

  // Change these between calls, or in a fault.
  std::string commit = std::string(40, 'c');
  std::map<std::string, std::string> branches{};  ///< Names of commits, besides "main".
  std::string renamed{};                          ///< The repository's name now, if it has another.

 private:
  struct File {
    std::string content{};
    bool is_large = false;
  };
  contract::FakeServer::Reply answer(const std::string& text, bool is_storage);
  contract::FakeServer::Reply describe(const std::string& of_commit) const;
  contract::FakeServer::Reply resolve(const std::string& path, const Request& request);
  /// Empty when there is none.
  std::string commit_of(const std::string& revision) const;
  const std::map<std::string, File>& files_of(const std::string& of_commit) const;
  contract::FakeServer::Reply serve(const std::string& content, const std::string& range,
                                    const std::string& headers);

  mutable std::mutex mutex_;
  std::map<std::string, File> files_{};
  std::map<std::string, std::map<std::string, File>> files_of_others_{};
  std::function<std::optional<contract::FakeServer::Reply>(const Request&)> fault_{};
  std::vector<Request> requests_{};
  std::int64_t n_bytes_served_ = 0;
  contract::FakeServer storage_;
  contract::FakeServer server_;
};

/// The digest of a text: as large-file storage and as git name it.
std::string sha256_of_text(const std::string& text);
std::string git_sha1_of_text(const std::string& text);

}  // namespace openllm::hub_test
