#include "backend/pt/python.h"

#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>
#include <functional>

#include "openllm/error.h"

namespace openllm::backend::pt {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;

/// A folder in which interpreters and packages are put up.
class PtPython : public ::testing::Test {
 protected:
  PtPython() {
    std::string name = (fs::temp_directory_path() / "openllm_python_XXXXXX").string();
    root_ = ::mkdtemp(name.data());
  }
  ~PtPython() override { fs::remove_all(root_); }

  void write(const std::string& name, const std::string& text) const {
    fs::create_directories((root_ / name).parent_path());
    std::ofstream(root_ / name) << text;
  }
  std::string interpreter(const std::string& name, const std::string& text =
                                                       "\x7f"
                                                       "ELF") const {
    write(name, text);
    fs::permissions(root_ / name, fs::perms::owner_all);
    return path(name);
  }
  void package(const std::string& folder, const std::string& name) const {
    write(folder + "/" + name + "/__init__.py", "");
  }
  std::string path(const std::string& name) const { return (root_ / name).string(); }
  /// The message; empty when all packages are there.
  std::string missing(const std::string& python, const PythonSearch& search = {}) const {
    try {
      require_packages(python, search);
      return {};
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kUnavailable);
      return error.what();
    }
  }
  std::string found(const PtOptions& options, const PythonSearch& search) const {
    try {
      return find_python(options, search);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kUnavailable);
      return error.what();
    }
  }

  fs::path root_;
};

TEST_F(PtPython, TheOptionComesBeforeTheVariableBeforePath) {
  const std::string other = interpreter("other/python");
  const std::string third = interpreter("third/python3.9");
  const std::string first = interpreter("bin/python3");
  const std::string path_list = path("nothing") + ":" + path("bin") + ":" + path("third");
  PythonSearch search{.path = path_list};
  EXPECT_EQ(found({}, search), first);
  search.python = other;
  EXPECT_EQ(found({}, search), other);
  EXPECT_EQ(found({.python = "python3.9"}, search), third);
  EXPECT_THAT(found({.python = "/no/python"}, search),
              AllOf(HasSubstr("pt.python: "), HasSubstr("/no/python")));
  search.python = "/no/python";
  EXPECT_THAT(found({}, search), HasSubstr("OPENLLM_PYTHON: "));
  EXPECT_THAT(found({}, {.path = path("nothing")}), HasSubstr("python3: not found"));
  write("bin/python3.8", "not executable");
  EXPECT_THAT(found({.python = "python3.8"}, search), HasSubstr("pt.python"));
}

TEST_F(PtPython, NamesThePackageThatIsMissingAndWhatInstallsIt) {
  const std::string python = interpreter("env/bin/python");
  write("env/pyvenv.cfg", "home = /usr/bin\ninclude-system-site-packages = false\n");
  EXPECT_THAT(missing(python), AllOf(HasSubstr("package torch is not installed"),
                                     HasSubstr(python + " -m pip install torch transformers")));
  package("env/lib/python3.12/site-packages", "torch");
  EXPECT_THAT(missing(python), HasSubstr("package transformers is not installed"));
  package("env/lib/python3.12/site-packages", "transformers");
  EXPECT_EQ(missing(python), "");
  try {
    require_peft(python, {});
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUnavailable);
    EXPECT_THAT(error.what(), AllOf(HasSubstr("package peft is not installed"),
                                    HasSubstr(python + " -m pip install peft")));
  }
  package("env/lib/python3.12/site-packages", "peft");
  EXPECT_NO_THROW(require_peft(python, {}));
}

TEST_F(PtPython, LooksWhereThatInterpreterLooks) {
  const std::string base = interpreter("usr/bin/python3");
  package("usr/lib/python3/dist-packages", "torch");
  package("home/.local/lib/python3.11/site-packages", "transformers");
  const PythonSearch search{.home = path("home")};
  EXPECT_EQ(missing(base, search), "") << "Debian's folder, and the user's own";
  EXPECT_THAT(missing(base), HasSubstr("transformers"));

  fs::create_directories(root_ / "env/bin");
  fs::create_symlink(base, root_ / "env/bin/python");
  write("env/pyvenv.cfg", "include-system-site-packages = false\n");
  EXPECT_THAT(missing(path("env/bin/python"), search), HasSubstr("torch")) << "an environment";
  write("env/pyvenv.cfg", "include-system-site-packages = true\n");
  EXPECT_EQ(missing(path("env/bin/python"), search), "");

  const std::string bare = interpreter("bare/bin/python");
  package("more", "torch");
  package("more", "transformers");
  EXPECT_THAT(missing(bare), HasSubstr("torch"));
  EXPECT_EQ(missing(bare, {.python_path = "/x:" + path("more")}), "");
  write("bare/lib/python3.10/site-packages/more.pth", "import x\n" + path("more") + "\n");
  EXPECT_EQ(missing(bare), "");
}

TEST_F(PtPython, OfAScriptNothingIsKnownBeforeItRuns) {
  EXPECT_EQ(missing(interpreter("shims/python3", "#!/bin/sh\n")), "");
}

}  // namespace
}  // namespace openllm::backend::pt
