#include "hub/url_models.h"

#include <algorithm>
#include <chrono>

#include "base/error.h"
#include "base/mapped_file.h"
#include "format/locate.h"
#include "format/recognise.h"
#include "hub/lock_file.h"
#include "net/url.h"
#include "store/import.h"
#include "store/sha256.h"

namespace openllm::hub {
namespace {

namespace fs = std::filesystem;

constexpr const char* kSource = "source.txt";
constexpr std::size_t kLongestUrl = 8192;
constexpr std::size_t kDigits = 16;

/// The last part of the address's path, as far as it can be a file's name.
std::string file_name_of(const std::string& url) {
  const std::optional<net::Url> parts = net::parse_url(url);
  std::string name = parts ? parts->path.substr(parts->path.rfind('/') + 1) : std::string();
  const auto is_odd = [](unsigned char c) {
    return std::isalnum(c) == 0 && c != '-' && c != '_' && c != '.';
  };
  std::replace_if(name.begin(), name.end(), is_odd, '_');
  constexpr std::size_t kLongestName = 200;
  if (name.size() > kLongestName) name = name.substr(name.size() - kLongestName);
  while (name.starts_with('.')) name.erase(0, 1);
  return name.empty() ? "model.gguf" : name;
}

std::optional<UrlModel> read(const fs::path& folder) {
  UrlModel model;
  std::error_code error;
  for (auto it = fs::directory_iterator(folder, error); !error && it != fs::directory_iterator();
       it.increment(error)) {
    if (format::has_gguf_ending(it->path().filename().string())) model.path = it->path();
  }
  if (model.path.empty()) return std::nullopt;
  try {
    model.url = base::read_file((folder / kSource).string(), kLongestUrl, kSource);
  } catch (const Error&) {
    return std::nullopt;
  }
  model.bytes = static_cast<std::int64_t>(fs::file_size(model.path, error));
  if (error) return std::nullopt;
  const auto time = std::chrono::file_clock::to_sys(fs::last_write_time(model.path, error));
  model.changed_ns =
      std::chrono::duration_cast<std::chrono::nanoseconds>(time.time_since_epoch()).count();
  return error ? std::nullopt : std::optional(std::move(model));
}

}  // namespace

fs::path UrlModels::place_of(const std::string& url) const {
  store::Sha256 digest;
  digest.update(url);
  return folder_ / digest.hex().substr(0, kDigits);
}

std::optional<UrlModel> UrlModels::find(const std::string& url) const {
  return read(place_of(url));
}

std::vector<UrlModel> UrlModels::list() const {
  std::vector<UrlModel> models;
  std::error_code error;
  for (auto it = fs::directory_iterator(folder_, error); !error && it != fs::directory_iterator();
       it.increment(error)) {
    if (auto model = read(it->path())) models.push_back(std::move(*model));
  }
  std::sort(models.begin(), models.end(),
            [](const UrlModel& a, const UrlModel& b) { return a.url < b.url; });
  return models;
}

UrlModel UrlModels::fetch(const Asking& asking, const std::string& url,
                          const DownloadOptions& options) const {
  const fs::path place = place_of(url);
  const LockFile lock(folder_ / (place.filename().string() + ".lock"), asking.stop_token,
                      LockFile::Kind::kExclusive, options.on_wait);
  if (auto found = find(url)) return *found;
  std::error_code error;
  fs::create_directories(place, error);
  if (error)
    base::fail(ErrorCode::kIo, "hub: ", place.string(), ": cannot make: ", error.message());
  const fs::path target = place / file_name_of(url);
  // Under a name that is no model's until it is known to be one.
  const fs::path aside = target.string() + ".part";
  download(asking, {url, target.filename().string()}, aside, options);
  if (!format::starts_with_gguf_magic(aside.string())) {
    const std::string what = format::note_what_it_is(aside.string());
    fs::remove(aside, error);
    base::fail(ErrorCode::kCorruptData, "hub: ", net::shown_url(url), ": what came is no GGUF file",
               what);
  }
  store::write_file(place / kSource, net::shown_url(url));
  fs::rename(aside, target, error);
  if (error)
    base::fail(ErrorCode::kIo, "hub: ", target.string(), ": cannot make: ", error.message());
  return find(url).value();
}

bool UrlModels::remove(const std::string& url) const {
  std::error_code error;
  return fs::remove_all(place_of(url), error) > 0;
}

}  // namespace openllm::hub
