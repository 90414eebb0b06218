# Finds what convolution by cuDNN is compiled against: cudnn.h and the header-only cudnn-frontend. Sets HOLT_HAS_CUDNN and
# HOLT_CUDNN_INCLUDE_DIRS. The library itself is opened at run time.
#
# cudnn-frontend: -DHOLT_CUDNN_FRONTEND=<its folder>, a CMake package or prefix of that name, or what ./run and ./test have fetched.

set(HOLT_CUDNN_FRONTEND "" CACHE PATH "Folder of cudnn-frontend, or of cudnn_frontend.h; empty: looked for")
set(HOLT_HAS_CUDNN OFF)

if(HOLT_HAS_CUDA)
  set(why "")
  find_package(cudnn_frontend CONFIG QUIET)
  find_path(HOLT_CUDNN_HEADER cudnn_graph.h HINTS ${CUDAToolkit_INCLUDE_DIRS} ${HOLT_CUDA_INCLUDE})
  unset(HOLT_CUDNN_FRONTEND_HEADER CACHE)  # it may have been fetched since
  find_path(HOLT_CUDNN_FRONTEND_HEADER cudnn_frontend.h
    HINTS ${HOLT_CUDNN_FRONTEND} ${HOLT_CUDNN_FRONTEND}/include ${cudnn_frontend_DIR}/../../../include
    ${CMAKE_SOURCE_DIR}/build/cudnn_frontend/include ${CUDAToolkit_INCLUDE_DIRS})
  if(NOT HOLT_CUDNN_HEADER)
    set(why "cudnn_graph.h of cuDNN 9 or newer was not found")
  elseif(NOT HOLT_CUDNN_FRONTEND_HEADER)
    set(why "cudnn_frontend.h was not found; -DHOLT_CUDNN_FRONTEND=<folder> names it")
  else()
    file(STRINGS ${HOLT_CUDNN_FRONTEND_HEADER}/cudnn_frontend_version.h lines REGEX "define CUDNN_FRONTEND_(MAJOR|MINOR|PATCH)_VERSION +[0-9]+")
    list(TRANSFORM lines REPLACE ".* " "")
    list(JOIN lines "." version)
    if(version VERSION_LESS 1.14)
      set(why "the cudnn-frontend in ${HOLT_CUDNN_FRONTEND_HEADER} is ${version}, and 1.14 is the oldest that fits")
    else()
      set(HOLT_HAS_CUDNN ON)
      set(HOLT_CUDNN_INCLUDE_DIRS ${HOLT_CUDNN_FRONTEND_HEADER} ${HOLT_CUDNN_HEADER})
      message(STATUS "cuDNN: yes, with cudnn-frontend ${version}")
    endif()
  endif()
  if(why)
    message(STATUS "cuDNN: no (${why}); convolutions on cuda run on holt's own kernels")
  endif()
endif()

# holt_add_cudnn(target): kernels/cuda/cudnn*.cpp, which are among the target's sources, are compiled or left out.
function(holt_add_cudnn target)
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/kernels/cuda/cudnn*.cpp)
  if(HOLT_HAS_CUDNN)
    target_include_directories(${target} SYSTEM PRIVATE ${HOLT_CUDNN_INCLUDE_DIRS})
    # Two megabytes of headers, and nothing in them that is worth -O3.
    set_source_files_properties(${CMAKE_SOURCE_DIR}/kernels/cuda/cudnn_graph.cpp PROPERTIES COMPILE_OPTIONS -O1
      COMPILE_DEFINITIONS "NV_CUDNN_FRONTEND_USE_DYNAMIC_LOADING;CUDNN_FRONTEND_SKIP_JSON_LIB")
  else()
    set_source_files_properties(${sources} PROPERTIES HEADER_FILE_ONLY ON)
  endif()
endfunction()
