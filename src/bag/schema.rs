//! Message definitions as a bag carries them, so that its reader needs no installed message package.

/// One message type.
#[derive(Debug)]
pub struct Definition {
    /// Such as `std_msgs/msg/Header`.
    pub name: &'static str,
    /// The .msg file.
    pub text: &'static str,
    /// Types used in it.
    pub nested: &'static [&'static Definition],
}

/// `builtin_interfaces/msg/Time`.
pub(crate) static TIME: Definition =
    Definition { name: "builtin_interfaces/msg/Time", text: "int32 sec\nuint32 nanosec\n", nested: &[] };

/// `std_msgs/msg/Header`.
pub(crate) static HEADER: Definition = Definition {
    name: "std_msgs/msg/Header",
    text: "builtin_interfaces/Time stamp\nstring frame_id\n",
    nested: &[&TIME],
};

/// `std_msgs/msg/String`.
pub(crate) static STRING: Definition =
    Definition { name: "std_msgs/msg/String", text: "string data\n", nested: &[] };

/// `sensor_msgs/msg/Image`.
pub(crate) static IMAGE: Definition = Definition {
    name: "sensor_msgs/msg/Image",
    text: "std_msgs/Header header\nuint32 height\nuint32 width\nstring encoding\nuint8 is_bigendian\n\
           uint32 step\nuint8[] data\n",
    nested: &[&HEADER],
};

/// `sensor_msgs/msg/CompressedImage`.
pub(crate) static COMPRESSED_IMAGE: Definition = Definition {
    name: "sensor_msgs/msg/CompressedImage",
    text: "std_msgs/Header header\nstring format\nuint8[] data\n",
    nested: &[&HEADER],
};

/// `synthcp_monitor/msg/ClassScore`.
pub(crate) static CLASS_SCORE: Definition = Definition {
    name: "synthcp_monitor/msg/ClassScore",
    text: include_str!("../../msg/ClassScore.msg"),
    nested: &[],
};

/// `synthcp_monitor/msg/AnomalyRegion`.
pub(crate) static ANOMALY_REGION: Definition = Definition {
    name: "synthcp_monitor/msg/AnomalyRegion",
    text: include_str!("../../msg/AnomalyRegion.msg"),
    nested: &[],
};

/// `synthcp_monitor/msg/MonitorReport`.
pub(crate) static MONITOR_REPORT: Definition = Definition {
    name: "synthcp_monitor/msg/MonitorReport",
    text: include_str!("../../msg/MonitorReport.msg"),
    nested: &[&HEADER, &CLASS_SCORE, &ANOMALY_REGION],
};

/// `synthcp_monitor/msg/LabelInfo`.
pub(crate) static LABEL_INFO: Definition = Definition {
    name: "synthcp_monitor/msg/LabelInfo",
    text: include_str!("../../msg/LabelInfo.msg"),
    nested: &[&HEADER],
};

impl Definition {
    /// The definition followed by all those it needs, once each, as schema encoding `ros2msg` wants
    /// it (MCAP specification, appendix).
    pub(crate) fn concatenated(&self) -> String {
        let mut needed: Vec<&Definition> = Vec::new();
        self.collect(&mut needed);
        let rest = needed.iter().map(|part| {
            let short = part.name.replace("/msg/", "/");
            format!("\n{}\nMSG: {short}\n{}", "=".repeat(80), part.text)
        });
        std::iter::once(self.text.to_owned()).chain(rest).collect()
    }

    /// Its fields: the kind and the name of each, in order.
    #[cfg(any(test, feature = "replay"))]
    pub(crate) fn fields(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        let lines = self.text.lines().map(|line| line.split('#').next().unwrap_or_default());
        lines.filter(|line| !line.contains('=')).filter_map(|line| {
            let mut words = line.split_whitespace();
            Some((words.next()?, words.next()?))
        })
    }

    fn collect(&self, needed: &mut Vec<&'static Definition>) {
        for part in self.nested {
            if !needed.iter().any(|known| known.name == part.name) {
                needed.push(part);
                part.collect(needed);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_definitions_follow_once_each() {
        let text = MONITOR_REPORT.concatenated();
        let parts: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("MSG: ")).collect();
        assert_eq!(
            parts,
            [
                "std_msgs/Header",
                "builtin_interfaces/Time",
                "synthcp_monitor/ClassScore",
                "synthcp_monitor/AnomalyRegion"
            ]
        );
        assert!(text.starts_with(MONITOR_REPORT.text));
        assert_eq!(STRING.concatenated(), STRING.text);
    }

    #[test]
    fn every_type_a_definition_uses_is_nested() {
        for definition in [&HEADER, &IMAGE, &COMPRESSED_IMAGE, &MONITOR_REPORT, &LABEL_INFO] {
            let package = definition.name.split('/').next().unwrap();
            let lines = definition.text.lines().map(str::trim).filter(|line| !line.starts_with('#'));
            for kind in lines.filter_map(|line| line.split_whitespace().next()) {
                let kind = kind.trim_end_matches("[]");
                if kind.chars().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit()) {
                    continue; // built in
                }
                let full = if kind.contains('/') { kind.to_owned() } else { format!("{package}/{kind}") };
                let known = |part: &&&Definition| part.name.replace("/msg/", "/") == full;
                assert!(definition.nested.iter().any(|part| known(&part)), "{} uses {full}", definition.name);
            }
        }
    }
}
