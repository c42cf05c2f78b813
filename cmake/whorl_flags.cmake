# Warnings, hardening and sanitizers, carried by one interface target so that
# third-party headers (SYSTEM) stay out of them.
find_program(CCACHE ccache)
if(CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE})
  set(CMAKE_C_COMPILER_LAUNCHER ${CCACHE})
endif()

add_library(whorl_flags INTERFACE)
target_compile_options(whorl_flags INTERFACE
  -Wall -Wextra -Werror -Wpedantic -Wshadow -Wnon-virtual-dtor -Wold-style-cast
  -Wcast-align -Woverloaded-virtual -Wnull-dereference -Wformat=2 -Wimplicit-fallthrough
  -fstack-protector-strong -fno-strict-overflow)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # g++ 12 reports false null dereferences and over-reads inside inlined
  # standard containers; clang, asan and ubsan cover those.
  target_compile_options(whorl_flags INTERFACE -Wno-null-dereference -Wno-restrict -Wno-stringop-overflow
    -Wno-stringop-overread -Wno-array-bounds -Wno-maybe-uninitialized -Wno-dangling-pointer)
elseif(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  # libstdc++ 12 calls its own deprecated std::get_temporary_buffer inside
  # std::stable_sort, and clang puts that down to whoever sorts.
  target_compile_options(whorl_flags INTERFACE -Wno-deprecated-declarations)
endif()
# One ISA baseline and no contraction: the engine's results are the same on
# every machine and in every preset (docs/decisions/0002).
target_compile_options(whorl_flags INTERFACE -march=x86-64-v3 -ffp-contract=off)
target_include_directories(whorl_flags INTERFACE ${CMAKE_SOURCE_DIR})

if(CMAKE_BUILD_TYPE STREQUAL "Release")
  target_compile_options(whorl_flags INTERFACE -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
  target_link_options(whorl_flags INTERFACE -Wl,-z,relro,-z,now,-z,noexecstack)
endif()
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
if(WHORL_FUZZ)
  # Our libraries as the fuzz targets need them: they count what is reached.
  target_compile_options(whorl_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()
if(WHORL_SANITIZE)
  target_compile_options(whorl_flags INTERFACE -fsanitize=${WHORL_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(whorl_flags INTERFACE -fsanitize=${WHORL_SANITIZE})
endif()
