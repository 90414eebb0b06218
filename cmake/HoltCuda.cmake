# Finds nvcc on PATH or in its standard place. Sets HOLT_HAS_CUDA and defines holt_add_cuda(target sources…).
#
# HOLT_CUDA=DOUBLE is for tests: the cuda device with doubles in the place of NVIDIA's libraries (tests/doubles/). It needs CUDA's
# headers alone; where they are not found, the build has no cuda device.

set(HOLT_CUDA_ARCHITECTURES "80;86;89;90;100;120" CACHE STRING "Compute capabilities to compile for")
set(HOLT_HAS_CUDA OFF)

if(HOLT_CUDA STREQUAL "DOUBLE")
  find_path(HOLT_CUDA_INCLUDE cuda_runtime_api.h PATHS /usr/local/cuda/include $ENV{CUDA_HOME}/include)
  set(version 0)
  if(HOLT_CUDA_INCLUDE)
    file(STRINGS ${HOLT_CUDA_INCLUDE}/cuda_runtime_api.h version REGEX "define CUDART_VERSION +[0-9]+")
    string(REGEX MATCH "[0-9]+" version "${version}")
  endif()
  if(version GREATER_EQUAL 12080)
    set(HOLT_HAS_CUDA ON)
    math(EXPR major "${version} / 1000")
    math(EXPR minor "${version} % 1000 / 10")
    set(CUDAToolkit_VERSION "${major}.${minor}, a double of it")
    message(STATUS "CUDA: a double, with the headers of ${major}.${minor}")
  else()
    message(STATUS "CUDA: no double of it (the headers of CUDA 12.8 or newer were not found); cpu and simt only")
  endif()
elseif(NOT HOLT_CUDA STREQUAL "OFF")
  set(why "")
  find_program(HOLT_NVCC nvcc PATHS /usr/local/cuda/bin $ENV{CUDA_HOME}/bin)
  if(NOT HOLT_NVCC)
    set(why "nvcc is neither on PATH nor in /usr/local/cuda/bin")
  else()
    execute_process(COMMAND ${HOLT_NVCC} --version OUTPUT_VARIABLE version ERROR_QUIET)
    string(REGEX MATCH "release ([0-9]+)\\.([0-9]+)" _ "${version}")
    if(NOT CMAKE_MATCH_1 OR CMAKE_MATCH_1 LESS 12 OR (CMAKE_MATCH_1 EQUAL 12 AND CMAKE_MATCH_2 LESS 8))
      set(why "${HOLT_NVCC} is CUDA ${CMAKE_MATCH_1}.${CMAKE_MATCH_2}, and 12.8 is the oldest that fits (C++20, sm_120)")
    else()
      # Architectures are passed as options below: CMake 3.25 has no say in them.
      set(CMAKE_CUDA_COMPILER ${HOLT_NVCC})
      set(CMAKE_CUDA_ARCHITECTURES OFF)
      include(CheckLanguage)
      check_language(CUDA)
      if(CMAKE_CUDA_COMPILER)
        enable_language(CUDA)
        # CMake 3.25 believes that C++17 is the newest that nvcc 13 knows, and always passes it.
        set(CMAKE_CUDA17_STANDARD_COMPILE_OPTION -std=c++20)
        set(CMAKE_CUDA17_EXTENSION_COMPILE_OPTION -std=c++20)
        # The host's half of a .cu file does launches; its templates cost seconds to optimise. The device's half is always -O3.
        string(REPLACE "-O3" "-O1" CMAKE_CUDA_FLAGS_RELEASE "${CMAKE_CUDA_FLAGS_RELEASE}")
        find_package(CUDAToolkit REQUIRED)
        set(HOLT_HAS_CUDA ON)
        message(STATUS "CUDA ${CUDAToolkit_VERSION}: yes, for ${HOLT_CUDA_ARCHITECTURES}")
      else()
        set(why "${HOLT_NVCC} cannot compile a test file")
      endif()
    endif()
  endif()
  if(why AND HOLT_CUDA STREQUAL "ON")
    message(FATAL_ERROR "HOLT_CUDA=ON, but ${why}")
  elseif(why)
    message(STATUS "CUDA: no (${why}); cpu and simt only")
  endif()
endif()

# The compiler's report on registers, spills and shared memory (-Xptxas -v) is kept beside each object as <object>.ptxas, for the
# budget test.
function(holt_add_cuda target)
  unset(CMAKE_CXX_STANDARD)  # CUDA targets inherit it, and CMake 3.25 does not know C++20 for nvcc 13
  add_library(${target} STATIC ${ARGN})
  # One virtual architecture, the oldest that is asked for, whatever number of real ones: nvcc's front end, a fifth of its time, runs
  # once. No kernel's PTX differs between compute_80 and compute_90; one that used atomic_add_bf16x2 would. The PTX is kept for GPUs
  # that are not listed.
  list(SORT HOLT_CUDA_ARCHITECTURES COMPARE NATURAL)
  list(GET HOLT_CUDA_ARCHITECTURES 0 oldest)
  string(REGEX REPLACE "[a-z]$" "" oldest "${oldest}")
  list(TRANSFORM HOLT_CUDA_ARCHITECTURES PREPEND sm_ OUTPUT_VARIABLE code)
  list(JOIN code "," code)
  set_target_properties(${target} PROPERTIES CUDA_ARCHITECTURES OFF
    CUDA_COMPILER_LAUNCHER "${CMAKE_SOURCE_DIR}/cmake/keep_ptxas_report")
  target_include_directories(${target} PUBLIC $<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}>)
  target_compile_options(${target} PRIVATE --expt-relaxed-constexpr -lineinfo -Xptxas=-v
    "SHELL:-Xcompiler -Wall,-Wextra" "SHELL:-gencode 'arch=compute_${oldest},code=[compute_${oldest},${code}]'")
  target_compile_definitions(${target} PUBLIC HOLT_HAS_CUDA $<$<BOOL:${HOLT_HAS_CUDNN}>:HOLT_HAS_CUDNN>)
  target_link_libraries(${target} PUBLIC CUDA::cudart_static)
endfunction()
