cmake_policy(PUSH)
cmake_policy(VERSION 3.18...3.31)

# The commands of find_package(Kitsune). They work in a project whose C compiler is kcc, and in one with any other: there
# kcc stands in front of the compiler for the targets that it is asked for, as a launcher.

# Whether CMAKE_C_COMPILER is kcc, under whatever name: only kcc knows this option.
function(_kitsune_compiler_is_kcc result)
  if(NOT DEFINED _KITSUNE_COMPILER_IS_KCC)
    execute_process(COMMAND "${CMAKE_C_COMPILER}" --kitsune-print=version
      RESULT_VARIABLE status OUTPUT_QUIET ERROR_QUIET)
    if(status EQUAL 0)
      set(_KITSUNE_COMPILER_IS_KCC TRUE CACHE INTERNAL "")
    else()
      set(_KITSUNE_COMPILER_IS_KCC FALSE CACHE INTERNAL "")
    endif()
  endif()
  set(${result} ${_KITSUNE_COMPILER_IS_KCC} PARENT_SCOPE)
endfunction()

# kitsune_compile_targets(TARGET... [ROOT directory])
#
# The C files of these targets (libraries of the program, say) are compiled by kcc, executables among them are linked by it. ROOT is
# what the file part of keys is relative to: the same file has to have the same place under it in every version. Default: the project's
# source directory.
function(kitsune_compile_targets)
  cmake_parse_arguments(PARSE_ARGV 0 arg "" "ROOT" "")
  if(NOT arg_ROOT)
    set(arg_ROOT "${PROJECT_SOURCE_DIR}")
  endif()
  get_filename_component(root "${arg_ROOT}" ABSOLUTE BASE_DIR "${CMAKE_CURRENT_SOURCE_DIR}")
  set(options "--kitsune-root=${root}")
  if(KITSUNE_HOME)
    list(APPEND options "--kitsune-home=${KITSUNE_HOME}")
  endif()
  _kitsune_compiler_is_kcc(is_kcc)
  if(NOT is_kcc AND NOT KITSUNE_KCC)
    message(FATAL_ERROR "kcc is in no directory of PATH: install it (npm install -g kitsune-dsu) or set KITSUNE_KCC to it")
  endif()
  foreach(target IN LISTS arg_UNPARSED_ARGUMENTS)
    get_target_property(type ${target} TYPE)
    set_target_properties(${target} PROPERTIES POSITION_INDEPENDENT_CODE ON)
    if(is_kcc)
      target_compile_options(${target} PRIVATE "$<$<COMPILE_LANGUAGE:C>:${options}>")
      if(type STREQUAL "EXECUTABLE" AND KITSUNE_HOME)
        target_link_options(${target} PRIVATE "$<$<LINK_LANGUAGE:C>:--kitsune-home=${KITSUNE_HOME}>")
      endif()
      continue()
    endif()
    set(launcher "${KITSUNE_KCC}" ${options} --kitsune-launch)
    # A launcher that the project has already (ccache) then stands between kcc and the compiler.
    get_target_property(before ${target} C_COMPILER_LAUNCHER)
    set_target_properties(${target} PROPERTIES C_COMPILER_LAUNCHER "${launcher}")
    if(before)
      set_property(TARGET ${target} APPEND PROPERTY C_COMPILER_LAUNCHER ${before})
    endif()
    if(NOT type STREQUAL "EXECUTABLE")
      continue()
    endif()
    if(CMAKE_VERSION VERSION_LESS 3.21)
      string(REPLACE ";" "\" \"" line "\"${launcher}\"")
      set_target_properties(${target} PROPERTIES RULE_LAUNCH_LINK "${line}")
    else()
      set_target_properties(${target} PROPERTIES C_LINKER_LAUNCHER "${launcher}" CXX_LINKER_LAUNCHER "${launcher}")
    endif()
  endforeach()
endfunction()

# kitsune_add_program(NAME [VERSION version] [ROOT directory] SOURCES source...)
#
# An executable that can be updated while it runs; else a target like any other. With VERSION its file is NAME-VERSION, and NAME
# a link to it, so that versions can be installed side by side. Libraries of the project that it links are compiled
# by kcc if kitsune_compile_targets() says so.
function(kitsune_add_program name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "VERSION;ROOT" "SOURCES")
  if(NOT arg_SOURCES AND NOT arg_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "kitsune_add_program(${name}): SOURCES are missing")
  endif()
  add_executable(${name} ${arg_SOURCES} ${arg_UNPARSED_ARGUMENTS})
  if(DEFINED arg_VERSION)
    set_target_properties(${name} PROPERTIES VERSION "${arg_VERSION}")
  endif()
  target_include_directories(${name} SYSTEM PRIVATE $<TARGET_PROPERTY:Kitsune::runtime,INTERFACE_INCLUDE_DIRECTORIES>)
  if(arg_ROOT)
    kitsune_compile_targets(${name} ROOT "${arg_ROOT}")
  else()
    kitsune_compile_targets(${name})
  endif()
endfunction()

# The file of a version that is named by a target or a path, and what depends on it.
function(_kitsune_version_file version file)
  if(TARGET ${version})
    set(${file} "$<TARGET_FILE:${version}>" PARENT_SCOPE)
  else()
    get_filename_component(path "${version}" ABSOLUTE BASE_DIR "${CMAKE_CURRENT_SOURCE_DIR}")
    set(${file} "${path}" PARENT_SCOPE)
  endif()
endfunction()

