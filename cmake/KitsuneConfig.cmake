# find_package(Kitsune): from an installed prefix, from a build directory of Kitsune, and from the npm package
# (CMAKE_PREFIX_PATH=.../node_modules/kitsune-dsu, or Kitsune_DIR="$(kcc --kitsune-print=cmake)").
#
# Targets: Kitsune::runtime (libkitsune.a and its headers), Kitsune::driver, Kitsune::doupd.
# Variables: KITSUNE_KCC, KITSUNE_XFGEN: the build tools, which need Node; looked for in the package and in PATH.
# Commands (KitsuneCommands.cmake tells more): kitsune_add_program(), kitsune_compile_targets(), kitsune_add_transformer(),
# kitsune_install_transformers().

include(CMakeFindDependencyMacro)

if(EXISTS "${CMAKE_CURRENT_LIST_DIR}/KitsuneTargets.cmake")
  include("${CMAKE_CURRENT_LIST_DIR}/KitsuneTargets.cmake")
  include("${CMAKE_CURRENT_LIST_DIR}/KitsunePlaces.cmake")
else()
  # The package or a clone: what `npm install` built lies in build/, wherever the package was moved since.
  get_filename_component(_kitsune_root "${CMAKE_CURRENT_LIST_DIR}" DIRECTORY)
  set(_kitsune_home "")
  set(_kitsune_tools "${_kitsune_root}/bin")
  set(_kitsune_library "${_kitsune_root}/build/lib/libkitsune.a")
  if(NOT EXISTS "${_kitsune_library}")
    set(Kitsune_FOUND FALSE)
    set(Kitsune_NOT_FOUND_MESSAGE "Kitsune is not built: run `npm install` (or `npm run build:native`) in ${_kitsune_root}")
    return()
  endif()
  if(NOT TARGET Kitsune::runtime)
    add_library(Kitsune::runtime STATIC IMPORTED)
    set_target_properties(Kitsune::runtime PROPERTIES
      IMPORTED_LOCATION "${_kitsune_library}"
      INTERFACE_INCLUDE_DIRECTORIES "${_kitsune_root}/runtime/include"
      INTERFACE_LINK_LIBRARIES "${CMAKE_DL_LIBS}")
    foreach(_kitsune_program driver doupd)
      add_executable(Kitsune::${_kitsune_program} IMPORTED)
      set_target_properties(Kitsune::${_kitsune_program} PROPERTIES
        IMPORTED_LOCATION "${_kitsune_root}/build/bin/kitsune-${_kitsune_program}")
    endforeach()
  endif()
endif()

# npm leaves links out of a package: there they have their files' own names.
find_program(KITSUNE_KCC NAMES kcc kcc.js NAMES_PER_DIR HINTS "${_kitsune_tools}" DOC "Kitsune's compiler wrapper")
find_program(KITSUNE_XFGEN NAMES kitsune-xfgen kitsune-xfgen.js NAMES_PER_DIR HINTS "${_kitsune_tools}" DOC "Kitsune's generator of transformers")
# The prefix whose headers, library and driver kcc shall use; empty: those of the package that kcc is part of.
set(KITSUNE_HOME "${_kitsune_home}")

include("${CMAKE_CURRENT_LIST_DIR}/KitsuneCommands.cmake")
