//! The params files of the command line, read as rclcpp reads them: the ROS client library here passes over keys
//! such as `/front/*` or `/**/monitor` without a word.

use serde_norway::Value as Yaml;

use super::value::{NOT_SET, Value};

const PARAMETERS: &str = "ros__parameters";

/// What the params files say to one node.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Told {
    /// Names and values, later ones in place of earlier ones.
    pub values: Vec<(String, Value)>,
    /// Whether a pattern was needed that the client library does not know.
    pub by_pattern: bool,
    /// Files with nothing for this node, in a sentence each.
    pub warnings: Vec<String>,
}

/// The files that `arguments` name, and the parameters that they set one by one.
pub(crate) fn named_by(arguments: &[String]) -> (Vec<&str>, Vec<&str>) {
    let (mut files, mut set, mut for_ros) = (Vec::new(), Vec::new(), false);
    let pairs = arguments.iter().zip(arguments.iter().skip(1).map(Some).chain([None]));
    for (argument, next) in pairs {
        match (argument.as_str(), next) {
            ("--ros-args", _) => for_ros = true,
            ("--", _) => for_ros = false,
            ("--params-file", Some(file)) if for_ros => files.push(file.as_str()),
            ("-p" | "--param", Some(rule)) if for_ros => {
                let name = rule.split(":=").next().unwrap_or_default();
                set.push(name.rsplit(':').next().unwrap_or_default());
            }
            _ => {}
        }
    }
    (files, set)
}

/// What the files, each with its text, say to `node`, a whole name such as `/front/monitor`.
pub(crate) fn told<'a>(files: impl IntoIterator<Item = (&'a str, String)>, node: &str) -> Told {
    let mut told = Told::default();
    for (file, text) in files {
        // What is no YAML, or no params file, the client library has refused before.
        let Ok(yaml) = serde_norway::from_str::<Yaml>(&text) else { continue };
        let mut keys = Vec::new();
        collect(&yaml, "", &mut keys);
        let matching = keys.iter().filter(|(key, _)| matches(key, node));
        let mut any = false;
        for (key, parameters) in matching {
            any = true;
            told.by_pattern |= !["/**", "**", node, name_of(node)].contains(&key.as_str());
            flatten("", parameters, &mut told.values);
        }
        if !any && !keys.is_empty() {
            let keys: Vec<_> = keys.iter().map(|(key, _)| key.as_str()).take(5).collect();
            told.warnings.push(format!(
                "params file {file} says nothing to this node, {node}: its keys are {}; is one of them misspelt?",
                keys.join(", ")
            ));
        }
    }
    told
}

/// Every key with parameters below it; nested ones are joined.
pub(super) fn collect<'y>(yaml: &'y Yaml, above: &str, keys: &mut Vec<(String, &'y Yaml)>) {
    let Yaml::Mapping(map) = yaml else { return };
    for (key, below) in map {
        match key.as_str() {
            Some(PARAMETERS) => keys.push((above.to_owned(), below)),
            Some(key) if above.is_empty() => collect(below, key, keys),
            Some(key) => collect(below, &format!("{above}/{}", key.trim_matches('/')), keys),
            None => {}
        }
    }
}

/// The last part of a node's whole name.
fn name_of(node: &str) -> &str {
    node.rsplit('/').next().unwrap_or_default()
}

/// Whether a key means the node: `*` is any one part of its name, `**` any number of parts. A name alone means
/// it in any namespace, as the client library reads it.
fn matches(named: &str, node: &str) -> bool {
    fn parts(name: &str) -> Vec<&str> {
        name.split('/').filter(|part| !part.is_empty()).collect()
    }
    fn all(key: &[&str], node: &[&str]) -> bool {
        match (key, node) {
            ([], []) => true,
            (["**", rest @ ..], _) => (0..=node.len()).any(|skipped| all(rest, &node[skipped..])),
            ([first, key @ ..], [part, node @ ..]) => (*first == "*" || first == part) && all(key, node),
            _ => false,
        }
    }
    // One more `**` gains nothing and costs another loop over the parts.
    let mut key = parts(named);
    key.dedup_by(|a, b| *a == "**" && a == b);
    all(&key, &parts(node)) || key[..] == [name_of(node)] && !named.starts_with('/')
}

