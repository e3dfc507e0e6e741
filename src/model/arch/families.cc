#include "model/arch/family.h"

namespace openllm::model {

#define FAMILY(name) Family name##_family();
#include "model/arch/families.def"
#undef FAMILY

const std::vector<Family>& families() {
#define FAMILY(name) name##_family(),
  static const std::vector<Family> kAll = {
#include "model/arch/families.def"
  };
#undef FAMILY
  return kAll;
}

}  // namespace openllm::model
