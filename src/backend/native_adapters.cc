#include "backend/native_adapters.h"

#include <utility>

#include "format/checkpoint.h"
#include "model/adapters/adapter_source.h"

namespace openllm::backend {

class NativeAdapters::Prepared final : public Weights {
 public:
  explicit Prepared(std::shared_ptr<const model::MountedAdapter> what) : adapter(std::move(what)) {}
  const std::shared_ptr<const model::MountedAdapter> adapter;
};

class NativeAdapters::Mix final : public Sum {
 public:
  Mix(model::Model& model, std::unique_ptr<const model::AdapterMix> mix)
      : model_(model), mix_(std::move(mix)) {}
  ~Mix() override {
    if (number_ > 0) model_.unmount_adapter(number_);
  }
  void mount(std::int32_t number) override {
    model_.mount_adapter(number, std::move(mix_));
    number_ = number;
  }

 private:
  model::Model& model_;
  std::unique_ptr<const model::AdapterMix> mix_;
  std::int32_t number_ = 0;
};

std::shared_ptr<const AdapterHost::Weights> NativeAdapters::load(const std::string& id) {
  return std::make_shared<Prepared>(
      model_.prepare_adapter(model::read_adapter(*format::open_adapter(id))));
}

std::unique_ptr<AdapterHost::Sum> NativeAdapters::mix(const std::vector<Part>& parts) {
  std::vector<model::AdapterPart> prepared;
  for (const Part& part : parts)
    prepared.push_back({static_cast<const Prepared&>(*part.weights).adapter, part.factor});
  return std::make_unique<Mix>(model_, model_.mix_adapters(prepared));
}

}  // namespace openllm::backend
