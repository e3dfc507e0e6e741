# Compiler settings shared by every target.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_VISIBILITY_INLINES_HIDDEN ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin)
set(CMAKE_LIBRARY_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/lib)
set(CMAKE_ARCHIVE_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/lib)

# The build types are the project's own affair where it is one; a part of another project takes that one's.
if(PROJECT_IS_TOP_LEVEL)
  if(NOT CMAKE_BUILD_TYPE)
    set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
  endif()
  set(CMAKE_CXX_FLAGS_RELEASE "-O2 -DNDEBUG")
endif()

if(NOT CMAKE_CXX_COMPILER_LAUNCHER)
  find_program(CCACHE_PROGRAM ccache)
  if(CCACHE_PROGRAM)
    set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE_PROGRAM})
    if(OPENLLM_PCH)  # it keeps nothing of what is compiled with such headers unless it is told that no macro may differ
      set(CMAKE_CXX_COMPILER_LAUNCHER env CCACHE_SLOPPINESS=pch_defines,time_macros ${CCACHE_PROGRAM})
    endif()
  endif()
endif()

add_library(openllm_options INTERFACE)
target_compile_options(openllm_options INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wconversion
                                                 -Wno-missing-field-initializers)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  target_compile_options(openllm_options INTERFACE -Wno-restrict)  # false alarms in std::string (GCC bug 105651)
endif()
if(OPENLLM_WERROR)
  target_compile_options(openllm_options INTERFACE -Werror)
endif()

# OPENLLM_SANITIZE: "address,undefined", "thread" or empty.
set(OPENLLM_SANITIZE "" CACHE STRING "Sanitizers to build with")
if(OPENLLM_SANITIZE)
  add_compile_options(-fsanitize=${OPENLLM_SANITIZE} -fno-omit-frame-pointer -g1 -fno-sanitize-recover=all)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    add_compile_options(-Wno-maybe-uninitialized)  # false alarms where checks were inserted
  endif()
  add_link_options(-fsanitize=${OPENLLM_SANITIZE})
  if(OPENLLM_SANITIZE STREQUAL "thread" AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    add_compile_options(-Wno-tsan)
  endif()
endif()

# openllm_precompile(<target> <kind>): compiles with the headers of `kind` read beforehand: "std", or "test" (GoogleTest's
# beside them). Sources with compiler options of their own must say SKIP_PRECOMPILE_HEADERS.
set(openllm_pch_options "")
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # False alarms in std::string (GCC bugs 105651 and 105329), which are not kept back in headers read beforehand.
  list(APPEND openllm_pch_options -Wno-array-bounds -Wno-stringop-overflow -Wno-stringop-overread -Wno-maybe-uninitialized)
  if(CCACHE_PROGRAM)
    list(APPEND openllm_pch_options -fpch-preprocess)  # it asks for that
  endif()
endif()
function(openllm_precompile target kind)
  if(NOT OPENLLM_PCH)
    return()
  endif()
  if(NOT TARGET openllm_pch_${kind})
    set(headers <algorithm> <array> <chrono> <filesystem> <functional> <map> <memory> <optional> <set> <span> <string>
                <string_view> <unordered_map> <variant> <vector>)
    set(libs openllm_options)
    if(kind STREQUAL "test")
      list(APPEND headers <gmock/gmock.h> <gtest/gtest.h>)
      list(APPEND libs GTest::gmock GTest::gtest)
    endif()
    set(position_options -fPIC)
    if(kind STREQUAL "test")
      set(position_options -fPIE)  # as programs have it
    endif()
    file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/pch_${kind}.cc CONTENT "// Carries the precompiled headers.\n")
    add_library(openllm_pch_${kind} OBJECT ${PROJECT_BINARY_DIR}/pch_${kind}.cc)
    target_link_libraries(openllm_pch_${kind} PRIVATE ${libs})
    target_compile_options(openllm_pch_${kind} PRIVATE ${openllm_pch_options} ${position_options})
    set_target_properties(openllm_pch_${kind} PROPERTIES POSITION_INDEPENDENT_CODE OFF)
    target_precompile_headers(openllm_pch_${kind} PRIVATE ${headers})
  endif()
  target_compile_options(${target} PRIVATE ${openllm_pch_options})
  target_precompile_headers(${target} REUSE_FROM openllm_pch_${kind})
endfunction()

# Layers find their libraries; the shared library at the end links them all.
set(CMAKE_FIND_PACKAGE_TARGETS_GLOBAL TRUE)
find_package(Threads REQUIRED)
