# The package's messages. Apart from CMakeLists.txt because scripts/setup builds them
# again when this file or a message changes, and at no other time.
find_package(rosidl_default_generators REQUIRED)
find_package(std_msgs REQUIRED)

file(GLOB interfaces RELATIVE "${CMAKE_CURRENT_SOURCE_DIR}" CONFIGURE_DEPENDS "msg/*.msg")
rosidl_generate_interfaces(${PROJECT_NAME} ${interfaces} DEPENDENCIES std_msgs)
ament_export_dependencies(rosidl_default_runtime)
