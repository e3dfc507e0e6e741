# cmake -DLIBRARY=libopenllm_kernels.a -P check_isa_objects.cmake
#
# An inline function compiled for AVX-512 and shared with other files through a weak symbol could be the one that the
# linker keeps for all of them. So the objects of the instruction sets may define none.
execute_process(COMMAND nm -A --defined-only ${LIBRARY} OUTPUT_VARIABLE symbols COMMAND_ERROR_IS_FATAL ANY)
string(REGEX MATCHALL "[^\n]*(avx2|avx512|avx512_bf16|avx512_amx|portable)\\.cc\\.o:[^\n]* [VWuvw] [^\n]*" weak "${symbols}")
if(weak)
  list(JOIN weak "\n" weak)
  message(FATAL_ERROR "weak symbols in objects of one instruction set:\n${weak}")
endif()
string(FIND "${symbols}" "portable.cc.o:" found)
if(found EQUAL -1)
  message(FATAL_ERROR "no kernel objects in ${LIBRARY}")
endif()
