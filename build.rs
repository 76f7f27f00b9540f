//! Tells the node whether vision_msgs is there: an optional package, found where r2r finds those it makes bindings of.

use std::env;

/// Where ament lists the packages with messages, below a prefix.
const LISTED: &str = "share/ament_index/resource_index/rosidl_interfaces/vision_msgs";

fn main() {
    println!("cargo::rustc-check-cfg=cfg(vision_msgs)");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=AMENT_PREFIX_PATH");
    println!("cargo::rerun-if-env-changed=IDL_PACKAGE_FILTER");
    let prefixes = env::var_os("AMENT_PREFIX_PATH").unwrap_or_default();
    let is_listed = env::split_paths(&prefixes).any(|prefix| prefix.join(LISTED).is_file());
    // Without a filter r2r takes every package.
    let is_wanted = env::var("IDL_PACKAGE_FILTER")
        .map_or(true, |names| names.split(';').any(|name| name == "vision_msgs"));
    if is_listed && is_wanted {
        println!("cargo::rustc-cfg=vision_msgs");
    }
}
