#include "format/chat_templates.h"

#include <gmock/gmock.h>

#include <filesystem>

#include "format/test_files.h"

namespace openllm::format {
namespace {

using testing::error_of;
using ::testing::HasSubstr;
using testing::TempFolder;

/// "name=source" of each, separated by spaces.
std::string shown(const std::vector<NamedTemplate>& templates) {
  std::string out;
  for (const NamedTemplate& known : templates)
    out += (out.empty() ? "" : " ") + known.name + "=" + known.source;
  return out;
}

TEST(ChatTemplates, OfAFolderAreWhereTransformersLooks) {
  const TempFolder folder;
  EXPECT_EQ(shown(chat_templates_of_folder(folder.path())), "");
  folder.write("tokenizer_config.json", R"({"chat_template": null})");
  EXPECT_EQ(shown(chat_templates_of_folder(folder.path())), "");
  folder.write("tokenizer_config.json", R"({"chat_template": "A"})");
  EXPECT_EQ(shown(chat_templates_of_folder(folder.path())), "default=A");
  folder.write("tokenizer_config.json", R"({"chat_template": [{"name": "rag", "template": "R"},
    {"name": "default", "template": "D"}, {"name": "rag", "template": "S"}]})");
  EXPECT_EQ(shown(chat_templates_of_folder(folder.path())), "default=D rag=S");
  EXPECT_EQ(chat_templates_of_folder(folder.path())[1].place,
            folder.path() + "/tokenizer_config.json: chat_template: rag");
  folder.write("chat_template.json", R"({"chat_template": "J"})");
  EXPECT_EQ(shown(chat_templates_of_folder(folder.path())), "default=J");
  std::filesystem::create_directory(folder.path() + "/additional_chat_templates");
  folder.write("additional_chat_templates/tool_use.jinja", "T");
  folder.write("additional_chat_templates/notes.txt", "N");
  EXPECT_EQ(shown(chat_templates_of_folder(folder.path())), "tool_use=T");
  folder.write("chat_template.jinja", "F");
  EXPECT_EQ(shown(chat_templates_of_folder(folder.path())), "default=F tool_use=T");
  EXPECT_EQ(list_names(chat_templates_of_folder(folder.path())), "default, tool_use");
}

TEST(ChatTemplates, OfOneNameTheFirstFolderCountsAndSixtyFourAreRead) {
  const TempFolder folder;
  for (const char* name : {"additional_chat_templates", "chat_templates"}) {
    std::filesystem::create_directory(folder.path() + "/" + name);
    folder.write(std::string(name) + "/rag.jinja", name);
  }
  EXPECT_EQ(shown(chat_templates_of_folder(folder.path())), "rag=additional_chat_templates");
  for (int i = 0; i < 70; ++i) folder.write("chat_templates/" + std::to_string(i) + ".jinja", "x");
  EXPECT_EQ(chat_templates_of_folder(folder.path()).size(), 64U);

  base::Json list = base::Json::array();
  base::Json metadata;
  for (int i = 0; i < 70; ++i) {
    base::Json entry;
    entry["name"] = std::to_string(i);
    entry["template"] = "x";
    list.push_back(std::move(entry));
    metadata["tokenizer.chat_template." + std::to_string(i)] = "x";
  }
  const TempFolder other;
  base::Json config;
  config["chat_template"] = std::move(list);
  other.write("tokenizer_config.json", config.dump());
  EXPECT_EQ(chat_templates_of_folder(other.path()).size(), 64U);
  EXPECT_EQ(chat_templates_of_gguf(metadata, "m.gguf").size(), 64U);
}

TEST(ChatTemplates, WhatIsNoneIsRefusedByName) {
  for (const char* bad : {"5", R"([{"name": "x"}])", R"([{"template": "x"}])", R"(["x"])",
                          R"([{"name": 1, "template": "x"}])", R"({"a": 5})", "true"}) {
    const TempFolder folder;
    folder.write("tokenizer_config.json", std::string(R"({"chat_template": )") + bad + "}");
    const Error error = error_of([&] { (void)chat_templates_of_folder(folder.path()); });
    EXPECT_EQ(error.code(), ErrorCode::kCorruptData) << bad;
    EXPECT_THAT(error.what(), HasSubstr("tokenizer_config.json: chat_template: bad entry")) << bad;
  }
  for (const char* bad : {"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
                          "<!DOCTYPE html><html></html>"}) {
    const TempFolder folder;
    folder.write("chat_template.jinja", bad);
    const Error error = error_of([&] { (void)chat_templates_of_folder(folder.path()); });
    EXPECT_EQ(error.code(), ErrorCode::kCorruptData) << bad;
    EXPECT_THAT(error.what(), HasSubstr("chat_template.jinja: not a chat template (it is a"));
  }
  const TempFolder folder;
  std::filesystem::create_symlink("gone", folder.path() + "/chat_template.jinja");
  EXPECT_EQ(error_of([&] { (void)chat_templates_of_folder(folder.path()); }).code(),
            ErrorCode::kNotFound);
}

TEST(ChatTemplates, OfGgufAreItsKeys) {
  base::Json metadata;
  metadata["tokenizer.chat_template.tool_use"] = "T";
  metadata["tokenizer.chat_template"] = "D";
  metadata["tokenizer.chat_templates"] = base::Json::array();
  metadata["tokenizer.chat_template."] = "x";
  const auto found = chat_templates_of_gguf(metadata, "m.gguf");
  EXPECT_EQ(shown(found), "tool_use=T default=D");
  EXPECT_EQ(found[0].place, "m.gguf: tokenizer.chat_template.tool_use");
  metadata["tokenizer.chat_template"] = 5;
  EXPECT_THAT(error_of([&] { (void)chat_templates_of_gguf(metadata, "m.gguf"); }).what(),
              HasSubstr("m.gguf: tokenizer.chat_template: wrong type"));
}

}  // namespace
}  // namespace openllm::format
