#include "backend/pt/adapters.h"

#include <utility>

#include "base/error.h"
#include "format/checkpoint.h"
#include "model/adapters/adapter_source.h"

namespace openllm::backend::pt {
namespace {

/// What of an adapter keeps it from sums.
struct Traits {
  std::string path{};
  bool has_magnitudes = false;  ///< DoRA
  bool replaces = false;        ///< It has modules, or rows of them, instead of the model's.
};

[[noreturn]] void refuse(const std::string& path, const char* what) {
  base::fail_with(ErrorCode::kUnsupported, {"adapters", ErrorReason::kUnsupportedField},
                  "adapters: ", path, ": ", what);
}

/// A copy of the model's own matrix, which peft saves beside an embedding's adapter, is none: the
/// worker refuses one that differs.
bool replaces(const model::AdapterModule& module) {
  const bool is_copy = module.weight && module.weight->name.ends_with(".base_layer.weight");
  return (module.weight && !is_copy) || module.bias || module.tokens;
}

/// Throws what is damaged, and what peft has another way to compute or none.
Traits read_traits(const std::string& path) {
  const auto checkpoint = format::open_adapter(path);
  if (checkpoint->kind() != format::Layout::kHuggingFace)
    refuse(path, "a GGUF file, which the backend native reads (expected a folder of peft for pt)");
  const base::Json* kind = checkpoint->config().find("peft_type");
  if (kind != nullptr && kind->is_string() && *kind->if_string() != "LORA")
    refuse(path, "peft_type: only native has it (expected LORA for the backend pt)");
  const model::AdapterSource source = model::read_adapter(*checkpoint);
  Traits traits{.path = path};
  for (const model::AdapterModule& module : source.modules) {
    traits.has_magnitudes = traits.has_magnitudes || module.magnitude.has_value();
    traits.replaces = traits.replaces || replaces(module);
  }
  const base::Json* bias = checkpoint->config().find("bias");
  if (bias != nullptr && bias->is_string() && *bias->if_string() != "none") {
    refuse(path,
           "bias: peft puts such biases into the model itself, where every request has them "
           "(expected none for the backend pt; native has them for each request)");
  }
  return traits;
}

}  // namespace

class Adapters::Mounted final : public Weights {
 public:
  Mounted(Runner& runner, Traits what)
      : traits(std::move(what)), number(runner.mount_adapter(traits.path)), runner_(runner) {}
  ~Mounted() override { runner_.drop_adapter(number); }

  const Traits traits;
  const std::int64_t number;

 private:
  Runner& runner_;
};

class Adapters::MountedSum final : public Sum {
 public:
  MountedSum(Runner& runner, std::vector<AdapterPart> parts)
      : runner_(runner), parts_(std::move(parts)) {}
  ~MountedSum() override {
    if (number_ > 0) runner_.unmount_sum(number_);
  }
  void mount(std::int32_t number) override {
    runner_.mount_sum(number, std::move(parts_));
    number_ = number;
  }

 private:
  Runner& runner_;
  std::vector<AdapterPart> parts_;
  std::int32_t number_ = 0;
};

std::shared_ptr<const AdapterHost::Weights> Adapters::load(const std::string& id) {
  return std::make_shared<Mounted>(runner_, read_traits(id));
}

/// peft adds the parts of a layer one by one: DoRA takes the layer's output so far for the model's
/// own, and has no factor of what it adds; a replaced module has no second one behind it.
std::unique_ptr<AdapterHost::Sum> Adapters::mix(const std::vector<Part>& parts) {
  std::vector<AdapterPart> numbered;
  const bool is_sum = parts.size() > 1 || parts.front().factor != 1.0F;
  for (const Part& part : parts) {
    const auto& mounted = static_cast<const Mounted&>(*part.weights);
    const Traits& traits = mounted.traits;
    const auto fail = [&](const char* what) {
      base::fail_with(ErrorCode::kUnsupported, {"adapter_name", ErrorReason::kUnsupportedField},
                      "adapter_name: ", traits.path, ": ", what);
    };
    if (is_sum && traits.has_magnitudes) {
      fail(
          "DoRA, which the backend pt has neither in sums nor with a factor (expected its name "
          "alone; native has both)");
    }
    if (parts.size() > 1 && traits.replaces) {
      fail(
          "replaces modules, which the backend pt has in no sum (expected its name, or its name "
          "and a factor; native has sums)");
    }
    numbered.push_back({mounted.number, part.factor});
  }
  return std::make_unique<MountedSum>(runner_, std::move(numbered));
}

}  // namespace openllm::backend::pt
