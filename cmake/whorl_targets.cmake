# whorl_library(name SOURCES ... LIBS ...): a static library under our flags.
function(whorl_library name)
  cmake_parse_arguments(A "" "" "SOURCES;LIBS;PRIVATE_LIBS" ${ARGN})
  add_library(${name} STATIC ${A_SOURCES})
  target_link_libraries(${name} PUBLIC whorl_flags ${A_LIBS} PRIVATE ${A_PRIVATE_LIBS})
endfunction()

# whorl_program(name SOURCES ... LIBS ...)
function(whorl_program name)
  cmake_parse_arguments(A "" "" "SOURCES;LIBS" ${ARGN})
  add_executable(${name} ${A_SOURCES})
  target_link_libraries(${name} PRIVATE whorl_flags ${A_LIBS})
endfunction()

# whorl_test(name SOURCES ... LIBS ... [LABELS ...] [TIMEOUT s]): one GoogleTest
# program, registered with ctest as one test so that a run stays short. Unit
# tests carry the label unit unless another is given.
function(whorl_test name)
  cmake_parse_arguments(A "" "TIMEOUT" "SOURCES;LIBS;LABELS" ${ARGN})
  if(NOT A_LABELS)
    set(A_LABELS unit)
  endif()
  if(NOT A_TIMEOUT)
    set(A_TIMEOUT 60)
  endif()
  add_executable(${name} ${A_SOURCES})
  target_link_libraries(${name} PRIVATE whorl_flags ${A_LIBS} GTest::gmock GTest::gtest_main)
  # Tests are read by the compiler far more often than they are run.
  target_compile_options(${name} PRIVATE -O0 -U_FORTIFY_SOURCE)
  target_compile_definitions(${name} PRIVATE WHORL_TEST_DATA="${CMAKE_SOURCE_DIR}/tests/data")
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES LABELS "${A_LABELS}" TIMEOUT ${A_TIMEOUT})
  # `cmake --build DIR --target unit_tests` builds what `ctest -L unit` runs and
  # nothing else; the same for the other labels.
  foreach(label ${A_LABELS})
    if(NOT TARGET ${label}_tests)
      add_custom_target(${label}_tests)
    endif()
    add_dependencies(${label}_tests ${name})
  endforeach()
endfunction()

# whorl_fuzz(name SOURCES ... LIBS ... [CORPUS folder]): a libFuzzer program. A few
# seconds of it are a test with the label fuzz; give it hours with
# `NAME -max_total_time=3600 FOLDER`. Only where WHORL_FUZZ is on (clang).
function(whorl_fuzz name)
  cmake_parse_arguments(A "" "CORPUS" "SOURCES;LIBS" ${ARGN})
  add_executable(${name} ${A_SOURCES})
  target_link_libraries(${name} PRIVATE whorl_flags ${A_LIBS})
  target_link_options(${name} PRIVATE -fsanitize=fuzzer)
  # libFuzzer writes what it finds into the first folder: never into the tree.
  set(found ${CMAKE_CURRENT_BINARY_DIR}/${name}.found)
  file(MAKE_DIRECTORY ${found})
  add_test(NAME ${name} COMMAND ${name} -max_total_time=5 -max_len=4096 ${found} ${A_CORPUS})
  set_tests_properties(${name} PROPERTIES LABELS fuzz TIMEOUT 120)
  if(NOT TARGET fuzz_tests)
    add_custom_target(fuzz_tests)
  endif()
  add_dependencies(fuzz_tests ${name})
endfunction()

# whorl_proto(name file.proto): message and service code, outside our warnings.
function(whorl_proto name proto)
  find_package(Protobuf REQUIRED)
  find_package(gRPC CONFIG REQUIRED)
  get_filename_component(base ${proto} NAME_WE)
  get_filename_component(dir ${proto} DIRECTORY)
  set(out ${CMAKE_BINARY_DIR}/gen/${dir})
  file(MAKE_DIRECTORY ${out})
  set(generated ${out}/${base}.pb.cc ${out}/${base}.pb.h ${out}/${base}.grpc.pb.cc ${out}/${base}.grpc.pb.h)
  add_custom_command(OUTPUT ${generated}
    COMMAND protobuf::protoc --proto_path=${CMAKE_SOURCE_DIR} --cpp_out=${CMAKE_BINARY_DIR}/gen
            --grpc_out=${CMAKE_BINARY_DIR}/gen --plugin=protoc-gen-grpc=$<TARGET_FILE:gRPC::grpc_cpp_plugin>
            ${CMAKE_SOURCE_DIR}/${proto}
    DEPENDS ${CMAKE_SOURCE_DIR}/${proto} COMMENT "protoc ${proto}" VERBATIM)
  add_library(${name} STATIC ${generated})
  target_include_directories(${name} SYSTEM PUBLIC ${CMAKE_BINARY_DIR}/gen)
  target_link_libraries(${name} PUBLIC gRPC::grpc++ protobuf::libprotobuf)
  if(WHORL_SANITIZE)
    target_compile_options(${name} PRIVATE -fsanitize=${WHORL_SANITIZE})
  endif()
endfunction()

# whorl_embed(target header file ...): a generated header with the text of each
# file, map.html as kMapHtml in namespace whorl; for sources of the target only.
function(whorl_embed target header)
  # Compilers must take literals of 64 KiB; ours take more, and clang says so.
  set(text "#pragma once\n\n#include <string_view>\n\n#pragma GCC diagnostic ignored \"-Woverlength-strings\"\n\nnamespace whorl {\n\n")
  foreach(file ${ARGN})
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${file})
    get_filename_component(name ${file} NAME)
    string(REGEX REPLACE "[^a-z]" ";" words ${name})
    set(constant k)
    foreach(word ${words})
      string(SUBSTRING ${word} 0 1 first)
      string(SUBSTRING ${word} 1 -1 rest)
      string(TOUPPER ${first} first)
      string(APPEND constant ${first}${rest})
    endforeach()
    file(READ ${file} content)
    string(APPEND text "inline constexpr std::string_view ${constant} = R\"whorl(${content})whorl\";\n\n")
  endforeach()
  string(APPEND text "}  // namespace whorl\n")
  file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/gen/${header} CONTENT "@text@" @ONLY)
  target_include_directories(${target} PRIVATE ${CMAKE_BINARY_DIR}/gen)
endfunction()
