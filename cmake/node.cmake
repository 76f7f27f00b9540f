# The node and the tools around it, built by cargo. r2r's build scripts read this
# package's own messages from an ament prefix, before colcon has installed them: so
# they are staged first, in a prefix of their own.
find_program(CARGO cargo HINTS "$ENV{HOME}/.cargo/bin" REQUIRED)

execute_process(
  COMMAND "${CMAKE_CURRENT_SOURCE_DIR}/scripts/setup" --libtorch
  OUTPUT_VARIABLE libtorch OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
execute_process(
  COMMAND "${CMAKE_CURRENT_SOURCE_DIR}/scripts/setup" --checkout
  OUTPUT_VARIABLE checkout OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)

# The name carries the messages' contents: r2r watches the paths in its environment,
# not the files behind them, and so makes its bindings anew when a message changes.
set(contents "")
foreach(file ${interfaces})
  # Absolute: colcon configures from the build folder.
  file(SHA256 "${CMAKE_CURRENT_SOURCE_DIR}/${file}" hash)
  string(APPEND contents "${hash}")
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${file}")
endforeach()
string(SHA256 contents "${contents}")
string(SUBSTRING "${contents}" 0 12 contents)
set(staging "${CMAKE_CURRENT_BINARY_DIR}/stage-${contents}")

if(AMENT_CMAKE_SYMLINK_INSTALL)
  # ament then installs to the final prefix whatever prefix is asked for: the messages
  # are built a second time, on their own.
  set(messages "${CMAKE_CURRENT_BINARY_DIR}/messages")
  set(stage_command
    COMMAND ${CMAKE_COMMAND} -S "${CMAKE_CURRENT_SOURCE_DIR}" -B "${messages}" -DSYNTHCP_NODE=OFF
      -DBUILD_TESTING=OFF -DCMAKE_BUILD_TYPE=Release -DCMAKE_INSTALL_PREFIX=${staging}
    COMMAND ${CMAKE_COMMAND} --build "${messages}"
    COMMAND ${CMAKE_COMMAND} --install "${messages}")
else()
  set(stage_command
    COMMAND ${CMAKE_COMMAND} -DCMAKE_INSTALL_COMPONENT=Unspecified -DCMAKE_INSTALL_PREFIX=${staging}
      -P "${CMAKE_CURRENT_BINARY_DIR}/cmake_install.cmake")
endif()

# A stage given from outside is used for the bindings, so that cargo sees the same
# environment as outside colcon and need not build everything twice.
if(SYNTHCP_STAGE)
  set(stage "${SYNTHCP_STAGE}")
else()
  set(stage "${staging}")
endif()

# Puts the folder in front of the path variable's value, once.
function(put_first variable folder result)
  string(REPLACE ":" ";" rest "$ENV{${variable}}")
  list(REMOVE_ITEM rest "${folder}" "")
  list(PREPEND rest "${folder}")
  list(JOIN rest ":" joined)
  set(${result} "${variable}=${joined}" PARENT_SCOPE)
endfunction()
put_first(AMENT_PREFIX_PATH "${stage}" ament_prefix_path)
# r2r's build scripts are linked against the message libraries and run.
put_first(LD_LIBRARY_PATH "${stage}/lib" ld_library_path)

if(SYNTHCP_TOOLS)
  set(features --features ros)
  set(programs monitor_node synthcp street_camera demo_view)
else()
  set(features --no-default-features --features ros)
  set(programs monitor_node)
endif()

add_custom_target(node ALL
  ${stage_command}
  COMMAND ${CMAKE_COMMAND} -E env
    "${ament_prefix_path}" "${ld_library_path}" "LIBTORCH=${libtorch}" "CARGO_TARGET_DIR=${SYNTHCP_CARGO_TARGET_DIR}"
    ${CARGO} build --release ${features} --bins --locked
  WORKING_DIRECTORY "${checkout}"
  USES_TERMINAL VERBATIM)

# Another component than the messages': the staging step must not want them.
list(TRANSFORM programs PREPEND "${SYNTHCP_CARGO_TARGET_DIR}/release/")
install(PROGRAMS ${programs} DESTINATION "lib/${PROJECT_NAME}" COMPONENT node)
foreach(folder config launch models)
  if(IS_DIRECTORY "${CMAKE_CURRENT_SOURCE_DIR}/${folder}")
    install(DIRECTORY "${folder}" DESTINATION "share/${PROJECT_NAME}" COMPONENT node)
  endif()
endforeach()

# Sourcing the workspace is enough to find libtorch at run time.
set(hook "${CMAKE_CURRENT_BINARY_DIR}/libtorch")
file(WRITE "${hook}.dsv" "prepend-non-duplicate;LD_LIBRARY_PATH;${libtorch}/lib\n")
file(WRITE "${hook}.sh" "ament_prepend_unique_value LD_LIBRARY_PATH \"${libtorch}/lib\"\n")
ament_environment_hooks("${hook}.dsv" "${hook}.sh")