/// Adds the values below `yaml`, under the name `above`.
pub(super) fn flatten(above: &str, yaml: &Yaml, values: &mut Vec<(String, Value)>) {
    let value = match yaml {
        Yaml::Mapping(map) => {
            for (key, below) in map {
                let Some(key) = key.as_str() else { continue };
                let name = if above.is_empty() { key.to_owned() } else { format!("{above}.{key}") };
                flatten(&name, below, values);
            }
            return;
        }
        Yaml::Bool(value) => Value::Bool(*value),
        Yaml::Number(number) => match number.as_i64() {
            Some(whole) => Value::Integer(whole),
            None => Value::Double(number.as_f64().unwrap_or(f64::NAN)),
        },
        Yaml::String(text) => Value::Text(text.clone()),
        Yaml::Sequence(values) => {
            let texts = values.iter().map(|value| value.as_str().map(str::to_owned));
            texts.collect::<Option<_>>().map_or(Value::Other("an array"), Value::Texts)
        }
        Yaml::Null | Yaml::Tagged(_) => Value::Other(NOT_SET),
    };
    values.retain(|(name, _)| name != above);
    values.push((above.to_owned(), value));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_mean_the_nodes_that_rclcpp_takes_them_for() {
        for key in [
            "/**",
            "/**/monitor",
            "/front/*",
            "/*/monitor",
            "front/monitor",
            "/front/monitor",
            "/*/*",
            "/**/**",
        ] {
            assert!(matches(key, "/front/monitor"), "{key}");
        }
        for key in
            ["/*", "/monitor", "/front", "/front/monitr", "/*/*/monitor", "/front/**/camera", "/fro*/monitor"]
        {
            assert!(!matches(key, "/front/monitor"), "{key}");
        }
        assert!(matches("/**/monitor", "/monitor") && matches("/*", "/monitor"));
        assert!(matches("monitor", "/front/monitor"), "as the client library reads it");
    }

    fn told_by(text: &str) -> Told {
        told([("my.yaml", text.to_owned())], "/front/monitor")
    }

    #[test]
    fn a_pattern_sets_limits_and_later_keys_win() {
        let told = told_by(
            "/**:\n  ros__parameters: {source_timeout: 1.0, threshold: {caution: 0.25}}\n\
             front:\n  '*':\n    ros__parameters: {source_timeout: 2, anomaly: false, device: cpu, x: [1]}\n\
             /left/monitor:\n  ros__parameters: {source_timeout: 9.0}\n",
        );
        assert!(told.by_pattern && told.warnings.is_empty());
        let value = |name: &str| told.values.iter().find(|(found, _)| found == name).unwrap().1.clone();
        assert_eq!(value("source_timeout"), Value::Integer(2));
        assert_eq!(value("threshold.caution"), Value::Double(0.25));
        assert_eq!((value("anomaly"), value("device")), (Value::Bool(false), Value::Text("cpu".to_owned())));
        assert_eq!((value("x"), told.values.len()), (Value::Other("an array"), 5));
    }

    #[test]
    fn a_file_without_a_word_for_this_node_is_a_warning() {
        let told = told_by("/front/monitr:\n  ros__parameters: {source_timeout: 1.0}\n");
        assert!(told.values.is_empty() && !told.by_pattern);
        let [warning] = &told.warnings[..] else { panic!("{told:?}") };
        assert!(warning.contains("my.yaml") && warning.contains("/front/monitr"), "{warning}");
        assert_eq!(told_by("").warnings, [""; 0]);
    }

    #[test]
    fn the_command_line_names_files_and_parameters() {
        let line = "node --params-file no --ros-args -p bundle:=x --params-file a.yaml --param /f/m:anomaly:=true -- -p y:=1";
        let line: Vec<_> = line.split(' ').map(str::to_owned).collect();
        assert_eq!(named_by(&line), (vec!["a.yaml"], vec!["bundle", "anomaly"]));
    }
}
