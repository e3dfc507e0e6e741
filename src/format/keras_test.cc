// Files of Keras against what safetensors has of the same arrays; hostile ones.

#include "format/keras.h"

#include <gmock/gmock.h>

#include "base/mapped_file.h"
#include "format/safetensors.h"
#include "format/test_files.h"

namespace openllm::format {
namespace {

using testing::error_of;
using ::testing::HasSubstr;

std::string read(const std::string& name) {
  return base::read_file(std::string(OPENLLM_TEST_DATA) + "/foreign/" + name);
}

std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span<const char>(text));
}

struct Opened {
  std::string bytes;
  TensorList list{};
  std::vector<std::vector<std::byte>> made{};

  void parse() {
    parse_keras("test.h5", bytes_of(bytes), false, list, made);
    list.sort_and_check("test.h5");
  }
  const tensor::TensorView* find(const std::string& name) const {
    for (const NamedTensor& tensor : list.readable) {
      if (tensor.name == name) return &tensor.view;
    }
    return nullptr;
  }
};

TEST(Keras, HoldsWhatWasSaved) {
  const std::string bytes = read("expected.safetensors");
  TensorList expected;
  parse_safetensors("expected", bytes_of(bytes), expected);
  for (const char* name : {"old.h5", "new.h5"}) {
    Opened file{read(name)};
    file.parse();
    EXPECT_TRUE(file.list.unreadable.empty()) << name;
    for (const NamedTensor& want : expected.readable) {
      const tensor::TensorView* got = file.find(want.name);
      ASSERT_NE(got, nullptr) << name << " " << want.name;
      EXPECT_EQ(got->dtype, want.view.dtype) << name << " " << want.name;
      EXPECT_EQ(got->shape, want.view.shape) << name << " " << want.name;
      EXPECT_TRUE(std::ranges::equal(got->bytes, want.view.bytes)) << name << " " << want.name;
    }
  }
}

TEST(Keras, GroupsOfManyAreReadWhole) {
  Opened file{read("old.h5")};
  file.parse();
  for (int i = 0; i < 40; ++i) {
    const tensor::TensorView* view = file.find("many.part" + std::to_string(i) + ".weight");
    ASSERT_NE(view, nullptr) << i;
    float value = -1.0F;
    std::memcpy(&value, view->bytes.data(), sizeof(value));
    EXPECT_EQ(value, static_cast<float>(i));
  }
}

// twice.h5: two layers have the table "shared", in differ.h5 not with the same values.
TEST(Keras, ASharedTableIsTakenOnce) {
  Opened file{read("twice.h5")};
  file.parse();
  EXPECT_EQ(file.list.readable.size(), 1U);
  const Error error = error_of([] {
    Opened other{read("differ.h5")};
    other.parse();
  });
  EXPECT_THAT(error.what(), HasSubstr("tensor shared.weight: occurs twice"));
}

TEST(Keras, WhatCannotBeReadIsListed) {
  Opened file{read("chunks.h5")};
  file.parse();
  ASSERT_EQ(file.list.unreadable.size(), 2U);
  EXPECT_EQ(file.list.unreadable[0].name, "b");
  EXPECT_THAT(file.list.unreadable[0].reason, HasSubstr("compressed"));
  EXPECT_EQ(file.list.unreadable[1].name, "words");
  EXPECT_NE(file.find("c"), nullptr);
}

TEST(Keras, EveryCutIsAnErrorOrHasAllItSays) {
  for (const char* name : {"old.h5", "new.h5"}) {
    const std::string whole = read(name);
    for (std::size_t n = 0; n < whole.size(); n += 7) {
      try {
        Opened file{whole.substr(0, n)};
        file.parse();
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), ErrorCode::kCorruptData) << name << " of " << n << " bytes";
      }
    }
  }
}

TEST(Keras, AnyWrongByteIsNoCrash) {
  const std::string whole = read("new.h5");
  for (std::size_t n = 0; n < whole.size(); ++n) {
    for (const char value : {'\0', '\1', '\x7F', '\xFF'}) {
      Opened file{whole};
      file.bytes[n] = value;
      try {
        file.parse();
      } catch (const Error& error) {
        EXPECT_STRNE(error.what(), "") << n;
      }
    }
  }
}

TEST(Keras, OtherFilesAreToldForWhatTheyAre) {
  const Error error = error_of([] {
    Opened file{"GGUF is this"};
    file.parse();
  });
  EXPECT_THAT(error.what(), HasSubstr("not an HDF5 file (it is a GGUF file)"));
}

TEST(Keras, NamesAreThoseOfPytorch) {
  EXPECT_EQ(name_from_keras("tf_bert_model/bert/encoder/layer_._0/attention/self/query/kernel:0"),
            "bert.encoder.layer.0.attention.self.query.weight");
  EXPECT_EQ(name_from_keras("tf_bert/bert/embeddings/LayerNorm/gamma:0"),
            "bert.embeddings.LayerNorm.weight");
  EXPECT_EQ(name_from_keras("tf_bert_for_pre_training/mlm___cls/predictions/bias:0"),
            "cls.predictions.bias");
  EXPECT_EQ(name_from_keras("tf_bart/model.shared/weight:0"), "model.shared.weight");
  EXPECT_EQ(name_from_keras("tf_bart/model/encoder/layers.0/fc1/kernel:0"),
            "model.encoder.layers.0.fc1.weight");
  EXPECT_EQ(name_from_keras("final_logits_bias:0"), "final_logits_bias");
}

}  // namespace
}  // namespace openllm::format
