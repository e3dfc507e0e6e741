# No test asks the network, or finds what the user of this machine keeps.
set(OPENLLM_TEST_ENVIRONMENT HF_HUB_OFFLINE=1 HF_HUB_CACHE=/nonexistent MODELSCOPE_CACHE=/nonexistent
                             OLLAMA_MODELS=/nonexistent LLAMA_CACHE=/nonexistent)

# openllm_layer(<name> [DEPS <layer>...] [LIBS <target>...] [TEST_PARTS <n>])
#
# Makes the layer that the current folder is: every .cc below it that is not a test becomes the static library
# openllm_<name>; every *_test.cc goes into one test program <name>_test. DEPS are layers, LIBS other libraries.
# TEST_PARTS is as PARTS of openllm_test.
function(openllm_layer name)
  cmake_parse_arguments(ARG "" "TEST_PARTS" "DEPS;LIBS" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cc)
  set(tests ${sources})
  list(FILTER sources EXCLUDE REGEX "_test\\.cc$")
  list(FILTER tests INCLUDE REGEX "_test\\.cc$")
  list(TRANSFORM ARG_DEPS PREPEND openllm_ OUTPUT_VARIABLE deps)

  if(NOT sources)
    add_library(openllm_${name} INTERFACE)
    target_link_libraries(openllm_${name} INTERFACE ${deps} ${ARG_LIBS})
    return()
  endif()
  add_library(openllm_${name} STATIC ${sources})
  target_include_directories(openllm_${name} PUBLIC ${PROJECT_SOURCE_DIR}/src ${PROJECT_SOURCE_DIR}/include)
  target_link_libraries(openllm_${name} PRIVATE openllm_options PUBLIC ${deps} ${ARG_LIBS})
  openllm_precompile(openllm_${name} std)
  set_property(GLOBAL APPEND PROPERTY OPENLLM_LAYERS openllm_${name})
  set_property(GLOBAL APPEND PROPERTY OPENLLM_LAYER_LIBS ${ARG_LIBS})
  if(OPENLLM_TESTS AND tests)
    openllm_test(${name}_test SOURCES ${tests} LIBS openllm_${name} PARTS ${ARG_TEST_PARTS})
  endif()
endfunction()

# openllm_test(<name> SOURCES <file>... LIBS <target>... [PARTS <n>]): a GoogleTest program, found by ctest case by case;
# with PARTS, for programs of thousands of short cases, in so many parts, and in sanitizer builds always in four.
# Tests find their data under the environment-independent path OPENLLM_TEST_DATA.
function(openllm_test name)
  cmake_parse_arguments(ARG "" "PARTS" "SOURCES;LIBS" ${ARGN})
  find_package(GTest REQUIRED)
  include(GoogleTest)
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE openllm_options ${ARG_LIBS} GTest::gmock GTest::gtest
                                        GTest::gtest_main Threads::Threads)
  openllm_precompile(${name} test)
  target_compile_definitions(${name} PRIVATE OPENLLM_TEST_DATA="${PROJECT_SOURCE_DIR}/tests/data")
  if(OPENLLM_SANITIZE)
    target_compile_options(${name} PRIVATE -O0)
    set(ARG_PARTS 4) # starting a sanitized program costs more than most cases
  endif()
  if(ARG_PARTS)
    foreach(part RANGE 1 ${ARG_PARTS})
      math(EXPR index "${part} - 1")
      add_test(NAME ${name}.part${part} COMMAND ${name} --gtest_brief=1)
      set_tests_properties(${name}.part${part} PROPERTIES TIMEOUT 900
        ENVIRONMENT "${OPENLLM_TEST_ENVIRONMENT};GTEST_TOTAL_SHARDS=${ARG_PARTS};GTEST_SHARD_INDEX=${index}")
    endforeach()
    return()
  endif()
  # Named by index or by the test's own names, as --gtest_filter takes them: printed values may be long, or addresses.
  gtest_discover_tests(${name} TEST_PREFIX ${name}. NO_PRETTY_VALUES DISCOVERY_TIMEOUT 60
    PROPERTIES TIMEOUT 300 ENVIRONMENT "${OPENLLM_TEST_ENVIRONMENT}")
endfunction()
