//! The whole names of a node's topics, as the remapping rules of its command line make them: the graph is asked by
//! whole names, and the client library keeps those that it made to itself.

/// The whole name of `topic` in `node`, itself a whole name such as `/front/monitor`. The first rule that fits wins.
pub(crate) fn resolved(topic: &str, node: &str, arguments: &[String]) -> String {
    let own = expanded(topic, node);
    let rule = rules(arguments, node).find(|(from, _)| expanded(from, node) == own);
    rule.map_or(own, |(_, to)| expanded(to, node))
}

fn expanded(name: &str, node: &str) -> String {
    let namespace = node.rsplit_once('/').map_or("", |(namespace, _)| namespace);
    match name.strip_prefix('~') {
        Some(rest) => format!("{node}/{}", rest.trim_start_matches('/')),
        None if name.starts_with('/') => name.to_owned(),
        None => format!("{namespace}/{name}"),
    }
}

/// What becomes what, for this node.
fn rules<'a>(arguments: &'a [String], node: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
    let own = node.rsplit('/').next().unwrap_or_default();
    let mut for_ros = false;
    arguments.iter().zip(arguments.iter().skip(1)).filter_map(move |(argument, next)| {
        match argument.as_str() {
            "--ros-args" => for_ros = true,
            "--" => for_ros = false,
            "-r" | "--remap" if for_ros => {
                let (from, to) = next.split_once(":=")?;
                let from = from.strip_prefix("rostopic://").unwrap_or(from);
                return match from.split_once(':') {
                    None => Some((from, to)),
                    Some((of, from)) if of == own => Some((from, to)),
                    Some(_) => None,
                };
            }
            _ => {}
        }
        None
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(line: &str) -> String {
        let arguments: Vec<_> = line.split(' ').map(str::to_owned).collect();
        resolved("image", "/front/monitor", &arguments)
    }

    #[test]
    fn a_topic_has_the_name_that_the_rules_give_it() {
        assert_eq!(image("node"), "/front/image");
        assert_eq!(image("node --ros-args -r image:=image_raw"), "/front/image_raw");
        assert_eq!(image("node --ros-args --remap image:=/cam/image_raw"), "/cam/image_raw");
        assert_eq!(image("node --ros-args -r /front/image:=x -r image:=y"), "/front/x");
        assert_eq!(image("node --ros-args -r monitor:image:=x"), "/front/x");
        assert_eq!(image("node --ros-args -r other:image:=x"), "/front/image");
        assert_eq!(image("node --ros-args -r image:=~/x"), "/front/monitor/x");
        assert_eq!(image("node --ros-args -r __ns:=/front -r image/compressed:=x"), "/front/image");
        assert_eq!(image("node -r image:=x"), "/front/image", "not for ROS");
        assert_eq!(resolved("~/report", "/monitor", &[]), "/monitor/report");
        assert_eq!(resolved("image", "/monitor", &[]), "/image");
    }
}
