# Installs holt into the build tree, builds the examples outside of it with find_package(holt), and runs one.
#   cmake -DBUILD=… -DSOURCE=… -DCOMPILER=… -DGENERATOR=… -P package_test.cmake
function(run)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE status OUTPUT_VARIABLE output ERROR_VARIABLE output)
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "${ARGN}\nended with ${status}:\n${output}")
  endif()
  set(output "${output}" PARENT_SCOPE)
endfunction()

set(folder ${BUILD}/package_test)
file(REMOVE_RECURSE ${folder})
run(${CMAKE_COMMAND} --install ${BUILD} --prefix ${folder}/prefix)
run(${CMAKE_COMMAND} -S ${SOURCE}/tests/package -B ${folder}/build -G ${GENERATOR} -DCMAKE_BUILD_TYPE=Release
  -DCMAKE_CXX_COMPILER=${COMPILER} -DCMAKE_PREFIX_PATH=${folder}/prefix -DEXAMPLES=${SOURCE}/apps/examples)
run(${CMAKE_COMMAND} --build ${folder}/build)

# No installed header, and nothing of the package, may lead back to where holt was built.
file(GLOB_RECURSE texts ${folder}/prefix/*.h ${folder}/prefix/*.cmake)
foreach(text ${texts})
  file(STRINGS ${text} found REGEX "${SOURCE}/" LIMIT_COUNT 1)
  if(found)
    message(FATAL_ERROR "${text} names the source tree: ${found}")
  endif()
endforeach()

set(ENV{OMP_NUM_THREADS} 1)
run(${CMAKE_COMMAND} -E chdir ${folder} ${folder}/build/make_data)
run(${CMAKE_COMMAND} -E chdir ${folder} ${folder}/build/minimal_transfer model.safetensors images images/left/0.png images/right/3.png
  --steps=5)
if(NOT output MATCHES "adapted to 2 of 3 classes" OR NOT output MATCHES "images/right/3.png: (left|right|top) ")
  message(FATAL_ERROR "minimal_transfer said:\n${output}")
endif()
run(${CMAKE_COMMAND} -E chdir ${folder} ${folder}/prefix/bin/holt predict --model adapted.safetensors images --top 1)
if(NOT output MATCHES "images/left/0.png")
  message(FATAL_ERROR "holt predict said:\n${output}")
endif()
