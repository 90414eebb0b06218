# cmake --install: the program, the libraries, the headers under include/holt, and what find_package(holt) needs.
#
#   find_package(holt REQUIRED)
#   target_link_libraries(mine PRIVATE holt::holt)      # #include "core/ops.h", "transfer/adapt.h", …
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

add_library(holt INTERFACE)
target_link_libraries(holt INTERFACE holt_transfer)
target_compile_features(holt INTERFACE cxx_std_20)
set(libraries holt holt_transfer holt_nn holt_data holt_core holt_kernels holt_simt holt_options)
if(HOLT_HAS_CUDA)
  list(APPEND libraries holt_cuda)
endif()

set(package ${CMAKE_INSTALL_LIBDIR}/cmake/holt)
install(TARGETS ${libraries} EXPORT holt ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(TARGETS holt_cli RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(EXPORT holt NAMESPACE holt:: FILE holtTargets.cmake DESTINATION ${package})
foreach(folder kernels ${cuda_folder} core nn nn/models data transfer)
  file(GLOB headers CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/${folder}/*.h)
  install(FILES ${headers} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/holt/${folder})
endforeach()

configure_package_config_file(${CMAKE_SOURCE_DIR}/cmake/holtConfig.cmake.in ${CMAKE_BINARY_DIR}/generated/holtConfig.cmake
  INSTALL_DESTINATION ${package})
write_basic_package_version_file(${CMAKE_BINARY_DIR}/generated/holtConfigVersion.cmake COMPATIBILITY ExactVersion)
install(FILES ${CMAKE_BINARY_DIR}/generated/holtConfig.cmake ${CMAKE_BINARY_DIR}/generated/holtConfigVersion.cmake
  ${CMAKE_SOURCE_DIR}/cmake/FindOneDNN.cmake ${CMAKE_SOURCE_DIR}/cmake/FindLibZip.cmake DESTINATION ${package})
