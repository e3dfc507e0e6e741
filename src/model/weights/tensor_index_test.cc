// Names of tensors: patterns, prefixes, several names for one role, what was used and what not.

#include "model/weights/tensor_index.h"

#include "model/test_support.h"

namespace openllm::model::test {
namespace {

constexpr Role kTable{"table"};
constexpr Role kHead{"head"};
constexpr Role kProj{"proj"};
constexpr Role kExpert{"expert"};
constexpr Role kUnknown{"unknown"};
constexpr Role kSource{"source"};

ModuleLayout layout() {
  ModuleLayout out;
  out.modules = {{kTable, "embed"},
                 {kHead, "lm_head", true},
                 {kProj, "layers.#.new.proj"},
                 {kProj, "layers.#.old.proj"},
                 {kExpert, "layers.#.experts.@.up"}};
  out.encoder_modules = {{kSource, "encoder.#.proj"}};
  out.prefixes = {"model.", "text.model.", ""};
  out.ignored = {"layers.#.inv_freq", "buffers.*", "mask"};
  return out;
}

MemoryCheckpoint checkpoint_of(const std::vector<std::string>& names) {
  MemoryCheckpoint out(format::Checkpoint::Kind::kHuggingFace, base::Json::object());
  for (const std::string& name : names) out.add(name, {2, 3});
  return out;
}

TEST(TensorPattern, MatchesNumbersAndEndsExactly) {
  struct Case {
    const char* name;
    const char* pattern;
    bool fits;
  };
  for (const Case& c : {
           Case{"layers.0.x", "layers.#.x", true},
           {"layers.12.x", "layers.#.x", true},
           {"layers..x", "layers.#.x", false},
           {"layers.a.x", "layers.#.x", false},
           {"layers.1a.x", "layers.#.x", false},
           {"layers.12.xy", "layers.#.x", false},
           {"layers.12.", "layers.#.x", false},
           {"layers.12", "layers.#", true},
           {"layers.", "layers.#", false},
           {"layers.1.", "layers.#", false},
           {"a.b", "a.*", true},
           {"a.", "a.*", true},
           {"a", "a.*", false},
           {"anything", "*", true},
           {"", "*", true},
           {"", "", true},
           {"a", "", false},
           {"", "a", false},
           {"a", "a", true},
           {"ab", "a", false},
           {"a", "ab", false},
       }) {
    EXPECT_EQ(matches(c.name, c.pattern), c.fits) << c.name << " " << c.pattern;
  }
}

TEST(TensorIndexTest, ThePrefixIsTheFirstWithLayerZero) {
  const ModuleLayout names = layout();
  struct Case {
    std::vector<std::string> tensors;
    const char* module;
  };
  for (const Case& c : {
           Case{{"model.layers.0.new.proj.weight"}, "model.embed"},
           Case{{"text.model.layers.0.new.proj.weight"}, "text.model.embed"},
           Case{{"layers.0.new.proj.weight"}, "embed"},
           Case{{"layers.0.new.proj.weight", "model.layers.0.new.proj.bias"}, "model.embed"},
           Case{{"layers.1.new.proj.weight", "text.model.layers.01.new.proj.weight"},
                "model.embed"},  // none: the first
           Case{{"layers.0.new.projection.weight"}, "model.embed"},
       }) {
    const MemoryCheckpoint checkpoint = checkpoint_of(c.tensors);
    EXPECT_EQ(TensorIndex(checkpoint, names).module(kTable), c.module) << c.tensors[0];
  }
}

TEST(TensorIndexTest, NamesAreTriedInOrderWithLayerAndExpert) {
  const ModuleLayout names = layout();
  const MemoryCheckpoint checkpoint =
      checkpoint_of({"model.layers.0.new.proj.weight", "model.layers.3.old.proj.weight",
                     "model.layers.10.old.proj.bias", "model.layers.1.experts.12.up.weight"});
  const TensorIndex index(checkpoint, names);
  EXPECT_EQ(index.module(kProj, {.layer = 0}), "model.layers.0.new.proj");
  EXPECT_EQ(index.module(kProj, {.layer = 3}), "model.layers.3.old.proj");
  EXPECT_EQ(index.module(kProj, {.layer = 10}), "model.layers.10.old.proj");
  EXPECT_EQ(index.module(kProj, {.layer = 4}), "model.layers.4.new.proj");  // in no file
  EXPECT_EQ(index.module(kExpert, {.layer = 1, .expert = 12}), "model.layers.1.experts.12.up");
  EXPECT_TRUE(index.has(kProj, {.layer = 10}));
  EXPECT_FALSE(index.has(kProj, {.layer = 1}));  // 10 begins with it
  EXPECT_TRUE(index.has(kExpert, {.layer = 1, .expert = 12}));
  EXPECT_FALSE(index.has(kExpert, {.layer = 1, .expert = 1}));
  EXPECT_NE(index.find_weight(kProj, {.layer = 3}), nullptr);
  EXPECT_EQ(index.find_weight(kProj, {.layer = 10}), nullptr);  // it has a bias only
  EXPECT_TRUE(index.knows(kExpert));
  EXPECT_TRUE(index.has_expert_numbers(kExpert));
  EXPECT_FALSE(index.has_expert_numbers(kProj));
  EXPECT_FALSE(index.knows(kUnknown));
  EXPECT_FALSE(index.has_expert_numbers(kUnknown));
  EXPECT_EQ(index.module(kUnknown), "");
}

TEST(TensorIndexTest, HeadsStandBesideTheirModel) {
  const ModuleLayout names = layout();
  for (const auto& [head, layer] : {std::pair{"lm_head", "model.layers.0.new.proj"},
                                    {"model.lm_head", "model.layers.0.new.proj"},
                                    {"lm_head", "text.model.layers.0.new.proj"},
                                    {"text.model.lm_head", "text.model.layers.0.new.proj"},
                                    {"text.lm_head", "text.model.layers.0.new.proj"},
                                    {"lm_head", "layers.0.new.proj"}}) {
    const MemoryCheckpoint checkpoint =
        checkpoint_of({std::string(head) + ".weight", std::string(layer) + ".weight"});
    const TensorIndex index(checkpoint, names);
    EXPECT_EQ(index.module(kHead), head) << layer;
    EXPECT_TRUE(index.has(kHead)) << layer;
  }
  const MemoryCheckpoint other =
      checkpoint_of({"text.embed.weight", "text.model.layers.0.new.proj.weight"});
  EXPECT_FALSE(TensorIndex(other, names).has(kTable));  // only heads may stand there
}

TEST(TensorIndexTest, EncodersHaveNamesOfTheirOwn) {
  const ModuleLayout names = layout();
  const MemoryCheckpoint checkpoint =
      checkpoint_of({"model.encoder.2.proj.weight", "model.layers.0.new.proj.weight"});
  TensorIndex index(checkpoint, names);
  EXPECT_FALSE(index.knows(kSource));
  index.use(TensorIndex::Stack::kEncoder);
  EXPECT_TRUE(index.has(kSource, {.layer = 2}));
  EXPECT_FALSE(index.knows(kProj));
  index.use(TensorIndex::Stack::kDecoder);
  EXPECT_TRUE(index.has(kProj));
}

TEST(TensorIndexTest, LayersAreCountedByTheLastOne) {
  const ModuleLayout names = layout();
  const MemoryCheckpoint checkpoint =
      checkpoint_of({"model.layers.0.new.proj.weight", "model.layers.1.new.proj.weight",
                     "model.layers.2.new.proj.weight"});
  const TensorIndex index(checkpoint, names);
  EXPECT_NO_THROW(index.require_layers(3));
  EXPECT_NO_THROW(index.require_layers(2));
  EXPECT_STREQ(error_of([&] { index.require_layers(4); }).what(),
               "memory: tensor model.layers.3.new.proj.weight: missing (expected 4 layers)");
}

TEST(TensorIndexTest, WhatIsNeitherTakenNorIgnoredIsNamed) {
  const ModuleLayout names = layout();
  const MemoryCheckpoint checkpoint = checkpoint_of(
      {"model.layers.0.new.proj.weight", "model.layers.0.new.proj.bias", "model.layers.7.inv_freq",
       "layers.7.inv_freq", "model.buffers.a.b", "buffers.", "mask"});
  TensorIndex index(checkpoint, names);
  EXPECT_THAT(error_of([&] { index.require_all_used(); }).what(),
              testing::HasSubstr("tensor model.layers.0.new.proj.bias: not part"));
  index.take("model.layers.0.new.proj.bias", {2, 3});
  EXPECT_THAT(error_of([&] { index.require_all_used(); }).what(),
              testing::HasSubstr("tensor model.layers.0.new.proj.weight: not part"));
  EXPECT_EQ(error_of([&] {
              index.take("model.layers.0.new.proj.weight", {3, 2});
            }).code(),
            ErrorCode::kCorruptData);
  EXPECT_EQ(error_of([&] {
              index.take("model.layers.0.new.proj.weight", {2, 3, 1});
            }).code(),
            ErrorCode::kCorruptData);
  EXPECT_THROW(index.require_all_used(), Error);  // one of a wrong shape is not taken
  index.take("model.layers.0.new.proj.weight", {2, 3});
  EXPECT_NO_THROW(index.require_all_used());
  for (const char* surplus : {"text.mask", "model.mask2", "model.layers.x.inv_freq"}) {
    const MemoryCheckpoint more = checkpoint_of({"model.layers.0.new.proj.weight", surplus});
    TensorIndex second(more, names);
    second.take("model.layers.0.new.proj.weight", {2, 3});
    EXPECT_THAT(error_of([&] { second.require_all_used(); }).what(), testing::HasSubstr(surplus));
  }
}

TEST(TensorIndexTest, WhatCannotBeReadMattersUnlessItIsIgnored) {
  const ModuleLayout names = layout();
  MemoryCheckpoint checkpoint = checkpoint_of({"model.layers.0.new.proj.weight"});
  checkpoint.add_unreadable("model.buffers.x", "dtype F4");
  TensorIndex index(checkpoint, names);
  index.take("model.layers.0.new.proj.weight", {2, 3});
  EXPECT_NO_THROW(index.require_all_used());
  checkpoint.add_unreadable("model.other", "dtype F4");
  EXPECT_THAT(error_of([&] { index.require_all_used(); }).what(),
              testing::HasSubstr("tensor model.other: not part of this architecture and "
                                 "configuration, and unreadable: dtype F4"));
}

}  // namespace
}  // namespace openllm::model::test
