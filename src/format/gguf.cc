#include "format/gguf.h"

#include <utility>

#include "base/error.h"
#include "base/mapped_file.h"
#include "format/gguf_file.h"
#include "format/gguf_values.h"
#include "format/tensor_list.h"

namespace openllm::format {

struct Gguf::Impl {
  struct Shard {
    base::MappedFile file;
    gguf::Header header;
  };

  std::shared_ptr<const GgufMetadata> metadata;
  std::vector<Shard> shards{};
  TensorList tensors{};

  explicit Impl(std::shared_ptr<const GgufMetadata> opened) : metadata(std::move(opened)) {
    const std::vector<std::string>& files = metadata->files();
    for (const std::string& file : files) {
      add(file);
      if (files.size() > 1) check_split(file);
    }
    if (files.size() > 1) check_total(files.front());
    tensors.sort_and_check(metadata->path());
  }

  void add(const std::string& path) {
    const std::uint64_t first_alignment =
        shards.empty() ? gguf::kDefaultAlignment : shards[0].header.alignment;
    base::MappedFile file(path);
    gguf::Header header = gguf::parse(path, file.bytes(), tensors, first_alignment);
    shards.push_back({std::move(file), std::move(header)});
  }

  /// The last shard is the part of the split that its name says.
  void check_split(const std::string& path) const {
    const auto count = static_cast<std::int64_t>(metadata->files().size());
    const auto no = static_cast<std::int64_t>(shards.size()) - 1;
    const gguf::Header& header = shards.back().header;
    const std::int64_t their_count =
        gguf::find_count(header, path, "split.count", 65535).value_or(0);
    const std::int64_t their_no = gguf::find_count(header, path, "split.no", 65535).value_or(-1);
    if (their_count == count && their_no == no) return;
    base::fail(ErrorCode::kCorruptData, path,
               ": is another part of the split than its name says (expected ", no, " of ", count,
               ", got ", their_no, " of ", their_count, ")");
  }

  void check_total(const std::string& first) const {
    const auto total =
        static_cast<std::int64_t>(tensors.readable.size() + tensors.unreadable.size());
    const std::int64_t expected =
        gguf::find_count(shards[0].header, first, "split.tensors.count", INT64_MAX).value_or(total);
    if (expected == total) return;
    base::fail(ErrorCode::kCorruptData, first, ": key split.tensors.count: wrong (expected ",
               expected, " tensors in all files, got ", total, ")");
  }
};

Gguf::Gguf(const std::string& path) : Gguf(std::make_shared<const GgufMetadata>(path)) {}
Gguf::Gguf(std::shared_ptr<const GgufMetadata> metadata)
    : impl_(std::make_unique<Impl>(std::move(metadata))) {}
Gguf::~Gguf() = default;

const GgufMetadata& Gguf::metadata() const noexcept { return *impl_->metadata; }
const std::string& Gguf::path() const noexcept { return impl_->metadata->path(); }
const base::Json& Gguf::config() const noexcept { return impl_->metadata->config(); }
const std::vector<NamedTensor>& Gguf::tensors() const noexcept { return impl_->tensors.readable; }
const std::vector<UnreadableTensor>& Gguf::unreadable() const noexcept {
  return impl_->tensors.unreadable;
}

void Gguf::drop_pages(const tensor::TensorView& view) const noexcept {
  for (const Impl::Shard& shard : impl_->shards) {
    if (contains(shard.file.bytes(), view.bytes)) shard.file.drop_pages(view.bytes);
  }
}

}  // namespace openllm::format
