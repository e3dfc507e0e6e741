#include "format/hf_folder.h"

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <map>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "format/flax.h"
#include "format/keras.h"
#include "format/pytorch.h"
#include "format/recognise.h"
#include "format/safetensors.h"

namespace openllm::format {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxConfigBytes = std::size_t{16} << 20U;
constexpr std::size_t kMaxIndexBytes = std::size_t{256} << 20U;
constexpr std::size_t kMaxShards = 10000;
constexpr int kMaxDepth = 64;
constexpr std::string_view kPytorchEnding = ".bin";
constexpr std::string_view kFlaxEnding = ".msgpack";
constexpr std::string_view kTensorflowEnding = ".h5";

std::string in_folder(const std::string& folder, std::string_view name) {
  return (fs::path(folder) / name).string();
}

bool exists(const std::string& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

base::Json read_json(const std::string& path, std::size_t max_bytes) {
  const std::string text = base::read_file(path, max_bytes);
  try {
    base::Json value = base::Json::parse_python(text, path, kMaxDepth);
    value.as_object(path);
    return value;
  } catch (const Error& error) {
    throw Error(ErrorCode::kCorruptData, base::cat(error.what(), note_if_no_json(text)), path);
  }
}

/// A shard is a plain file name: an index must not reach outside its folder.
void check_shard_name(const std::string& index_path, const std::string& name,
                      std::string_view ending) {
  const bool plain = !name.empty() &&
                     name.find_first_of(std::string_view("/\\\0", 3)) == std::string::npos &&
                     name.find("..") == std::string::npos && name.ends_with(ending);
  if (!plain) {
    base::fail_at(ErrorCode::kCorruptData, index_path, "weight_map: bad file name (expected NAME",
                  ending, ", got ", printable(name), ")");
  }
}

std::string_view ending_of(const FolderNames& names) {
  const std::string_view weights = names.weights;
  return weights.substr(weights.rfind('.'));
}

/// As PyTorch calls the tensor.
std::string name_from_index(const std::string& tensor, std::string_view ending) {
  if (ending == kFlaxEnding) return name_from_flax(tensor);
  return ending == kTensorflowEnding ? name_from_keras(tensor) : tensor;
}

/// Shard name -> names of the tensors the index says it holds.
std::map<std::string, std::vector<std::string>> read_index(const std::string& index_path,
                                                           std::string_view ending) {
  const base::Json index = read_json(index_path, kMaxIndexBytes);
  const base::Json* map = index.find("weight_map");
  if (map == nullptr || map->if_object() == nullptr) {
    base::fail_at(ErrorCode::kCorruptData, index_path, "weight_map: missing or no object");
  }
  std::map<std::string, std::vector<std::string>> shards;
  for (const auto& [tensor, file] : *map->if_object()) {
    const std::string* name = file.if_string();
    if (name == nullptr) {
      base::fail_at(ErrorCode::kCorruptData, index_path, "weight_map: tensor ", printable(tensor),
                    ": wrong type (expected string, got ", file.type_name(), ")");
    }
    check_shard_name(index_path, *name, ending);
    shards[*name].push_back(name_from_index(tensor, ending));
    if (shards.size() > kMaxShards) {
      base::fail_at(ErrorCode::kUnsupported, index_path, "too many files (expected at most ",
                    kMaxShards, ")");
    }
  }
  if (shards.empty()) base::fail_at(ErrorCode::kCorruptData, index_path, "weight_map: empty");
  return shards;
}

/// Moves from `from` to `to` what `wanted` (sorted) names; counts it.
template <typename Tensor>
std::size_t take(std::vector<Tensor>& from, const std::vector<std::string>& wanted,
                 std::vector<Tensor>& to) {
  std::size_t n = 0;
  for (Tensor& tensor : from) {
    if (!std::binary_search(wanted.begin(), wanted.end(), tensor.name)) continue;
    to.push_back(std::move(tensor));
    ++n;
  }
  return n;
}

[[noreturn]] void missing(const std::string& file, const char* index, const TensorList& list,
                          const std::vector<std::string>& wanted) {
  std::vector<std::string> have;
  for (const NamedTensor& tensor : list.readable) have.push_back(tensor.name);
  for (const UnreadableTensor& tensor : list.unreadable) have.push_back(tensor.name);
  std::sort(have.begin(), have.end());
  std::vector<std::string> lacking;
  std::set_difference(wanted.begin(), wanted.end(), have.begin(), have.end(),
                      std::back_inserter(lacking));
  base::fail_at(ErrorCode::kCorruptData, file, "tensor ",
                lacking.empty() ? "" : printable(lacking[0]), ": missing, though ", index,
                " says it is here");
}

}  // namespace

HfFolder::HfFolder(const std::string& path, const FolderNames& names)
    : path_(path),
      names_(names),
      config_(read_json(in_folder(path, names.config), kMaxConfigBytes)) {
  const std::string single = in_folder(path, names.weights);
  if (names.index == nullptr || exists(single)) {
    files_.emplace_back(single);
    parse(single, files_.back().bytes(), false, tensors_);
  } else {
    open_sharded(in_folder(path, names.index));
  }
  tensors_.sort_and_check(path_);
}

bool HfFolder::has_config(const std::string& path) {
  return exists(in_folder(path, kModelFolder.config));
}

base::Json HfFolder::read_config(const std::string& path) {
  return read_json(in_folder(path, kModelFolder.config), kMaxConfigBytes);
}

bool HfFolder::looks_like_one(const std::string& path) {
  const FolderNames& names = names_in(path);
  return has_config(path) &&
         (exists(in_folder(path, names.weights)) || exists(in_folder(path, names.index)));
}

const FolderNames& HfFolder::adapter_names_in(const std::string& path) {
  const bool has_pytorch = exists(in_folder(path, kPytorchAdapterFolder.weights));
  const bool has_safetensors = exists(in_folder(path, kAdapterFolder.weights));
  return has_pytorch && !has_safetensors ? kPytorchAdapterFolder : kAdapterFolder;
}

const FolderNames& HfFolder::names_in(const std::string& path) {
  for (const FolderNames* names :
       {&kModelFolder, &kPytorchFolder, &kFlaxFolder, &kTensorflowFolder}) {
    if (exists(in_folder(path, names->weights)) || exists(in_folder(path, names->index)))
      return *names;
  }
  return kModelFolder;
}

void HfFolder::parse(const std::string& path, std::span<const std::byte> file, bool is_part,
                     TensorList& tensors) {
  const std::string_view ending = ending_of(names_);
  if (ending == kPytorchEnding) {
    parse_pytorch(path, file, tensors, made_);
  } else if (ending == kFlaxEnding) {
    parse_flax(path, file, tensors, made_);
  } else if (ending == kTensorflowEnding) {
    parse_keras(path, file, is_part, tensors, made_);
  } else {
    parse_safetensors(path, file, tensors);
  }
}

void HfFolder::open_sharded(const std::string& index_path) {
  std::map<std::string, std::vector<std::string>> shards =
      read_index(index_path, ending_of(names_));
  files_.reserve(shards.size());
  for (auto& [name, wanted] : shards) {
    const std::string file = in_folder(path_, name);
    if (!exists(file)) {
      base::fail_at(ErrorCode::kNotFound, file, "missing, though ", names_.index, " names it; ",
                    describe_folder(path_));
    }
    files_.emplace_back(file);
    TensorList list;
    parse(file, files_.back().bytes(), true, list);
    list.sort_and_check(file);
    std::sort(wanted.begin(), wanted.end());
    TensorList taken;
    const std::size_t n = take(list.readable, wanted, taken.readable) +
                          take(list.unreadable, wanted, taken.unreadable);
    if (n != wanted.size()) missing(file, names_.index, taken, wanted);
    std::move(taken.readable.begin(), taken.readable.end(), std::back_inserter(tensors_.readable));
    std::move(taken.unreadable.begin(), taken.unreadable.end(),
              std::back_inserter(tensors_.unreadable));
  }
}

std::vector<const base::MappedFile*> HfFolder::files() const {
  std::vector<const base::MappedFile*> files;
  for (const base::MappedFile& file : files_) files.push_back(&file);
  return files;
}

void HfFolder::drop_pages(const tensor::TensorView& view) const noexcept {
  for (const base::MappedFile& file : files_) {
    if (contains(file.bytes(), view.bytes)) file.drop_pages(view.bytes);
  }
}

}  // namespace openllm::format
