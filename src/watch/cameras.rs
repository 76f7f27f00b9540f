//! Several cameras in one process: what the topics, statuses and files of each are called.

/// Most cameras of one process.
pub(crate) const MOST: usize = 16;

/// One camera by its name; a node's only one needs none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Camera {
    name: Option<String>,
}

impl Camera {
    /// Those of these names; a nameless one where there are none.
    pub(crate) fn all(names: &[String]) -> Vec<Self> {
        match names {
            [] => vec![Self::default()],
            _ => names.iter().map(|name| Self { name: Some(name.clone()) }).collect(),
        }
    }

    /// Its name, if it has one.
    pub(crate) fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The topic on which `what` comes from it.
    pub(crate) fn input(&self, what: &str) -> String {
        self.below("", "/", what)
    }

    /// The topic or service of the node on which `what` is said of it.
    pub(crate) fn output(&self, what: &str) -> String {
        self.below("~/", "/", what)
    }

    /// Whose statuses those on it are.
    pub(crate) fn status_of(&self, node: &str) -> String {
        self.name.as_ref().map_or_else(|| node.to_owned(), |name| format!("{node}/{name}"))
    }

    /// A line of the log about it.
    pub(crate) fn line(&self, line: &str) -> String {
        self.below("", ": ", line)
    }

    /// What the names of files on it begin with. No name of a camera has a dot, so no other camera's begin so.
    pub(crate) fn file(&self, what: &str) -> String {
        self.below("", ".", what)
    }

    /// The parameter that is its own in place of that of all cameras.
    pub(crate) fn parameter(&self, row: &str) -> String {
        self.below("", ".", row)
    }

    fn below(&self, above: &str, between: &str, what: &str) -> String {
        self.name
            .as_ref()
            .map_or_else(|| format!("{above}{what}"), |name| format!("{above}{name}{between}{what}"))
    }
}

/// Whether cameras may have these names: each a part of a topic's name, and none twice.
pub(crate) fn are_names(names: &[String]) -> bool {
    let is_new = |(i, name): (usize, &String)| !names[..i].contains(name);
    names.len() <= MOST && names.iter().all(|name| is_name(name)) && names.iter().enumerate().all(is_new)
}

fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !name.contains("__")
        && !name.ends_with('_')
        && name.len() <= 64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn a_camera_alone_has_the_names_of_the_node() {
        let [camera] = &Camera::all(&[])[..] else { panic!("one camera") };
        assert_eq!((camera.input("image"), camera.output("report")), ("image".into(), "~/report".into()));
        assert_eq!((camera.status_of("a/monitor"), camera.line("x")), ("a/monitor".into(), "x".into()));
        assert_eq!(camera.file("event_"), "event_");
    }

    #[test]
    fn each_of_several_has_its_own() {
        let cameras = Camera::all(&names(&["front", "left"]));
        let reports: Vec<_> = cameras.iter().map(|camera| camera.output("report")).collect();
        assert_eq!(reports, ["~/front/report", "~/left/report"]);
        assert_eq!(cameras[1].input("image/compressed"), "left/image/compressed");
        assert_eq!(cameras[1].status_of("monitor"), "monitor/left");
        assert_eq!(
            (cameras[0].line("x"), cameras[0].file("event_")),
            ("front: x".into(), "front.event_".into())
        );
    }

    #[test]
    fn names_are_parts_of_topics_and_no_doubles() {
        for good in [&[][..], &["front"], &["front", "front_left", "Rear2"]] {
            assert!(are_names(&names(good)), "{good:?}");
        }
        for bad in
            ["", "2front", "front left", "front/left", "front.left", "_front", "front_", "a__b", "vorne_ä"]
        {
            assert!(!are_names(&names(&["left", bad])), "{bad:?}");
        }
        assert!(!are_names(&names(&["front", "left", "front"])));
        let many: Vec<_> = (0..=MOST).map(|i| format!("camera{i}")).collect();
        assert!(are_names(&many[1..]) && !are_names(&many));
    }
}
