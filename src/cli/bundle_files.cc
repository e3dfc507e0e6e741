#include "cli/bundle_files.h"

#include <link.h>
#include <openllm/version.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <string_view>

#include "base/error.h"
#include "cli/shell_word.h"

namespace openllm::cli {
namespace {

namespace fs = std::filesystem;

/// Libraries that must be those of the machine: the C library and what belongs to it.
constexpr std::array<std::string_view, 9> kSystemLibraries{
    "ld-linux", "libc.so",      "libm.so", "libdl.so",  "libpthread.so",
    "librt.so", "libresolv.so", "libnss_", "linux-vdso"};

bool is_system_library(std::string_view name) {
  return std::any_of(kSystemLibraries.begin(), kSystemLibraries.end(),
                     [name](std::string_view system) { return name.starts_with(system); });
}

int collect_library(dl_phdr_info* info, std::size_t /*size*/, void* out) {
  const fs::path path(info->dlpi_name);
  const std::string name = path.filename().string();
  if (!name.empty() && path.is_absolute() && !is_system_library(name)) {
    static_cast<std::vector<BundleFile>*>(out)->push_back(
        {.path = "lib/" + name, .from = path.string()});
  }
  return 0;
}

/// One argument of a unit file: specifiers, variables and quotes have to be taken as they are.
std::string systemd_word(std::string_view text) {
  std::string word = "\"";
  for (const char c : text) {
    if (c == '%' || c == '$') word += c;
    if (c == '"' || c == '\\') word += '\\';
    word += c;
  }
  return word + "\"";
}

/// For texts within a line: a name must not begin another one.
std::string one_line(std::string text) {
  std::replace_if(
      text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20; }, ' ');
  return text;
}

std::string option_words(const BundleSettings& settings) {
  std::string words;
  for (const GivenOption& option : settings.options) {
    words += " \\\n  ";
    if (option.name == settings.file_option) {
      words += base::cat(option.name, "=\"$here\"/", shell_word(option.value.value_or("")));
    } else {
      words += shell_word(option.word());
    }
  }
  return words;
}

}  // namespace

std::string serve_script(const BundleSettings& settings) {
  std::string text = base::cat(
      "#!/bin/sh\n"
      "# Serves ",
      one_line(settings.id),
      " with the options that it was built with; made by `openllm build`.\n"
      "# Arguments are further options of `openllm start`, and override those.\n"
      "here=$(dirname -- \"$(readlink -f -- \"$0\")\") || exit 1\n"
      "LD_LIBRARY_PATH=\"$here/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}\"\n"
      "export LD_LIBRARY_PATH\n");
  if (!settings.config.empty()) {
    text += base::cat("if [ -z \"${OPENLLM_CONFIG-}\" ]; then\n  OPENLLM_CONFIG=",
                      shell_word(settings.config), "\n  export OPENLLM_CONFIG\nfi\n");
  }
  return base::cat(text, "exec \"$here/bin/openllm\" start \"$here\"/", shell_word(settings.model),
                   option_words(settings), " \\\n  \"$@\"\n");
}

std::string health_script(const BundleSettings& settings) {
  return base::cat(
      "#!/bin/bash\n"
      "# health [PORT]: whether the server is ready. Needs nothing but bash.\n"
      "exec 2>/dev/null 3<>\"/dev/tcp/127.0.0.1/${1:-",
      settings.port,
      "}\" || exit 1\n"
      "printf 'GET /readyz HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n' >&3\n"
      "read -r -t 5 _ status _ <&3 && [ \"$status\" = 200 ]\n");
}

std::string containerfile(const BundleSettings& settings) {
  return base::cat(
      "# ", one_line(settings.tag),
      ". Made by `openllm build`; in this folder:\n"
      "#   docker build -f Containerfile -t NAME .\n"
      "#   docker run -p ",
      settings.port, ":", settings.port,
      " -e OPENLLM_API_KEY=... NAME\n"
      "FROM debian:bookworm-slim\n"
      "RUN useradd --system --uid 10001 --create-home --home-dir /var/lib/openllm openllm\n"
      "COPY --chown=10001 . /opt/openllm\n"
      "USER 10001\n"
      "EXPOSE ",
      settings.port,
      "\n"
      "HEALTHCHECK --interval=10s --timeout=6s --start-period=10m \\\n"
      "  CMD [\"/opt/openllm/health\", \"",
      settings.port,
      "\"]\n"
      "ENTRYPOINT [\"/opt/openllm/serve\", \"--host\", \"0.0.0.0\", \"--port\", \"",
      settings.port, "\"]\n");
}

std::string systemd_unit(const BundleSettings& settings) {
  return base::cat(
      "# Made by `openllm build`. ExecStart is where the folder was made: change it when the "
      "folder\n"
      "# moves. The service's user must be able to read the folder, so /opt or /srv is a good "
      "place.\n"
      "[Unit]\n"
      "Description=openllm: ",
      one_line(settings.id),
      "\n"
      "After=network.target\n\n"
      "[Service]\n"
      "ExecStart=",
      systemd_word(settings.folder + "/serve"),
      "\n"
      "# OPENLLM_API_KEY=... stands in a file that root alone may read.\n"
      "EnvironmentFile=-/etc/openllm/openllm.env\n"
      "DynamicUser=yes\n"
      "Restart=on-failure\n"
      "NoNewPrivileges=yes\n"
      "PrivateTmp=yes\n"
      "ProtectSystem=strict\n"
      "ProtectHome=read-only\n\n"
      "[Install]\n"
      "WantedBy=multi-user.target\n");
}

std::string bundle_readme(const BundleSettings& settings) {
  return base::cat(
      one_line(settings.tag), ", made by `openllm build` of openllm ", version(),
      "\n\n"
      "./serve [OPTION...]     starts the server at http://127.0.0.1:",
      settings.port,
      "; options are those of\n"
      "                        `openllm start`, and override what openllm.json lists\n"
      "./health [PORT]         status 0 when the server is ready\n"
      "bin/openllm verify .    checks every file by its SHA-256 (LD_LIBRARY_PATH=lib)\n\n"
      "Keys are never in this folder: OPENLLM_API_KEY gives them when the server starts.\n"
      "OPENLLM_CONFIG, when it is set then, takes the place of the defaults in openllm.json.\n\n"
      "Container:  docker build -f Containerfile -t NAME . && docker run -p ",
      settings.port, ":", settings.port,
      " NAME\n"
      "systemd:    openllm.service goes to /etc/systemd/system; its ExecStart names this folder\n");
}

std::vector<BundleFile> program_files() {
  std::vector<BundleFile> files{{.path = "bin/openllm",
                                 .from = fs::canonical("/proc/self/exe").string(),
                                 .executable = true}};
  ::dl_iterate_phdr(collect_library, &files);
  return files;
}

}  // namespace openllm::cli
