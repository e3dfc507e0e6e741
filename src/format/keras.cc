#include "format/keras.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <utility>

#include "base/error.h"
#include "format/hdf5.h"
#include "format/recognise.h"
#include "format/renamed.h"

// Source: transformers 4, modeling_tf_pytorch_utils.py and modeling_tf_utils.py.
namespace openllm::format {
namespace {

/// Levels of a weight's name, as PyTorch's modules have them. A level of TensorFlow may be several
/// ("layer_._0"), or begin with what tells it from others of that name ("mlm___cls").
std::vector<std::string_view> split_levels(std::string_view name) {
  std::vector<std::string_view> levels;
  bool is_first = true;
  while (!name.empty()) {
    const std::size_t slash = name.find('/');
    std::string_view level = name.substr(0, slash);
    name = slash == std::string_view::npos ? std::string_view() : name.substr(slash + 1);
    const std::size_t mark = level.rfind("___");
    const bool is_inner = !is_first && !name.empty();
    if (is_inner && mark != std::string_view::npos) level.remove_prefix(mark + 3);
    is_first = false;
    for (std::size_t at = 0; (at = level.find("_._")) != std::string_view::npos;) {
      if (at > 0) levels.push_back(level.substr(0, at));
      level.remove_prefix(at + 3);
    }
    if (!level.empty()) levels.push_back(level);
  }
  return levels;
}

std::string without_devices(std::string_view weight) {
  std::string name(weight);
  for (std::size_t at = 0; (at = name.find(":0")) != std::string::npos;) name.erase(at, 2);
  return name;
}

std::string_view leaf_of(std::string_view leaf) {
  if (leaf == "kernel" || leaf == "embeddings" || leaf == "gamma") return "weight";
  return leaf == "beta" ? "bias" : leaf;
}

bool is_kernel(std::string_view path) {
  return path.ends_with("/kernel:0") || path.ends_with("/kernel");
}

/// A table that several layers share is written with each of them.
bool is_same(const Hdf5Dataset& a, const Hdf5Dataset& b) {
  return a.dtype && a.dtype == b.dtype && a.dims == b.dims && std::ranges::equal(a.bytes, b.bytes);
}

/// The weight's name in TensorFlow of a dataset. A whole file has a group for each layer, in which
/// weights are called by their names; parts have no such groups, and leave out the first level of
/// most names.
std::string weight_of(const std::string& path, bool is_part) {
  const std::size_t slash = path.find('/');
  if (!is_part) return slash == std::string::npos ? path : path.substr(slash + 1);
  const bool is_whole = slash == std::string::npos || path.find("model.") != std::string::npos;
  return is_whole ? path : "model/" + path;
}

}  // namespace

std::string name_from_keras(std::string_view weight) {
  const std::string plain = without_devices(weight);
  std::vector<std::string_view> levels = split_levels(plain);
  if (levels.size() > 1) levels.erase(levels.begin());
  if (!levels.empty()) levels.back() = leaf_of(levels.back());
  std::string name;
  for (const std::string_view level : levels) {
    if (!name.empty()) name += '.';
    name += level;
  }
  return name;
}

void parse_keras(const std::string& path, std::span<const std::byte> file, bool is_part,
                 TensorList& tensors, std::vector<std::vector<std::byte>>& made) {
  constexpr std::string_view kMagic = "\x89HDF\r\n\x1A\n";
  const std::string_view begin(reinterpret_cast<const char*>(file.data()), file.size());
  if (!begin.starts_with(kMagic)) {
    base::fail_at(ErrorCode::kCorruptData, path, "not an HDF5 file", note_what_it_is(file));
  }
  const std::vector<Hdf5Dataset> datasets = read_hdf5(path, file);
  std::vector<Extent> extents;
  for (const Hdf5Dataset& dataset : datasets) {
    if (!dataset.dtype || dataset.bytes.empty()) continue;
    const auto at = static_cast<std::uint64_t>(dataset.bytes.data() - file.data());
    extents.push_back({at, at + dataset.bytes.size(), dataset.path});
  }
  check_no_overlap(path, 0, extents);
  std::map<std::string, const Hdf5Dataset*> known;
  for (const Hdf5Dataset& dataset : datasets) {
    std::string name = name_from_keras(weight_of(dataset.path, is_part));
    const auto [first, is_new] = known.emplace(name, &dataset);
    if (!is_new && is_same(*first->second, dataset)) continue;
    if (!dataset.dtype) {
      tensors.unreadable.push_back({std::move(name), dataset.unreadable});
      continue;
    }
    add_renamed(
        {std::move(name), *dataset.dtype, dataset.dims, dataset.bytes, is_kernel(dataset.path)},
        tensors, made);
  }
}

}  // namespace openllm::format