# kitsune_add_transformer(NAME FROM old TO new [RULES rules.xf] [INCLUDE_DIRECTORIES directory...] [OPTIONS option...])
#
# Transformers from the version `old` to the version `new` (targets, or files kept from earlier releases), put where an update finds
# them: NEW.kitsune/OLD-BUILD-ID.so. Made anew when a version, the rules or a file they use changes. INCLUDE_DIRECTORIES
# are for headers that the rules include, beside the folder of the rules; OPTIONS are kitsune-xfgen's.
function(kitsune_add_transformer name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "FROM;TO;RULES;OLD;NEW" "INCLUDE_DIRECTORIES;OPTIONS")
  if(arg_OLD AND NOT arg_FROM)
    set(arg_FROM "${arg_OLD}")
  endif()
  if(arg_NEW AND NOT arg_TO)
    set(arg_TO "${arg_NEW}")
  endif()
  if(NOT arg_FROM OR NOT arg_TO)
    message(FATAL_ERROR "kitsune_add_transformer(${name}): FROM and TO are required")
  endif()
  if(arg_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "kitsune_add_transformer(${name}): unknown arguments: ${arg_UNPARSED_ARGUMENTS}")
  endif()
  if(NOT KITSUNE_XFGEN)
    message(FATAL_ERROR "kitsune-xfgen is in no directory of PATH: install it (npm install -g kitsune-dsu) or set KITSUNE_XFGEN to it")
  endif()
  _kitsune_version_file("${arg_FROM}" old)
  _kitsune_version_file("${arg_TO}" new)
  set(rules "")
  if(arg_RULES)
    get_filename_component(rules "${arg_RULES}" ABSOLUTE BASE_DIR "${CMAKE_CURRENT_SOURCE_DIR}")
  endif()
  set(compiler "${CMAKE_C_COMPILER}")
  _kitsune_compiler_is_kcc(is_kcc)
  if(is_kcc)
    set(compiler kcc) # the generator takes the compiler behind it
  endif()
  set(environment "CC=${compiler}")
  if(KITSUNE_HOME)
    list(APPEND environment "KITSUNE_HOME=${KITSUNE_HOME}")
  endif()
  if(arg_INCLUDE_DIRECTORIES)
    set(flags "")
    foreach(directory IN LISTS arg_INCLUDE_DIRECTORIES)
      get_filename_component(directory "${directory}" ABSOLUTE BASE_DIR "${CMAKE_CURRENT_SOURCE_DIR}")
      string(APPEND flags " '-I${directory}'")
    endforeach()
    list(APPEND environment "CPPFLAGS=${flags}")
  endif()
  set(stamp "${CMAKE_CURRENT_BINARY_DIR}/${name}.transformer")
  # Of a target the file is meant as well.
  set(dependencies DEPENDS ${rules})
  foreach(version FROM TO)
    if(TARGET ${arg_${version}})
      list(APPEND dependencies "${arg_${version}}")
    elseif(version STREQUAL "FROM")
      list(APPEND dependencies "${old}")
    else()
      list(APPEND dependencies "${new}")
    endif()
  endforeach()
  # Files that the rules use. CMake before 3.20 knows dependency files with Ninja only, and there by other names.
  set(depfile "${stamp}.d")
  set(depname "${stamp}")
  if(CMAKE_GENERATOR MATCHES "Ninja" OR NOT CMAKE_VERSION VERSION_LESS 3.20)
    list(APPEND dependencies DEPFILE "${depfile}")
  endif()
  if(CMAKE_VERSION VERSION_LESS 3.20)
    file(RELATIVE_PATH depname "${CMAKE_BINARY_DIR}" "${stamp}")
  endif()
  # The version may have been linked anew: what was made for the file before goes away, or an installation would take it along.
  add_custom_command(OUTPUT "${stamp}"
    COMMAND "${CMAKE_COMMAND}" -E env ${environment}
      "${KITSUNE_XFGEN}" --shared --depfile "${depfile}" --deptarget "${depname}" --stamp "${stamp}" ${arg_OPTIONS}
      "${old}" "${new}" ${rules}
    ${dependencies}
    WORKING_DIRECTORY "${CMAKE_CURRENT_SOURCE_DIR}"
    COMMENT "Generating transformers ${name}" VERBATIM)
  add_custom_target(${name} ALL DEPENDS "${stamp}")
  set_target_properties(${name} PROPERTIES
    KITSUNE_TRANSFORMER_FOLDER "${new}.kitsune" ADDITIONAL_CLEAN_FILES "${new}.kitsune;${depfile}")
endfunction()

# kitsune_install_transformers(NAME... DESTINATION directory [COMPONENT component])
#
# Installs the transformers beside the new version, which install(TARGETS) has to put into the same directory.
function(kitsune_install_transformers)
  cmake_parse_arguments(PARSE_ARGV 0 arg "" "DESTINATION;COMPONENT" "")
  if(NOT arg_DESTINATION)
    message(FATAL_ERROR "kitsune_install_transformers(): DESTINATION is missing")
  endif()
  set(component "")
  if(arg_COMPONENT)
    set(component COMPONENT "${arg_COMPONENT}")
  endif()
  foreach(name IN LISTS arg_UNPARSED_ARGUMENTS)
    get_target_property(folder ${name} KITSUNE_TRANSFORMER_FOLDER)
    # No file in it is writable by others than its owner, whatever the umask: an update would refuse it.
    install(DIRECTORY "${folder}" DESTINATION "${arg_DESTINATION}" ${component}
      FILE_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE
      DIRECTORY_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
  endforeach()
endfunction()
cmake_policy(POP)
